-- What was erased before remains were looked for is looked for once.
INSERT INTO meta (name, value) VALUES ('erased', x'00') ON CONFLICT (name) DO NOTHING;
