-- How one flow's deliveries ended over days, whatever its business's other flows have sent. The count does not stand in the index, so that
-- a row that is counted up again and again stays where it is.
CREATE INDEX delivery_statistics_by_call_flow ON delivery_statistics (business_id, call_flow_id, minute);
