use std::fmt::Write;

use sqlx::{PgConnection, postgres::PgRow};

use super::{LOOKUP_LIMIT, Result, with_timeout};
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

/// The same as a statement that a connection remembers by name.
#[derive(Debug, Default)]
pub(super) struct PreparedLookup {
    /// How often somebody set about preparing it. Part of the name: of one who was interrupted, nobody knows how far they came.
    attempts: u32,
    is_there: bool,
}

impl PreparedLookup {
    /// Notes that the message that prepares it has been answered.
    pub(super) fn note(&mut self) {
        self.is_there = true;
    }
}

impl Lookup<'_> {
    /// What stands in one message with the beginning of the transaction, where the connection remembers what is prepared:
    /// a plan that is made for each request costs more than a message does. Ends with a semicolon.
    pub(super) fn joined(&self, prepared: &mut PreparedLookup) -> String {
        let mut text = String::new();
        if !prepared.is_there {
            prepared.attempts += 1;
            let _ = write!(text, "PREPARE norvalt_enter_{} (uuid, text) AS {}; ", prepared.attempts, statement!());
        }
        let (dealership, user) = (self.dealership, literal(self.user.as_str()));
        let _ = write!(text, "EXECUTE norvalt_enter_{}('{dealership}', {user}); ", prepared.attempts);
        text
    }

    /// By itself.
    pub(super) async fn ask(&self, conn: &mut PgConnection) -> Result<Option<PgRow>> {
        let asked = sqlx::query(statement!()).bind(self.dealership).bind(self.user);
        with_timeout(LOOKUP_LIMIT, asked.fetch_optional(conn)).await
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
