-- Automatic answers: what an assistant was given, what came back, what the gate said, and what became of it.
CREATE TABLE answers (
  id            uuid        NOT NULL DEFAULT gen_random_uuid(),
  dealership_id uuid        NOT NULL,
  lead_id       uuid        NOT NULL,
  kind          text        NOT NULL DEFAULT 'answer' CHECK (kind IN ('answer', 'suggestion')),
  turn          smallint    NOT NULL DEFAULT 1,
  state         text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'drafted', 'answered', 'withdrawn', 'skipped')),
  due_at        timestamptz NOT NULL,
  tries         smallint    NOT NULL DEFAULT 0,
  given         jsonb,
  came_back     text,
  verdict       text,
  author        text        CHECK (author IN ('assistant', 'template')),
  model         text,
  language      text,
  reply         text,
  summary       text,
  reason        text,
  message_id    uuid,
  input_tokens  bigint      NOT NULL DEFAULT 0,
  output_tokens bigint      NOT NULL DEFAULT 0,
  created_at    timestamptz NOT NULL DEFAULT now(),
  settled_at    timestamptz,
  PRIMARY KEY (id, dealership_id),
  UNIQUE (lead_id, kind, turn, dealership_id),
  FOREIGN KEY (lead_id, dealership_id) REFERENCES leads (id, dealership_id) ON DELETE CASCADE
);
COMMENT ON COLUMN answers.kind IS 'suggestion: asked for by a person, and never sent by itself.';
COMMENT ON COLUMN answers.turn IS '1 for the first of a lead.';
COMMENT ON COLUMN answers.due_at IS 'When the template answers if nothing else has.';
COMMENT ON COLUMN answers.given IS 'What the assistant was given: what may be told, and what the customer wrote.';
COMMENT ON COLUMN answers.came_back IS 'What it answered, as it came.';
COMMENT ON COLUMN answers.verdict IS 'What the gate said of that.';
COMMENT ON COLUMN answers.reason IS 'Why it was withdrawn or skipped.';
COMMENT ON COLUMN answers.message_id IS 'The message that it became, which may be gone.';
CREATE INDEX answers_newest ON answers (dealership_id, created_at DESC);

-- How a dealership answers automatically. Without a row, as the defaults say.
CREATE TABLE answer_settings (
  dealership_id      uuid        NOT NULL PRIMARY KEY REFERENCES dealerships ON DELETE CASCADE,
  mode               text        NOT NULL DEFAULT 'on' CHECK (mode IN ('off', 'draft', 'on')),
  tone               text,
  signature          text,
  opening_hours      text,
  logo_url           text,
  templates          jsonb       NOT NULL DEFAULT '{}',
  turns              smallint    NOT NULL DEFAULT 1 CHECK (turns BETWEEN 1 AND 5),
  daily_cap          integer     NOT NULL DEFAULT 500 CHECK (daily_cap >= 0),
  daily_tokens_cap   bigint      NOT NULL DEFAULT 2000000 CHECK (daily_tokens_cap >= 0),
  updated_at         timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN answer_settings.mode IS 'draft: a person sends what was written.';
COMMENT ON COLUMN answer_settings.templates IS 'The dealership''s own text of the template, by language.';
COMMENT ON COLUMN answer_settings.turns IS 'How many automatic answers a lead gets, should the customer answer them.';
COMMENT ON COLUMN answer_settings.daily_cap IS 'Automatic answers in 24 hours; afterwards people answer.';
COMMENT ON COLUMN answer_settings.daily_tokens_cap IS 'What the assistant may cost in 24 hours; afterwards the template answers.';

-- Providers of the dealership's own, instead of ours.
CREATE TABLE sending_accounts (
  dealership_id uuid        NOT NULL REFERENCES dealerships ON DELETE CASCADE,
  channel       text        NOT NULL CHECK (channel IN ('email', 'sms')),
  settings      jsonb       NOT NULL,
  secret        bytea,
  broken_reason text,
  updated_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (dealership_id, channel)
);
COMMENT ON COLUMN sending_accounts.secret IS 'Sealed: common/src/secrets.';

-- What people of the dealership are to be told. Those of the same minute go out together.
CREATE TABLE notifications (
  id            uuid        NOT NULL DEFAULT gen_random_uuid(),
  dealership_id uuid        NOT NULL,
  user_id       uuid        NOT NULL,
  event         text        NOT NULL
    CHECK (event IN ('new_lead', 'assigned', 'customer_replied', 'needs_human', 'not_delivered', 'source_broken')),
  lead_id       uuid,
  created_at    timestamptz NOT NULL DEFAULT now(),
  outbox_id     uuid,
  PRIMARY KEY (id, dealership_id),
  FOREIGN KEY (user_id, dealership_id) REFERENCES users (id, dealership_id) ON DELETE CASCADE,
  FOREIGN KEY (lead_id, dealership_id) REFERENCES leads (id, dealership_id) ON DELETE CASCADE
);
COMMENT ON COLUMN notifications.outbox_id IS 'With what it went out.';
CREATE INDEX notifications_waiting ON notifications (user_id, dealership_id, created_at) WHERE outbox_id IS NULL;
CREATE INDEX notifications_lead ON notifications (lead_id, dealership_id) WHERE lead_id IS NOT NULL;
CREATE INDEX notifications_outbox ON notifications (outbox_id, dealership_id) WHERE outbox_id IS NOT NULL;

ALTER TABLE answers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON answers TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON answers TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON answers TO norvalt_tenant;
GRANT SELECT, DELETE ON answers TO norvalt_system;

ALTER TABLE answer_settings ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON answer_settings TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON answer_settings TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON answer_settings TO norvalt_tenant;
GRANT SELECT, DELETE ON answer_settings TO norvalt_system;

ALTER TABLE sending_accounts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sending_accounts TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON sending_accounts TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON sending_accounts TO norvalt_tenant;
GRANT SELECT, DELETE ON sending_accounts TO norvalt_system;

ALTER TABLE notifications ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notifications TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON notifications TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON notifications TO norvalt_tenant;
GRANT SELECT, DELETE ON notifications TO norvalt_system;
