-- What a delivery changed, how often it came again, and two more fates: of no use here, and of another Clerk instance.
ALTER TABLE clerk_events
  ADD COLUMN effects           text[]      NOT NULL DEFAULT '{}',
  ADD COLUMN duplicates        integer     NOT NULL DEFAULT 0,
  ADD COLUMN last_duplicate_at timestamptz,
  DROP CONSTRAINT clerk_events_status_check,
  ADD CONSTRAINT clerk_events_status_check
    CHECK (status IN ('pending', 'processed', 'ignored', 'dead', 'quarantined')) NOT VALID;
COMMENT ON COLUMN clerk_events.effects IS 'What it changed of dealerships and users, one line each. Ids and roles, never names or addresses.';
COMMENT ON COLUMN clerk_events.duplicates IS 'How often the same svix_id came again.';
