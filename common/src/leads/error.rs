use crate::db;

/// Why a lead was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The assignee is no member of the dealership.
    #[error("the assignee is not a member of the dealership")]
    AssigneeNotAMember,
    /// The assignee is a member who has no access at present.
    #[error("the assignee is suspended")]
    AssigneeSuspended,
    /// The change would leave nothing by which to reach the customer.
    #[error("neither an e-mail address nor a phone number would be left")]
    NoContact,
    /// The author's membership has ended meanwhile.
    #[error("the author of the change is no longer a member of the dealership")]
    AuthorGone,
    /// The dealership has been destroyed meanwhile.
    #[error("the dealership does not exist any more")]
    DealershipGone,
    /// The database did not do it.
    #[error(transparent)]
    Db(db::Error),
}

impl From<db::Error> for WriteError {
    fn from(error: db::Error) -> Self {
        match error.constraint() {
            Some("leads_assigned_to_dealership_id_fkey") => Self::AssigneeNotAMember,
            Some("lead_status_changes_changed_by_dealership_id_fkey") => Self::AuthorGone,
            Some("leads_dealership_id_fkey" | "customers_dealership_id_fkey") => Self::DealershipGone,
            _ => Self::Db(error),
        }
    }
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        db::Error::from(error).into()
    }
}
