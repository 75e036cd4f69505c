-- What customers asked, and what became of it: once for each inquiry, however often and from wherever it comes.
CREATE TABLE inquiries (
  id            uuid        NOT NULL,
  dealership_id uuid        NOT NULL REFERENCES dealerships ON DELETE CASCADE,
  source_id     uuid        NOT NULL,
  delivery_id   bigint      NOT NULL,
  key           text,
  fingerprint   bytea,
  mail_id       text,
  lead_id       uuid        NOT NULL,
  message_id    uuid,
  received_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, dealership_id),
  UNIQUE (dealership_id, key)
);
COMMENT ON COLUMN inquiries.id IS 'The receipt: what the sender is told, and the id of the lead if it made one.';
COMMENT ON COLUMN inquiries.key IS 'What the source calls it, if it does: the same whenever it comes again.';
COMMENT ON COLUMN inquiries.fingerprint IS 'Of who asks and what: the same within minutes is a repetition. Null once the lead was deleted.';
COMMENT ON COLUMN inquiries.mail_id IS 'Message-ID, by which a reply is found.';
COMMENT ON COLUMN inquiries.lead_id IS 'What it made or was added to, which may have been deleted since: it is not made again.';
COMMENT ON COLUMN inquiries.message_id IS 'The message that was added to a lead that was there.';
CREATE INDEX inquiries_fingerprint ON inquiries (dealership_id, fingerprint, received_at) WHERE fingerprint IS NOT NULL;
CREATE INDEX inquiries_mail ON inquiries (dealership_id, mail_id) WHERE mail_id IS NOT NULL;
CREATE INDEX inquiries_lead ON inquiries (lead_id, dealership_id);
CREATE INDEX inquiries_source ON inquiries (source_id, dealership_id, received_at);

ALTER TABLE inquiries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON inquiries TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON inquiries TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON inquiries TO norvalt_tenant;
GRANT SELECT, DELETE ON inquiries TO norvalt_system;

ALTER TABLE deliveries ADD COLUMN source_id uuid;
COMMENT ON COLUMN deliveries.source_id IS 'Which of the dealership''s sources it came from.';
ALTER TABLE deliveries DROP CONSTRAINT deliveries_source_check;
ALTER TABLE deliveries ADD CONSTRAINT deliveries_source_check
  CHECK (source IN ('clerk', 'form', 'email', 'adf', 'facebook')) NOT VALID;
-- A dealership reads and settles its own.
GRANT SELECT, INSERT ON deliveries TO norvalt_tenant;
GRANT UPDATE (status, outcome, effects, processed_at, body, subject) ON deliveries TO norvalt_tenant;

ALTER TABLE leads DROP CONSTRAINT leads_source_check;
ALTER TABLE leads ADD CONSTRAINT leads_source_check
  CHECK (source IN ('website', 'email', 'facebook', 'manual', 'adf')) NOT VALID;
