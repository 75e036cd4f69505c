//! What the document promises of itself: examples that work, errors that look like their own, texts that say something.

use reqwest::Method;
use serde_json::{Map, Value};
use tests::{
    answer::Answer,
    app::{FRONTEND, TestApp},
    processes::command,
};

/// Every operation, with its method and path.
fn operations(document: &Value) -> Vec<(Method, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, item): (&String, &Value)| {
        let item = item.as_object().expect("operations").clone();
        let path = path.clone();
        item.into_iter()
            .map(move |(method, operation)| (method.to_uppercase().parse().expect("a method"), path.clone(), operation))
    };
    paths.iter().flat_map(of_path).collect()
}

/// What a reference names, or the thing itself.
fn resolve<'a>(document: &'a Value, thing: &'a Value) -> &'a Value {
    thing["$ref"].as_str().map_or(thing, |place| document.pointer(&place[1..]).expect("references lead somewhere"))
}

/// Have no example: no message of the demo was lost, and nobody has logged in to Facebook.
const NOT_IN_THE_DEMO: [&str; 2] =
    ["POST /api/v1/conversations/{id}/send-again", "POST /api/v1/lead-sources/facebook/login/pages"];

/// Lists that nothing of the demo is in: the lead of the examples is one that a person is to answer.
const EMPTY_IN_THE_DEMO: [&str; 1] = ["GET /api/v1/leads/{id}/answers"];

#[tokio::test]
async fn every_example_succeeds_as_it_is_in_a_seeded_system() {
    let app = TestApp::start().await;
    assert!(command("norvalt", &app.database_url).arg("seed").status().await.expect("it runs").success());
    let kari = app.clerk.session_token("user_demo_kari", None).expect("she is known").authorized_party(FRONTEND);
    let document = app.get("/openapi.json").await.expect(200);
    let mut operations = operations(&document);
    // What is deleted is of no use to those that come after.
    operations.sort_by_key(|(method, ..)| *method == Method::DELETE);
    for (method, path, operation) in operations.into_iter().filter(|(_, path, _)| !path.starts_with("/webhooks")) {
        let name = format!("{method} {path}");
        if NOT_IN_THE_DEMO.contains(&name.as_str()) {
            continue;
        }
        let (mut url, mut query) = (path, Vec::new());
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let given = [&parameter["example"], &parameter["schema"]["example"], &parameter["schema"]["default"]];
            let given =
                given.into_iter().find(|value| !value.is_null()).map(|value| value.to_string().replace('"', ""));
            match (parameter["in"].as_str(), given) {
                (Some("path"), given) => url = url.replace("{id}", &given.expect("a path has an example")),
                (_, Some(given)) => query.push(format!("{}={given}", parameter["name"].as_str().expect("a name"))),
                (_, None) => assert_ne!(parameter["required"], true, "{name}"),
            }
        }
        if !query.is_empty() {
            url = format!("{url}?{}", query.join("&"));
        }
        let mut request = app.request(method, &url).bearer_auth(kari.mint(&app.clerk.key()));
        if operation["requestBody"].is_object() {
            let example = &operation["requestBody"]["content"]["application/json"]["example"];
            assert!(example.is_object(), "{name} has no example of its body");
            request = request.json(example);
        }
        let answer = Answer::of(request).await;
        assert!(answer.status.is_success(), "{name} as in the example: {} {:#}", answer.status, answer.json);
        let response = &operation["responses"][answer.status.as_str()];
        assert!(response.is_object(), "{name} answers {}", answer.status);
        for list in [&answer.json, &answer.json["items"]].into_iter().filter_map(Value::as_array) {
            assert!(!list.is_empty() || EMPTY_IN_THE_DEMO.contains(&name.as_str()), "{name} shows nothing");
        }
        let documented = &response["headers"];
        assert_eq!(documented["Location"].is_object(), answer.headers.contains_key("location"), "{name}");
        assert!(documented["X-Request-Id"].is_object(), "{name}");
    }
}

#[tokio::test]
async fn every_error_shows_examples_of_its_own() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").await.expect(200);
    let kinds = &document["components"]["schemas"]["ProblemBody"]["properties"]["type"];
    assert_eq!(kinds["format"], "uri");
    let kinds = kinds["enum"].as_array().expect("the known kinds");
    for (method, path, operation) in operations(&document) {
        let responses = operation["responses"].as_object().expect("responses").iter();
        for (status, response) in responses.filter(|(status, _)| status.starts_with(['4', '5'])) {
            let response = resolve(&document, response);
            assert!(response["headers"]["X-Request-Id"].is_object(), "{method} {path} {status}");
            let content = &response["content"]["application/problem+json"];
            assert_eq!(content["schema"]["$ref"], "#/components/schemas/ProblemBody");
            let examples = content["examples"].as_object().map(Map::values).expect("examples");
            for example in examples.map(|example| &example["value"]) {
                assert_eq!(example["status"].to_string(), *status, "{method} {path}: {example}");
                assert!(kinds.contains(&example["type"]), "{example}");
                assert_eq!(example["errors"].is_array(), status == "422", "{example}");
            }
            if ["429", "503"].contains(&status.as_str()) {
                assert!(response["headers"]["Retry-After"].is_object(), "{method} {path} {status}");
            }
        }
    }
}

#[tokio::test]
async fn the_document_is_small_and_says_what_things_mean() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").await.expect(200);
    let size = document.to_string().len();
    let count = operations(&document).len();
    assert!(size < 2_500 * count, "{size} bytes for {count} operations");
    assert!(document["servers"][0]["url"].is_string());
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        for (property, schema) in schema["properties"].as_object().into_iter().flatten() {
            let of_choice =
                schema["oneOf"].as_array().and_then(|choice| choice.iter().find_map(|one| one["description"].as_str()));
            let text = schema["description"].as_str().or(of_choice).unwrap_or_default();
            assert!(text.split_whitespace().count() >= 3, "{name}.{property} says only {text:?}");
        }
    }
}
