-- Two roles of our own, so that one DATABASE_URL serves: every transaction takes one of them with SET LOCAL ROLE.
-- Neither logs in, owns a table, is a superuser or may bypass Row-Level Security.
-- Roles belong to the whole cluster: another database of it may have made them already, or be making them now.
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['norvalt_tenant', 'norvalt_system'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', wanted);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
      END;
    END IF;
    -- A superuser may take any role; anybody else (Supabase's `postgres`) must be a member.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
       AND NOT EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
                       WHERE r.rolname = wanted AND m.member = current_user::regrole AND NOT m.admin_option) THEN
      EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
    END IF;
  END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO norvalt_tenant, norvalt_system;

-- sqlx's own table, read by the readiness check and closed to everybody else.
ALTER TABLE _sqlx_migrations ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON _sqlx_migrations TO norvalt_system USING (true);
GRANT SELECT ON _sqlx_migrations TO norvalt_system;
