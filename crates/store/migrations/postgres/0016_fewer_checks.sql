-- Of the tables that every call writes. The server reads each check of a table anew for each statement that writes it, which takes about a
-- tenth of its time for a group of forty calls (docs/performance.md). What a single column may hold is what the program writes and how it
-- reads it. What stays is what holds between columns. A check that somebody has given another name stays as well.
ALTER TABLE calls
    DROP CONSTRAINT IF EXISTS calls_id_check,
    DROP CONSTRAINT IF EXISTS calls_direction_check,
    DROP CONSTRAINT IF EXISTS calls_status_check,
    DROP CONSTRAINT IF EXISTS calls_duration_seconds_check,
    DROP CONSTRAINT IF EXISTS calls_ai_score_check,
    DROP CONSTRAINT IF EXISTS calls_ai_category_check,
    DROP CONSTRAINT IF EXISTS calls_qualified_ai_check,
    DROP CONSTRAINT IF EXISTS calls_robo_score_check,
    DROP CONSTRAINT IF EXISTS calls_ai_processed_check;
ALTER TABLE deliveries
    DROP CONSTRAINT IF EXISTS deliveries_id_check,
    DROP CONSTRAINT IF EXISTS deliveries_kind_check,
    DROP CONSTRAINT IF EXISTS deliveries_event_check,
    DROP CONSTRAINT IF EXISTS deliveries_status_check,
    DROP CONSTRAINT IF EXISTS deliveries_version_check,
    DROP CONSTRAINT IF EXISTS deliveries_attempt_count_check;
ALTER TABLE attempts
    DROP CONSTRAINT IF EXISTS attempts_attempt_check,
    DROP CONSTRAINT IF EXISTS attempts_duration_ms_check,
    DROP CONSTRAINT IF EXISTS attempts_repeated_check;
