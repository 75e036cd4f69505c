//! Forms of web sites: every one that a person sends becomes exactly one lead, or waits visibly for somebody to decide.

use std::collections::BTreeSet;

use futures::future::join_all;
use reqwest::{Method, RequestBuilder, header, redirect::Policy};
use serde_json::{Value, json};
use tests::{
    answer::Answer,
    app::{Dealership, Person, TestApp},
};

/// The form that a dealership has by itself.
async fn first_form(person: &Person<'_>) -> Value {
    let sources = person.get("/api/v1/lead-sources").await.expect(200);
    sources.as_array().expect("a list").iter().find(|source| source["kind"] == "form").expect("each has one").clone()
}

async fn path(person: &Person<'_>) -> String {
    format!("/webhooks/form/{}", first_form(person).await["key"].as_str().expect("a key"))
}

async fn send(app: &TestApp, path: &str, body: &Value) -> Value {
    Answer::of(app.request(Method::POST, path).json(body)).await.expect(200)
}

async fn change(person: &Person<'_>, source: &Value, changes: Value) -> Value {
    let path = format!("/api/v1/lead-sources/{}", source["id"].as_str().expect("an id"));
    Answer::of(person.request(Method::PATCH, &path).json(&changes)).await.expect(200)
}

fn receipt(answer: &Value) -> String {
    assert_eq!(answer["status"], "received");
    answer["lead_id"].as_str().expect("a receipt").to_owned()
}

/// Of all days: how many were received, and what became of them.
async fn ledger(person: &Person<'_>) -> Vec<i64> {
    let rows = person.get("/api/v1/inbound/ledger").await.expect(200);
    let columns = ["received", "processed", "ignored", "parked", "quarantined", "dead", "pending"];
    let sum =
        |column: &str| rows.as_array().expect("rows").iter().map(|row| row[column].as_i64().expect("a count")).sum();
    columns.into_iter().map(sum).collect()
}

#[tokio::test]
async fn a_form_is_a_lead_as_soon_as_it_is_answered() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let source = first_form(&kari).await;
    change(&kari, &source, json!({ "assigned_to": kari.id })).await;
    let inquiry = json!({
        "name": "Bjørn Håkonsen", "email": "Bjorn@Example.no", "phone": "912 34 567", "vehicle_interest": "Model Y",
        "message": "Hei! Har dere denne på lager?", "source_url": "https://www.bilvest.example/y", "utm_source": "finn",
        "farge": ["rød", "blå"],
    });
    let id = receipt(&send(&app, &path(&kari).await, &inquiry).await);
    let lead = kari.get(&format!("/api/v1/leads/{id}")).await.expect(200);
    let expected = json!({
        "source": "website", "status": "new", "customer_name": "Bjørn Håkonsen", "customer_email": "Bjorn@Example.no",
        "customer_phone_e164": "+4791234567", "vehicle_interest": "Model Y", "assigned_to": kari.id,
        "initial_message": "Hei! Har dere denne på lager?", "source_url": "https://www.bilvest.example/y",
        "source_metadata": { "utm_source": "finn", "farge": ["rød", "blå"] }, "conversation_count": 0,
    });
    for (field, value) in expected.as_object().expect("fields") {
        assert_eq!(&lead[field], value, "{field}");
    }
    // The dealership's id is taken too.
    let by_id = json!({ "name": "Åse", "phone": "40000000", "message": "Ring meg" });
    send(&app, &format!("/webhooks/form/{}", oslo.id), &by_id).await;
    assert_eq!(kari.get("/api/v1/leads").await.expect(200)["total"], 2);
    assert_eq!(ledger(&kari).await, [2, 2, 0, 0, 0, 0, 0]);
    assert!(first_form(&kari).await["last_received_at"].is_string());
}

