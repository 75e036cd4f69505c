//! The start-up check that tenant queries are bound by the policies, whatever was done to the database since.

use sqlx::FromRow;

use super::{Db, Error};
use crate::ids::DealershipId;

/// Why it would not be safe to serve.
#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    /// The database cannot be asked.
    #[error("cannot check the isolation of dealerships")]
    Db(#[from] Error),
    /// One dealership could see another's data.
    #[error("refusing to serve, because dealerships are not isolated from each other:\n{}", .0.join("\n"))]
    NotIsolated(Vec<String>),
}

#[derive(FromRow)]
struct TenantRole {
    name: String,
    superuser: bool,
    bypasses: bool,
    member_of: Vec<String>,
}

#[derive(FromRow)]
struct TenantTable {
    name: String,
    enabled: bool,
    forced: bool,
    owned_by_tenant: bool,
    /// Policies that bind the tenant role to its context, for reading and writing.
    binding: i64,
    /// Policies that apply to the tenant role and let it out of its context.
    loose: i64,
}

impl Db {
    /// Checks from inside a tenant transaction that it is held by a role which the policies bind, and that every table
    /// with a dealership's data has them, enabled and forced.
    pub async fn verify_isolation(&self) -> Result<(), IsolationError> {
        let mut tx = self.tenant(DealershipId::from(uuid::Uuid::nil())).await?;
        let role: TenantRole = sqlx::query_as(
            "-- db::verify_isolation
             SELECT rolname::text AS name, rolsuper AS superuser, rolbypassrls AS bypasses,
                    ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid) AS member_of
             FROM pg_roles r WHERE rolname = current_user",
        )
        .fetch_one(tx.conn())
        .await
        .map_err(Error::from)?;
        let tables: Vec<TenantTable> = sqlx::query_as(
            "-- db::verify_isolation
             SELECT c.relname::text AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
                    c.relowner = current_user::regrole AS owned_by_tenant,
                    count(*) FILTER (WHERE p.applies AND p.bound AND p.polcmd = '*') AS binding,
                    count(*) FILTER (WHERE p.applies AND NOT p.bound) AS loose
             FROM pg_class c
             LEFT JOIN LATERAL (
               SELECT polcmd, (polroles = '{0}' OR current_user::regrole::oid = ANY (polroles)) AND polpermissive AS applies,
                      coalesce(pg_get_expr(polqual, polrelid) LIKE '%app.current_dealership_id%', polcmd = 'a')
                      AND coalesce(pg_get_expr(polwithcheck, polrelid) LIKE '%app.current_dealership_id%', polcmd IN ('r', 'd'))
                      AS bound
               FROM pg_policy WHERE polrelid = c.oid) p ON true
             WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
               AND (c.relname = 'dealerships' OR EXISTS (SELECT FROM pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attname = 'dealership_id' AND NOT a.attisdropped))
             GROUP BY c.oid ORDER BY c.relname",
        )
        .fetch_all(tx.conn())
        .await
        .map_err(Error::from)?;
        let problems = problems(&role, &tables);
        if problems.is_empty() { Ok(()) } else { Err(IsolationError::NotIsolated(problems)) }
    }
}

fn problems(role: &TenantRole, tables: &[TenantTable]) -> Vec<String> {
    let mut problems = Vec::new();
    let name = &role.name;
    if role.superuser || role.bypasses {
        problems.push(format!("role {name} is not bound by policies; run: ALTER ROLE {name} NOSUPERUSER NOBYPASSRLS"));
    }
    for other in &role.member_of {
        problems.push(format!(
            "role {name} is a member of {other}, whose policies it inherits; run: REVOKE {other} FROM {name}"
        ));
    }
    if tables.is_empty() {
        problems.push("the tables of the dealerships are missing; run: norvalt migrate".to_owned());
    }
    for table in tables {
        let t = &table.name;
        if !table.enabled || !table.forced {
            problems.push(format!(
                "table {t} is not protected; run: ALTER TABLE {t} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
            ));
        }
        if table.owned_by_tenant {
            problems.push(format!("table {t} belongs to {name}; run: ALTER TABLE {t} OWNER TO the role that migrates"));
        }
        if table.binding == 0 {
            problems.push(format!(
                "table {t} has no policy that binds {name} to app.current_dealership_id for reading and writing; \
                 create it again as in migrations/README.md"
            ));
        }
        if table.loose > 0 {
            problems.push(format!("table {t} has a policy that lets {name} see other dealerships; drop it"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> TenantRole {
        TenantRole { name: "norvalt_tenant".into(), superuser: false, bypasses: false, member_of: vec![] }
    }

    fn leads() -> TenantTable {
        TenantTable { name: "leads".into(), enabled: true, forced: true, owned_by_tenant: false, binding: 1, loose: 0 }
    }

    #[test]
    fn a_bound_role_and_forced_policies_are_fine() {
        assert_eq!(problems(&bound(), &[leads()]), Vec::<String>::new());
    }

    #[test]
    fn every_way_out_is_a_problem_with_its_remedy() {
        for role in [
            TenantRole { superuser: true, ..bound() },
            TenantRole { bypasses: true, ..bound() },
            TenantRole { member_of: vec!["norvalt_system".into()], ..bound() },
        ] {
            assert_eq!(problems(&role, &[leads()]).len(), 1);
        }
        for table in [
            TenantTable { enabled: false, ..leads() },
            TenantTable { forced: false, ..leads() },
            TenantTable { owned_by_tenant: true, ..leads() },
            TenantTable { binding: 0, ..leads() },
            TenantTable { loose: 1, ..leads() },
        ] {
            assert_eq!(problems(&bound(), &[table]).len(), 1);
        }
        assert_eq!(problems(&bound(), &[]).len(), 1);
    }
}
