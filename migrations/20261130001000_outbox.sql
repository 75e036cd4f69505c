-- What goes out to customers and to people of the dealership, and what became of each. One row for each sending: a message
-- that is sent again has another.
CREATE TABLE outbox (
  id            uuid        NOT NULL,
  dealership_id uuid        NOT NULL REFERENCES dealerships ON DELETE CASCADE,
  message_id    uuid,
  lead_id       uuid,
  user_id       uuid,
  channel       text        NOT NULL CHECK (channel IN ('email', 'sms')),
  automatic     boolean     NOT NULL DEFAULT false,
  recipient     text        NOT NULL,
  status        text        NOT NULL DEFAULT 'queued'
    CHECK (status IN ('queued', 'sending', 'unknown', 'sent', 'failed', 'delivered', 'bounced')),
  reason        text,
  attempts      smallint    NOT NULL DEFAULT 0,
  provider      text,
  provider_id   text,
  mail_id       text,
  created_at    timestamptz NOT NULL DEFAULT now(),
  sending_at    timestamptz,
  sent_at       timestamptz,
  delivered_at  timestamptz,
  changed_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, dealership_id),
  FOREIGN KEY (message_id, dealership_id) REFERENCES conversations (id, dealership_id) ON DELETE CASCADE,
  FOREIGN KEY (lead_id, dealership_id) REFERENCES leads (id, dealership_id) ON DELETE CASCADE,
  FOREIGN KEY (user_id, dealership_id) REFERENCES users (id, dealership_id) ON DELETE CASCADE,
  -- To a customer or to a person of the dealership.
  CONSTRAINT to_somebody CHECK ((message_id IS NULL) = (lead_id IS NULL) AND (message_id IS NULL) <> (user_id IS NULL))
);
COMMENT ON COLUMN outbox.id IS 'Random: part of the address for replies, and the key under which a provider takes it once.';
COMMENT ON COLUMN outbox.automatic IS 'Written by nobody at the dealership.';
COMMENT ON COLUMN outbox.status IS 'sending is committed before the provider is asked; unknown: it may have been taken.';
COMMENT ON COLUMN outbox.reason IS 'Why it is not sent, or not delivered.';
COMMENT ON COLUMN outbox.provider_id IS 'What the provider calls it.';
COMMENT ON COLUMN outbox.mail_id IS 'Message-ID, by which an answer is found.';
CREATE INDEX outbox_message ON outbox (message_id, dealership_id, created_at DESC) WHERE message_id IS NOT NULL;
CREATE INDEX outbox_lead ON outbox (lead_id, dealership_id, created_at DESC) WHERE lead_id IS NOT NULL;
CREATE INDEX outbox_user ON outbox (user_id, dealership_id) WHERE user_id IS NOT NULL;
CREATE INDEX outbox_mail ON outbox (dealership_id, mail_id) WHERE mail_id IS NOT NULL;
-- Whom a customer's text message is for: who wrote to that number last.
CREATE INDEX outbox_texts ON outbox (recipient, dealership_id, created_at DESC) WHERE channel = 'sms';
CREATE INDEX outbox_automatic ON outbox (dealership_id, recipient, created_at) WHERE automatic;
CREATE INDEX outbox_unsettled ON outbox (dealership_id, created_at) WHERE status IN ('queued', 'sending', 'unknown');

-- Addresses to which a dealership sends nothing more. Kept when the customer is erased, so that it stays so.
CREATE TABLE suppressions (
  dealership_id uuid        NOT NULL REFERENCES dealerships ON DELETE CASCADE,
  channel       text        NOT NULL CHECK (channel IN ('email', 'sms')),
  address_hash  bytea       NOT NULL,
  reason        text        NOT NULL CHECK (reason IN ('bounce', 'complaint', 'opt_out')),
  created_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (dealership_id, channel, address_hash)
);
COMMENT ON COLUMN suppressions.address_hash IS 'SHA-256 of the dealership''s id and the address: it tells whether an address is meant, not which one.';

ALTER TABLE leads ADD COLUMN first_automatic_response_time interval;
COMMENT ON COLUMN leads.first_automatic_response_time IS 'From the inquiry to the first automatic answer that reached the customer.';
ALTER TABLE leads ADD COLUMN needs_human text;
COMMENT ON COLUMN leads.needs_human IS 'Why a person has to answer; null once one has, or where none has to.';
ALTER TABLE leads ADD COLUMN score_reasons text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN leads.score_reasons IS 'Why the lead is that promising, as far as that was not decided by a person.';

ALTER TABLE lead_status_changes ADD COLUMN automatic boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN lead_status_changes.automatic IS 'Done by an automatic answer.';

ALTER TABLE outbox ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON outbox TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON outbox TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO norvalt_tenant;
GRANT SELECT, DELETE ON outbox TO norvalt_system;

ALTER TABLE suppressions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON suppressions TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON suppressions TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON suppressions TO norvalt_tenant;
GRANT SELECT, DELETE ON suppressions TO norvalt_system;

-- What providers report, and texts that customers send, come in like everything from outside.
ALTER TABLE deliveries DROP CONSTRAINT deliveries_source_check;
ALTER TABLE deliveries ADD CONSTRAINT deliveries_source_check
  CHECK (source IN ('clerk', 'form', 'email', 'adf', 'facebook', 'report', 'sms')) NOT VALID;
