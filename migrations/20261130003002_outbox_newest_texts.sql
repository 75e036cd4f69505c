-- no-transaction
-- Whom a text message is for, of whatever dealership: who wrote to its sender last. Takes the place of outbox_texts.
CREATE INDEX CONCURRENTLY outbox_newest_texts ON outbox (recipient, created_at DESC) WHERE channel = 'sms';
