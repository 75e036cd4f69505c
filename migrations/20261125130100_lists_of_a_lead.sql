-- In the order in which they are shown, so that a part of them is read without sorting. Each begins as the index did whose
-- place it takes. Not CONCURRENTLY: the tables are small before the first release.
CREATE INDEX conversations_newest ON conversations (lead_id, dealership_id, created_at DESC, id DESC);
DROP INDEX conversations_of_lead;
CREATE INDEX lead_status_changes_newest ON lead_status_changes (lead_id, dealership_id, changed_at DESC, id DESC);
DROP INDEX lead_status_changes_of_lead;
