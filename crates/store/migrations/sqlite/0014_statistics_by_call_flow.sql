-- How one flow's deliveries ended over days, whatever its business's other flows have sent. The count stands in the index, so that the rows
-- are not looked at.
CREATE INDEX delivery_statistics_by_call_flow ON delivery_statistics (business_id, call_flow_id, minute, count);
