-- no-transaction
-- What somebody of the dealership was told within a time; takes the place of outbox_user.
CREATE INDEX CONCURRENTLY outbox_of_people ON outbox (user_id, dealership_id, created_at) WHERE user_id IS NOT NULL;
