use axum::Json;
use common::{
    db::{AccessError, Caller},
    dealerships::{self, Dealership, DealershipPatch},
    ids::UserId,
    page::After,
    users::{self, User, UserPatch},
};

use crate::{
    auth::{Tenant, commit},
    extract::{ValidJson, ValidQuery},
    linked::{Linked, not_in_list},
    openapi::{BodyProblems, MemberProblems, QueryProblems},
    permissions::Action,
    problem::Problem,
    replica::Reader,
};

/// Who you are, and for which dealership.
#[utoipa::path(
    get, path = "/me", tag = "Dealership", operation_id = "getMe",
    responses((status = 200, description = "You", body = Caller), MemberProblems),
)]
pub(crate) async fn me(tenant: Tenant) -> Json<Caller> {
    let caller = tenant.caller.clone();
    tenant.leave();
    Json(caller)
}

/// Changes how you are told of what happens, and where you get text messages: the whole of `notification_preferences` is replaced.
#[utoipa::path(
    patch, path = "/me", tag = "Dealership", operation_id = "updateMe",
    request_body(content = UserPatch, example = json!({ "notification_preferences": { "email": true, "events": { "new_lead": false }, "quiet_hours": { "from": "21:00", "to": "07:00" } }, "phone": "912 34 567" })),
    responses((status = 200, description = "You, as others see you", body = User), MemberProblems, BodyProblems),
)]
pub(crate) async fn update_me(
    mut tenant: Tenant,
    ValidJson(patch): ValidJson<UserPatch>,
) -> Result<Json<User>, Problem> {
    let id = tenant.caller.id;
    let user = commit!(tenant, users::update(&mut tenant.tx, id, &patch));
    user.map(Json).ok_or_else(|| AccessError::NotAMember.into())
}

/// The people of your dealership, by name in Norwegian order.
#[utoipa::path(
    get, path = "/users", tag = "Dealership", operation_id = "listUsers",
    params(("after" = Option<UserId>, Query, description = "Only who comes after the person with this id, such as the last one of the part before.")),
    responses(
        (status = 200, description = "The people; Link says where more are, if there are any", body = Vec<User>,
            headers(("Link" = String, description = "The next part, as `<…>; rel=\"next\"`"))),
        MemberProblems, QueryProblems,
    ),
)]
pub(crate) async fn users(
    Reader(mut tenant): Reader,
    ValidQuery(request): ValidQuery<After<UserId>>,
) -> Result<Linked, Problem> {
    let mut part = users::list(&mut tenant.tx, request).await?.ok_or_else(|| not_in_list("after"))?;
    let caller = tenant.caller.id;
    // A number is theirs to give, not ours.
    part.items.iter_mut().filter(|user| user.id != caller).for_each(|user| user.phone = None);
    Linked::new(tenant, &part, |last| format!("/api/v1/users?after={}", last.id))
}

/// Your dealership.
#[utoipa::path(
    get, path = "/dealership", tag = "Dealership", operation_id = "getDealership",
    responses((status = 200, description = "The dealership", body = Dealership), MemberProblems),
)]
pub(crate) async fn show(mut tenant: Tenant) -> Result<Json<Dealership>, Problem> {
    let found = dealerships::find(&mut tenant.tx).await?;
    tenant.leave();
    found.map(Json).ok_or_else(|| AccessError::NotAMember.into())
}

/// Changes the given fields of your dealership. For admins.
#[utoipa::path(
    patch, path = "/dealership", tag = "Dealership", operation_id = "updateDealership", extensions(("x-role" = json!("admin"))), 
    request_body(content = DealershipPatch, example = json!({ "phone": "+47 22 12 34 56", "address": "Økernveien 115, 0579 Oslo" })),
    responses((status = 200, description = "The dealership", body = Dealership), MemberProblems, BodyProblems),
)]
pub(crate) async fn update(
    mut tenant: Tenant,
    ValidJson(patch): ValidJson<DealershipPatch>,
) -> Result<Json<Dealership>, Problem> {
    tenant.require(Action::ChangeDealership)?;
    let dealership = commit!(tenant, dealerships::update(&mut tenant.tx, &patch));
    dealership.map(Json).ok_or_else(|| AccessError::NotAMember.into())
}
