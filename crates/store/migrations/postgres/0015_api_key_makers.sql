-- The person who made a key, by hand or with a key of the person's own; NULL where whoever runs the server did, and for keys of before. It
-- is no reference: the key goes on when the person is gone.
ALTER TABLE api_keys ADD COLUMN made_by BYTEA;
