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

ALTER TABLE clerk_instance ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON clerk_instance TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON clerk_instance TO norvalt_system;

ALTER TABLE clerk_reconciliation ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON clerk_reconciliation TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON clerk_reconciliation TO norvalt_system;
