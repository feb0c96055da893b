-- What lists are narrowed by. Most calls are inbound, completed and not yet looked at by AI: the indexes hold the others alone, so
-- that a report pays for those by number and by source only.
CREATE INDEX calls_by_number ON calls (business_id, number_id, id) WHERE number_id IS NOT NULL;
CREATE INDEX calls_by_source ON calls (business_id, source, id) WHERE source IS NOT NULL;
CREATE INDEX calls_not_completed ON calls (business_id, status, id) WHERE status <> 'completed';
CREATE INDEX calls_outbound ON calls (business_id, id) WHERE direction = 'outbound';
CREATE INDEX calls_by_ai_category ON calls (business_id, ai_category, id) WHERE ai_category IS NOT NULL;
CREATE INDEX calls_by_qualified ON calls (business_id, qualified_ai, id) WHERE qualified_ai IS NOT NULL;
CREATE INDEX deliveries_by_event ON deliveries (business_id, event, id) WHERE event <> 'call.completed';