#[tokio::test]
async fn nothing_that_a_page_sends_is_changed_or_refused() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let path = path(&kari).await;
    let sent = r#"{"email":"ola@example.no","nr":12345678901234567890123,"far":1e400,"pris":[1.50,249000],
                   "_nonce":"a\u0000b","x\u0000":"\u0000y"}"#;
    let form = app.request(Method::POST, &path).header(header::CONTENT_TYPE, "application/json").body(sent);
    let id = receipt(&Answer::of(form).await.expect(200));
    let lead = kari.get(&format!("/api/v1/leads/{id}")).await.expect(200);
    let kept = json!({ "nr": "12345678901234567890123", "far": "1e400", "pris": ["1.50", 249_000], "x": "y" });
    assert_eq!(lead["source_metadata"], kept);
    // What tracing and error reporting add to each request of the page.
    let added = "content-type, traceparent, tracestate, baggage, sentry-trace, x-datadog-trace-id";
    let preflight = app.request(Method::OPTIONS, &path).header(header::ORIGIN, "https://a.example");
    let preflight = preflight.header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
    let preflight = Answer::of(preflight.header(header::ACCESS_CONTROL_REQUEST_HEADERS, added)).await;
    assert_eq!(preflight.headers[header::ACCESS_CONTROL_ALLOW_HEADERS], added);
    assert!(!preflight.headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
}

#[tokio::test]
async fn who_is_known_writes_to_their_open_lead_and_is_not_told_so() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, path) = (oslo.admin(), path(&oslo.admin()).await);
    let first = receipt(&send(&app, &path, &json!({ "email": "ola@example.no", "message": "Hei" })).await);
    let second = json!({ "email": "OLA@example.no", "phone": "91234567", "message": "Er den solgt?", "name": "Ola" });
    let second = receipt(&send(&app, &path, &second).await);
    // By the number that came with the second.
    let third = receipt(&send(&app, &path, &json!({ "phone": "+47 912 34 567", "message": "Hallo?" })).await);
    assert_eq!(BTreeSet::from([&first, &second, &third]).len(), 3, "an answer tells nothing of earlier ones");
    for receipt in [&first, &second, &third] {
        let lead = kari.get(&format!("/api/v1/leads/{receipt}")).await.expect(200);
        assert_eq!((&lead["id"], &lead["conversation_count"]), (&json!(first), &json!(2)));
        assert_eq!(lead["initial_message"], "Hei");
    }
    let messages = kari.get(&format!("/api/v1/leads/{first}/conversations")).await.expect(200);
    assert_eq!(messages[1]["message_content"], "Er den solgt?");
    assert_eq!((&messages[1]["sender"], &messages[1]["sender_type"]), (&json!("Ola"), &json!("customer")));
    assert_eq!(messages[1]["message_metadata"]["phone"], "91234567");
    // Once the lead is over, or old, they begin a new one.
    let won = kari.request(Method::PATCH, &format!("/api/v1/leads/{first}")).json(&json!({ "status": "won" }));
    Answer::of(won).await.expect(200);
    let fourth = receipt(&send(&app, &path, &json!({ "email": "ola@example.no", "message": "En bil til" })).await);
    assert_eq!(kari.get(&format!("/api/v1/leads/{fourth}")).await.expect(200)["id"], fourth);
    let setting = kari.request(Method::PATCH, "/api/v1/dealership").json(&json!({ "same_lead_days": 0 }));
    Answer::of(setting).await.expect(200);
    let fifth = receipt(&send(&app, &path, &json!({ "email": "ola@example.no", "message": "Og en til" })).await);
    assert_eq!(kari.get(&format!("/api/v1/leads/{fifth}")).await.expect(200)["id"], fifth);
    // A stranger does not see what the receipt was for.
    let bergen = app.dealership("VW Bergen").await;
    bergen.admin().get(&format!("/api/v1/leads/{second}")).await.expect_problem(404, "lead-not-found");
}

