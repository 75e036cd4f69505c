-- What DNS says of the domain that a dealership's own mails come from.
ALTER TABLE sending_accounts ADD COLUMN domain_status text CHECK (domain_status IN ('pending', 'passed', 'failed')),
  ADD COLUMN domain_records jsonb, ADD COLUMN domain_checked_at timestamptz;
COMMENT ON COLUMN sending_accounts.domain_status IS 'Null for an account that is older than the check, and for text messages.';
