-- When something last arrived from a source, found without looking at what arrived from others.
CREATE INDEX source_calls_by_arrival ON source_calls (business_id, source_id, updated_at);
