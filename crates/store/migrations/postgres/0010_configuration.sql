-- Counts the changes of what reports are matched by, so that a process may keep what it has read of it. Whoever changes it, be it by hand.
CREATE TABLE configuration (
    only_one INTEGER NOT NULL PRIMARY KEY CHECK (only_one = 1),
    version  BIGINT NOT NULL
);
ALTER TABLE configuration SET (fillfactor = 50);
INSERT INTO configuration (only_one, version) VALUES (1, 1);

CREATE FUNCTION count_configuration() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    -- Of the schema that holds the table, whatever the path of whoever changes it.
    EXECUTE format('UPDATE %I.configuration SET version = version + 1', TG_TABLE_SCHEMA);
    RETURN NULL;
END $$;
CREATE TRIGGER count_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON businesses EXECUTE FUNCTION count_configuration();
CREATE TRIGGER count_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON api_keys EXECUTE FUNCTION count_configuration();
CREATE TRIGGER count_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON call_flows EXECUTE FUNCTION count_configuration();
CREATE TRIGGER count_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON destinations EXECUTE FUNCTION count_configuration();
CREATE TRIGGER count_configuration AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON numbers EXECUTE FUNCTION count_configuration();
