-- What is enqueued by itself, once for each interval in the whole cluster: see common/src/queue/periodic.rs.
CREATE TABLE periodic_jobs (
  kind           text        PRIMARY KEY,
  interval_start timestamptz NOT NULL
);
COMMENT ON COLUMN periodic_jobs.interval_start IS 'Of the interval for which a job was enqueued last.';

ALTER TABLE periodic_jobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON periodic_jobs TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON periodic_jobs TO norvalt_system;
