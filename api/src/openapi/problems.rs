//! What requests may be refused with: each answer stands in the document once, with an example of each of its problems.

use std::{collections::BTreeMap, time::Duration};

use axum::http::StatusCode;
use common::{db::AccessError, ids, input::FieldError};
use serde_json::Value;
use utoipa::{
    IntoResponses,
    openapi::{
        ContentBuilder, Ref, RefOr, Response, ResponseBuilder,
        example::{Example, ExampleBuilder},
    },
};

use crate::{
    body,
    extract::{InPath, InboundId},
    problem::Problem,
};

/// Of the examples.
pub(super) const REQUEST_ID: &str = "019ab0c4-5a3e-7b51-9f0e-3f6f5f0d2a11";

/// One answer, as components of the document have it.
struct Refusal {
    name: &'static str,
    description: &'static str,
    problems: Vec<Problem>,
}

fn refusals() -> Vec<Refusal> {
    let refusal = |name, description, problems| Refusal { name, description, problems };
    let field = |field: &str, message: &str| FieldError { field: field.to_owned(), message: message.to_owned() };
    vec![
        refusal("NotSignedIn", "No valid session token.", vec![Problem::unauthorized()]),
        refusal("NotPermitted", "Not a member of the dealership, or not one who may do this.", not_permitted()),
        refusal("LeadNotFound", "The dealership has no lead with this id.", vec![ids::LeadId::not_found()]),
        refusal("MessageNotFound", "The dealership has no message with this id.", vec![ids::MessageId::not_found()]),
        refusal("VehicleNotFound", "The dealership has no vehicle with this id.", vec![ids::VehicleId::not_found()]),
        refusal(
            "AutomationRuleNotFound",
            "The dealership has no automation rule with this id.",
            vec![ids::AutomationRuleId::not_found()],
        ),
        refusal("CustomerNotFound", "The dealership has no customer with this id.", vec![ids::CustomerId::not_found()]),
        refusal("SourceNotFound", "The dealership has no source with this id.", vec![ids::SourceId::not_found()]),
        refusal("InboundNotFound", "Nothing with this number came in.", vec![InboundId::not_found()]),
        refusal("FormNotFound", "Nobody has a form with this key, or no longer.", vec![Problem::no_such_form()]),
        refusal(
            "Conflict",
            "It does not fit what is there.",
            vec![
                Problem::not_parked(),
                Problem::nothing_in_it(),
                Problem::same_customer(),
                Problem::not_lost(),
                Problem::no_address(),
                Problem::no_draft(),
                Problem::under_way(),
                Problem::answer_erased(),
                Problem::no_pages(),
                Problem::no_assistant(),
                Problem::assistant_off(),
                Problem::assistant_limit(),
            ],
        ),
        refusal("UnreadableQuery", "The query string is not UTF-8.", vec![Problem::query_not_utf8()]),
        refusal(
            "InvalidQuery",
            "Parameters are wrong, unknown or repeated; `errors` names each.",
            vec![Problem::invalid_input(vec![field("limit", "must be a whole number from 1 to 100")])],
        ),
        refusal(
            "UnreadableBody",
            "The body is not a JSON object, or `Idempotency-Key` cannot be one.",
            vec![Problem::unreadable("The body is not valid JSON: look at line 2, column 5."), Problem::unusable_key()],
        ),
        refusal("BodyTooSlow", "The body did not arrive within ten seconds.", vec![Problem::too_slow(body::JSON_TIME)]),
        refusal("BodyTooLarge", "The body is larger than 1 MB.", vec![Problem::too_large(body::JSON)]),
        refusal(
            "UnsupportedBody",
            "The body is not declared as JSON, or is compressed.",
            vec![Problem::not_json(), Problem::compressed()],
        ),
        refusal(
            "InvalidBody",
            "Fields are wrong; `errors` names each. Or `Idempotency-Key` was used for something else.",
            vec![
                Problem::invalid_input(vec![
                    field("customer_email", "must be an e-mail address, such as kari@example.no"),
                    field("lead_score", "must be a whole number from 1 to 100"),
                ]),
                Problem::key_of_another(),
            ],
        ),
        refusal(
            "UnauthenticWebhook",
            "The signature is not valid, or the body is not JSON.",
            vec![Problem::invalid_signature(), Problem::unreadable("The body is not JSON.")],
        ),
        refusal("NotTheSender", "It is not signed as by this sender.", vec![Problem::not_the_sender()]),
        refusal(
            "TooManyRequests",
            "Too many requests that were refused, or that need no token, came from this address; or the dealership has \
             written more than its quota for a day.",
            vec![
                Problem::too_many_requests(Duration::from_secs(1)),
                Problem::too_much_at_once(),
                Problem::quota_exceeded(Duration::from_secs(3599)),
            ],
        ),
        refusal("InternalError", "A fault of ours; the request id tells us where to look.", vec![Problem::internal()]),
        refusal(
            "Unavailable",
            "Temporarily unavailable or overloaded.",
            vec![Problem::unavailable(), Problem::overloaded()],
        ),
        refusal(
            "NotReady",
            "Requests would not succeed now.",
            vec![Problem::not_ready("This process is stopping."), Problem::unavailable()],
        ),
    ]
}

fn not_permitted() -> Vec<Problem> {
    let access = [AccessError::NotAMember, AccessError::Suspended, AccessError::Ambiguous].map(Problem::from);
    let forbidden = Problem::forbidden("Only a manager or an admin of the dealership may do this.");
    access.into_iter().chain([forbidden]).collect()
}

