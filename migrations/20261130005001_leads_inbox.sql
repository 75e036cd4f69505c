-- no-transaction
DROP INDEX CONCURRENTLY leads_inbox;
