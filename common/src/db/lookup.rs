use sqlx::{PgConnection, postgres::PgRow};

use super::session::Session;
use crate::ids::{ClerkUserId, DealershipId};

/// Looks for the caller among the members of a dealership, under its policies: `id`, the dealership's name, `name`, `email`
/// and `role`, in this order.
#[derive(Debug)]
pub(super) struct Lookup<'a> {
    pub(super) dealership: DealershipId,
    pub(super) user: &'a ClerkUserId,
}

macro_rules! statement {
    () => {
        "-- db::enter
         SELECT u.id, d.name AS dealership_name, u.name, u.email, u.role
         FROM users u JOIN dealerships d ON d.id = $1
         WHERE u.dealership_id = $1 AND u.clerk_user_id = $2 AND NOT u.suspended AND d.closed_at IS NULL"
    };
}

const PREPARE: &str = concat!("PREPARE norvalt_enter (uuid, text) AS ", statement!(), "; ");

impl Lookup<'_> {
    /// What stands in one message with the beginning of the transaction, where the connection remembers what is prepared:
    /// a plan that is made for each request costs more than a message does.
    pub(super) fn joined(&self, session: &mut Session) -> Option<String> {
        let prepare = if session.lookup_is_prepared()? { "" } else { PREPARE };
        // Before it is: should the answer get lost, the connection does not survive the next transaction either way.
        session.note_lookup();
        Some(format!("{prepare}EXECUTE norvalt_enter('{}', {})", self.dealership, literal(self.user.as_str())))
    }

    /// By itself.
    pub(super) async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Option<PgRow>> {
        sqlx::query(statement!()).bind(self.dealership).bind(self.user).fetch_optional(conn).await
    }
}

/// A text as SQL, where `standard_conforming_strings` is on, as in every session that remembers.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn no_text_ends_its_literal() {
        assert_eq!(literal("user_1"), "'user_1'");
        assert_eq!(literal(r"\'; RESET ROLE; --"), r"'\''; RESET ROLE; --'");
    }
}
