-- Dealerships on their way to another server, or from one: docs/operations/moving.md. Apart from the dealership's row, which may be
-- gone while events still name it; so it stays on one machine, like deliveries.
CREATE TABLE dealership_moves (
  clerk_org_id  text        PRIMARY KEY,
  dealership_id uuid        CHECK (dealership_id IS NOT NULL),
  state         text        NOT NULL CHECK (state IN ('leaving', 'gone', 'arriving')),
  archive       text,
  changed_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN dealership_moves.state IS 'leaving: closed here, to be exported; gone: handed over to another server, which alone has it; arriving: imported, and not open yet.';
COMMENT ON COLUMN dealership_moves.archive IS 'SHA-256 of the archive that it was exported to, or imported from.';
CREATE UNIQUE INDEX dealership_moves_dealership ON dealership_moves (dealership_id);

COMMENT ON COLUMN dealerships.closed_at IS 'Since when nobody has access: the Clerk organization was deleted, and the data is kept until it is purged; or it is on its way to another server (dealership_moves).';

ALTER TABLE dealership_moves ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON dealership_moves TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON dealership_moves TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT ON dealership_moves TO norvalt_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON dealership_moves TO norvalt_system;
