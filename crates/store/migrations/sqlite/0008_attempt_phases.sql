-- How long the steps of an attempt took, as JSON; NULL for attempts of before.
ALTER TABLE attempts ADD COLUMN phases TEXT;