/// The kinds of all problems, also of those that no operation answers with.
pub(super) fn kinds() -> Vec<String> {
    let others = [Problem::no_such_route(), Problem::method_not_allowed()];
    let all = refusals().into_iter().flat_map(|refusal| refusal.problems).chain(others);
    let mut kinds: Vec<_> = all.map(|problem| problem.kind()).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Every answer, by name.
pub(super) fn components() -> BTreeMap<String, RefOr<Response>> {
    refusals().into_iter().map(|refusal| (refusal.name.to_owned(), refusal.into_response().into())).collect()
}

impl Refusal {
    fn status(&self) -> StatusCode {
        self.problems.first().expect("none is without a problem").status()
    }

    fn into_response(self) -> Response {
        let retry = self.problems.iter().any(Problem::may_be_retried);
        let mut response = ResponseBuilder::new().description(self.description);
        if retry {
            response = response.header_ref("Retry-After", header("RetryAfter"));
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            response = response.header_ref("WWW-Authenticate", header("WwwAuthenticate"));
        }
        let examples = self.problems.into_iter().map(example);
        let schema = Ref::from_schema_name("ProblemBody");
        let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
        response.header_ref("X-Request-Id", header("RequestId")).content("application/problem+json", content).build()
    }
}

fn example(problem: Problem) -> (String, RefOr<Example>) {
    let kind = problem.kind();
    let name = kind.rsplit(':').next().unwrap_or_default().to_owned();
    let body = serde_json::to_value(problem.into_body(REQUEST_ID)).unwrap_or(Value::Null);
    (name, ExampleBuilder::new().value(Some(body)).build().into())
}

/// The header of this name among the components.
pub(super) fn header(name: &str) -> Ref {
    Ref::new(format!("#/components/headers/{name}"))
}

/// What every request with a token may be answered with.
pub(crate) struct MemberProblems;
/// What a request with a query may be answered with besides.
pub(crate) struct QueryProblems;
/// What a request with a body may be answered with besides.
pub(crate) struct BodyProblems;
/// What a request for a lead may be answered with besides.
pub(crate) struct MissingLead;
/// What a request for a message may be answered with besides.
pub(crate) struct MissingMessage;
/// What a request for a vehicle may be answered with besides.
pub(crate) struct MissingVehicle;
/// What a request for an automation rule may be answered with besides.
pub(crate) struct MissingAutomationRule;
/// What a request for a customer may be answered with besides.
pub(crate) struct MissingCustomer;
/// What a request for a source may be answered with besides.
pub(crate) struct MissingSource;
/// What a request for something that came in may be answered with besides.
pub(crate) struct MissingInbound;
/// What a request may be answered with besides that does not fit what is there.
pub(crate) struct ConflictProblems;
/// What a POST may be answered with besides because of its `Idempotency-Key`.
pub(crate) struct RepeatProblems;
/// What somebody who passes inquiries on may be answered with.
pub(crate) struct MailProblems;
/// What a form may be answered with.
pub(crate) struct FormProblems;
/// What a request that needs no token may be answered with.
pub(crate) struct PublicProblems;
/// What a webhook may be answered with.
pub(crate) struct WebhookProblems;
/// What the question whether requests would succeed may be answered with.
pub(crate) struct ReadinessProblems;

macro_rules! answered_with {
    ($($group:ident: $($name:literal),+;)+) => {
        $(impl IntoResponses for $group {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                references(&[$($name),+])
            }
        })+
    };
}

answered_with! {
    MemberProblems: "NotSignedIn", "NotPermitted", "TooManyRequests", "InternalError", "Unavailable";
    QueryProblems: "UnreadableQuery", "InvalidQuery";
    BodyProblems: "UnreadableBody", "BodyTooSlow", "BodyTooLarge", "UnsupportedBody", "InvalidBody";
    MissingLead: "LeadNotFound";
    MissingMessage: "MessageNotFound";
    MissingVehicle: "VehicleNotFound";
    MissingAutomationRule: "AutomationRuleNotFound";
    MissingCustomer: "CustomerNotFound";
    MissingSource: "SourceNotFound";
    MissingInbound: "InboundNotFound";
    ConflictProblems: "Conflict";
    RepeatProblems: "UnreadableBody", "Conflict", "InvalidBody";
    MailProblems: "UnreadableBody", "NotTheSender", "BodyTooSlow", "BodyTooLarge", "TooManyRequests", "InternalError", "Unavailable";
    FormProblems: "UnreadableBody", "FormNotFound", "BodyTooSlow", "BodyTooLarge", "InvalidBody", "TooManyRequests", "InternalError", "Unavailable";
    PublicProblems: "TooManyRequests";
    WebhookProblems: "UnauthenticWebhook", "BodyTooSlow", "BodyTooLarge", "TooManyRequests", "InternalError", "Unavailable";
    ReadinessProblems: "NotReady";
}

fn references(names: &[&str]) -> BTreeMap<String, RefOr<Response>> {
    let wanted = refusals().into_iter().filter(|refusal| names.contains(&refusal.name));
    let reference = |name| Ref::new(format!("#/components/responses/{name}"));
    wanted.map(|refusal| (refusal.status().as_u16().to_string(), reference(refusal.name).into())).collect()
}
