-- What Clerk told us (the inbox, append-only) and what we therefore know (the mirror).
CREATE TABLE clerk_events (
  id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  svix_id      text        NOT NULL UNIQUE,
  event_type   text        NOT NULL,
  user_id      text,
  body         text,
  status       text        NOT NULL CHECK (status IN ('pending', 'processed', 'dead')),
  outcome      text,
  received_at  timestamptz NOT NULL DEFAULT now(),
  processed_at timestamptz,
  CHECK ((status = 'pending') = (outcome IS NULL))
);
COMMENT ON COLUMN clerk_events.svix_id IS 'The same for every attempt and every manual resend of one message.';
COMMENT ON COLUMN clerk_events.user_id IS 'Whom it is about, if it is about a person.';
COMMENT ON COLUMN clerk_events.body IS 'As it was signed. Null once the person has been deleted.';
CREATE INDEX clerk_events_user_id ON clerk_events (user_id) WHERE user_id IS NOT NULL;
COMMENT ON COLUMN clerk_events.outcome IS 'What the event changed, or why it changed nothing.';

CREATE TABLE clerk_objects (
  kind       text        NOT NULL CHECK (kind IN ('organization', 'user', 'membership')),
  id         text        NOT NULL,
  org_id     text,
  user_id    text,
  state      jsonb       NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kind, id),
  CONSTRAINT membership_is_a_pair CHECK ((org_id IS NULL) = (user_id IS NULL))
);
COMMENT ON TABLE clerk_objects IS 'The mirror: one last-writer-wins record with tombstone for each organization, user and membership.';
CREATE INDEX clerk_objects_membership ON clerk_objects (user_id, org_id) WHERE user_id IS NOT NULL;

ALTER TABLE clerk_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON clerk_events TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON clerk_events TO norvalt_system;

ALTER TABLE clerk_objects ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON clerk_objects TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON clerk_objects TO norvalt_system;
