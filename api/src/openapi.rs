//! The API described by itself: `/openapi.json` and `/docs`.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, Modify, OpenApi, PartialSchema,
    openapi::{
        ContentBuilder, RefOr, Response, ResponseBuilder, Schema,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::problem::ProblemBody;

/// The document without its paths, which the router adds.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Norvalt API",
        description = "Leads of Norwegian car dealerships: every inquiry from every source in one inbox.\n\n\
            Send the Clerk session token as `Authorization: Bearer <token>`. It decides which dealership you see; what \
            belongs to another one does not exist for you.\n\n\
            Errors are `application/problem+json` (RFC 9457): `type` is stable, `detail` is for people, `errors` names \
            every field that is wrong. Times are RFC 3339 in UTC.",
    ),
    tags(
        (name = "Leads", description = "Customers' inquiries"),
        (name = "Conversations", description = "What is said to and by customers"),
        (name = "Vehicles", description = "The dealership's cars"),
        (name = "Automation rules", description = "What happens by itself"),
        (name = "Dealership", description = "The dealership, its people and you"),
        (name = "Webhooks", description = "What Clerk tells us"),
        (name = "Service", description = "What this is and how it is"),
    ),
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

/// Sees to what only the finished document shows.
pub(crate) fn finish(document: &mut utoipa::openapi::OpenApi) {
    answers_are_whole(document);
    let lists = document.paths.paths.values_mut().filter_map(|path| path.get.as_mut());
    for parameter in lists.filter_map(|list| list.parameters.as_mut()).flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.description.is_none()
            && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
        {
            parameter.description = schema.description.take();
        }
    }
}

/// What we send is whole: a field without a value is there, and null.
fn answers_are_whole(document: &mut utoipa::openapi::OpenApi) {
    let schemas = document.components.iter_mut().flat_map(|components| &mut components.schemas);
    for (name, schema) in schemas {
        let is_request = name.starts_with("New") || name.ends_with("Patch") || name == "Reply";
        // The one exception: problems name fields only where fields are at fault.
        if let RefOr::T(Schema::Object(object)) = schema
            && !is_request
            && name != "ProblemBody"
        {
            object.required = object.properties.keys().cloned().collect();
        }
    }
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

/// What every request with a token may be answered with.
pub(crate) struct MemberProblems;
/// What a request with a query may be answered with besides.
pub(crate) struct QueryProblems;
/// What a request with a body may be answered with besides.
pub(crate) struct BodyProblems;
/// What a request for something of which there may be none may be answered with besides.
pub(crate) struct MissingProblem;

type Responses = BTreeMap<String, RefOr<Response>>;

fn problems<const N: usize>(described: [(&str, &str); N]) -> Responses {
    let problem = |description: &str| {
        let content = ContentBuilder::new().schema(Some(ProblemBody::schema())).build();
        ResponseBuilder::new().description(description).content("application/problem+json", content).build()
    };
    described.into_iter().map(|(status, description)| (status.to_owned(), problem(description).into())).collect()
}

impl IntoResponses for MemberProblems {
    fn responses() -> Responses {
        problems([
            ("401", "No valid session token"),
            ("403", "Not a member of the dealership, or not one who may do this"),
            (
                "429",
                "No valid session token, and too often from this address; or the dealership has written more than its quota \
                 for a day; try again after Retry-After seconds",
            ),
            ("500", "A fault of ours; the request id tells us where to look"),
            ("503", "Temporarily unavailable or overloaded; try again after Retry-After seconds"),
        ])
    }
}

impl IntoResponses for QueryProblems {
    fn responses() -> Responses {
        problems([
            ("400", "The query string is not form encoding"),
            ("422", "Parameters are wrong; `errors` names each"),
        ])
    }
}

impl IntoResponses for BodyProblems {
    fn responses() -> Responses {
        problems([
            ("400", "The body is not a JSON object"),
            ("408", "The body did not arrive within ten seconds"),
            ("413", "The body is larger than 1 MB"),
            ("415", "The body is not declared as application/json"),
            ("422", "Fields are wrong; `errors` names each"),
        ])
    }
}

impl IntoResponses for MissingProblem {
    fn responses() -> Responses {
        problems([("404", "The dealership has nothing of this id")])
    }
}
