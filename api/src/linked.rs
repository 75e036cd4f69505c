use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use common::page::Part;
use serde::Serialize;
use utoipa::IntoParams;

use crate::{answers::WrittenJson, auth::Tenant, problem::Problem};

/// A part of a list as a bare array, with a `Link` to the next part if there is one.
/// <https://www.rfc-editor.org/rfc/rfc8288>
pub(crate) struct Linked {
    items: WrittenJson,
    next: Option<String>,
}

impl Linked {
    /// `next` is where the list goes on after an item.
    pub(crate) fn new<T: Serialize>(
        tenant: Tenant,
        part: &Part<T>,
        next: impl FnOnce(&T) -> String,
    ) -> Result<Self, Problem> {
        let next = part.items.last().filter(|_| part.more).map(next);
        Ok(Self { items: tenant.answer(&part.items)?, next })
    }
}

impl IntoResponse for Linked {
    fn into_response(self) -> Response {
        let link = self.next.and_then(|next| HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).ok());
        (link.map(|link| [(header::LINK, link)]), self.items).into_response()
    }
}

/// How a part of a list that is newest first is chosen.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes common::page::Before, whose ids differ")]
pub(crate) struct BeforeParams {
    /// Only what is older than the item with this id, such as the last one of the part before.
    #[param(format = Uuid)]
    before: Option<String>,
}

/// What to answer when the item that a part is to come before or after is not there.
pub(crate) fn not_in_list(parameter: &str) -> Problem {
    Problem::invalid_field(parameter, "must be the id of an item of this list")
}
