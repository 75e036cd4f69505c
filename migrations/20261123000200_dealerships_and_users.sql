CREATE TABLE dealerships (
  id                  uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  clerk_org_id        text        NOT NULL UNIQUE,
  name                text        NOT NULL,
  email               text        NOT NULL,
  phone               text,
  address             text,
  subscription_status text        NOT NULL DEFAULT 'trial' CHECK (subscription_status IN ('active', 'trial', 'cancelled')),
  subscription_tier   text        NOT NULL DEFAULT 'starter' CHECK (subscription_tier IN ('starter', 'professional', 'enterprise')),
  closed_at           timestamptz,
  created_at          timestamptz NOT NULL DEFAULT now(),
  updated_at          timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN dealerships.closed_at IS 'When the Clerk organization was deleted: nobody has access, the data is kept until it is purged.';

CREATE TABLE users (
  id                       uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  dealership_id            uuid        NOT NULL REFERENCES dealerships ON DELETE CASCADE,
  clerk_user_id            text        NOT NULL,
  email                    text        NOT NULL,
  name                     text        NOT NULL,
  role                     text        NOT NULL CHECK (role IN ('admin', 'manager', 'sales_rep')),
  suspended                boolean     NOT NULL DEFAULT false,
  notification_preferences jsonb       NOT NULL DEFAULT '{"sms": true, "email": true}',
  created_at               timestamptz NOT NULL DEFAULT now(),
  UNIQUE (dealership_id, clerk_user_id),
  UNIQUE (id, dealership_id)
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
GRANT UPDATE (email, phone, address, updated_at) ON dealerships TO norvalt_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON dealerships TO norvalt_system;

ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON users TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON users TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT ON users TO norvalt_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON users TO norvalt_system;
