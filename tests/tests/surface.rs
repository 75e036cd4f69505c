//! Every operation of the OpenAPI document against everything that a stranger may send. The document names the
//! operations, so none can be forgotten.

mod blanks;
mod document;
mod nul;

use chrono::TimeDelta;
use common::clock::Clock;
use dev::stand_ins::clerk::SigningKey;
use reqwest::Method;
use serde_json::{Map, Value, json};
use tests::{
    answer::Answer,
    app::{Dealership, Person, TestApp},
};

/// One operation of the document.
struct Operation {
    method: Method,
    path: String,
    /// The least role that may do it.
    role: Option<String>,
    needs_token: bool,
    takes_body: bool,
    /// The names of the query parameters.
    parameters: Vec<String>,
    /// A body that it takes.
    example: Value,
    statuses: Vec<String>,
}

async fn operations(app: &TestApp) -> Vec<Operation> {
    let document = app.get("/openapi.json").await.expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let parameters = parameters.filter(|parameter| parameter["in"] == "query");
            operations.push(Operation {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                role: operation["x-role"].as_str().map(str::to_owned),
                needs_token: operation["security"].is_null(),
                takes_body: operation["requestBody"].is_object(),
                example: operation["requestBody"]["content"]["application/json"]["example"].clone(),
                parameters: parameters.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect(),
                statuses: operation["responses"].as_object().expect("responses").keys().cloned().collect(),
            });
        }
    }
    assert!(operations.len() > 20, "the document is whole");
    operations
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn at(&self, id: &str) -> String {
        self.path.replace("{id}", id)
    }

    /// Sends it; whatever the answer, it must be documented, whole, and no fault of ours.
    async fn send(&self, person: &Person<'_>, id: &str, body: Option<&Value>) -> Answer {
        let request = person.request(self.method.clone(), &self.at(id));
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        self.check(Answer::of(request).await, &format!("{body:?}"))
    }

    #[track_caller]
    fn check(&self, answer: Answer, sent: &str) -> Answer {
        let status = answer.status.as_u16();
        assert!(status < 500, "{} answered {status} to {sent}", self.name());
        assert!(self.statuses.contains(&status.to_string()), "{} does not document {status}", self.name());
        if status >= 400 {
            let slug = answer.json["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default();
            Answer { json: answer.json.clone(), headers: answer.headers.clone(), ..answer }
                .expect_problem(status, slug);
        }
        answer
    }
}

/// One of each in this dealership: path prefix and id.
async fn one_of_each(oslo: &Dealership<'_>) -> Vec<(&'static str, String)> {
    let create = async |path: &'static str, body: Value| -> String {
        let created = Answer::of(oslo.admin().request(Method::POST, path).json(&body)).await.expect(201);
        created["id"].as_str().expect("an id").to_owned()
    };
    let lead = create("/api/v1/leads", json!({ "customer_name": "Ola", "customer_email": "ola@example.no" })).await;
    create("/api/v1/conversations", json!({ "lead_id": lead, "message_content": "Hei", "channel": "sms" })).await;
    let car = create("/api/v1/vehicles", json!({ "make": "VW", "model": "Golf", "year": 2020 })).await;
    let rule = create("/api/v1/automation-rules", json!({ "name": "Svar", "trigger_type": "lead.created" })).await;
    let form = create("/api/v1/lead-sources", json!({ "kind": "form", "name": "Nettside" })).await;
    let customers = oslo.admin().get("/api/v1/customers").await.expect(200);
    let customer = customers["items"][0]["id"].as_str().expect("an id").to_owned();
    let robot = json!({ "email": "robot@example.no", "_gotcha": "x" });
    let robot = oslo.admin().request(Method::POST, &format!("/webhooks/form/{}", oslo.id)).json(&robot);
    Answer::of(robot).await.expect(200);
    let inbound = oslo.admin().get("/api/v1/inbound").await.expect(200)[0]["id"].to_string();
    vec![
        ("/api/v1/leads/", lead),
        ("/api/v1/vehicles/", car),
        ("/api/v1/automation-rules/", rule),
        ("/api/v1/lead-sources/", form),
        ("/api/v1/customers/", customer),
        ("/api/v1/inbound/", inbound),
    ]
}

fn id_for<'a>(ids: &'a [(&str, String)], path: &str) -> &'a str {
    ids.iter().find(|(prefix, _)| path.starts_with(prefix)).map_or("", |(_, id)| id)
}

