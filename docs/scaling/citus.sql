-- Spreads the dealerships' tables over the nodes of a Citus cluster, by dealership. After `norvalt migrate`, as the role
-- that migrates, once. The queue, deliveries and what is known from Clerk stay on the coordinator.
--
-- Before it, on every node: CREATE EXTENSION citus; the roles norvalt_tenant and norvalt_system with LOGIN, of which
-- pg_hba.conf lets in the other nodes alone. For the database: ALTER DATABASE … SET citus.propagate_set_commands = 'local',
-- so that the role and the dealership of a transaction reach the nodes.
SET citus.enable_unsafe_triggers = on;
SELECT create_distributed_table('dealerships', 'id', shard_count => 32);
SELECT create_distributed_table(name, 'dealership_id', colocate_with => 'dealerships')
FROM unnest(ARRAY['users', 'leads', 'conversations', 'lead_status_changes', 'vehicles', 'automation_rules', 'customers',
                  'customer_identities', 'inquiries', 'lead_sources', 'facebook_lead_counts', 'facebook_logins', 'outbox',
                  'suppressions', 'answers', 'answer_settings', 'sending_accounts', 'notifications', 'idempotency_keys']) AS name;
-- A system transaction goes on as the dealership's.
GRANT norvalt_tenant TO norvalt_system;
