use axum::{Json, extract::State, http::StatusCode};
use common::{
    db::AccessError,
    ids::SourceId,
    input::{Fields, FromFields, text},
    lead_sources::{
        self, ConnectError, KeyTaken, NewSource, Page, Rotation, Source, SourceKind, SourcePatch, WriteError,
    },
    page::After,
    secrets::{NoKey, Secret},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::{Tenant, answer, commit},
    extract::{InPath, PathId, ValidJson, ValidQuery},
    idempotency::Answered,
    linked::{Linked, not_in_list},
    openapi::{BodyProblems, MemberProblems, MissingSource, QueryProblems},
    pages::embed_line,
    permissions::Action,
    problem::Problem,
    state::{Addresses, AppState},
};

/// Where your dealership's inquiries come from, oldest first.
///
/// At most 500 of them; `Link` says where more are, if there are any.
#[utoipa::path(
    get, path = "/lead-sources", tag = "Sources", operation_id = "listLeadSources",
    params(("after" = Option<SourceId>, Query, description = "Only what comes after the source with this id, such as the last one of the part before.")),
    responses(
        (status = 200, description = "The sources; Link says where more are, if there are any", body = Vec<Source>,
            headers(("Link" = String, description = "The next part, as `<…>; rel=\"next\"`"))),
        MemberProblems, QueryProblems,
    ),
)]
pub(crate) async fn list(
    mut tenant: Tenant,
    ValidQuery(request): ValidQuery<After<SourceId>>,
) -> Result<Linked, Problem> {
    let part = lead_sources::list(&mut tenant.tx, request).await?.ok_or_else(|| not_in_list("after"))?;
    Linked::new(tenant, &part, |last| format!("/api/v1/lead-sources?after={}", last.id))
}

/// One source.
#[utoipa::path(
    get, path = "/lead-sources/{id}", tag = "Sources", operation_id = "getLeadSource", params(("id" = SourceId, Path)),
    responses((status = 200, description = "The source", body = Source), MemberProblems, MissingSource),
)]
pub(crate) async fn show(mut tenant: Tenant, PathId(id): PathId<SourceId>) -> Result<Json<Source>, Problem> {
    let found = lead_sources::find(&mut tenant.tx, id).await?;
    tenant.leave();
    found.map(Json).ok_or_else(SourceId::not_found)
}

/// Adds a form, an address or an ADF endpoint. For admins.
#[utoipa::path(
    post, path = "/lead-sources", tag = "Sources", operation_id = "createLeadSource", extensions(("x-role" = json!("admin"))),
    request_body(content = NewSource, example = json!({ "kind": "form", "name": "Kampanjeside", "language": "nb", "allowed_origins": ["https://www.bilvest.example"] })),
    responses((status = 201, description = "The source; Location says where", body = Source, headers(("Location" = String, description = "The path of what was created."))), MemberProblems, BodyProblems),
)]
pub(crate) async fn create(mut tenant: Tenant, ValidJson(new): ValidJson<NewSource>) -> Result<Answered, Problem> {
    tenant.require(Action::ChangeLeadSources)?;
    answer!(tenant, async {
        let source = lead_sources::create(&mut tenant.tx, &new).await?;
        Answered::created_at(format!("/api/v1/lead-sources/{}", source.id), &source)
    })
}

/// Changes the given fields of a source. For admins.
#[utoipa::path(
    patch, path = "/lead-sources/{id}", tag = "Sources", operation_id = "updateLeadSource", extensions(("x-role" = json!("admin"))), params(("id" = SourceId, Path)),
    request_body(content = SourcePatch, example = json!({ "name": "Forsiden", "allowed_origins": ["https://www.bilvest.example"] })),
    responses((status = 200, description = "The source", body = Source), MemberProblems, BodyProblems, MissingSource),
)]
pub(crate) async fn update(
    State(state): State<AppState>,
    mut tenant: Tenant,
    PathId(id): PathId<SourceId>,
    ValidJson(patch): ValidJson<SourcePatch>,
) -> Result<Json<Source>, Problem> {
    tenant.require(Action::ChangeLeadSources)?;
    let source = commit!(tenant, lead_sources::update(&mut tenant.tx, id, &patch, &state.keyring));
    source.map(Json).ok_or_else(SourceId::not_found)
}