/// Everything that tenants have, as one text.
async fn contents(app: &TestApp) -> String {
    let mut conn = app.connect().await;
    sqlx::query_scalar(
        "SELECT concat((SELECT jsonb_agg(t ORDER BY id) FROM dealerships t), (SELECT jsonb_agg(t ORDER BY id) FROM users t),
                       (SELECT jsonb_agg(t ORDER BY id) FROM leads t), (SELECT jsonb_agg(t ORDER BY id) FROM conversations t),
                       (SELECT jsonb_agg(t ORDER BY id) FROM lead_status_changes t),
                       (SELECT jsonb_agg(t ORDER BY id) FROM vehicles t),
                       (SELECT jsonb_agg(t ORDER BY id) FROM automation_rules t),
                       (SELECT jsonb_agg(t ORDER BY id) FROM lead_sources t), (SELECT jsonb_agg(t ORDER BY id) FROM customers t),
                       (SELECT jsonb_agg(t ORDER BY id) FROM inquiries t), (SELECT jsonb_agg(t ORDER BY t) FROM customer_identities t),
                       (SELECT jsonb_agg(t ORDER BY kind, key) FROM source_keys t), (SELECT jsonb_agg(t ORDER BY id) FROM deliveries t),
                       (SELECT count(*) FROM jobs), (SELECT count(*) FROM deliveries))",
    )
    .fetch_one(&mut conn)
    .await
    .expect("a valid statement")
}

#[tokio::test]
async fn nothing_answers_without_a_valid_token() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let ids = one_of_each(&oslo).await;
    let (kari, key) = (oslo.admin(), app.clerk.key());
    let tokens = [
        String::new(),
        kari.session().header("kid", key.kid()).mint(&SigningKey::generate()),
        kari.session().issued_at(Clock::system().now() - TimeDelta::minutes(2)).mint(&key),
        kari.session().claim("sts", "pending").mint(&key),
        oslo.person("stranger").token(),
    ];
    let before = contents(&app).await;
    for operation in operations(&app).await.iter().filter(|operation| operation.needs_token) {
        for (n, token) in tokens.iter().enumerate() {
            let request = app.request(operation.method.clone(), &operation.at(id_for(&ids, &operation.path)));
            let request = if token.is_empty() { request } else { request.bearer_auth(token) };
            let answer = operation.check(Answer::of(request.json(&json!({}))).await, "a bad token");
            assert_eq!(answer.status, if n == 4 { 403 } else { 401 }, "{} with token {n}", operation.name());
        }
    }
    assert_eq!(contents(&app).await, before);
}

#[tokio::test]
async fn what_belongs_to_another_is_not_there() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let ids = one_of_each(&oslo).await;
    let before = contents(&app).await;
    for operation in operations(&app).await.iter().filter(|operation| operation.path.contains("{id}")) {
        let body = operation.takes_body.then(|| operation.example.clone());
        let theirs = operation.send(&bergen.admin(), id_for(&ids, &operation.path), body.as_ref()).await;
        for unknown in ["00000000-0000-4000-8000-000000000000", "1", "%00", "%F0%9F%9A%97", "' OR 1=1", "{id}"] {
            let nobodys = operation.send(&bergen.admin(), unknown, body.as_ref()).await;
            assert_eq!(nobodys.status, 404, "{} of {unknown}", operation.name());
            let same = |answer: &Answer| without_request_id(&answer.json);
            assert_eq!(same(&nobodys), same(&theirs), "{} tells the two apart", operation.name());
        }
    }
    assert_eq!(contents(&app).await, before);
}

fn without_request_id(problem: &Value) -> Map<String, Value> {
    let mut members = problem.as_object().expect("a problem").clone();
    members.remove("request_id");
    members
}

#[tokio::test]
async fn roles_may_do_what_the_document_says() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (sales, manager) = (oslo.member("sales", "org:member").await, oslo.member("boss", "org:manager").await);
    let nowhere = "00000000-0000-4000-8000-000000000000";
    for operation in operations(&app).await.iter().filter(|operation| operation.needs_token) {
        let role = operation.role.as_deref().expect("it says who may");
        assert!(["sales_rep", "manager", "admin"].contains(&role), "{role}");
        for (person, allowed) in [(&sales, role == "sales_rep"), (&manager, role != "admin"), (&oslo.admin(), true)] {
            let body = operation.takes_body.then(|| json!({}));
            let answer = operation.send(person, nowhere, body.as_ref()).await;
            // POST and PUT are refused for their empty bodies first, which says nothing of the role.
            if operation.method != Method::POST && operation.method != Method::PUT {
                assert_eq!(answer.status != 403, allowed, "{} as {}", operation.name(), person.user);
            }
        }
    }
}

