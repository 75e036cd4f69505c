//! What guards isolation where policies cannot: references, triggers and functions.

use sqlx::FromRow;

/// Something that is not as the migrations made it.
#[derive(Debug, FromRow)]
pub(super) struct Finding {
    kind: String,
    name: String,
    on_table: Option<String>,
}

/// References into another dealership cannot be written while these are there. Referential checks bypass policies, so that
/// policies cannot guard them.
pub(super) const KEYS: [(&str, &str); 18] = [
    ("answers", "lead_id"),
    ("idempotency_keys", "user_id"),
    ("facebook_logins", "user_id"),
    ("notifications", "lead_id"),
    ("notifications", "user_id"),
    ("outbox", "lead_id"),
    ("outbox", "message_id"),
    ("outbox", "user_id"),
    ("conversations", "lead_id"),
    ("conversations", "sender_user_id"),
    ("lead_status_changes", "lead_id"),
    ("lead_status_changes", "changed_by"),
    ("customer_identities", "customer_id"),
    ("customers", "merged_into"),
    ("lead_sources", "assigned_to"),
    ("leads", "assigned_to"),
    ("leads", "customer_id"),
    ("leads", "dealership_id"),
];

/// Functions of our triggers. Each says where its tables are.
pub(super) const OF_TRIGGERS: [&str; 3] = ["count_backdated_lead", "uncount_leads", "keep_lead_in_place"];

/// `$1` and `$2` are tables and columns of [`KEYS`], `$3` is [`OF_TRIGGERS`].
pub(super) const FINDINGS: &str = "-- db::verify_isolation
    SELECT 'function' AS kind, p.oid::regprocedure::text AS name, NULL AS on_table
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
      AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
    UNION ALL
    SELECT 'trigger', t.tgname::text, t.tgrelid::regclass::text
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'public'::regnamespace AND t.tgenabled NOT IN ('O', 'A')
      AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
                    AND (a.attname = 'dealership_id' OR c.relname = 'dealerships'))
    UNION ALL
    SELECT 'search_path', p.oid::regprocedure::text, NULL
    FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY ($3)
      AND NOT EXISTS (SELECT FROM unnest(p.proconfig) s WHERE s = 'search_path=public, pg_temp')
    UNION ALL
    SELECT 'key', k.on_column, k.on_table FROM unnest($1::text[], $2::text[]) AS k (on_table, on_column)
    WHERE to_regclass('public.' || k.on_table) IS NOT NULL AND NOT EXISTS (
      SELECT FROM pg_constraint f
      WHERE f.contype = 'f' AND f.conrelid = to_regclass('public.' || k.on_table)
        AND ARRAY[k.on_column, 'dealership_id']::name[]
            <@ ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = f.conrelid AND attnum = ANY (f.conkey)))
    UNION ALL
    SELECT 'replication', current_setting('session_replication_role'), NULL
    WHERE current_setting('session_replication_role') <> 'origin'
    ORDER BY 1, 2, 3";

impl Finding {
    pub(super) fn problem(&self) -> String {
        let Self { kind, name, on_table } = self;
        let table = on_table.as_deref().unwrap_or_default();
        match kind.as_str() {
            "function" => format!(
                "function {name} does what its owner may, for norvalt_tenant, too; run: REVOKE EXECUTE ON FUNCTION {name} FROM \
                 PUBLIC, norvalt_tenant"
            ),
            "trigger" => {
                format!("trigger {name} of {table} is switched off; run: ALTER TABLE {table} ENABLE TRIGGER ALL")
            }
            "search_path" => format!(
                "function {name} of a trigger may find other tables than ours; run: ALTER FUNCTION {name} SET search_path = \
                 public, pg_temp"
            ),
            "key" => format!(
                "{table}.{name} may refer to another dealership: its foreign key, which names dealership_id, is gone; add it \
                 again as in migrations/"
            ),
            _ => format!(
                "session_replication_role is {name}, so no reference is checked; run: ALTER DATABASE … or ALTER ROLE … RESET \
                 session_replication_role"
            ),
        }
    }
}
