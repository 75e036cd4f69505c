-- A dump is made as norvalt_system (docs/operations/backup.md), and also holds where each sequence stands.
DO $$
BEGIN
  EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO norvalt_system', current_schema());
  EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT ON SEQUENCES TO norvalt_system', current_schema());
END
$$;
