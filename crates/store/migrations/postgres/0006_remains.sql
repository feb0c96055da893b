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