#[tokio::test]
async fn the_same_form_sent_often_is_one_lead() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, path) = (oslo.admin(), path(&oslo.admin()).await);
    let (with, without) = (
        json!({ "email": "ola@example.no", "message": "Hei", "_nonce": "7f3e" }),
        json!({ "phone": "91234567", "message": "Ring meg" }),
    );
    let sent = (0..20).map(|n| if n % 2 == 0 { &with } else { &without });
    let receipts = join_all(sent.map(|body| send(&app, &path, body))).await;
    let of_with: BTreeSet<_> = receipts.iter().step_by(2).map(receipt).collect();
    assert_eq!(of_with.len(), 1, "the same filled-in form has the same receipt");
    for answer in &receipts {
        kari.get(&format!("/api/v1/leads/{}", receipt(answer))).await.expect(200);
    }
    assert_eq!(kari.get("/api/v1/leads").await.expect(200)["total"], 2);
    let leads = kari.get("/api/v1/leads").await.expect(200);
    let counts: Vec<_> =
        leads["items"].as_array().expect("leads").iter().map(|lead| &lead["conversation_count"]).collect();
    assert_eq!(counts, [&json!(0), &json!(0)]);
    // Another text of the same person at the same instant is no repetition, and no second lead either.
    let texts = (0..10).map(|n| json!({ "email": "per@example.no", "message": format!("Spørsmål {n}") }));
    join_all(texts.map(async |body| send(&app, &path, &body).await)).await;
    assert_eq!(kari.get("/api/v1/leads").await.expect(200)["total"], 3);
    let customers = kari.get("/api/v1/customers").await.expect(200);
    assert_eq!(customers["total"], 3);
    let counts = ledger(&kari).await;
    assert_eq!(counts[0], counts[1..].iter().sum::<i64>());
}

#[tokio::test]
async fn what_may_be_a_programs_waits_for_a_person() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, path) = (oslo.admin(), path(&oslo.admin()).await);
    let robots = [
        json!({ "email": "a@example.no", "message": "Kjøp nå", "_gotcha": "http://spam.example" }),
        json!({ "email": "b@example.no", "message": "Hei", "_elapsed": 200 }),
    ];
    let mut receipts = Vec::new();
    for robot in &robots {
        receipts.push(receipt(&send(&app, &path, robot).await));
    }
    assert_eq!(kari.get("/api/v1/leads").await.expect(200)["total"], 0);
    let parked = kari.get("/api/v1/inbound?status=parked").await.expect(200);
    assert_eq!(parked.as_array().map(Vec::len), Some(2));
    assert!(parked[0]["outcome"].as_str().expect("why").contains("faster than people"));
    let decide = async |at: usize, what: &str, by: &Person<'_>| {
        Answer::of(by.request(Method::POST, &format!("/api/v1/inbound/{}/{what}", parked[at]["id"]))).await
    };
    let seller = oslo.member("jonas", "org:member").await;
    decide(0, "accept", &seller).await.expect_problem(403, "forbidden");
    let stranger = app.dealership("VW Bergen").await;
    decide(0, "accept", &stranger.admin()).await.expect_problem(404, "inbound-not-found");
    let accepted = decide(0, "accept", &kari).await.expect(200);
    // The receipt that was given then is the lead's id.
    assert_eq!(accepted["lead_ids"], json!([receipts[1]]));
    decide(0, "accept", &kari).await.expect_problem(409, "not-parked");
    assert_eq!(decide(1, "reject", &kari).await.status, 204);
    assert_eq!(app.count("SELECT count(*) FROM deliveries WHERE body IS NULL AND status = 'ignored'").await, 1);
    assert_eq!(ledger(&kari).await, [2, 1, 1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn only_what_cannot_be_answered_is_sent_back() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let path = path(&kari).await;
    let refused = async |body: &Value| Answer::of(app.request(Method::POST, &path).json(body)).await;
    let problem = refused(&json!({ "name": "Kari", "message": "Hei" })).await.expect_problem(422, "invalid-input");
    assert_eq!(problem["errors"][0]["field"], "email");
    let both = refused(&json!({ "email": "kari(a)example.no", "phone": "12" })).await;
    let both = both.expect_problem(422, "invalid-input");
    assert_eq!(both["errors"].as_array().map(Vec::len), Some(2));
    Answer::of(app.request(Method::POST, &path).body("[]")).await.expect_problem(400, "unreadable-request");
    refused(&json!({ "email": "kari(a)example.no", "phone": "91234567" })).await.expect(200);
    let unknown = app.request(Method::POST, "/webhooks/form/nobodys").json(&json!({ "phone": "91234567" }));
    Answer::of(unknown).await.expect_problem(404, "form-not-found");
    assert_eq!(app.count("SELECT count(*) FROM deliveries").await, 1);
}

#[tokio::test]
async fn a_form_belongs_to_the_web_sites_that_it_names() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let source = first_form(&kari).await;
    let path = path(&kari).await;
    let from = |origin: &'static str, message: &'static str| {
        let body = json!({ "phone": "91234567", "message": message });
        app.request(Method::POST, &path).header(header::ORIGIN, origin).json(&body)
    };
    let allowed = |answer: &Answer| {
        answer.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|origin| origin.to_str().expect("text").to_owned())
    };
    let anywhere = Answer::of(from("https://anywhere.example", "Hei")).await;
    assert_eq!(allowed(&anywhere).as_deref(), Some("https://anywhere.example"));
    change(&kari, &source, json!({ "allowed_origins": ["https://www.bilvest.example"] })).await;
    let own = Answer::of(from("https://www.bilvest.example", "Hei igjen")).await;
    assert_eq!(allowed(&own).as_deref(), Some("https://www.bilvest.example"));
    // The form's own page, which is ours.
    Answer::of(from("https://api.norvalt.example", "Fra skjemasiden")).await.expect(200);
    for foreign in ["https://evil.example", "null", "https://www.bilvest.example.evil.example"] {
        let foreign = Answer::of(from(foreign, "Fra et annet sted")).await;
        assert_eq!((foreign.status.as_u16(), allowed(&foreign)), (200, None));
    }
    let parked = kari.get("/api/v1/inbound?status=parked").await.expect(200);
    assert_eq!(parked.as_array().map(Vec::len), Some(3));
    // Without a browser there is no origin.
    send(&app, &path, &json!({ "phone": "91234567", "message": "Uten nettleser" })).await;
    let preflight = Answer::of(app.request(Method::OPTIONS, &path).header(header::ORIGIN, "https://a.example")).await;
    assert_eq!((preflight.status.as_u16(), allowed(&preflight).as_deref()), (204, Some("*")));
}

