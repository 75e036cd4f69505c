-- Who writes to a dealership: a thin record for each person, found by what they can be reached at.
CREATE TABLE customers (
  id            uuid        NOT NULL DEFAULT gen_random_uuid(),
  dealership_id uuid        NOT NULL REFERENCES dealerships ON DELETE CASCADE,
  name          text,
  merged_into   uuid,
  merged_at     timestamptz,
  merged_by     uuid,
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, dealership_id),
  FOREIGN KEY (merged_into, dealership_id) REFERENCES customers (id, dealership_id),
  CONSTRAINT merged_at_some_time CHECK ((merged_into IS NULL) = (merged_at IS NULL)),
  CONSTRAINT not_merged_into_itself CHECK (merged_into <> id)
);
COMMENT ON COLUMN customers.name IS 'As they first gave it.';
COMMENT ON COLUMN customers.merged_into IS 'The same person, somebody said. What is theirs stays with each record, so that taking this back loses nothing.';
COMMENT ON COLUMN customers.merged_by IS 'Membership of who said so, which may have ended.';
CREATE INDEX customers_newest ON customers (dealership_id, created_at DESC, id DESC);
CREATE INDEX customers_merged ON customers (merged_into, dealership_id) WHERE merged_into IS NOT NULL;

CREATE TABLE customer_identities (
  dealership_id uuid        NOT NULL,
  kind          text        NOT NULL CHECK (kind IN ('email', 'phone')),
  value         text        NOT NULL,
  customer_id   uuid        NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now(),
  -- Of two inquiries at the same instant, one makes the person and the other finds them.
  PRIMARY KEY (dealership_id, kind, value),
  FOREIGN KEY (customer_id, dealership_id) REFERENCES customers (id, dealership_id) ON DELETE CASCADE
);
COMMENT ON COLUMN customer_identities.value IS 'An address in lower case, or a number as E.164.';
CREATE INDEX customer_identities_customer ON customer_identities (customer_id, dealership_id);

ALTER TABLE leads ADD COLUMN customer_id uuid;
COMMENT ON COLUMN leads.customer_id IS 'Whose inquiry it is. Null where nothing is known to reach them at.';
ALTER TABLE leads ADD CONSTRAINT leads_customer_id_dealership_id_fkey
  FOREIGN KEY (customer_id, dealership_id) REFERENCES customers (id, dealership_id) NOT VALID;

ALTER TABLE dealerships ADD COLUMN same_lead_days smallint NOT NULL DEFAULT 7 CHECK (same_lead_days BETWEEN 0 AND 90);
COMMENT ON COLUMN dealerships.same_lead_days IS 'What a known customer writes within so many days of an open lead belongs to that lead.';
GRANT UPDATE (same_lead_days) ON dealerships TO norvalt_tenant;

ALTER TABLE customers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON customers TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON customers TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON customers TO norvalt_tenant;
GRANT SELECT, DELETE ON customers TO norvalt_system;

ALTER TABLE customer_identities ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON customer_identities TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON customer_identities TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON customer_identities TO norvalt_tenant;
GRANT SELECT, DELETE ON customer_identities TO norvalt_system;
