-- no-transaction
-- What came in for a dealership, newest first, of each source and status.
CREATE INDEX CONCURRENTLY deliveries_inbox ON deliveries (dealership_id, source, status, id DESC)
  WHERE dealership_id IS NOT NULL AND source <> 'clerk';
