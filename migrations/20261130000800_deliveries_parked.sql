-- no-transaction
CREATE INDEX CONCURRENTLY deliveries_waiting ON deliveries (dealership_id, source_id, id) WHERE status IN ('parked', 'quarantined', 'dead');