/// Removes a source; what came from it stays. For admins.
#[utoipa::path(
    delete, path = "/lead-sources/{id}", tag = "Sources", operation_id = "deleteLeadSource", extensions(("x-role" = json!("admin"))), params(("id" = SourceId, Path)),
    responses((status = 204, description = "It is gone"), MemberProblems, MissingSource),
)]
pub(crate) async fn delete(mut tenant: Tenant, PathId(id): PathId<SourceId>) -> Result<StatusCode, Problem> {
    tenant.require(Action::ChangeLeadSources)?;
    let deleted = commit!(tenant, lead_sources::delete(&mut tenant.tx, id));
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(SourceId::not_found()) }
}

/// Gives a source a new key. The old one is taken for some more days, so that pages and forwarding rules can follow. For admins.
#[utoipa::path(
    post, path = "/lead-sources/{id}/rotate-key", tag = "Sources", operation_id = "rotateLeadSourceKey", extensions(("x-role" = json!("admin"))), params(("id" = SourceId, Path)),
    request_body(content = Rotation, example = json!({ "keep_days": 7 })),
    responses((status = 200, description = "The source with its new key", body = Source), MemberProblems, BodyProblems, MissingSource),
)]
pub(crate) async fn rotate(
    mut tenant: Tenant,
    PathId(id): PathId<SourceId>,
    ValidJson(rotation): ValidJson<Rotation>,
) -> Result<Answered, Problem> {
    tenant.require(Action::ChangeLeadSources)?;
    answer!(tenant, async {
        let source = lead_sources::rotate(&mut tenant.tx, id, rotation).await?;
        Answered::ok(&source.ok_or_else(SourceId::not_found)?)
    })
}

/// What to do for inquiries to come from a source.
#[derive(Serialize, ToSchema)]
pub(crate) struct Embedding {
    /// Where a form is sent to, or where an ADF document is posted to.
    #[schema(example = "https://api.norvalt.no/webhooks/form/5f0c3c1a9b0e4d5c8f6a7b2d1e3c4f50")]
    post_url: Option<String>,
    /// The form as a page of its own.
    page_url: Option<String>,
    /// The line to paste into a web page, which draws the form there.
    html: Option<String>,
    /// The address to forward mails to.
    #[schema(example = "5f0c3c1a9b0e4d5c8f6a7b2d1e3c4f50@inbound.norvalt.no")]
    mail_address: Option<String>,
}

/// The line to paste for a form, or the address to send to.
#[utoipa::path(
    get, path = "/lead-sources/{id}/embed", tag = "Sources", operation_id = "getLeadSourceEmbed", params(("id" = SourceId, Path)),
    responses((status = 200, description = "What to paste", body = Embedding), MemberProblems, MissingSource),
)]
pub(crate) async fn embed(
    State(state): State<AppState>,
    mut tenant: Tenant,
    PathId(id): PathId<SourceId>,
) -> Result<Json<Embedding>, Problem> {
    let found = lead_sources::find(&mut tenant.tx, id).await?;
    tenant.leave();
    found.map(|source| Json(embedding(&source, &state.addresses))).ok_or_else(SourceId::not_found)
}

fn embedding(source: &Source, Addresses { public_url, inbound_domain }: &Addresses) -> Embedding {
    let key = &source.key;
    let at = |path: String| public_url.as_ref().map(|url| format!("{url}{path}"));
    let is = |kind| source.kind == kind;
    Embedding {
        post_url: match source.kind {
            SourceKind::Form => at(format!("/webhooks/form/{key}")),
            SourceKind::Adf => at(format!("/webhooks/adf/{key}")),
            SourceKind::Email | SourceKind::Facebook => None,
        },
        page_url: at(format!("/forms/{key}")).filter(|_| is(SourceKind::Form)),
        html: public_url.as_ref().filter(|_| is(SourceKind::Form)).map(|url| embed_line(url, key, source.language)),
        mail_address: inbound_domain.as_ref().map(|domain| format!("{key}@{domain}")).filter(|_| is(SourceKind::Email)),
    }
}

