-- The flow stands in the index, so that what waits for a flow is counted, and a state of a flow listed, without looking at the rows.
DROP INDEX deliveries_not_delivered;
CREATE INDEX deliveries_not_delivered ON deliveries (business_id, status, id, call_flow_id) WHERE status <> 'delivered';
