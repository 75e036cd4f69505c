-- How many leads of a page Meta lists for each day, in Norwegian time, and how many of those are here. Counted anew whenever
-- the two are compared.
CREATE TABLE facebook_lead_counts (
  dealership_id uuid        NOT NULL REFERENCES dealerships ON DELETE CASCADE,
  source_id     uuid        NOT NULL,
  day           date        NOT NULL,
  meta_leads    integer     NOT NULL,
  our_leads     integer     NOT NULL,
  counted_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (source_id, dealership_id, day),
  FOREIGN KEY (source_id, dealership_id) REFERENCES lead_sources (id, dealership_id) ON DELETE CASCADE
);
COMMENT ON COLUMN facebook_lead_counts.our_leads IS 'Those that became a lead or a message of one, or will.';

ALTER TABLE facebook_lead_counts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON facebook_lead_counts TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON facebook_lead_counts TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON facebook_lead_counts TO norvalt_tenant;
GRANT SELECT, DELETE ON facebook_lead_counts TO norvalt_system;
