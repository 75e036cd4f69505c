-- How texts are compared by a search: without case, accents and other marks; ø is o, æ is ae, å and aa are a. The same on
-- every database, whatever its locale, since nothing here asks for one. The one place where this is decided: what is
-- stored and what is looked for both go through it.
CREATE FUNCTION search_fold(raw text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog AS $$
DECLARE
  folded text := raw;
BEGIN
  IF octet_length(folded) <> length(folded) THEN
    -- Norwegian letters first: most texts need no more.
    folded := replace(replace(replace(replace(replace(replace(folded,
      'å', 'a'), 'Å', 'a'), 'ø', 'o'), 'Ø', 'o'), 'æ', 'ae'), 'Æ', 'ae');
  END IF;
  IF octet_length(folded) <> length(folded) THEN
    -- Letters apart from their marks, then away with the marks and with what is not visible.
    folded := regexp_replace(normalize(folded, NFKD),
      U&'[\0300-\036F\00AD\061C\200B-\200F\202A-\202E\2060-\2064\2066-\2069\FEFF]', '', 'g');
    folded := replace(replace(replace(replace(replace(replace(folded,
      'ø', 'o'), 'Ø', 'o'), 'æ', 'ae'), 'Æ', 'ae'), 'œ', 'oe'), 'Œ', 'oe');
    folded := replace(replace(replace(replace(replace(replace(replace(replace(folded,
      'ß', 'ss'), 'ẞ', 'ss'), 'þ', 'th'), 'Þ', 'th'), 'ð', 'd'), 'Ð', 'd'), 'đ', 'd'), 'Đ', 'd');
    folded := replace(replace(replace(replace(replace(replace(folded,
      'ł', 'l'), 'Ł', 'l'), 'ħ', 'h'), 'Ħ', 'h'), 'ŧ', 't'), 'Ŧ', 't');
    folded := replace(replace(replace(replace(folded, 'ı', 'i'), 'ŋ', 'n'), 'Ŋ', 'n'), 'ς', 'σ');
    -- Hyphens and apostrophes are typed in many ways.
    folded := regexp_replace(regexp_replace(folded, U&'[\2010-\2015\2212]', '-', 'g'), U&'[\2018\2019\02BC\00B4]', '''', 'g');
    IF folded ~ U&'[\0370-\052F]' THEN
      folded := translate(folded,
        'ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩАБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯЄІЂЃЅЈЉЊЋЏҐӘӨҮҰҢҒҚҺ',
        'αβγδεζηθικλμνξοπρστυφχψωабвгдежзиклмнопрстуфхцчшщъыьэюяєіђѓѕјљњћџґәөүұңғқһ');
    END IF;
  END IF;
  RETURN regexp_replace(lower(folded COLLATE "C"), 'aa+', 'a', 'g');
END $$;
COMMENT ON FUNCTION search_fold IS 'A text as searches compare it.';

CREATE TABLE leads (
  id                  uuid        NOT NULL DEFAULT gen_random_uuid(),
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
  -- Short enough for an index whatever it holds. Of a number only the digits, as dialled from anywhere.
  search              text        NOT NULL GENERATED ALWAYS AS (
    left(search_fold(
      coalesce(translate(customer_phone_e164, '+', ' '), '') || ' ' || coalesce(customer_name, '') || ' '
        || coalesce(customer_email, '') || ' ' || coalesce(vehicle_interest, '')), 600)
  ) STORED,
  PRIMARY KEY (id, dealership_id),
  -- An assignee of another dealership cannot be written; who leaves is taken off their leads first.
  FOREIGN KEY (assigned_to, dealership_id) REFERENCES users (id, dealership_id)
);
COMMENT ON COLUMN leads.customer_phone IS 'As typed.';
COMMENT ON COLUMN leads.customer_phone_e164 IS 'Normalised (ITU-T E.164), for dialling and comparing.';
COMMENT ON COLUMN leads.search IS 'Number, name, e-mail address and vehicle as searches compare them, in this order.';
-- The inbox, newest first with a stable tie-break, which is also the keyset of a cursor. With all that a search or a filter
-- asks of a lead: what passes is found here, and only then looked at in the table. A search reads less of each entry with
-- what it looks through in front.
CREATE INDEX leads_inbox ON leads (dealership_id, created_at DESC, id DESC) INCLUDE (search, status, source, assigned_to);
-- The inbox by what is rare among many: a status, a source, a person or nobody.
CREATE INDEX leads_by_status ON leads (dealership_id, status, created_at DESC, id DESC) INCLUDE (source, assigned_to);
CREATE INDEX leads_by_source ON leads (dealership_id, source, created_at DESC, id DESC) INCLUDE (status, assigned_to);
-- Also finds the leads of somebody who leaves.
CREATE INDEX leads_by_assignee ON leads (dealership_id, assigned_to, created_at DESC, id DESC) INCLUDE (status, source);

CREATE TABLE conversations (
  id                   uuid        NOT NULL DEFAULT gen_random_uuid(),
  lead_id              uuid        NOT NULL,
  dealership_id        uuid        NOT NULL,
  channel              text        NOT NULL CHECK (channel IN ('email', 'sms', 'facebook', 'website', 'manual')),
  direction            text        NOT NULL CHECK (direction IN ('inbound', 'outbound')),
  sender               text        NOT NULL,
  sender_user_id       uuid,
  sender_clerk_user_id text,
  impersonator         text,
  sender_type          text        NOT NULL CHECK (sender_type IN ('customer', 'ai', 'human')),
  message_content      text        NOT NULL,
  message_metadata     jsonb       NOT NULL DEFAULT '{}',
  created_at           timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, dealership_id),
  FOREIGN KEY (lead_id, dealership_id) REFERENCES leads (id, dealership_id) ON DELETE CASCADE,
  FOREIGN KEY (sender_user_id, dealership_id) REFERENCES users (id, dealership_id)
);
COMMENT ON TABLE conversations IS 'One message each.';
COMMENT ON COLUMN conversations.sender IS 'A name: of a person of the dealership until they are deleted in Clerk.';
COMMENT ON COLUMN conversations.sender_user_id IS 'Null once that person has left.';
COMMENT ON COLUMN conversations.impersonator IS 'Clerk user who acted as that person, if somebody did.';
-- In the order in which they are shown, so that a part of them is read without sorting. Carries dealership_id, so that
-- counting a lead's messages under Row-Level Security never visits the table.
CREATE INDEX conversations_newest ON conversations (lead_id, dealership_id, created_at DESC, id DESC);
CREATE INDEX conversations_clerk_sender ON conversations (sender_clerk_user_id) WHERE sender_clerk_user_id IS NOT NULL;
CREATE INDEX conversations_sender ON conversations (sender_user_id, dealership_id) WHERE sender_user_id IS NOT NULL;

CREATE TABLE lead_status_changes (
  id            uuid        NOT NULL DEFAULT gen_random_uuid(),
  lead_id       uuid        NOT NULL,
  dealership_id uuid        NOT NULL,
  from_status   text        NOT NULL,
  to_status     text        NOT NULL,
  changed_by    uuid,
  impersonator  text,
  changed_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, dealership_id),
  FOREIGN KEY (lead_id, dealership_id) REFERENCES leads (id, dealership_id) ON DELETE CASCADE,
  FOREIGN KEY (changed_by, dealership_id) REFERENCES users (id, dealership_id)
);
COMMENT ON COLUMN lead_status_changes.changed_by IS 'Null once that person has left.';
COMMENT ON COLUMN lead_status_changes.impersonator IS 'Clerk user who acted as that person, if somebody did.';
CREATE INDEX lead_status_changes_newest ON lead_status_changes (lead_id, dealership_id, changed_at DESC, id DESC);
CREATE INDEX lead_status_changes_by ON lead_status_changes (changed_by, dealership_id) WHERE changed_by IS NOT NULL;

ALTER TABLE leads ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON leads TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON leads TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON leads TO norvalt_tenant;
GRANT SELECT, DELETE ON leads TO norvalt_system;
-- To take somebody who leaves off their leads.
GRANT UPDATE (assigned_to) ON leads TO norvalt_system;

ALTER TABLE conversations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON conversations TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON conversations TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON conversations TO norvalt_tenant;
GRANT SELECT, DELETE ON conversations TO norvalt_system;
-- To forget who wrote a message.
GRANT UPDATE (sender, sender_user_id, sender_clerk_user_id) ON conversations TO norvalt_system;

ALTER TABLE lead_status_changes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON lead_status_changes TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON lead_status_changes TO norvalt_system USING (true) WITH CHECK (true);
-- A record of what happened: nobody changes it but for who it was, and it goes only with its lead.
GRANT SELECT, INSERT ON lead_status_changes TO norvalt_tenant;
GRANT SELECT ON lead_status_changes TO norvalt_system;
GRANT UPDATE (changed_by) ON lead_status_changes TO norvalt_system;