#[tokio::test]
async fn a_plain_form_leads_to_a_page_and_never_anywhere_else() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let source = first_form(&kari).await;
    let path = path(&kari).await;
    let http = reqwest::Client::builder().redirect(Policy::none()).build().expect("a client");
    let sent = async |body: String| {
        let request: RequestBuilder = http.post(format!("{}{path}", app.url)).header(header::ACCEPT, "text/html,*/*");
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let answer = Answer::of(request).await;
        (answer.status.as_u16(), answer.headers[header::LOCATION].to_str().expect("text").to_owned())
    };
    let thanks = format!("/forms/{}/thanks", source["key"].as_str().expect("a key"));
    assert_eq!(sent("name=%C3%85se&phone=91234567".to_owned()).await, (303, thanks.clone()));
    change(&kari, &source, json!({ "allowed_origins": ["https://bil.example"] })).await;
    let own = "https://bil.example/takk".to_owned();
    assert_eq!(sent("phone=91234568&_next=https%3A%2F%2Fbil.example%2Ftakk".to_owned()).await, (303, own));
    for elsewhere in
        ["https://evil.example/", "//evil.example", "javascript:alert(1)", "https://bil.example@evil.example/"]
    {
        assert_eq!(sent(format!("phone=91234569&_next={elsewhere}")).await, (303, thanks.clone()), "{elsewhere}");
    }
}

