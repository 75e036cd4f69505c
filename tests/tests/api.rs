//! What people do with the API, as the dashboard does it.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;
use tests::{
    answer::Answer,
    app::{NewLead, Person, TestApp, new_lead},
};

async fn send(person: &Person<'_>, method: Method, path: &str, body: Value) -> Answer {
    Answer::of(person.request(method, path).json(&body)).await
}

#[tokio::test]
async fn a_lead_from_the_first_call_to_the_sale() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, jonas) = (oslo.admin(), oslo.member("jonas", "org:member").await);

    let new = json!({
        "customer_name": " Bjørn Håkonsen ", "customer_phone": "912 34 567", "customer_email": "", "lead_score": "",
        "source": " ", "status": "", "source_metadata": "", "assigned_to": "",
    });
    let answer = send(&jonas, Method::POST, "/api/v1/leads", new).await;
    let location = answer.headers["location"].to_str().expect("printable").to_owned();
    let lead = answer.expect(201);
    assert_eq!((&lead["customer_name"], &lead["customer_email"]), (&json!("Bjørn Håkonsen"), &Value::Null));
    assert_eq!((&lead["customer_phone"], &lead["customer_phone_e164"]), (&json!("912 34 567"), &json!("+4791234567")));
    assert_eq!((&lead["source"], &lead["status"], &lead["lead_score"]), (&json!("manual"), &json!("new"), &json!(50)));
    assert_eq!(kari.get(&location).await.expect(200), lead);

    // The dashboard sends the whole lead back, with what it got from us and what only it knows.
    let mut whole = lead.clone();
    whole["status"] = json!("contacted");
    whole["assigned_to"] = json!(jonas.id);
    whole["selected"] = json!(true);
    let lead = send(&kari, Method::PATCH, &location, whole).await.expect(200);
    assert_eq!((&lead["status"], &lead["assigned_user"]["role"]), (&json!("contacted"), &json!("sales_rep")));
    assert!(lead["first_response_time"].is_null() && lead["last_contact_at"].is_null());

    let id = lead["id"].clone();
    let reply = json!({ "lead_id": id, "message_content": "Hei Bjørn! Velkommen innom.", "channel": "manual" });
    let message = send(&jonas, Method::POST, "/api/v1/conversations", reply.clone()).await.expect(201);
    assert_eq!((&message["direction"], &message["sender_type"]), (&json!("outbound"), &json!("human")));
    assert_eq!((&message["sender"], &message["sender_user_id"]), (&json!("jonas of Tesla Oslo"), &json!(jonas.id)));
    let answered = kari.get(&location).await.expect(200);
    assert!(answered["first_response_time"].as_str().is_some_and(|time| time.starts_with("PT")));
    assert_eq!(answered["last_contact_at"], message["created_at"]);
    let second = send(&kari, Method::POST, "/api/v1/conversations", reply).await.expect(201);
    let twice = kari.get(&location).await.expect(200);
    assert_eq!(twice["first_response_time"], answered["first_response_time"], "only the first answer is the first");
    assert_eq!((&twice["last_contact_at"], &twice["conversation_count"]), (&second["created_at"], &json!(2)));
    let messages = kari.get(&format!("{location}/conversations")).await.expect(200);
    assert_eq!(messages, json!([second, message]), "a bare array, newest first");

    let won = send(&jonas, Method::PATCH, &location, json!({ "status": "won" })).await.expect(200);
    assert!(won["converted_at"].is_string());
    let still = send(&jonas, Method::PATCH, &location, json!({ "status": "won", "lead_score": 90 })).await.expect(200);
    assert_eq!((&still["converted_at"], &still["lead_score"]), (&won["converted_at"], &json!(90)));
    let lost = send(&kari, Method::PATCH, &location, json!({ "status": "lost" })).await.expect(200);
    assert!(lost["converted_at"].is_null());

    let history = kari.get(&format!("{location}/history")).await.expect(200);
    let steps: Vec<_> = history
        .as_array()
        .expect("a bare array")
        .iter()
        .map(|step| (step["from_status"].as_str(), step["to_status"].as_str(), step["changed_by"]["name"].as_str()))
        .collect();
    let (kari_name, jonas_name) = (Some("admin of Tesla Oslo"), Some("jonas of Tesla Oslo"));
    let expected = [
        (Some("won"), Some("lost"), kari_name),
        (Some("contacted"), Some("won"), jonas_name),
        (Some("new"), Some("contacted"), kari_name),
    ];
    assert_eq!(steps, expected);

    send(&jonas, Method::DELETE, &location, json!({})).await.expect_problem(403, "forbidden");
    send(&kari, Method::DELETE, &location, json!({})).await.expect(204);
    send(&kari, Method::DELETE, &location, json!({})).await.expect_problem(404, "lead-not-found");
    assert_eq!(app.count("SELECT count(*) FROM conversations").await, 0);
}

