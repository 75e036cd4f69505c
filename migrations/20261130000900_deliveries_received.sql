-- no-transaction
CREATE INDEX CONCURRENTLY deliveries_received ON deliveries USING brin (received_at);
