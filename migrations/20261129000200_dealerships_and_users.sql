-- Every key of a dealership's table contains the dealership, so that the tables can be spread over machines by it.
CREATE TABLE dealerships (
  id                   uuid        PRIMARY KEY,
  clerk_org_id         text        NOT NULL,
  name                 text        NOT NULL,
  email                text        NOT NULL,
  phone                text,
  address              text,
  subscription_status  text        NOT NULL DEFAULT 'trial' CHECK (subscription_status IN ('active', 'trial', 'cancelled')),
  subscription_tier    text        NOT NULL DEFAULT 'starter' CHECK (subscription_tier IN ('starter', 'professional', 'enterprise')),
  closed_at            timestamptz,
  leads_counted        bigint      NOT NULL DEFAULT 0,
  leads_counted_before timestamptz NOT NULL DEFAULT '-infinity',
  created_at           timestamptz NOT NULL DEFAULT now(),
  updated_at           timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN dealerships.id IS 'Follows from clerk_org_id: DealershipId::of in common/src/ids.rs.';
COMMENT ON COLUMN dealerships.closed_at IS 'When the Clerk organization was deleted: nobody has access, the data is kept until it is purged.';
COMMENT ON COLUMN dealerships.leads_counted IS 'Exactly how many leads it has that came in before leads_counted_before; see docs/adr/0007-exact-totals.md.';
COMMENT ON COLUMN dealerships.leads_counted_before IS 'At least a day ago; moved by the job leads.count alone.';

CREATE TABLE users (
  id                       uuid        NOT NULL,
  dealership_id            uuid        NOT NULL REFERENCES dealerships ON DELETE CASCADE,
  clerk_user_id            text        NOT NULL,
  email                    text        NOT NULL,
  name                     text        NOT NULL,
  role                     text        NOT NULL CHECK (role IN ('admin', 'manager', 'sales_rep')),
  suspended                boolean     NOT NULL DEFAULT false,
  notification_preferences jsonb       NOT NULL DEFAULT '{"sms": true, "email": true}',
  created_at               timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, dealership_id),
  UNIQUE (dealership_id, clerk_user_id)
);
COMMENT ON TABLE users IS 'One row per membership: a person in two dealerships is two rows.';
COMMENT ON COLUMN users.suspended IS 'Banned in Clerk: no access, and everything else stays as it was.';
CREATE INDEX users_clerk_user_id ON users (clerk_user_id);

ALTER TABLE dealerships ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON dealerships TO norvalt_tenant
  USING (id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON dealerships TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT ON dealerships TO norvalt_tenant;
-- leads_counted is for the triggers of leads, which run as whoever writes the lead.
GRANT UPDATE (email, phone, address, updated_at, leads_counted) ON dealerships TO norvalt_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON dealerships TO norvalt_system;

ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON users TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON users TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT ON users TO norvalt_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON users TO norvalt_system;

-- The Norwegian letters as what follows z in every encoding, in their order: æ, ø, å (the places that they had in ISO 646-NO).
-- As in Norwegian catalogues, aa is å, ä is æ, ö is ø and ü is y.
CREATE FUNCTION norwegian_letters_last(raw text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog
RETURN translate(regexp_replace(normalize(translate(raw, '{|}', ''), NFC), '[aA]{2}', 'å', 'g'),
  'æÆäÄøØöÖåÅüÜ', '{{{{||||}}yy');
COMMENT ON FUNCTION norwegian_letters_last IS 'A text with its Norwegian letters where byte order puts them after z.';