#[tokio::test]
async fn a_mistake_in_a_plain_form_loses_nothing_that_was_typed() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let path = path(&kari).await;
    let page = async |request: RequestBuilder| {
        let request = request.header(header::ACCEPT, "text/html").header(header::ACCEPT_LANGUAGE, "nb");
        let answer = request.send().await.expect("an answer");
        let (status, kind) = (answer.status().as_u16(), answer.headers()[header::CONTENT_TYPE].clone());
        assert!(kind.to_str().expect("text").starts_with("text/html"), "{kind:?}");
        (status, answer.text().await.expect("a page"))
    };
    let form = "application/x-www-form-urlencoded";
    let mistake = app.request(Method::POST, &path).header(header::CONTENT_TYPE, form);
    let (status, shown) = page(mistake.body("name=K%C3%A5re&phone=12&message=%3Cb%3EHei%3C%2Fb%3E")).await;
    assert_eq!(status, 422);
    assert!(shown.contains("value=\"Kåre\"") && shown.contains("value=\"12\""), "{shown}");
    assert!(shown.contains("&lt;b&gt;Hei") && shown.contains("Tesla Oslo"), "{shown}");
    let key = path.rsplit('/').next().expect("a key");
    assert_eq!(page(app.request(Method::GET, &format!("/forms/{key}"))).await.0, 200);
    assert_eq!(page(app.request(Method::GET, &format!("/forms/{key}/thanks"))).await.0, 200);
    let nobodys = app.request(Method::POST, "/webhooks/form/nobodys").header(header::CONTENT_TYPE, form);
    assert_eq!(page(nobodys.body("phone=91234567")).await.0, 404);
    assert_eq!(page(app.request(Method::GET, "/forms/nobodys")).await.0, 404);
    let script = app.request(Method::GET, &format!("/embed/{key}.js")).send().await.expect("an answer");
    assert!(script.text().await.expect("a script").contains("https://api.norvalt.example"));
}

#[tokio::test]
async fn a_key_is_replaced_and_a_source_switched_off_without_losing_anything() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let source = first_form(&kari).await;
    let old = path(&kari).await;
    let rotate = async |keep_days: i64| {
        let path = format!("/api/v1/lead-sources/{}/rotate-key", source["id"].as_str().expect("an id"));
        Answer::of(kari.request(Method::POST, &path).json(&json!({ "keep_days": keep_days }))).await.expect(200)
    };
    let rotated = rotate(7).await;
    assert_ne!(rotated["key"], source["key"]);
    send(&app, &old, &json!({ "phone": "91234567", "message": "Gammel adresse" })).await;
    let newer = path(&kari).await;
    rotate(0).await;
    for expired in [old, newer] {
        let form = app.request(Method::POST, &expired).json(&json!({ "phone": "91234567" }));
        Answer::of(form).await.expect_problem(404, "form-not-found");
    }
    change(&kari, &source, json!({ "enabled": false })).await;
    send(&app, &path(&kari).await, &json!({ "phone": "91234567", "message": "Mens den er av" })).await;
    let parked = kari.get("/api/v1/inbound?status=parked").await.expect(200);
    assert_eq!(parked[0]["outcome"], "the form is switched off");
}

#[tokio::test]
async fn a_deleted_lead_takes_what_came_in_for_it_along_and_does_not_come_back() {
    let app = TestApp::start().await;
    let oslo: Dealership<'_> = app.dealership("Tesla Oslo").await;
    let (kari, path) = (oslo.admin(), path(&oslo.admin()).await);
    let inquiry = json!({ "email": "ola@example.no", "message": "Hei", "_nonce": "n1" });
    let lead = receipt(&send(&app, &path, &inquiry).await);
    assert_eq!(Answer::of(kari.request(Method::DELETE, &format!("/api/v1/leads/{lead}"))).await.status, 204);
    let left = "SELECT (SELECT count(*) FROM deliveries WHERE body IS NOT NULL) + (SELECT count(*) FROM customers)
                       + (SELECT count(*) FROM inquiries WHERE fingerprint IS NOT NULL)";
    assert_eq!(app.count(left).await, 0);
    assert_eq!(receipt(&send(&app, &path, &inquiry).await), lead);
    assert_eq!(kari.get("/api/v1/leads").await.expect(200)["total"], 0);
}
