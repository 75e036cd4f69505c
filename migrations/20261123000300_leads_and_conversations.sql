CREATE TABLE leads (
  id                  uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  dealership_id       uuid        NOT NULL REFERENCES dealerships ON DELETE CASCADE,
  assigned_to         uuid,
  source              text        NOT NULL CHECK (source IN ('website', 'email', 'facebook', 'manual')),
  source_url          text,
  source_metadata     jsonb       NOT NULL DEFAULT '{}',
  status              text        NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'contacted', 'qualified', 'won', 'lost')),
  customer_name       text,
  customer_email      text,
  customer_phone      text,
  customer_phone_e164 text,
  vehicle_interest    text,
  initial_message     text,
  lead_score          smallint    NOT NULL DEFAULT 50 CHECK (lead_score BETWEEN 1 AND 100),
  created_at          timestamptz NOT NULL DEFAULT now(),
  updated_at          timestamptz NOT NULL DEFAULT now(),
  last_contact_at     timestamptz,
  converted_at        timestamptz,
  first_response_time interval,
  UNIQUE (id, dealership_id),
  -- An assignee of another dealership cannot be written; one who leaves takes nothing along.
  FOREIGN KEY (assigned_to, dealership_id) REFERENCES users (id, dealership_id) ON DELETE SET NULL (assigned_to)
);
COMMENT ON COLUMN leads.customer_phone IS 'As typed.';
COMMENT ON COLUMN leads.customer_phone_e164 IS 'Normalised (ITU-T E.164), for dialling and comparing.';
-- The inbox: newest first with a stable tie-break, which is also the keyset of a cursor.
CREATE INDEX leads_inbox ON leads (dealership_id, created_at DESC, id DESC);
CREATE INDEX leads_assigned_to ON leads (assigned_to, dealership_id) WHERE assigned_to IS NOT NULL;

CREATE TABLE conversations (
  id               uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  lead_id          uuid        NOT NULL,
  dealership_id    uuid        NOT NULL,
  channel          text        NOT NULL CHECK (channel IN ('email', 'sms', 'facebook', 'website', 'manual')),
  direction        text        NOT NULL CHECK (direction IN ('inbound', 'outbound')),
  sender           text        NOT NULL,
  sender_user_id   uuid,
  sender_clerk_user_id text,
  impersonator     text,
  sender_type      text        NOT NULL CHECK (sender_type IN ('customer', 'ai', 'human')),
  message_content  text        NOT NULL,
  message_metadata jsonb       NOT NULL DEFAULT '{}',
  created_at       timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (lead_id, dealership_id) REFERENCES leads (id, dealership_id) ON DELETE CASCADE,
  FOREIGN KEY (sender_user_id, dealership_id) REFERENCES users (id, dealership_id) ON DELETE SET NULL (sender_user_id)
);
COMMENT ON TABLE conversations IS 'One message each.';
-- Carries dealership_id, so that counting a lead's messages under Row-Level Security never visits the table.
CREATE INDEX conversations_of_lead ON conversations (lead_id, dealership_id, created_at);

COMMENT ON COLUMN conversations.sender IS 'A name: of a person of the dealership until they are deleted in Clerk.';
COMMENT ON COLUMN conversations.sender_user_id IS 'Null once that person has left.';
COMMENT ON COLUMN conversations.impersonator IS 'Clerk user who acted as that person, if somebody did.';
CREATE INDEX conversations_clerk_sender ON conversations (sender_clerk_user_id) WHERE sender_clerk_user_id IS NOT NULL;
CREATE INDEX conversations_sender ON conversations (sender_user_id, dealership_id) WHERE sender_user_id IS NOT NULL;

CREATE TABLE lead_status_changes (
  id            uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  lead_id       uuid        NOT NULL,
  dealership_id uuid        NOT NULL,
  from_status   text        NOT NULL,
  to_status     text        NOT NULL,
  changed_by    uuid,
  impersonator  text,
  changed_at    timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (lead_id, dealership_id) REFERENCES leads (id, dealership_id) ON DELETE CASCADE,
  FOREIGN KEY (changed_by, dealership_id) REFERENCES users (id, dealership_id) ON DELETE SET NULL (changed_by)
);
COMMENT ON COLUMN lead_status_changes.changed_by IS 'Null once that person has left.';
COMMENT ON COLUMN lead_status_changes.impersonator IS 'Clerk user who acted as that person, if somebody did.';
CREATE INDEX lead_status_changes_of_lead ON lead_status_changes (lead_id, dealership_id, changed_at);
CREATE INDEX lead_status_changes_by ON lead_status_changes (changed_by, dealership_id) WHERE changed_by IS NOT NULL;

ALTER TABLE leads ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON leads TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON leads TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON leads TO norvalt_tenant;
GRANT SELECT, DELETE ON leads TO norvalt_system;

ALTER TABLE conversations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON conversations TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON conversations TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON conversations TO norvalt_tenant;
GRANT SELECT, DELETE ON conversations TO norvalt_system;
-- To forget who wrote a message.
GRANT UPDATE (sender, sender_clerk_user_id) ON conversations TO norvalt_system;

ALTER TABLE lead_status_changes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON lead_status_changes TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON lead_status_changes TO norvalt_system USING (true) WITH CHECK (true);
-- A record of what happened: nobody changes it, and it goes only with its lead.
GRANT SELECT, INSERT ON lead_status_changes TO norvalt_tenant;
GRANT SELECT ON lead_status_changes TO norvalt_system;
