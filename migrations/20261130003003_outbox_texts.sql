-- no-transaction
DROP INDEX CONCURRENTLY outbox_texts;
