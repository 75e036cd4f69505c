use axum::http::StatusCode;
use common::{
    db::{self, AccessError},
    telemetry::error_chain,
};

use super::Problem;

/// Seconds within which a webhook that is on its way usually has been processed.
const RETRY_PROVISIONING: u32 = 5;

impl From<db::Error> for Problem {
    fn from(error: db::Error) -> Self {
        match &error {
            _ if error.is_conflict() => {
                tracing::info!(
                    error = error_chain(&error),
                    "the database gave the transaction up in favour of another one"
                );
                Self::overtaken()
            }
            db::Error::Unavailable(_) => {
                tracing::warn!(error = error_chain(&error), "the database is unavailable");
                Self::unavailable()
            }
            db::Error::Refused(_) => {
                tracing::error!(error = error_chain(&error), "the database refused a statement");
                Self::internal()
            }
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::NotAMember => Self::new(
                StatusCode::FORBIDDEN,
                "not-provisioned",
                "No access to this dealership",
                "You are not a member of this dealership, or not yet: after an invitation it takes a few seconds.",
            )
            .retry_after(RETRY_PROVISIONING),
            AccessError::Suspended => Self::new(
                StatusCode::FORBIDDEN,
                "suspended",
                "Access suspended",
                "Your access to this dealership is suspended; ask an admin of the dealership, or whoever operates this service.",
            ),
            AccessError::Ambiguous => Self::new(
                StatusCode::FORBIDDEN,
                "choose-organization",
                "Choose a dealership",
                "You belong to several dealerships; choose one as your active organization and try again.",
            ),
            AccessError::Db(error) => error.into(),
        }
    }
}