/// The fields that an operation's body has.
fn fields_of(document: &Value, operation: &Operation) -> Vec<String> {
    let operation = &document["paths"][&operation.path][operation.method.as_str().to_lowercase()];
    let body = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    let name = body.as_str().and_then(|place| place.rsplit('/').next()).expect("a body has a schema");
    let properties = document["components"]["schemas"][name]["properties"].as_object().expect("an object has fields");
    properties.keys().cloned().collect()
}

#[tokio::test]
async fn no_body_is_too_bad_to_be_refused_well() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let ids = one_of_each(&oslo).await;
    let kari = oslo.admin();
    let before = contents(&app).await;
    let document = app.get("/openapi.json").await.expect(200);
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let raw = ["", "{", "null", "[]", "7", "\"text\"", "{\"a\":1}}", deep.as_str(), "{\"customer_name\": \"\\ud800\"}"];
    let values = [
        json!(true),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!([[]]),
        json!({ "a": { "\u{0}": 1 } }),
        json!("a\u{0}b"),
        json!("x".repeat(30_000)),
        json!("\u{202e}\u{feff}\u{1f697}'; DROP TABLE leads;--"),
    ];
    for operation in operations(&app).await.iter().filter(|operation| operation.needs_token && operation.takes_body) {
        let url = operation.at(id_for(&ids, &operation.path));
        let request = || kari.request(operation.method.clone(), &url).header("content-type", "application/json");
        for body in raw {
            let answer = operation.check(Answer::of(request().body(body.to_owned())).await, body);
            assert_eq!(answer.status, 400, "{} to {:.40}", operation.name(), body);
        }
        let fields = fields_of(&document, operation);
        let everywhere =
            |value: &Value| Value::Object(fields.iter().map(|name| (name.clone(), value.clone())).collect());
        for value in &values {
            let answer = operation.check(Answer::of(request().json(&everywhere(value))).await, &value.to_string());
            // It takes any text, and there is no draft.
            let expected =
                if value.as_str().is_some_and(|text| text.ends_with("--")) && operation.path.ends_with("/draft") {
                    409
                } else {
                    422
                };
            assert_eq!(answer.status, expected, "{} to {:.40} everywhere", operation.name(), value.to_string());
        }
        let answer = operation.check(Answer::of(request().body(vec![b'x'; 10_000_000])).await, "10 MB");
        assert_eq!(answer.status, 413, "{}", operation.name());
        let text = kari.request(operation.method.clone(), &url).header("content-type", "text/plain").body("{}");
        assert_eq!(operation.check(Answer::of(text).await, "text").status, 415, "{}", operation.name());
        let latin_1 = operation.check(Answer::of(request().body(&b"{\"name\":\"B\xe5t\"}"[..])).await, "Latin-1");
        assert!(latin_1.expect_problem(400, "unreadable-request")["detail"].to_string().contains("UTF-8"));
        let zipped = request().header("content-encoding", "gzip").body(&b"\x1f\x8b\x08\x00"[..]);
        operation.check(Answer::of(zipped).await, "gzip").expect_problem(415, "compressed-body");
    }
    assert_eq!(contents(&app).await, before);
}

#[tokio::test]
async fn json_may_come_as_other_programs_write_it() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let ids = one_of_each(&oslo).await;
    for operation in operations(&app).await.iter().filter(|operation| operation.needs_token && operation.takes_body) {
        let url = operation.at(id_for(&ids, &operation.path));
        let with_type = |kind: &str| oslo.admin().request(operation.method.clone(), &url).header("content-type", kind);
        let plain = operation.check(Answer::of(with_type("application/json").body("{}")).await, "{}").status;
        assert_eq!(plain, if operation.method == Method::PATCH { 200 } else { 422 }, "{}", operation.name());
        let marked = with_type("application/json; charset=utf-8").header("content-encoding", "identity");
        assert_eq!(operation.check(Answer::of(marked.body("\u{feff}{}")).await, "a byte order mark").status, plain);
        let merge_patch = with_type("application/merge-patch+json").body("{}");
        let expected = if operation.method == Method::PATCH { plain.as_u16() } else { 415 };
        assert_eq!(operation.check(Answer::of(merge_patch).await, "a merge patch").status, expected);
    }
}

