-- Admins who connect pages of Facebook by logging in there: at most one login of each, kept for an hour.
CREATE TABLE facebook_logins (
  id            uuid        NOT NULL,
  dealership_id uuid        NOT NULL REFERENCES dealerships ON DELETE CASCADE,
  user_id       uuid        NOT NULL,
  state_hash    bytea       NOT NULL,
  step          text        NOT NULL DEFAULT 'started'
    CHECK (step IN ('started', 'returned', 'exchanged', 'choosing', 'connected', 'denied', 'failed')),
  reason        text,
  secret        bytea,
  pages         jsonb       NOT NULL DEFAULT '[]',
  confirmation  text,
  wrong_guesses smallint    NOT NULL DEFAULT 0,
  began_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, dealership_id),
  UNIQUE (user_id, dealership_id),
  FOREIGN KEY (user_id, dealership_id) REFERENCES users (id, dealership_id) ON DELETE CASCADE
);
COMMENT ON COLUMN facebook_logins.state_hash IS 'SHA-256 of what Facebook hands back with the person, which only they have.';
COMMENT ON COLUMN facebook_logins.secret IS 'Sealed (common/src/secrets): the code that Facebook gave, then the user''s token, then those of the pages.';
COMMENT ON COLUMN facebook_logins.pages IS 'What can be chosen: id and name of each.';
COMMENT ON COLUMN facebook_logins.confirmation IS 'What the browser shows that came back from Facebook: whoever chooses must have seen it.';
CREATE INDEX facebook_logins_oldest ON facebook_logins (began_at);

ALTER TABLE facebook_logins ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON facebook_logins TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON facebook_logins TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON facebook_logins TO norvalt_tenant;
GRANT SELECT, DELETE ON facebook_logins TO norvalt_system;
