-- How many days of payloads with attempts, and of calls, a business keeps; NULL: all of them.
ALTER TABLE businesses ADD COLUMN payload_days INTEGER CHECK (payload_days > 0);
ALTER TABLE businesses ADD COLUMN call_days INTEGER CHECK (call_days > 0);
CREATE INDEX tombstones_by_age ON tombstones (created_at);
