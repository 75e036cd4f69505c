-- What a search looks through; short enough for an index whatever it holds. This rewrites the table, which nobody reads or
-- writes meanwhile: not a thing to repeat once there are millions of leads, but there are none before the first release.
ALTER TABLE leads ADD COLUMN search text GENERATED ALWAYS AS (
  left(lower(coalesce(customer_name, '') || E'\n' || coalesce(customer_email, '') || E'\n' || coalesce(customer_phone, '')), 600)
) STORED;
COMMENT ON COLUMN leads.search IS 'Name, e-mail address and phone number in lower case.';

-- The inbox with what a search looks through: a search reads this, newest first, and of the leads only those that it finds.
CREATE INDEX leads_inbox_search ON leads (dealership_id, created_at DESC, id DESC) INCLUDE (search);
-- Its columns in its order are there for the release before, too.
DROP INDEX leads_inbox;
