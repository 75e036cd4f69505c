-- no-transaction
CREATE INDEX CONCURRENTLY deliveries_opinions ON deliveries (dealership_id, opinion_at) WHERE opinion_at IS NOT NULL;
