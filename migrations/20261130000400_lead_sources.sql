-- Where a dealership's inquiries come from: its forms, addresses, ADF endpoints and Facebook pages.
CREATE TABLE lead_sources (
  id                 uuid        NOT NULL DEFAULT gen_random_uuid(),
  dealership_id      uuid        NOT NULL REFERENCES dealerships ON DELETE CASCADE,
  kind               text        NOT NULL CHECK (kind IN ('form', 'email', 'adf', 'facebook')),
  name               text        NOT NULL,
  key                text        NOT NULL,
  enabled            boolean     NOT NULL DEFAULT true,
  language           text        NOT NULL DEFAULT 'nb' CHECK (language IN ('nb', 'nn', 'en')),
  allowed_origins    text[]      NOT NULL DEFAULT '{}',
  thank_you_url      text,
  assigned_to        uuid,
  automatic_answer   boolean     NOT NULL DEFAULT true,
  sender_rules       jsonb       NOT NULL DEFAULT '[]',
  turnstile_site_key text,
  turnstile_secret   bytea,
  page_token         bytea,
  broken_since       timestamptz,
  broken_reason      text,
  created_at         timestamptz NOT NULL DEFAULT now(),
  updated_at         timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, dealership_id),
  FOREIGN KEY (assigned_to, dealership_id) REFERENCES users (id, dealership_id),
  CONSTRAINT broken_for_a_reason CHECK ((broken_since IS NULL) = (broken_reason IS NULL))
);
COMMENT ON COLUMN lead_sources.key IS 'What senders name it by: part of the form''s address, the local part of the mail address, the id of the Facebook page.';
COMMENT ON COLUMN lead_sources.enabled IS 'What comes while it is switched off is parked.';
COMMENT ON COLUMN lead_sources.allowed_origins IS 'Web sites whose pages may send the form; any, if empty.';
COMMENT ON COLUMN lead_sources.assigned_to IS 'Who gets its leads; nobody once that person has left.';
COMMENT ON COLUMN lead_sources.sender_rules IS 'What labels in the mails of which senders mean.';
COMMENT ON COLUMN lead_sources.turnstile_secret IS 'Sealed: common/src/secrets.';
COMMENT ON COLUMN lead_sources.page_token IS 'Sealed: common/src/secrets.';
COMMENT ON COLUMN lead_sources.broken_since IS 'Until a person repairs it, such as by connecting the page again.';
CREATE INDEX lead_sources_newest ON lead_sources (dealership_id, created_at, id);
CREATE INDEX lead_sources_assignee ON lead_sources (assigned_to, dealership_id) WHERE assigned_to IS NOT NULL;

-- Apart from the source, since senders do not say whose it is; so it stays on one machine, like deliveries. No two dealerships have the same key, nor the same page.
CREATE TABLE source_keys (
  kind           text        NOT NULL CHECK (kind IN ('form', 'email', 'adf', 'facebook')),
  key            text        NOT NULL,
  dealership_id  uuid        CHECK (dealership_id IS NOT NULL),
  source_id      uuid        NOT NULL,
  expires_at     timestamptz,
  PRIMARY KEY (kind, key)
);
COMMENT ON COLUMN source_keys.expires_at IS 'Of a key that another one has replaced.';
CREATE INDEX source_keys_source ON source_keys (source_id);
CREATE INDEX source_keys_dealership ON source_keys (dealership_id);

ALTER TABLE lead_sources ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON lead_sources TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON lead_sources TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON lead_sources TO norvalt_tenant;
GRANT SELECT, INSERT, DELETE ON lead_sources TO norvalt_system;
-- To take somebody who leaves off what is theirs.
GRANT UPDATE (assigned_to) ON lead_sources TO norvalt_system;

ALTER TABLE source_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON source_keys TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON source_keys TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON source_keys TO norvalt_tenant;
GRANT SELECT, INSERT, DELETE ON source_keys TO norvalt_system;

-- Every dealership has a form and an address. The form is also known by the dealership's id.
INSERT INTO lead_sources (dealership_id, kind, name, key)
SELECT d.id, k.kind, k.name, replace(gen_random_uuid()::text, '-', '')
FROM dealerships d, (VALUES ('form', 'Nettside'), ('email', 'E-post')) AS k (kind, name);
INSERT INTO source_keys (kind, key, dealership_id, source_id) SELECT kind, key, dealership_id, id FROM lead_sources;
INSERT INTO source_keys (kind, key, dealership_id, source_id)
SELECT kind, dealership_id, dealership_id, id FROM lead_sources WHERE kind = 'form';
