-- no-transaction
CREATE INDEX CONCURRENTLY outbox_by_minute ON outbox (dealership_id, channel, sending_at) WHERE sending_at IS NOT NULL;
