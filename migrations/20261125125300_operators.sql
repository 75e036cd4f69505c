-- What operators decide about the queue: which queues are paused, and who did what. Which workers there are.
CREATE TABLE queues (
  name      text        PRIMARY KEY,
  paused_at timestamptz,
  paused_by text,
  reason    text,
  CONSTRAINT paused_by_somebody CHECK ((paused_at IS NULL) = (paused_by IS NULL) AND (paused_at IS NOT NULL OR reason IS NULL))
);
COMMENT ON TABLE queues IS 'Queues that were ever paused. Claims read it: see common/src/queue/claim.rs.';
COMMENT ON COLUMN queues.paused_at IS 'Since when nothing is claimed from it; null while it runs.';

CREATE TABLE workers (
  id         uuid        PRIMARY KEY,
  host       text        NOT NULL,
  pid        integer     NOT NULL,
  version    text        NOT NULL,
  queues     text[]      NOT NULL,
  slots      integer     NOT NULL,
  running    integer     NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE workers IS 'One row for each worker process. Says who is there; leases, not this table, decide who may run a job.';
COMMENT ON COLUMN workers.slots IS 'Jobs that it may run at once, over all its queues.';

CREATE TABLE operator_actions (
  id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at       timestamptz NOT NULL DEFAULT now(),
  operator text        NOT NULL,
  via      text        NOT NULL CHECK (via IN ('page', 'command')),
  action   text        NOT NULL,
  subject  text        NOT NULL,
  ids      bigint[]    NOT NULL DEFAULT '{}',
  affected bigint      NOT NULL DEFAULT 1,
  reason   text
);
COMMENT ON TABLE operator_actions IS 'Who did what to jobs, events and queues. Append-only: no role of ours may change it.';
COMMENT ON COLUMN operator_actions.ids IS 'Of the jobs or events, the first thousand of them.';

ALTER TABLE queues ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON queues TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON queues TO norvalt_system;

ALTER TABLE workers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON workers TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON workers TO norvalt_system;

ALTER TABLE operator_actions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON operator_actions TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON operator_actions TO norvalt_system;