/// A page that an admin connects by its token.
#[derive(Debug, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are those of the body")]
pub(crate) struct ConnectPage {
    /// Facebook's id of the page.
    #[schema(value_type = String, max_length = 40, example = "107766554433221")]
    page_id: String,
    /// What the page is called.
    #[schema(value_type = String, max_length = 100, example = "Bil Vest")]
    page_name: String,
    /// The page's access token. It is stored sealed and never shown.
    #[schema(value_type = String, max_length = 1000, write_only)]
    page_token: Secret,
}

impl FromFields for ConnectPage {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let page_id = fields.required("page_id", text(40));
        if page_id.as_ref().is_some_and(|id| !id.bytes().all(|b| b.is_ascii_digit())) {
            fields.report("page_id", "must be the number of a page of Facebook");
        }
        let page_name = fields.required("page_name", text(100));
        let page_token = fields.required("page_token", text(1000));
        Some(Self { page_id: page_id?, page_name: page_name?, page_token: page_token?.into() })
    }
}

/// Connects a page of Facebook by its token, or repairs it with a new one. A worker asks Facebook first whether the token is that
/// page's: until then, and if it is not, `broken_reason` says so. What has waited for the page is read then. For admins.
#[utoipa::path(
    post, path = "/lead-sources/facebook/connect", tag = "Sources", operation_id = "connectFacebookPage", extensions(("x-role" = json!("admin"))),
    request_body(content = ConnectPage, example = json!({ "page_id": "107766554433221", "page_name": "Bil Vest", "page_token": "EAAB…" })),
    responses((status = 200, description = "The source", body = Source), MemberProblems, BodyProblems),
)]
pub(crate) async fn connect(
    State(state): State<AppState>,
    mut tenant: Tenant,
    ValidJson(page): ValidJson<ConnectPage>,
) -> Result<Answered, Problem> {
    tenant.require(Action::ChangeLeadSources)?;
    let page = Page { id: page.page_id, name: page.page_name, token: page.page_token };
    answer!(tenant, async { Answered::ok(&lead_sources::connect_page(&mut tenant.tx, &state.keyring, &page).await?) })
}

impl From<NoKey> for Problem {
    fn from(_: NoKey) -> Self {
        Self::not_ready("Secrets cannot be stored, because SECRETS_KEYS is not set; ask whoever operates this service.")
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::AssigneeNotAMember => {
                let message = "must be a member of your dealership; GET /api/v1/users lists them";
                Self::invalid_field("assigned_to", message)
            }
            WriteError::AssigneeSuspended => {
                let message = "is suspended and has no access at present; choose another member of your dealership";
                Self::invalid_field("assigned_to", message)
            }
            WriteError::DealershipGone => AccessError::NotAMember.into(),
            WriteError::NoKey(error) => error.into(),
            WriteError::Db(error) => error.into(),
        }
    }
}

impl From<KeyTaken> for Problem {
    fn from(error: KeyTaken) -> Self {
        match error {
            KeyTaken::Taken => Self::internal(),
            KeyTaken::Db(error) => error.into(),
        }
    }
}

impl From<ConnectError> for Problem {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::NoKey(error) => error.into(),
            ConnectError::Db(error) => error.into(),
            // A key that is in use is required at start.
            ConnectError::Open(_) => Self::internal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_page_is_connected_with_all_that_it_takes() {
        let missing = ConnectPage::read(BTreeMap::new()).expect_err("nothing is given");
        assert_eq!(missing.len(), 3);
    }
}
