-- Remains of what was erased are the server's to remove: its vacuum does, and not when a fifth of a table is gone, as it comes, but
-- when a fiftieth is: a table of ten million rows would keep two million of them, and each page of a list would look through some. It
-- also does not rest after each two hundred pages, or it falls behind what a busy hour writes.
ALTER TABLE calls SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_cost_limit = 2000, fillfactor = 90);
ALTER TABLE deliveries SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_cost_limit = 2000);
ALTER TABLE payloads SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_limit = 2000);
ALTER TABLE attempts SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_cost_limit = 2000);
ALTER TABLE idempotency_keys SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_limit = 2000);
ALTER TABLE idempotency_subjects SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_limit = 2000);
ALTER TABLE source_calls SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_limit = 2000);
-- Few rows that change all the time: their new versions find room beside the old ones, and no index is touched.
ALTER TABLE delivery_statistics SET (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 50);
ALTER TABLE meta SET (fillfactor = 50);
ALTER TABLE holder SET (fillfactor = 50);
-- A server that has counted nothing of a new table takes any index that begins with the business for as good as the one by the key, and
-- looks through all of the business for each row, until it counts after a minute. So it counts rows that are there for that alone: of one
-- business, each with an id of its own.
INSERT INTO calls (business_id, id, reported_by, source_call_id, call_flow_id, caller_number, direction, status, duration_seconds,
    started_at, ended_at, ai_processed, source, reported_at, updated_at)
SELECT '\x00', decode(lpad(to_hex(i), 32, '0'), 'hex'), 'api', i::TEXT, decode(lpad(to_hex(i % 20), 32, '0'), 'hex'), '+13055559876',
    'inbound', 'completed', 60, i, i, 0, 'google', i, i FROM generate_series(1, 1000) AS i;
INSERT INTO deliveries (business_id, id, call_id, call_flow_id, destination_id, queue, kind, event, status, version, url, payload_id,
    attempt_count, attempt_in_series, next_attempt_at, last_error, delivered_at)
SELECT '\x00', decode(lpad(to_hex(i), 32, '0'), 'hex'), decode(lpad(to_hex(i), 32, '0'), 'hex'),
    decode(lpad(to_hex(i % 20), 32, '0'), 'hex'), decode(lpad(to_hex(i % 20), 32, '0'), 'hex'), 1, 'call', 'call.completed',
    CASE WHEN i % 2 = 0 THEN 'scheduled' ELSE 'delivered' END, 1, 'https://example.com', i, 1, 1,
    CASE WHEN i % 2 = 0 THEN i END, CASE WHEN i % 2 = 0 THEN 'http_503' END, CASE WHEN i % 2 = 1 THEN i END
FROM generate_series(1, 1000) AS i;
INSERT INTO attempts (business_id, delivery_id, attempt, started_at, duration_ms, url, response_headers, repeated)
SELECT '\x00', decode(lpad(to_hex(i), 32, '0'), 'hex'), 1, i, 1, 'https://example.com', '[]', 0 FROM generate_series(1, 1000) AS i;
ANALYZE calls;
ANALYZE deliveries;
ANALYZE attempts;
DELETE FROM calls WHERE business_id = '\x00';
DELETE FROM deliveries WHERE business_id = '\x00';
DELETE FROM attempts WHERE business_id = '\x00';
