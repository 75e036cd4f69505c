CREATE TABLE vehicles (
  id            uuid           NOT NULL DEFAULT gen_random_uuid(),
  dealership_id uuid           NOT NULL REFERENCES dealerships ON DELETE CASCADE,
  make          text           NOT NULL,
  model         text           NOT NULL,
  year          smallint       NOT NULL CHECK (year BETWEEN 1886 AND 2100),
  vin           text           CHECK (vin ~ '^[A-HJ-NPR-Z0-9]{17}$'),
  status        text           NOT NULL DEFAULT 'available' CHECK (status IN ('available', 'reserved', 'sold')),
  price         bigint         CHECK (price >= 0),
  mileage       integer        CHECK (mileage >= 0),
  fuel_type     text,
  listing_url   text,
  created_at    timestamptz    NOT NULL DEFAULT now(),
  updated_at    timestamptz    NOT NULL DEFAULT now(),
  PRIMARY KEY (id, dealership_id),
  UNIQUE (dealership_id, vin)
);
COMMENT ON COLUMN vehicles.price IS 'Whole Norwegian kroner, taxes included.';
COMMENT ON COLUMN vehicles.mileage IS 'Kilometres.';
CREATE INDEX vehicles_newest ON vehicles (dealership_id, created_at DESC, id DESC);

CREATE TABLE automation_rules (
  id                 uuid        NOT NULL DEFAULT gen_random_uuid(),
  dealership_id      uuid        NOT NULL REFERENCES dealerships ON DELETE CASCADE,
  name               text        NOT NULL,
  trigger_type       text        NOT NULL,
  trigger_conditions jsonb       NOT NULL DEFAULT '{}',
  actions            jsonb       NOT NULL DEFAULT '[]',
  is_active          boolean     NOT NULL DEFAULT true,
  created_at         timestamptz NOT NULL DEFAULT now(),
  updated_at         timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, dealership_id)
);
CREATE INDEX automation_rules_newest ON automation_rules (dealership_id, created_at DESC, id DESC);

ALTER TABLE vehicles ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vehicles TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON vehicles TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON vehicles TO norvalt_tenant;
GRANT SELECT, DELETE ON vehicles TO norvalt_system;

ALTER TABLE automation_rules ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON automation_rules TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON automation_rules TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON automation_rules TO norvalt_tenant;
GRANT SELECT, DELETE ON automation_rules TO norvalt_system;
