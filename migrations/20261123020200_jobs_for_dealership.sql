-- Whose turn a job waits for; see docs/adr/0004-turns-between-dealerships.md. Nobody's by default, which is what the release
-- before writes.
ALTER TABLE jobs ADD COLUMN for_dealership uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
COMMENT ON COLUMN jobs.for_dealership IS 'Dealerships are served in turn. Names none that must exist: the job may be what creates it.';
