-- Everything that comes in from outside, from whatever source: stored as it was signed before it is acknowledged, read by
-- a worker, and what became of it.
CREATE TABLE deliveries (
  id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  source        text        NOT NULL CHECK (source IN ('clerk')),
  external_id   text        NOT NULL,
  event_type    text        NOT NULL,
  dealership_id uuid,
  subject       text,
  headers       jsonb       NOT NULL DEFAULT '{}',
  body          bytea,
  status        text        NOT NULL CHECK (status IN ('pending', 'processed', 'ignored', 'parked', 'quarantined', 'dead')),
  outcome       text,
  effects       text[]      NOT NULL DEFAULT '{}',
  received_at   timestamptz NOT NULL DEFAULT now(),
  processed_at  timestamptz,
  UNIQUE (source, external_id),
  CONSTRAINT outcome_unless_pending CHECK ((status = 'pending') = (outcome IS NULL))
);
COMMENT ON COLUMN deliveries.external_id IS 'What the source calls it: the same for every attempt and every manual resend.';
COMMENT ON COLUMN deliveries.event_type IS 'What the source calls its kind.';
COMMENT ON COLUMN deliveries.dealership_id IS 'Whose it is, as far as known when it came. Names none that must exist: it may be what creates it.';
COMMENT ON COLUMN deliveries.subject IS 'Whom it is about, as the source names them, if it is about a person: erased with them.';
COMMENT ON COLUMN deliveries.headers IS 'Those of the request that matter for reading the body.';
COMMENT ON COLUMN deliveries.body IS 'As it was signed. Null for what is of no use, and once the person has been deleted.';
COMMENT ON COLUMN deliveries.outcome IS 'What it came to, or why it came to nothing.';
COMMENT ON COLUMN deliveries.effects IS 'What it changed, one line each. Ids and roles, never names or addresses.';
CREATE INDEX deliveries_subject ON deliveries (source, subject) WHERE subject IS NOT NULL;
CREATE INDEX deliveries_prunable ON deliveries (processed_at) WHERE status IN ('processed', 'ignored');
-- How many are dead is asked every few seconds.
CREATE INDEX deliveries_dead ON deliveries (id) WHERE status = 'dead';

-- Apart from the delivery, so that noting a repetition waits for nobody who is processing it.
CREATE TABLE delivery_repetitions (
  delivery_id bigint      NOT NULL REFERENCES deliveries ON DELETE CASCADE,
  received_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE delivery_repetitions IS 'Each time that a delivery came again.';
CREATE INDEX delivery_repetitions_delivery_id ON delivery_repetitions (delivery_id);

ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
-- Tenants may not read it; should they ever, then their own.
CREATE POLICY tenant ON deliveries TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON deliveries TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON deliveries TO norvalt_system;

ALTER TABLE delivery_repetitions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON delivery_repetitions TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON delivery_repetitions TO norvalt_system;
