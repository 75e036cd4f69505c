-- no-transaction
CREATE INDEX CONCURRENTLY leads_without_customer ON leads (dealership_id, id) WHERE customer_id IS NULL AND (customer_email IS NOT NULL OR customer_phone IS NOT NULL);
