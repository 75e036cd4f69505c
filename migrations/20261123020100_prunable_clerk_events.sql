-- Not CONCURRENTLY: the table is small before the first release.
CREATE INDEX clerk_events_prunable ON clerk_events (processed_at) WHERE status IN ('processed', 'ignored');
