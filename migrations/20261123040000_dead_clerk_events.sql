-- How many events are dead is asked every few seconds. Not CONCURRENTLY: the table is small before the first release.
CREATE INDEX clerk_events_dead ON clerk_events (id) WHERE status = 'dead';
