//! The roles that transactions run as: bound by policies, and nobody's but ours.

use sqlx::FromRow;

/// One of our two roles.
#[derive(Debug, Clone, FromRow)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) superuser: bool,
    pub(super) bypasses: bool,
    /// May log in, make roles or replicate.
    pub(super) powerful: bool,
    pub(super) member_of: Vec<String>,
    /// Who else may become it in this database: neither who is logged in nor who owns the tables.
    pub(super) others: Vec<String>,
}

pub(super) const ROLES: &str = "-- db::verify_isolation
    SELECT r.rolname::text AS name, r.rolsuper AS superuser, r.rolbypassrls AS bypasses,
           r.rolcanlogin OR r.rolcreaterole OR r.rolreplication AS powerful,
           ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid) AS member_of,
           ARRAY(SELECT m.rolname::text FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
                 WHERE a.roleid = r.oid AND NOT m.rolsuper AND m.rolname NOT IN (session_user, r.rolname)
                   AND m.oid NOT IN (SELECT relowner FROM pg_class WHERE oid = to_regclass('public.dealerships'))
                   AND m.oid NOT IN (SELECT datdba FROM pg_database WHERE datname = current_database())
                   AND has_database_privilege(m.oid, current_database(), 'CONNECT')) AS others
    FROM pg_roles r WHERE r.rolname IN ('norvalt_tenant', 'norvalt_system') ORDER BY 1";

impl Role {
    pub(super) fn problems(&self) -> Vec<String> {
        let name = &self.name;
        let mut problems = Vec::new();
        if self.superuser || self.bypasses || self.powerful {
            problems.push(format!(
                "role {name} may do more than it must; run: ALTER ROLE {name} NOSUPERUSER NOBYPASSRLS NOLOGIN NOCREATEROLE \
                 NOREPLICATION"
            ));
        }
        for other in &self.member_of {
            problems.push(format!(
                "role {name} is a member of {other}, whose rights it has; run: REVOKE {other} FROM {name}"
            ));
        }
        for other in &self.others {
            problems.push(format!(
                "role {other} may become {name} in this database; run: REVOKE {name} FROM {other}, or REVOKE CONNECT ON \
                 DATABASE … FROM PUBLIC if {other} belongs to another database"
            ));
        }
        problems
    }
}
