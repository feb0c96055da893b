-- As for the others that grow with what comes and goes: a tombstone for each call that was purged, a row for each sign-in and redelivery.
ALTER TABLE tombstones SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_limit = 2000);
ALTER TABLE sessions SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE redeliveries SET (autovacuum_vacuum_scale_factor = 0.02);
-- Its rows change all the time: their new versions find room beside the old ones.
ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 50);
