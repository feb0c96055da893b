-- Fills a store for the benchmark: what was reported in a time is copied, each copy a step earlier than the one before, so that a
-- million calls are there within minutes. psql runs it while no callhook works on the schema, with the variables `since` and `until`
-- (milliseconds UTC), `step` (milliseconds, whole minutes) and `copies`.

\set ON_ERROR_STOP on
SET search_path TO callhook;
BEGIN;

-- An id begins with its time.
CREATE FUNCTION pg_temp.earlier(id BYTEA, shift BIGINT) RETURNS BYTEA LANGUAGE sql IMMUTABLE AS $$
    SELECT decode(lpad(to_hex(('x' || encode(substring(id FROM 1 FOR 6), 'hex'))::BIT(48)::BIGINT - shift), 12, '0'), 'hex')
        || substring(id FROM 7)
$$;

-- Whole rows, taken aside: the tables that they come from grow with each copy. A call here has one delivery at the most.
-- What is rare is to stay so: only each fifth copy has it.
CREATE TEMP TABLE originals AS
    SELECT call, delivery, payload, call.direction = 'outbound' OR call.status = 'failed' AS is_rare
    FROM calls AS call
    LEFT JOIN deliveries AS delivery ON delivery.business_id = call.business_id AND delivery.call_id = call.id
    LEFT JOIN payloads AS payload ON payload.id = delivery.payload_id
    WHERE call.reported_at BETWEEN :since AND :until;
CREATE TEMP TABLE original_attempts AS
    SELECT tried, is_rare
    FROM originals
    JOIN attempts AS tried ON tried.business_id = (delivery).business_id AND tried.delivery_id = (delivery).id;

CREATE FUNCTION pg_temp.copy(copy BIGINT, step BIGINT, payloads_step BIGINT) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    shift BIGINT := copy * step;
BEGIN
    INSERT INTO payloads (id, body)
        SELECT (payload).id + copy * payloads_step, (payload).body
        FROM originals
        WHERE (payload).id IS NOT NULL AND (copy % 5 = 0 OR NOT is_rare);
    INSERT INTO calls SELECT made.*
        FROM originals, jsonb_populate_record(call, jsonb_build_object(
            'id', pg_temp.earlier((call).id, shift),
            'source_call_id', (call).source_call_id || '-' || copy,
            'recording_token', NULL,
            'started_at', (call).started_at - shift,
            'ended_at', (call).ended_at - shift,
            'reported_at', (call).reported_at - shift,
            'updated_at', (call).updated_at - shift
        )) AS made
        WHERE copy % 5 = 0 OR NOT is_rare
        ORDER BY made.id;
    -- What waits goes on waiting for the same time.
    INSERT INTO deliveries SELECT made.*
        FROM originals, jsonb_populate_record(delivery, jsonb_build_object(
            'id', pg_temp.earlier((delivery).id, shift),
            'call_id', pg_temp.earlier((delivery).call_id, shift),
            'payload_id', (delivery).payload_id + copy * payloads_step,
            'delivered_at', (delivery).delivered_at - shift
        )) AS made
        WHERE (delivery).id IS NOT NULL AND (copy % 5 = 0 OR NOT is_rare)
        ORDER BY made.id;
    INSERT INTO attempts SELECT made.*
        FROM original_attempts, jsonb_populate_record(tried, jsonb_build_object(
            'delivery_id', pg_temp.earlier((tried).delivery_id, shift),
            'started_at', (tried).started_at - shift
        )) AS made
        WHERE copy % 5 = 0 OR NOT is_rare
        ORDER BY made.delivery_id;
END
$$;

SELECT count(pg_temp.copy(copy, :step, (SELECT coalesce(max(id), 0) FROM payloads))) AS copies
    FROM generate_series(:copies, 1, -1) AS copy;

INSERT INTO delivery_statistics
    SELECT made.*
    FROM generate_series(1, :copies) AS copy, delivery_statistics AS counted,
    jsonb_populate_record(counted, jsonb_build_object('minute', counted.minute - copy * (:step / 60000))) AS made
    WHERE counted.minute BETWEEN :since / 60000 AND :until / 60000
    ON CONFLICT (business_id, minute, call_flow_id, status, latency_bucket) DO UPDATE
    SET count = delivery_statistics.count + excluded.count;

SELECT setval(pg_get_serial_sequence('payloads', 'id'), max(id)) FROM payloads;
COMMIT;

-- As it were after a while, and nothing of it is left to be done beside what is measured.
VACUUM ANALYZE;
CHECKPOINT;
