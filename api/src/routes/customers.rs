use common::{
    customers::{self, Customer, CustomerFilter, Merge, MergeError, MergePreview, Split},
    ids::CustomerId,
    leads::{self, Lead},
    page::{Page, PageRequest},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answers::WrittenJson,
    auth::{Tenant, answer},
    extract::{InPath, PathId, ValidJson, ValidQuery},
    idempotency::Answered,
    openapi::{BodyProblems, ConflictProblems, MemberProblems, MissingCustomer, QueryProblems},
    permissions::Action,
    problem::Problem,
    replica::Reader,
};

/// The customers, newest first. Records that are the same person are one.
#[utoipa::path(
    get, path = "/customers", tag = "Customers", operation_id = "listCustomers", params(CustomerFilter, PageRequest),
    responses((status = 200, description = "One page", body = Page<Customer>), MemberProblems, QueryProblems),
)]
pub(crate) async fn list(
    Reader(mut tenant): Reader,
    ValidQuery(filter): ValidQuery<CustomerFilter>,
) -> Result<WrittenJson, Problem> {
    let page = customers::list(&mut tenant.tx, &filter).await?;
    tenant.answer(&page)
}

/// A customer with everything they asked.
#[derive(Serialize, ToSchema)]
pub(crate) struct CustomerWithLeads {
    /// Who they are.
    customer: Customer,
    /// Their leads, newest first, the latest hundred of them.
    leads: Vec<Lead>,
}

/// One customer with their leads. A record that is the same person as another is shown as that one.
#[utoipa::path(
    get, path = "/customers/{id}", tag = "Customers", operation_id = "getCustomer", params(("id" = CustomerId, Path)),
    responses((status = 200, description = "The customer", body = CustomerWithLeads), MemberProblems, MissingCustomer),
)]
pub(crate) async fn show(mut tenant: Tenant, PathId(id): PathId<CustomerId>) -> Result<WrittenJson, Problem> {
    let customer = customers::find(&mut tenant.tx, id).await?.ok_or_else(CustomerId::not_found)?;
    let leads = leads::of_customer(&mut tenant.tx, customer.id).await?;
    tenant.answer(&CustomerWithLeads { customer, leads })
}

/// Says that another record is the same person as this one, or with `dry_run` what that would do. Nothing is lost, and it can
/// be taken back. For managers and admins.
#[utoipa::path(
    post, path = "/customers/{id}/merge", tag = "Customers", operation_id = "mergeCustomers", extensions(("x-role" = json!("manager"))), params(("id" = CustomerId, Path)),
    request_body(content = Merge, example = json!({ "customer_id": "7fa96fe3-119c-54ff-9b17-5f29699ed31a", "dry_run": true })),
    responses((status = 200, description = "What was done, or would be", body = MergePreview), MemberProblems, BodyProblems, MissingCustomer, ConflictProblems),
)]
pub(crate) async fn merge(
    mut tenant: Tenant,
    PathId(id): PathId<CustomerId>,
    ValidJson(merge): ValidJson<Merge>,
) -> Result<Answered, Problem> {
    tenant.require(Action::MergeCustomers)?;
    let other = merge.customer_id;
    answer!(tenant, async {
        let done = if merge.dry_run {
            customers::preview(&mut tenant.tx, id, other).await?
        } else {
            customers::merge(&mut tenant.tx, id, other, &tenant.caller).await?
        };
        Answered::ok(&done)
    })
}

/// Takes back that a record is the same person as another. For managers and admins.
#[utoipa::path(
    post, path = "/customers/{id}/unmerge", tag = "Customers", operation_id = "unmergeCustomer", extensions(("x-role" = json!("manager"))), params(("id" = CustomerId, Path)),
    responses((status = 200, description = "The customer that it is again", body = Customer), MemberProblems, MissingCustomer),
)]
pub(crate) async fn unmerge(mut tenant: Tenant, PathId(id): PathId<CustomerId>) -> Result<Answered, Problem> {
    tenant.require(Action::MergeCustomers)?;
    answer!(tenant, async {
        let customer = customers::unmerge(&mut tenant.tx, id).await?;
        Answered::ok(&customer.ok_or_else(CustomerId::not_found)?)
    })
}

/// Makes a new customer of some leads and identities of this one. Merging the two takes it back. For managers and admins.
#[utoipa::path(
    post, path = "/customers/{id}/split", tag = "Customers", operation_id = "splitCustomer", extensions(("x-role" = json!("manager"))), params(("id" = CustomerId, Path)),
    request_body(content = Split, example = json!({ "identities": [{ "kind": "phone", "value": "+4791234567" }] })),
    responses((status = 201, description = "The new customer; Location says where", body = Customer, headers(("Location" = String, description = "The path of what was created."))), MemberProblems, BodyProblems, MissingCustomer),
)]
pub(crate) async fn split(
    mut tenant: Tenant,
    PathId(id): PathId<CustomerId>,
    ValidJson(part): ValidJson<Split>,
) -> Result<Answered, Problem> {
    tenant.require(Action::MergeCustomers)?;
    answer!(tenant, async {
        let customer = customers::split(&mut tenant.tx, id, &part).await?;
        Answered::created_at(format!("/api/v1/customers/{}", customer.id), &customer)
    })
}

impl From<MergeError> for Problem {
    fn from(error: MergeError) -> Self {
        match error {
            MergeError::NotFound => CustomerId::not_found(),
            MergeError::OtherNotFound => {
                Self::invalid_field("customer_id", "must be the id of another customer of your dealership")
            }
            MergeError::Same => Self::same_customer(),
            MergeError::NotTheirs => {
                Self::invalid_field("lead_ids", "and identities must all be this customer's; read the customer again")
            }
            MergeError::Db(error) => error.into(),
        }
    }
}