#[tokio::test]
async fn an_impersonator_is_on_record_wherever_an_author_is() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let lead = oslo.lead("Ola Nordmann").await;
    let url = format!("/api/v1/leads/{}", lead.id);
    let token = oslo.admin().session().claim("act", json!({ "sub": "user_support" })).mint(&app.clerk.key());
    let as_support = |method, path: &str| app.request(method, path).bearer_auth(&token);
    let reply = json!({ "lead_id": lead.id, "message_content": "Hei", "channel": "email" });
    Answer::of(as_support(Method::POST, "/api/v1/conversations").json(&reply)).await.expect(201);
    Answer::of(as_support(Method::PATCH, &url).json(&json!({ "status": "won" }))).await.expect(200);
    for part in ["conversations", "history"] {
        let record = oslo.admin().get(&format!("{url}/{part}")).await.expect(200);
        assert_eq!(record[0]["impersonator"], "user_support", "{part}");
    }
}

#[tokio::test]
async fn null_clears_and_absence_keeps() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let new = json!({
        "customer_name": "Åse", "customer_email": "ase@example.no", "customer_phone": "+46 70 123 45 67",
        "assigned_to": kari.id, "vehicle_interest": "Model 3", "source_metadata": { "campaign": "høst" },
    });
    let lead = send(&kari, Method::POST, "/api/v1/leads", new).await.expect(201);
    let url = format!("/api/v1/leads/{}", lead["id"].as_str().expect("an id"));
    let kept = send(&kari, Method::PATCH, &url, json!({})).await.expect(200);
    assert_eq!(without(&kept, "updated_at"), without(&lead, "updated_at"));
    let clear = json!({ "customer_phone": null, "assigned_to": null, "vehicle_interest": " " });
    let cleared = send(&kari, Method::PATCH, &url, clear).await.expect(200);
    for field in ["customer_phone", "customer_phone_e164", "assigned_to", "assigned_user", "vehicle_interest"] {
        assert!(cleared[field].is_null(), "{field}");
    }
    assert_eq!(
        (&cleared["customer_name"], &cleared["source_metadata"]),
        (&lead["customer_name"], &lead["source_metadata"])
    );
    // What a form sends for inputs that nobody touched.
    let untouched = json!({ "status": " ", "lead_score": "", "source_metadata": "" });
    let saved = send(&kari, Method::PATCH, &url, untouched).await.expect(200);
    assert_eq!(without(&saved, "updated_at"), without(&cleared, "updated_at"));
    let refused = json!({ "status": null, "lead_score": null, "source_metadata": null });
    let problem = send(&kari, Method::PATCH, &url, refused).await.expect_problem(422, "invalid-input");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(3));
}

fn without(value: &Value, field: &str) -> Value {
    let mut value = value.clone();
    value.as_object_mut().expect("an object").remove(field);
    value
}

#[tokio::test]
async fn an_assignee_of_another_dealership_is_a_clear_problem() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let lead = oslo.lead("Ola Nordmann").await;
    let theirs = json!({ "assigned_to": bergen.admin().id, "customer_email": "ola@example.no" });
    for (method, url) in
        [(Method::POST, "/api/v1/leads".to_owned()), (Method::PATCH, format!("/api/v1/leads/{}", lead.id))]
    {
        let problem = send(&oslo.admin(), method, &url, theirs.clone()).await.expect_problem(422, "invalid-input");
        assert_eq!(problem["errors"][0]["field"], "assigned_to");
    }
    let reply = json!({ "lead_id": lead.id, "message_content": "Hei", "channel": "email" });
    send(&bergen.admin(), Method::POST, "/api/v1/conversations", reply).await.expect_problem(404, "lead-not-found");
}

