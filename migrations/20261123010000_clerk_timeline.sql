-- What a delivery changed, when it came again, and two more fates: of no use here, and of another Clerk instance.
ALTER TABLE clerk_events
  ADD COLUMN effects text[] NOT NULL DEFAULT '{}',
  DROP CONSTRAINT clerk_events_status_check,
  ADD CONSTRAINT clerk_events_status_check
    CHECK (status IN ('pending', 'processed', 'ignored', 'dead', 'quarantined')) NOT VALID;
COMMENT ON COLUMN clerk_events.effects IS 'What it changed of dealerships and users, one line each. Ids and roles, never names or addresses.';

-- Apart from the event, so that noting a repetition waits for nobody who is processing it.
CREATE TABLE clerk_event_repetitions (
  event_id    bigint      NOT NULL REFERENCES clerk_events ON DELETE CASCADE,
  received_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE clerk_event_repetitions IS 'Each time that a svix_id came again.';
CREATE INDEX clerk_event_repetitions_event_id ON clerk_event_repetitions (event_id);

ALTER TABLE clerk_event_repetitions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON clerk_event_repetitions TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON clerk_event_repetitions TO norvalt_system;
