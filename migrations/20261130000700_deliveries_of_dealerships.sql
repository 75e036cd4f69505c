-- no-transaction
CREATE INDEX CONCURRENTLY deliveries_of_dealership ON deliveries (dealership_id, received_at DESC, id DESC) WHERE dealership_id IS NOT NULL;
