//! What only the finished document shows.

use std::collections::BTreeSet;

use common::role::Role;
use serde_json::{Value, json};
use utoipa::{
    IntoResponses,
    openapi::{
        Header, HeaderBuilder, ObjectBuilder, OpenApi, PathItem, Ref, RefOr, Required, Schema,
        extensions::Extensions,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        schema::{SchemaFormat, Type},
    },
};

use super::problems::{self, QueryProblems, RepeatProblems};

/// The demo data has these, so that the examples of the document can be tried out as they are.
const EXAMPLE_IDS: [(&str, &str); 8] = [
    ("/api/v1/customers/", "43220be3-d0e5-59ef-a4fa-58bd7547e015"),
    ("/api/v1/inbound/{id}/reject", "2"),
    ("/api/v1/inbound/", "1"),
    ("/api/v1/lead-sources/", "105864da-16cf-520d-a125-239bbcffdc9a"),
    ("/api/v1/leads/{id}/draft", "65d2cc46-0f62-58e7-9df2-f281d68f425d"),
    ("/api/v1/leads/", "c0fc3c7a-637f-54ae-b716-20b57e2d6261"),
    ("/api/v1/vehicles/", "9012730c-574f-50de-90e3-0aa59becba68"),
    ("/api/v1/automation-rules/", "dc97351f-239a-53bf-a88f-518bcaf7c80b"),
];

pub(crate) fn finish(document: &mut OpenApi) {
    answers_are_whole(document);
    add_components(document);
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            complete(path, operation);
            if path.starts_with("/api/") {
                may_have_a_query(operation);
            }
        }
        if let Some(post) = item.post.as_mut().filter(|_| path.starts_with("/api/")) {
            may_be_repeated(post);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, patch, delete, .. } = item;
    [get, put, post, patch, delete].into_iter().flatten()
}

fn complete(path: &str, operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            describe(path, parameter);
        }
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.headers.insert("X-Request-Id".to_owned(), RefOr::Ref(problems::header("RequestId")));
        }
    }
    // Any member may call an operation that names no role.
    if operation.security.is_none() {
        let extensions = operation.extensions.get_or_insert_with(Extensions::default);
        extensions.entry("x-role".to_owned()).or_insert_with(|| json!(Role::SalesRep));
    }
}

/// Says how parameters are refused, also where none are taken.
fn may_have_a_query(operation: &mut Operation) {
    for (status, response) in QueryProblems::responses() {
        operation.responses.responses.entry(status).or_insert(response);
    }
}

/// Says what an `Idempotency-Key` does.
fn may_be_repeated(post: &mut Operation) {
    post.parameters.get_or_insert_default().push(RefOr::Ref(Ref::new("#/components/parameters/IdempotencyKey")));
    for (status, response) in &mut post.responses.responses {
        if let RefOr::T(response) = response
            && status.starts_with('2')
        {
            response.headers.insert("Idempotent-Replayed".to_owned(), RefOr::Ref(problems::header("Replayed")));
        }
    }
    for (status, response) in RepeatProblems::responses() {
        post.responses.responses.entry(status).or_insert(response);
    }
}

fn describe(path: &str, parameter: &mut Parameter) {
    if parameter.parameter_in == ParameterIn::Path {
        let id = EXAMPLE_IDS.iter().find(|(prefix, _)| path.starts_with(prefix));
        let described = ParameterBuilder::from(parameter.clone()).description(Some("Which one, by its id."));
        let number = |id: &str| id.parse::<i64>().ok().map(|number| json!(number));
        *parameter = described.example(id.map(|(_, id)| number(id).unwrap_or_else(|| json!(id)))).build();
    }
    // Beside a schema of its own a parameter has no description.
    if parameter.description.is_none()
        && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
    {
        parameter.description = schema.description.take();
    }
}

/// What we send is whole: a field without a value is there, and null. The one exception are the fields of a problem,
/// which are there only where fields are at fault.
fn answers_are_whole(document: &mut OpenApi) {
    let operations = serde_json::to_value(&document.paths).unwrap_or_default();
    let schemas = document.components.iter().map(|components| &components.schemas);
    let schemas = serde_json::to_value(schemas.collect::<Vec<_>>()).unwrap_or_default();
    let (mut requests, mut answers) = (BTreeSet::new(), BTreeSet::new());
    for operation in operations.as_object().into_iter().flatten().filter_map(|(_, item)| item.as_object()).flatten() {
        follow(&operation.1["requestBody"], &schemas[0], &mut requests);
        follow(&operation.1["responses"], &schemas[0], &mut answers);
    }
    for (name, schema) in document.components.iter_mut().flat_map(|components| &mut components.schemas) {
        if let RefOr::T(Schema::Object(object)) = schema
            && answers.contains(name)
            && !requests.contains(name)
        {
            object.required = object.properties.keys().cloned().collect();
        }
    }
}

/// Adds the names of the schemas that `part` of the document refers to, and those that they refer to.
fn follow(part: &Value, schemas: &Value, names: &mut BTreeSet<String>) {
    match part {
        Value::Object(members) => {
            let name = members.get("$ref").and_then(Value::as_str).and_then(|place| place.rsplit('/').next());
            if let Some(name) = name
                && names.insert(name.to_owned())
            {
                follow(&schemas[name], schemas, names);
            }
            members.values().for_each(|member| follow(member, schemas, names));
        }
        Value::Array(items) => items.iter().for_each(|item| follow(item, schemas, names)),
        _ => {}
    }
}

fn add_components(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    components.responses = problems::components();
    components.headers = [
        (
            "RequestId",
            Type::String,
            "Names this request in our logs; a request may bring its own.",
            json!(problems::REQUEST_ID),
        ),
        ("RetryAfter", Type::Integer, "Seconds after which to try again.", json!(2)),
        ("Replayed", Type::Boolean, "Whether it was done, and answered so, when it was sent before.", json!(true)),
        ("WwwAuthenticate", Type::String, "How to sign in.", json!("Bearer")),
    ]
    .into_iter()
    .map(|(name, kind, description, example)| (name.to_owned(), header(kind, description, example).into()))
    .collect();
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "Names this request, so that it can be sent again until it is answered: it takes effect once, and a repeat within 24 \
             hours is answered as the first was. A new UUID for each request.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255))))
        .required(Required::False);
    components.parameters.insert("IdempotencyKey".to_owned(), key.build().into());
    if let Some(RefOr::T(Schema::Object(problem))) = components.schemas.get_mut("ProblemBody")
        && let Some(RefOr::T(Schema::Object(kind))) = problem.properties.get_mut("type")
    {
        kind.format = Some(SchemaFormat::Custom("uri".to_owned()));
        kind.enum_values = Some(problems::kinds().into_iter().map(Value::from).collect());
    }
}

fn header(kind: Type, description: &str, example: Value) -> Header {
    let schema = ObjectBuilder::new().schema_type(kind).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).example(Some(example)).build()
}