#[tokio::test]
async fn a_suspended_member_gets_no_lead_and_keeps_what_they_have() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, jonas) = (oslo.admin(), oslo.member("jonas", "org:member").await);
    let mine = json!({ "customer_email": "ola@example.no", "assigned_to": jonas.id });
    let theirs = send(&kari, Method::POST, "/api/v1/leads", mine.clone()).await.expect(201);
    let nobodys = oslo.lead("Ola Nordmann").await;
    app.connect().await.execute("UPDATE users SET suspended = clerk_user_id LIKE '%jonas'").await.expect("a statement");
    let nobodys = format!("/api/v1/leads/{}", nobodys.id);
    for (method, url) in [(Method::POST, "/api/v1/leads"), (Method::PATCH, nobodys.as_str())] {
        let problem = send(&kari, method, url, mine.clone()).await.expect_problem(422, "invalid-input");
        assert_eq!(problem["errors"][0]["field"], "assigned_to");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("suspended")), "{problem:#}");
    }
    // The whole lead is sent back, as the dashboard does.
    let url = format!("/api/v1/leads/{}", theirs["id"].as_str().expect("an id"));
    let mut whole = theirs.clone();
    whole["status"] = json!("contacted");
    let saved = send(&kari, Method::PATCH, &url, whole).await.expect(200);
    assert_eq!((&saved["status"], &saved["assigned_to"]), (&json!("contacted"), &json!(jonas.id)));
}

#[tokio::test]
async fn a_lead_keeps_a_way_to_reach_the_customer() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let both = json!({ "customer_email": "ola@example.no", "customer_phone": "912 34 567" });
    let lead = send(&kari, Method::POST, "/api/v1/leads", both).await.expect(201);
    let url = format!("/api/v1/leads/{}", lead["id"].as_str().expect("an id"));
    let neither = json!({ "customer_email": null, "customer_phone": " ", "status": "won" });
    send(&kari, Method::PATCH, &url, neither.clone()).await.expect_problem(422, "invalid-input");
    assert_eq!(kari.get(&url).await.expect(200), lead, "nothing of it was done");
    send(&kari, Method::PATCH, &url, json!({ "customer_phone": null })).await.expect(200);
    let last = send(&kari, Method::PATCH, &url, json!({ "customer_email": "" })).await;
    let problem = last.expect_problem(422, "invalid-input");
    assert_eq!(problem["errors"][0]["field"], "customer_email");
    let swap = json!({ "customer_email": null, "customer_phone": "+47 987 65 432" });
    send(&kari, Method::PATCH, &url, swap).await.expect(200);
    // One that came without either can be worked on all the same.
    let without = NewLead { customer_email: None, ..new_lead() };
    let without = format!("/api/v1/leads/{}", oslo.lead_with(without).await.id);
    assert_eq!(send(&kari, Method::PATCH, &without, neither).await.expect(200)["status"], "won");
}

#[tokio::test]
async fn bad_input_is_told_whole() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let wrong = json!({
        "customer_email": "kari", "customer_phone": "ring meg", "source": "fax", "status": 7, "lead_score": 101,
        "customer_name": "x".repeat(201), "initial_message": "a\u{0}b", "assigned_to": "jonas", "source_metadata": [],
        "vehicle_interest": { "make": "Tesla" },
    });
    let problem = send(&kari, Method::POST, "/api/v1/leads", wrong).await.expect_problem(422, "invalid-input");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(10), "{problem:#}");
    let nobody = send(&kari, Method::POST, "/api/v1/leads", json!({ "customer_name": "Ola" })).await;
    assert_eq!(nobody.expect_problem(422, "invalid-input")["errors"][0]["field"], "customer_email");

    let post = |body: &'static str| kari.request(Method::POST, "/api/v1/leads").body(body);
    Answer::of(post("{}").header("content-type", "text/plain")).await.expect_problem(415, "not-json");
    Answer::of(post("{}")).await.expect_problem(415, "not-json");
    let json = |body| Answer::of(post(body).header("content-type", "application/json; charset=utf-8"));
    let broken = json("{\n \"customer_name\": ").await.expect_problem(400, "unreadable-request");
    assert!(broken["detail"].as_str().is_some_and(|detail| detail.contains("line 2")));
    json("[]").await.expect_problem(400, "unreadable-request");
}

