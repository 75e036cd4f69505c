-- no-transaction
-- As leads come in, each after the last of its dealership, so that pages fill up; a page that a new lead enters at its front is always
-- split in halves. Takes the place of leads_inbox, which was half as dense, and a search reads all of a dealership's part.
CREATE INDEX CONCURRENTLY leads_by_arrival ON leads (dealership_id, created_at, id) INCLUDE (search, status, source, assigned_to);
