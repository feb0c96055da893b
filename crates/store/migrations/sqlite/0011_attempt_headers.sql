-- The names of the destination's own headers in an attempt's request, as JSON; NULL where it had none, and for attempts of before.
ALTER TABLE attempts ADD COLUMN header_names TEXT;
