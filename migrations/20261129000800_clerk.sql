-- What Clerk told us, and what we therefore know (the mirror).
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

-- A database belongs to one Clerk instance: whatever another one says is not written.
CREATE TABLE clerk_instance (
  singleton   boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
  id          text        NOT NULL,
  learnt_from text        NOT NULL CHECK (learnt_from IN ('operator', 'webhook')),
  learnt_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE clerk_instance IS 'The Clerk instance whose organizations and people these are; one row, or none until it is known.';

-- How the last reconciliation ended.
CREATE TABLE clerk_reconciliation (
  singleton boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
  ended_at  timestamptz NOT NULL DEFAULT now(),
  refusal   text
);
COMMENT ON TABLE clerk_reconciliation IS 'One row, or none before the first reconciliation.';
COMMENT ON COLUMN clerk_reconciliation.refusal IS 'Why nothing was written, if it was refused. Numbers and ids of instances, never of people.';

ALTER TABLE clerk_objects ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON clerk_objects TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON clerk_objects TO norvalt_system;

ALTER TABLE clerk_instance ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON clerk_instance TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON clerk_instance TO norvalt_system;

ALTER TABLE clerk_reconciliation ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON clerk_reconciliation TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON clerk_reconciliation TO norvalt_system;
