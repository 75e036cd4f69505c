//! The check that tenant queries are bound by the policies, whatever was done to the database since: at start, at each new
//! connection, and every minute.

mod guards;
mod roles;
mod watch;

use sqlx::{FromRow, PgConnection};

use super::{Db, Error};
use guards::{FINDINGS, Finding, KEYS, OF_TRIGGERS};
use roles::{ROLES, Role};

pub(super) use watch::{INTERVAL, Isolation, keep_looking};

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

/// Anything with rows that the tenant role may touch, and every table that names a dealership.
#[derive(FromRow)]
struct Relation {
    name: String,
    kind: String,
    enabled: bool,
    forced: bool,
    owned_by_tenant: bool,
    /// Policies that bind the tenant role to its context, for reading and writing, and to nothing less.
    binding: i64,
    /// Policies that apply to the tenant role and let it out of its context.
    loose: i64,
}

impl Db {
    /// Checks from inside a tenant transaction that it is held by a role which the policies bind, that every table with a
    /// dealership's data has them, enabled and forced, and that nothing leads around them. While it does not hold, tenant
    /// transactions are refused; that ends by itself when it holds again.
    pub async fn verify_isolation(&self) -> Result<(), IsolationError> {
        self.isolation.verify(&self.pool).await
    }
}

/// To be asked in a tenant transaction.
async fn problems_of(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let roles: Vec<Role> = sqlx::query_as(ROLES).fetch_all(&mut *conn).await?;
    let relations: Vec<Relation> = sqlx::query_as(RELATIONS).fetch_all(&mut *conn).await?;
    let (tables, columns): (Vec<_>, Vec<_>) = KEYS.into_iter().unzip();
    let findings: Vec<Finding> =
        sqlx::query_as(FINDINGS).bind(tables).bind(columns).bind(&OF_TRIGGERS[..]).fetch_all(conn).await?;
    Ok(problems(&roles, &relations, &findings))
}

/// Views and the like count only where the tenant role may touch them; what extensions bring is theirs. A policy's
/// expression is compared without blanks, parentheses and casts, which PostgreSQL adds as it sees fit.
const RELATIONS: &str = "-- db::verify_isolation
    SELECT c.oid::regclass::text AS name, c.relkind::text AS kind, c.relrowsecurity AS enabled,
           c.relforcerowsecurity AS forced, c.relowner = current_user::regrole AS owned_by_tenant,
           count(*) FILTER (WHERE p.applies AND p.bound AND p.polcmd = '*') AS binding,
           count(*) FILTER (WHERE p.applies AND NOT p.bound) AS loose
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
      SELECT CASE WHEN c.relname = 'dealerships' THEN 'id' ELSE 'dealership_id' END
             || $$=NULLIFcurrent_setting'app.current_dealership_id',true,''$$ AS bound) wanted
    LEFT JOIN LATERAL (
      SELECT polcmd, (polroles = '{0}' OR current_user::regrole::oid = ANY (polroles)) AND polpermissive AS applies,
             coalesce(regexp_replace(pg_get_expr(polqual, polrelid), '[[:space:]()]|::text|::uuid', '', 'g') = wanted.bound,
                      polcmd = 'a')
             AND coalesce(regexp_replace(pg_get_expr(polwithcheck, polrelid), '[[:space:]()]|::text|::uuid', '', 'g')
                          = wanted.bound, polcmd IN ('r', 'd')) AS bound
      FROM pg_policy WHERE polrelid = c.oid) p ON true
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
      AND ((has_schema_privilege(n.oid, 'USAGE')
            AND (has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
                 OR has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE'))
            AND NOT (c.relkind = 'v' AND coalesce(c.reloptions @> '{security_invoker=true}', false)))
           OR (c.relkind IN ('r', 'p') AND n.nspname = 'public'
               AND EXISTS (SELECT FROM pg_attribute a
                           WHERE a.attrelid = c.oid AND a.attname = 'dealership_id' AND NOT a.attisdropped)))
    GROUP BY c.oid ORDER BY 1";

/// The role that the policies bind.
const TENANT: &str = "norvalt_tenant";

fn problems(roles: &[Role], relations: &[Relation], findings: &[Finding]) -> Vec<String> {
    let mut problems: Vec<_> = roles.iter().flat_map(Role::problems).collect();
    if relations.is_empty() {
        problems.push("the tables of the dealerships are missing; run: norvalt migrate".to_owned());
    }
    problems.extend(relations.iter().flat_map(|relation| relation.problems(TENANT)));
    problems.extend(findings.iter().map(Finding::problem));
    problems
}

impl Relation {
    fn problems(&self, role: &str) -> Vec<String> {
        let t = &self.name;
        match self.kind.as_str() {
            "r" | "p" => {}
            "v" => {
                let remedy = format!("run: ALTER VIEW {t} SET (security_invoker = true)");
                return vec![format!("view {t} shows what its owner sees; {remedy}")];
            }
            _ => return vec![format!("{t} cannot have policies; run: REVOKE ALL ON {t} FROM PUBLIC, {role}")],
        }
        let mut problems = Vec::new();
        if !self.enabled || !self.forced {
            problems.push(format!(
                "table {t} is not protected; run: ALTER TABLE {t} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
            ));
        }
        if self.owned_by_tenant {
            problems.push(format!("table {t} belongs to {role}; run: ALTER TABLE {t} OWNER TO the role that migrates"));
        }
        if self.binding == 0 {
            problems.push(format!(
                "table {t} has no policy that binds {role} to app.current_dealership_id for reading and writing, and to \
                 nothing less; create it as in migrations/README.md"
            ));
        }
        if self.loose > 0 {
            problems.push(format!("table {t} has a policy that lets {role} see other dealerships; drop it"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> Role {
        let name = TENANT.to_owned();
        Role { name, superuser: false, bypasses: false, powerful: false, member_of: vec![], others: vec![] }
    }

    fn leads() -> Relation {
        Relation {
            name: "leads".into(),
            kind: "r".into(),
            enabled: true,
            forced: true,
            owned_by_tenant: false,
            binding: 1,
            loose: 0,
        }
    }

    #[test]
    fn a_bound_role_and_forced_policies_are_fine() {
        assert_eq!(problems(&[bound()], &[leads()], &[]), Vec::<String>::new());
    }

    #[test]
    fn every_way_out_is_a_problem_with_its_remedy() {
        for role in [
            Role { superuser: true, ..bound() },
            Role { bypasses: true, ..bound() },
            Role { powerful: true, ..bound() },
            Role { member_of: vec!["norvalt_system".into()], ..bound() },
            Role { others: vec!["reports".into()], ..bound() },
        ] {
            assert_eq!(problems(&[role], &[leads()], &[]).len(), 1);
        }
        for table in [
            Relation { enabled: false, ..leads() },
            Relation { forced: false, ..leads() },
            Relation { owned_by_tenant: true, ..leads() },
            Relation { binding: 0, ..leads() },
            Relation { loose: 1, ..leads() },
            Relation { kind: "v".into(), ..leads() },
            Relation { kind: "m".into(), ..leads() },
        ] {
            assert_eq!(problems(&[bound()], &[table], &[]).len(), 1);
        }
        assert_eq!(problems(&[bound()], &[], &[]).len(), 1);
    }
}
