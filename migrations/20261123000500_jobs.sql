-- The queue. Its life cycle is drawn in docs/operations.md, its statements stand in common/src/queue.
CREATE TYPE job_state AS ENUM ('available', 'scheduled', 'retryable', 'running', 'done', 'dead', 'cancelled');

CREATE TABLE jobs (
  id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  queue           text        NOT NULL,
  kind            text        NOT NULL,
  payload         jsonb       NOT NULL,
  payload_version smallint    NOT NULL,
  state           job_state   NOT NULL,
  priority        smallint    NOT NULL DEFAULT 0,
  run_at          timestamptz NOT NULL DEFAULT now(),
  attempts        smallint    NOT NULL DEFAULT 0,
  max_attempts    smallint    NOT NULL CHECK (max_attempts > 0),
  lease_token     uuid,
  lease_until     timestamptz,
  unique_key      text,
  trace_context   text,
  errors          jsonb       NOT NULL DEFAULT '[]',
  created_at      timestamptz NOT NULL DEFAULT now(),
  finished_at     timestamptz,
  CONSTRAINT lease_while_running CHECK (
    (state = 'running') = (lease_token IS NOT NULL) AND (state = 'running') = (lease_until IS NOT NULL)),
  CONSTRAINT finished_when_over CHECK ((state IN ('done', 'dead', 'cancelled')) = (finished_at IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
COMMENT ON COLUMN jobs.priority IS 'Smaller is sooner.';
COMMENT ON COLUMN jobs.lease_token IS 'Made anew by each claim: only the claim that holds it may renew, complete, fail or give back.';
COMMENT ON COLUMN jobs.trace_context IS 'W3C traceparent of the request that enqueued the job.';

-- Only what can be claimed now: neither finished nor future jobs make a claim dearer.
CREATE INDEX jobs_claim ON jobs (queue, priority, run_at, id) WHERE state = 'available';
CREATE INDEX jobs_due ON jobs (run_at) WHERE state IN ('scheduled', 'retryable');
CREATE INDEX jobs_lease ON jobs (lease_until) WHERE state = 'running';
-- Apart, because dead jobs are kept: pruning would have to step over all of them each time.
CREATE INDEX jobs_prunable ON jobs (finished_at) WHERE state IN ('done', 'cancelled');
CREATE INDEX jobs_dead ON jobs (finished_at) WHERE state = 'dead';
CREATE UNIQUE INDEX jobs_unique ON jobs (queue, unique_key)
  WHERE unique_key IS NOT NULL AND state IN ('available', 'scheduled', 'retryable', 'running');

ALTER TABLE jobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON jobs TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON jobs TO norvalt_system;
