-- Not CONCURRENTLY: it holds what waits to be claimed, and that is little.
CREATE INDEX jobs_turn ON jobs (queue, for_dealership, priority, run_at, id) WHERE state = 'available';
-- While it exists, the planner may walk it to find one dealership's jobs. Claims of the release before do without: slower
-- while much waits, until that release is replaced.
DROP INDEX jobs_claim;