#[tokio::test]
async fn the_dealership_and_its_people() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, jonas) = (oslo.admin(), oslo.member("jonas", "org:manager").await);
    app.dealership("VW Bergen").await;

    let users = jonas.get("/api/v1/users").await.expect(200);
    let names: Vec<_> = users.as_array().expect("a bare array").iter().map(|user| user["name"].as_str()).collect();
    assert_eq!(names, [Some("admin of Tesla Oslo"), Some("jonas of Tesla Oslo")]);
    assert_eq!(users[1]["notification_preferences"], json!({ "sms": true, "email": true }));

    let change = json!({ "email": "salg@tesla-oslo.no", "phone": "22 12 34 56", "address": "Økernveien 115" });
    send(&jonas, Method::PATCH, "/api/v1/dealership", change.clone()).await.expect_problem(403, "forbidden");
    let changed = send(&kari, Method::PATCH, "/api/v1/dealership", change).await.expect(200);
    assert_eq!(changed, jonas.get("/api/v1/dealership").await.expect(200));
    assert_eq!((&changed["name"], &changed["address"]), (&json!("Tesla Oslo"), &json!("Økernveien 115")));
    send(&kari, Method::PATCH, "/api/v1/dealership", json!({ "email": null }))
        .await
        .expect_problem(422, "invalid-input");
    assert_eq!(app.count("SELECT count(*) FROM dealerships WHERE email = 'salg@tesla-oslo.no'").await, 1);
}

#[tokio::test]
async fn vehicles_and_rules_come_and_go() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let (kari, jonas) = (oslo.admin(), oslo.member("jonas", "org:member").await);
    let car =
        json!({ "make": "Tesla", "model": "Model Y", "year": 2024, "vin": "5yjygdee0mf123456", "price": 489_900 });
    let rule = json!({ "name": "Nattsvar", "trigger_type": "lead.created", "actions": [{ "type": "send_email" }] });
    let vehicle_patch = json!({ "status": "reserved", "price": null });
    for (path, missing, new, patch) in [
        ("/api/v1/vehicles", "vehicle-not-found", car.clone(), vehicle_patch),
        ("/api/v1/automation-rules", "automation-rule-not-found", rule, json!({ "is_active": false })),
    ] {
        send(&jonas, Method::POST, path, new.clone()).await.expect_problem(403, "forbidden");
        let answer = send(&kari, Method::POST, path, new).await;
        let url = answer.headers["location"].to_str().expect("printable").to_owned();
        let created = answer.expect(201);
        assert_eq!(jonas.get(&url).await.expect(200), created);
        let page = jonas.get(path).await.expect(200);
        assert_eq!(page, json!({ "items": [created], "total": 1, "page": 1, "pages": 1, "limit": 25 }));
        let changed = send(&kari, Method::PATCH, &url, patch.clone()).await.expect(200);
        for (field, value) in patch.as_object().expect("an object") {
            assert_eq!(&changed[field], value);
        }
        bergen.admin().get(&url).await.expect_problem(404, missing);
        for method in [Method::PATCH, Method::DELETE] {
            send(&bergen.admin(), method.clone(), &url, json!({})).await.expect_problem(404, missing);
            send(&jonas, method, &url, json!({})).await.expect_problem(403, "forbidden");
        }
        assert_eq!(bergen.admin().get(path).await.expect(200)["total"], 0);
        if path.ends_with("vehicles") {
            assert_eq!(created["vin"], "5YJYGDEE0MF123456");
            let twice = send(&kari, Method::POST, path, car.clone()).await.expect_problem(422, "invalid-input");
            assert_eq!(twice["errors"][0]["field"], "vin");
            send(&bergen.admin(), Method::POST, path, car.clone()).await.expect(201);
            assert_eq!(kari.get(&format!("{path}?status=sold")).await.expect(200)["total"], 0);
        }
        send(&kari, Method::DELETE, &url, json!({})).await.expect(204);
        kari.get(&url).await.expect_problem(404, missing);
    }
    let wrong =
        json!({ "make": "", "model": 3, "year": 1700, "vin": "IOQ", "price": -1, "mileage": 1.5, "status": "lost" });
    let problem = send(&kari, Method::POST, "/api/v1/vehicles", wrong).await.expect_problem(422, "invalid-input");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(7), "{problem:#}");
}

