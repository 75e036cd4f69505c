-- no-transaction
CREATE INDEX CONCURRENTLY leads_by_customer ON leads (customer_id, dealership_id, created_at DESC, id DESC) WHERE customer_id IS NOT NULL;