#[tokio::test]
async fn no_query_is_too_bad_to_be_refused_well() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    for operation in
        operations(&app).await.iter().filter(|operation| operation.parameters.contains(&"limit".to_owned()))
    {
        for query in [
            "limit=a",
            "limit=0",
            "limit=101",
            "offset=-1",
            "limit=1e9",
            "limit=%00",
            "offset=9223372036854775807",
            "offset=9223372036854775808",
        ] {
            let request = kari.request(Method::GET, &format!("{}?{query}", operation.path));
            let answer = operation.check(Answer::of(request).await, query);
            assert_eq!(answer.status, 422, "{}?{query}", operation.path);
        }
        for query in ["", "limit=&offset=", "limit=%20", "limit=1&offset=1000000000", "&&=", "limit=1#x", "limit=+5+"] {
            let request = kari.request(Method::GET, &format!("{}?{query}", operation.path));
            let answer = operation.check(Answer::of(request).await, query);
            assert_eq!(answer.status, 200, "{}?{query}", operation.path);
        }
    }
}

#[tokio::test]
async fn every_address_takes_the_parameters_of_the_document_once_each_and_no_other() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, ids) = (oslo.admin(), one_of_each(&oslo).await);
    let operations = operations(&app).await;
    let before = contents(&app).await;
    let is_members = |operation: &&Operation| operation.needs_token && operation.path.starts_with("/api/");
    for operation in operations.iter().filter(is_members) {
        let url = operation.at(id_for(&ids, &operation.path));
        let ask = async |query: &str| {
            let request = kari.request(operation.method.clone(), &format!("{url}?{query}"));
            // Of what writes, the body would be taken.
            let request = if operation.takes_body { request.json(&operation.example) } else { request };
            operation.check(Answer::of(request).await, query)
        };
        for unknown in ["statuss=new", "page=2", "x", "statuss=", "Limit=5", "%00=%00", "limit[]=5"] {
            let problem = ask(unknown).await.expect_problem(422, "invalid-input");
            let detail = problem["detail"].as_str().expect("text");
            assert!(operation.parameters.iter().all(|name| detail.contains(name)), "{detail}");
        }
        for name in &operation.parameters {
            ask(&format!("{name}=")).await.expect(200);
            let twice = ask(&format!("{name}=&{name}=")).await.expect_problem(422, "invalid-input");
            assert_eq!(twice["errors"][0]["field"], *name);
        }
        for latin_1 in ["search=H%E5kon", "%E5=1", "search=%80", "search=%C3"] {
            let problem = ask(latin_1).await.expect_problem(400, "unreadable-request");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("UTF-8")), "{problem}");
        }
    }
    assert_eq!(contents(&app).await, before);
    assert_eq!(kari.get("/api/v1/leads?search=%C3%85se+L").await.expect(200)["total"], 0);
}

#[tokio::test]
async fn the_interactive_page_needs_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    let page = app.request(Method::GET, "/docs/").send().await.expect("an answer");
    assert_eq!(page.status(), 200);
    let html = page.text().await.expect("text");
    assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    let redirected = app.request(Method::GET, "/docs").send().await.expect("an answer");
    assert_eq!((redirected.status().as_u16(), redirected.url().path()), (200, "/docs/"));
    for asset in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert_eq!(app.request(Method::GET, &format!("/docs/{asset}")).send().await.expect("an answer").status(), 200);
    }
    app.get("/docs/nothing.js").await.expect_problem(404, "no-such-route");
}

#[tokio::test]
async fn what_forms_look_like_is_for_everybody_and_for_every_cache() {
    let app = TestApp::start().await;
    for (file, kind) in [("form.css", "text/css; charset=utf-8"), ("form.js", "text/javascript; charset=utf-8")] {
        let answer = app.request(Method::GET, &format!("/forms/assets/{file}")).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{file}");
        for (name, value) in [
            ("content-type", kind),
            ("cache-control", "public, no-cache"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.headers()[name], value, "{file}: {name}");
        }
    }
    app.get("/forms/assets/form.html").await.expect_problem(404, "no-such-route");
}
