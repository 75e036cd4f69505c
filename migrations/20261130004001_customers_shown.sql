-- no-transaction
-- Counts those that are shown, without their rows; takes the place of customers_newest.
CREATE INDEX CONCURRENTLY customers_shown ON customers (dealership_id, created_at DESC, id DESC) INCLUDE (merged_into);
