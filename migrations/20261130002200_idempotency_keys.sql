-- What a POST with an Idempotency-Key was answered, written in the transaction of its effect.
CREATE TABLE idempotency_keys (
  dealership_id uuid        NOT NULL,
  user_id       uuid        NOT NULL,
  key_hash      bytea       NOT NULL,
  request_hash  bytea       NOT NULL,
  status        smallint    NOT NULL,
  location      text,
  answer        text,
  erased        boolean     NOT NULL DEFAULT false,
  created_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (dealership_id, user_id, key_hash),
  FOREIGN KEY (user_id, dealership_id) REFERENCES users (id, dealership_id) ON DELETE CASCADE
);
COMMENT ON COLUMN idempotency_keys.key_hash IS 'SHA-256: whoever chose the key may have put a name into it.';
COMMENT ON COLUMN idempotency_keys.request_hash IS 'SHA-256 of method, path and body: the same key of another request is a mistake.';
COMMENT ON COLUMN idempotency_keys.answer IS 'The body, as it was sent.';
COMMENT ON COLUMN idempotency_keys.erased IS 'The answer may have told of a customer whose data was erased since.';
CREATE INDEX idempotency_keys_old ON idempotency_keys (created_at);

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON idempotency_keys TO norvalt_tenant
  USING (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)
  WITH CHECK (dealership_id = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid);
CREATE POLICY system ON idempotency_keys TO norvalt_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (answer, erased) ON idempotency_keys TO norvalt_tenant;
GRANT SELECT, DELETE ON idempotency_keys TO norvalt_system;
