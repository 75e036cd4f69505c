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
    ALTER ROLE CURRENT_USER NOINHERIT;
  END IF;
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
