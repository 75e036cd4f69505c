//! The API described by itself: `/openapi.json` and `/docs`.

mod finish;
mod problems;

use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_swagger_ui::{Config, SwaggerUi};

pub(crate) use finish::finish;
pub(crate) use problems::{
    BodyProblems, ConflictProblems, FormProblems, MailProblems, MemberProblems, MissingAutomationRule, MissingCustomer,
    MissingInbound, MissingLead, MissingMessage, MissingSource, MissingVehicle, PublicProblems, QueryProblems,
    ReadinessProblems, WebhookProblems,
};

use crate::problem::ProblemBody;

/// The document without its paths, which the router adds.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Norvalt API",
        description = "Leads of Norwegian car dealerships: every inquiry from every source in one inbox.\n\n\
            Send the Clerk session token as `Authorization: Bearer <token>`. It decides which dealership you see; what \
            belongs to another one does not exist for you. `x-role` is the least role that an operation needs.\n\n\
            Errors are `application/problem+json` (RFC 9457): `type` is stable, `detail` is for people, `errors` names \
            every field that is wrong. Times are RFC 3339 in UTC.\n\n\
            Blank text is what forms send for a field that was left empty: in POST, PUT and queries it counts as absent, in \
            PATCH it clears a field that may be empty and leaves one that always has a value as it is.",
    ),
    tags(
        (name = "Leads", description = "Customers' inquiries"),
        (name = "Conversations", description = "What is said to and by customers"),
        (name = "Customers", description = "Who asks, with everything they asked"),
        (name = "Sources", description = "Where inquiries come from, and what became of all that came in"),
        (name = "Vehicles", description = "The dealership's cars"),
        (name = "Automation rules", description = "What happens by itself"),
        (name = "Dealership", description = "The dealership, its people and you"),
        (name = "Webhooks", description = "What Clerk tells us, and what customers send"),
        (name = "Service", description = "What this is and how it is"),
    ),
    servers((url = "/", description = "The server that this document is from")),
    components(schemas(ProblemBody)),
    security(("session" = [])),
    modifiers(&BearerToken),
)]
pub(crate) struct Document;

/// `/openapi.json`, and the interactive page at `/docs`. Everything the page needs is in the binary.
pub(crate) fn docs(document: utoipa::openapi::OpenApi) -> SwaggerUi {
    let config = Config::default()
        .use_base_layout()
        .deep_linking(true)
        .display_request_duration(true)
        .persist_authorization(false)
        .try_it_out_enabled(true)
        .validator_url("none");
    SwaggerUi::new("/docs").url("/openapi.json", document).config(config)
}

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("A Clerk session token: `await session.getToken()` in the frontend."))
            .build();
        document.info.license = None;
        document.components.get_or_insert_default().add_security_scheme("session", SecurityScheme::Http(scheme));
    }
}
