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
-- A dump is made as norvalt_system (docs/operations/backup.md), and also holds where each sequence stands.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON SEQUENCES TO norvalt_system;

-- sqlx's own table, read by the readiness check and closed to everybody else.
ALTER TABLE _sqlx_migrations ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON _sqlx_migrations TO norvalt_system USING (true);
GRANT SELECT ON _sqlx_migrations TO norvalt_system;

-- The role that logs in may take our roles and has none of their rights by itself: whoever forgets SET ROLE sees no row.
-- Before PostgreSQL 16 that is a property of the whole role, and is left alone where the role is a member of others:
-- norvalt doctor then says what to do.
DO $$
BEGIN
  IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    RETURN;
  ELSIF current_setting('server_version_num')::int >= 160000 THEN
    EXECUTE 'GRANT norvalt_tenant, norvalt_system TO CURRENT_USER WITH INHERIT FALSE';
  ELSIF NOT EXISTS (SELECT FROM pg_auth_members WHERE member = current_user::regrole
                    AND roleid NOT IN ('norvalt_tenant'::regrole, 'norvalt_system'::regrole)) THEN
    -- What it has as the owner of the database, it has by inheritance; later migrations need it.
    GRANT USAGE, CREATE ON SCHEMA public TO CURRENT_USER;
    ALTER ROLE CURRENT_USER NOINHERIT;
  END IF;
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