#[tokio::test]
async fn a_source_gives_its_leads_to_nobody_who_is_suspended() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let (kari, jonas) = (oslo.admin(), oslo.member("jonas", "org:member").await);
    let path = "/api/v1/lead-sources";
    let form = |to: &str| json!({ "kind": "form", "name": "Kampanje", "assigned_to": to });
    let url = |source: &Value| format!("{path}/{}", source["id"].as_str().expect("an id"));
    let his = send(&kari, Method::POST, path, form(&jonas.id.to_string())).await.expect(201);
    let nobodys = send(&kari, Method::POST, path, form("")).await.expect(201);
    app.connect().await.execute("UPDATE users SET suspended = clerk_user_id LIKE '%jonas'").await.expect("a statement");
    for (assignee, word) in [(jonas.id, "suspended"), (bergen.admin().id, "must be a member")] {
        let body = form(&assignee.to_string());
        for (method, url) in [(Method::POST, path), (Method::PATCH, url(&nobodys).as_str())] {
            let problem = send(&kari, method, url, body.clone()).await.expect_problem(422, "invalid-input");
            assert_eq!(problem["errors"][0]["field"], "assigned_to");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(word)), "{problem:#}");
        }
    }
    // The whole source is sent back, as the dashboard does.
    let mut whole = his.clone();
    whole["name"] = json!("Forsiden");
    let saved = send(&kari, Method::PATCH, &url(&his), whole).await.expect(200);
    assert_eq!((&saved["name"], &saved["assigned_to"]), (&json!("Forsiden"), &json!(jonas.id)));
}

/// What a client keeps with a lead or a rule comes back as it was, whatever its own language makes of numbers.
#[tokio::test]
async fn numbers_keep_their_digits() {
    let app = TestApp::start().await;
    let admin = app.dealership("Tesla Oslo").await.admin();
    let numbers = r#"{"big":12345678901234567890123456789,"decimal":0.10000000000000000000000000001,"id":18446744073709551617,"price":199.90}"#;
    let send = async |method: Method, path: &str, body: String| {
        let request = admin.request(method, path).header("content-type", "application/json").body(body);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    // As `jsonb` writes it: shorter names first, and a blank after each comma and colon, or none of them.
    let holds = |text: &str| {
        let compact = text.replace(": ", ":").replace(", ", ",");
        for number in numbers.trim_matches(['{', '}']).split(',') {
            assert!(compact.contains(number), "{number} in {text}");
        }
    };
    let lead = format!(r#"{{"customer_email":"ola@example.no","source_metadata":{numbers}}}"#);
    let rule =
        format!(r#"{{"name":"x","trigger_type":"lead.created","trigger_conditions":{numbers},"actions":[{numbers}]}}"#);
    for (path, body, fields) in [
        ("/api/v1/leads", lead, vec![("source_metadata", "{\"n\":NUMBER}")]),
        (
            "/api/v1/automation-rules",
            rule,
            vec![("trigger_conditions", "{\"n\":NUMBER}"), ("actions", "[{\"n\":NUMBER}]")],
        ),
    ] {
        let (status, created) = send(Method::POST, path, body.clone()).await;
        assert_eq!(status, 201, "{created}");
        holds(&created);
        let id = serde_json::from_str::<Value>(&created).expect("JSON")["id"].as_str().expect("an id").to_owned();
        let one = format!("{path}/{id}");
        holds(&send(Method::GET, &one, String::new()).await.1);
        holds(&send(Method::GET, path, String::new()).await.1);
        for (field, shape) in fields {
            let with = |number: &str| format!("{{\"{field}\":{}}}", shape.replace("NUMBER", number));
            let (status, changed) = send(Method::PATCH, &one, with("1e400")).await;
            assert_eq!(status, 200, "{changed}");
            assert!(changed.contains(&format!("1{}", "0".repeat(400))), "{changed}");
            for number in ["1e131073", "1e-16384", "1e999999999999999999999", "-1e-999999999999999999999", "1e20000"] {
                let (status, problem) = send(Method::PATCH, &one, with(number)).await;
                assert_eq!(status, 422, "{number}: {problem}");
                let problem: Value = serde_json::from_str(&problem).expect("JSON");
                assert_eq!(problem["errors"][0]["field"], field, "{problem}");
            }
        }
    }
    // Where text or a small number belongs, the field is named as well.
    for field in ["customer_name", "lead_score"] {
        let (status, problem) =
            send(Method::POST, "/api/v1/leads", format!(r#"{{"customer_email":"a@b.no","{field}":1e400}}"#)).await;
        assert_eq!((status, problem.contains(&format!("\"field\":\"{field}\""))), (422, true), "{problem}");
    }
}
