-- The queue. Its life cycle is drawn in docs/operations/queue.md, its statements stand in common/src/queue.
CREATE TYPE job_state AS ENUM ('available', 'scheduled', 'retryable', 'running', 'done', 'dead', 'cancelled');

CREATE TABLE jobs (
  id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  queue            text        NOT NULL,
  kind             text        NOT NULL,
  payload          jsonb       NOT NULL,
  payload_version  smallint    NOT NULL,
  for_dealership   uuid        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  state            job_state   NOT NULL,
  priority         smallint    NOT NULL DEFAULT 0,
  run_at           timestamptz NOT NULL DEFAULT now(),
  attempts         smallint    NOT NULL DEFAULT 0,
  max_attempts     smallint    NOT NULL CHECK (max_attempts > 0),
  buried_by_worker boolean     NOT NULL DEFAULT false,
  lease_token      uuid,
  lease_until      timestamptz,
  unique_key       text,
  trace_context    text,
  errors           jsonb       NOT NULL DEFAULT '[]',
  created_at       timestamptz NOT NULL DEFAULT now(),
  finished_at      timestamptz,
  CONSTRAINT lease_while_running CHECK (
    (state = 'running') = (lease_token IS NOT NULL) AND (state = 'running') = (lease_until IS NOT NULL)),
  CONSTRAINT finished_when_over CHECK ((state IN ('done', 'dead', 'cancelled')) = (finished_at IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
COMMENT ON COLUMN jobs.for_dealership IS 'Dealerships are served in turn (docs/adr/0004-turns-between-dealerships.md). Names none that must exist: the job may be what creates it.';
COMMENT ON COLUMN jobs.priority IS 'Smaller is sooner.';
COMMENT ON COLUMN jobs.buried_by_worker IS 'It leaves something behind when it dies, in the transaction that buries it: when its last attempt has lost its worker, another one buries it.';
COMMENT ON COLUMN jobs.lease_token IS 'Made anew by each claim: only the claim that holds it may renew, complete, fail or give back.';
COMMENT ON COLUMN jobs.trace_context IS 'W3C traceparent of the request that enqueued the job.';

-- Only what can be claimed now: neither finished nor future jobs make a claim dearer.
CREATE INDEX jobs_turn ON jobs (queue, for_dealership, priority, run_at, id) WHERE state = 'available';
CREATE INDEX jobs_due ON jobs (run_at) WHERE state IN ('scheduled', 'retryable');
CREATE INDEX jobs_lease ON jobs (lease_until) WHERE state = 'running';
-- Apart, because dead jobs are kept: pruning would have to step over all of them each time.
CREATE INDEX jobs_prunable ON jobs (finished_at) WHERE state IN ('done', 'cancelled');
CREATE INDEX jobs_dead ON jobs (finished_at) WHERE state = 'dead';
CREATE UNIQUE INDEX jobs_unique ON jobs (queue, unique_key)
  WHERE unique_key IS NOT NULL AND state IN ('available', 'scheduled', 'retryable', 'running');

-- What is enqueued by itself, once for each interval in the whole cluster: see common/src/queue/periodic.rs.
CREATE TABLE periodic_jobs (
  kind           text        PRIMARY KEY,
  interval_start timestamptz NOT NULL
);
COMMENT ON COLUMN periodic_jobs.interval_start IS 'Of the interval for which a job was enqueued last.';

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
COMMENT ON TABLE operator_actions IS 'Who did what to jobs, deliveries and queues. Append-only: no role of ours may change it.';
COMMENT ON COLUMN operator_actions.ids IS 'Of the jobs or deliveries, the first thousand of them.';

ALTER TABLE jobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON jobs TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON jobs TO norvalt_system;

ALTER TABLE periodic_jobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON periodic_jobs TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON periodic_jobs TO norvalt_system;

ALTER TABLE queues ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON queues TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON queues TO norvalt_system;

ALTER TABLE workers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON workers TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON workers TO norvalt_system;

ALTER TABLE operator_actions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON operator_actions TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON operator_actions TO norvalt_system;
