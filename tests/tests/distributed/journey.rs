//! Everything that people of a dealership can do, and what Clerk says of them.

mod accounts;

use std::time::Duration;

use super::reads::fill;
use chrono::TimeDelta;
use common::{
    answers::{self, AssistantReply, Means, gate::Draft},
    audit::{Operator, Via},
    clerk::{Change, purge},
    clock::Clock,
    conversations::Channel,
    db::TenantForJob,
    ids::{ClerkOrgId, DealershipId, OutboxId},
    intake,
    language::Language,
    notifications::{self, By},
    outbox::{self, Report, ReportKind, SuppressionReason, Way},
    restored,
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;
use tests::{
    answer::Answer,
    app::{Dealership, Person, TestApp, new_lead},
    clerk_events::deleted,
};

use super::assistant;

const MOMENT: Duration = Duration::from_secs(1);

/// Goes through all of it once, beside another dealership of which nothing is ever seen.
pub(super) async fn walk(app: &TestApp) {
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    bergen.lead("Nobodys").await;
    fill(app, oslo.id).await;
    let (admin, jonas) = (oslo.admin(), oslo.member("jonas", "org:member").await);

    let lead = oslo.lead("Ola Nordmann").await;
    let path = format!("/api/v1/leads/{}", lead.id);
    let given = json!({ "status": "contacted", "assigned_to": jonas.id, "lead_score": 80 });
    ask(&admin, Method::PATCH, &path, Some(given), 200).await;
    let message = json!({ "lead_id": lead.id, "message_content": "Hei!", "channel": "email" });
    let message = ask(&jonas, Method::POST, "/api/v1/conversations", Some(message), 201).await;
    let before = message["id"].as_str().expect("an id");
    admin.get(&format!("{path}/conversations")).await.expect(200);
    admin.get(&format!("{path}/conversations?before={before}")).await.expect(200);
    let history = admin.get(&format!("{path}/history")).await.expect(200);
    let change = history[0]["id"].as_str().expect("an id");
    admin.get(&format!("{path}/history?before={change}")).await.expect(200);
    admin.get(&format!("{path}/related")).await.expect(200);
    pages(&admin, &jonas).await;
    sources(app, oslo.id, &admin).await;
    accounts::facebook_login(app, oslo.id, &admin).await;
    customers(&admin).await;
    messages(app, &oslo, &admin).await;
    accounts::own(app, oslo.id, &admin).await;
    let body = json!({ "lead_id": lead.id, "message_content": "Hei!", "channel": "email" });
    ask(&admin, Method::POST, "/api/v1/conversations/preview", Some(body), 200).await;

    let vehicle = json!({ "make": "VW", "model": "ID.4", "year": 2024, "vin": "WVWZZZE1ZMP000001" });
    keep(&admin, "/api/v1/vehicles", vehicle, json!({ "status": "sold" })).await;
    let rule = json!({ "name": "Purr", "trigger_type": "no_response", "trigger_conditions": {}, "actions": [] });
    keep(&admin, "/api/v1/automation-rules", rule, json!({ "is_active": false })).await;
    ask(&admin, Method::PATCH, "/api/v1/dealership", Some(json!({ "email": "post@tesla.example" })), 200).await;
    admin.get("/api/v1/dealership").await.expect(200);
    admin.get("/api/v1/me").await.expect(200);
    let quiet = json!({ "notification_preferences": { "events": { "new_lead": true } } });
    ask(&admin, Method::PATCH, "/api/v1/me", Some(quiet), 200).await;
    // A session without an organization.
    app.get_with(&admin.session().mint(&app.clerk.key()), "/api/v1/me").await.expect(200);
    let members = admin.get("/api/v1/users").await.expect(200);
    let first = members[0]["id"].as_str().expect("an id");
    admin.get(&format!("/api/v1/users?after={first}")).await.expect(200);

    let other = oslo.lead("Kari Nordmann").await;
    oslo.lead_with(tests::app::NewLead { created_at: Some(Clock::system().now() - TimeDelta::days(3)), ..new_lead() })
        .await;
    ask(&admin, Method::DELETE, &format!("/api/v1/leads/{}", other.id), None, 204).await;
    common::leads::count(&app.db).await.expect("the database is there");
    assert!(matches!(app.db.tenant_for_job(oslo.id, MOMENT).await, Ok(TenantForJob::Open(_))));
    restored::hold(&app.db, &Operator::new("tests", Via::Command)).await.expect("the database is there");
    leave(app, &oslo.org, &jonas).await;
    assert!(admin.get(&path).await.expect(200)["assigned_to"].is_null());
    close(app, &oslo.org).await;
    assert_eq!(bergen.admin().get("/api/v1/leads").await.expect(200)["total"], 1);
}

async fn ask(person: &Person<'_>, method: Method, path: &str, body: Option<Value>, expected: u16) -> Value {
    // Only those of POST have a meaning.
    let request = person.request(method, path).header("idempotency-key", uuid::Uuid::now_v7().to_string());
    Answer::of(body.into_iter().fold(request, |request, body| request.json(&body))).await.expect(expected)
}

/// Inquiries come in, and are looked up and decided on.
async fn sources(app: &TestApp, oslo: DealershipId, admin: &Person<'_>) {
    let list = admin.get("/api/v1/lead-sources").await.expect(200);
    let form = list.as_array().expect("a list").iter().find(|source| source["kind"] == "form").expect("each has one");
    let key = form["key"].as_str().expect("a key");
    let post = format!("/webhooks/form/{key}");
    let inquiry =
        json!({ "name": "Per", "email": "per@example.no", "phone": "91234567", "message": "Hei", "_nonce": "n" });
    let first = Answer::of(app.request(Method::POST, &post).json(&inquiry)).await.expect(200);
    Answer::of(app.request(Method::POST, &post).json(&inquiry)).await.expect(200);
    let more = json!({ "email": "per@example.no", "message": "Er den solgt?" });
    Answer::of(app.request(Method::POST, &post).json(&more)).await.expect(200);
    let more = Answer::of(app.request(Method::POST, &post).json(&more)).await.expect(200);
    admin.get(&format!("/api/v1/leads/{}", more["lead_id"].as_str().expect("an id"))).await.expect(200);
    let lead = first["lead_id"].as_str().expect("an id");
    for message in ["Parkert", "Avvist"] {
        let robot = json!({ "email": "robot@example.no", "message": message, "_gotcha": "x" });
        Answer::of(app.request(Method::POST, &post).json(&robot)).await.expect(200);
    }
    let parked = admin.get("/api/v1/inbound?status=parked&source=form").await.expect(200);
    let id = |place: usize| parked[place]["id"].as_i64().expect("an id");
    admin.get(&format!("/api/v1/inbound?before={}", id(0))).await.expect(200);
    admin.get(&format!("/api/v1/inbound/{}", id(0))).await.expect(200);
    ask(admin, Method::POST, &format!("/api/v1/inbound/{}/accept", id(0)), None, 200).await;
    let rejected = admin.request(Method::POST, &format!("/api/v1/inbound/{}/reject", id(1)));
    Answer::of(rejected).await.expect(204);
    admin.get("/api/v1/inbound/ledger").await.expect(200);
    ask(admin, Method::DELETE, &format!("/api/v1/leads/{lead}"), None, 204).await;
    let new = json!({ "kind": "form", "name": "Kampanje" });
    let made = ask(admin, Method::POST, "/api/v1/lead-sources", Some(new), 201).await;
    let one = format!("/api/v1/lead-sources/{}", made["id"].as_str().expect("an id"));
    admin.get(&one).await.expect(200);
    ask(admin, Method::PATCH, &one, Some(json!({ "name": "Høst", "assigned_to": admin.id })), 200).await;
    ask(admin, Method::POST, &format!("{one}/rotate-key"), Some(json!({ "keep_days": 7 })), 200).await;
    ask(admin, Method::DELETE, &one, None, 204).await;
    let mut tx = app.db.tenant(oslo).await.expect("the database is there");
    let id = form["id"].as_str().expect("an id").parse().expect("a UUID");
    let known = common::lead_sources::know_as(&mut tx, common::lead_sources::SourceKind::Form, "oslo", id);
    known.await.expect("nobody has the key");
    tx.commit().await.expect("the database is there");
    for _ in 0..2 {
        let page = json!({ "page_id": "1234", "page_name": "Bil Vest", "page_token": "EAAB" });
        let page = ask(admin, Method::POST, "/api/v1/lead-sources/facebook/connect", Some(page), 200).await;
        let id = page["id"].as_str().expect("an id").parse().expect("a UUID");
        let mut tx = app.db.tenant(oslo).await.expect("the database is there");
        common::lead_sources::confirm_page(&mut tx, id, "1234").await.expect("nobody has it");
        let listed = [("1".to_owned(), chrono::DateTime::UNIX_EPOCH)];
        common::lead_sources::count_facebook_leads(&mut tx, id, &listed).await.expect("it is there");
        common::lead_sources::mark_broken(&mut tx, id, "the token has expired").await.expect("it is there");
        tx.commit().await.expect("the database is there");
    }
}

/// Leads are answered, and what goes out is heard of again.
async fn messages(app: &TestApp, oslo: &Dealership<'_>, admin: &Person<'_>) {
    let settings = "/api/v1/dealership/answers";
    ask(admin, Method::PATCH, settings, Some(json!({ "tone": "vennlig" })), 200).await;
    admin.get(settings).await.expect(200);
    let lead = oslo.lead("Eva").await.id;
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    let means = Means { email: true, sms: true, model: Some("m") };
    let asked = answers::prepare(&mut tx, lead, 1, means).await.expect("it is there").expect("there is time");
    let draft = Draft {
        language: Language::Nb,
        reply: "Takk for henvendelsen! En av oss svarer deg snart.".to_owned(),
        intent: "question".to_owned(),
        score: 70,
        score_reasons: vec!["asks about a car".to_owned()],
    };
    let came_back =
        AssistantReply::Written { text: "{}".to_owned(), model: "m".to_owned(), tokens: (1, 1), verdict: Ok(draft) };
    answers::finish(&mut tx, lead, 1, means, &asked.facts, came_back).await.expect("it is there");
    answers::customer_wrote(&mut tx, lead).await.expect("it is there");
    tx.commit().await.expect("the database is there");
    assistant::suggested(app, oslo, admin).await;
    sent(app, oslo, admin).await;
    overtaken(app, oslo, admin).await;
    told(app, oslo).await;

    ask(admin, Method::PATCH, settings, Some(json!({ "mode": "draft" })), 200).await;
    let drafted = oslo.lead("Ola").await.id;
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    let prepared = answers::prepare(&mut tx, drafted, 1, Means { model: None, ..means }).await.expect("it is there");
    assert!(prepared.is_none(), "the template was drafted");
    tx.commit().await.expect("the database is there");
    admin.get(&format!("/api/v1/leads/{drafted}/answers")).await.expect(200);
    ask(admin, Method::POST, &format!("/api/v1/leads/{drafted}/draft"), Some(json!({ "message_content": "Hei" })), 201)
        .await;
    texts(app, oslo, admin).await;
    assistant::sorted(app, oslo).await;
}

/// The sending that was written down last.
async fn latest(app: &TestApp) -> OutboxId {
    let mut superuser = app.connect().await;
    let id: uuid::Uuid =
        sqlx::query_scalar("SELECT id FROM outbox ORDER BY created_at DESC, message_id IS NULL LIMIT 1")
            .fetch_one(&mut superuser)
            .await
            .expect("there is one");
    id.into()
}

async fn sent(app: &TestApp, oslo: &Dealership<'_>, admin: &Person<'_>) {
    let way = Way { domain: "norvalt.example", is_idempotent: false };
    let id = latest(app).await;
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    assert_eq!(outbox::wait_for_turn(&mut tx, id, 60).await.expect("it is there"), None);
    for _ in 0..2 {
        assert!(outbox::take(&mut tx, id, way).await.expect("it is there").is_some());
        outbox::mark_not_taken(&mut tx, id, Duration::from_secs(1), "away").await.expect("it is there");
    }
    outbox::take(&mut tx, id, way).await.expect("it is there");
    outbox::mark_in_doubt(&mut tx, id, "smtp", "cut").await.expect("it is there");
    tx.commit().await.expect("the database is there");
    let mut superuser = app.connect().await;
    let message: uuid::Uuid = sqlx::query_scalar("SELECT message_id FROM outbox WHERE id = $1")
        .bind(uuid::Uuid::from(id))
        .fetch_one(&mut superuser)
        .await
        .expect("it is there");
    ask(admin, Method::POST, &format!("/api/v1/conversations/{message}/send-again"), None, 200).await;
    let again = latest(app).await;
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    outbox::take(&mut tx, again, way).await.expect("it is there");
    outbox::mark_accepted(&mut tx, again, "smtp", None, true).await.expect("it is there");
    let report = Report { outbox: again, kind: ReportKind::HardBounce, reason: None };
    assert!(outbox::report(&mut tx, &report).await.expect("it is there"));
    outbox::lift(&mut tx, Channel::Email, "kunde@example.no", SuppressionReason::Bounce).await.expect("it is there");
    tx.commit().await.expect("the database is there");
    superuser.execute("DELETE FROM suppressions").await.expect("a superuser may");
}

/// A person answers while the provider is asked to take an automatic answer, and does not take it.
async fn overtaken(app: &TestApp, oslo: &Dealership<'_>, admin: &Person<'_>) {
    let lead = oslo.lead("Per").await.id;
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    let means = Means { email: true, sms: true, model: None };
    assert!(answers::prepare(&mut tx, lead, 1, means).await.expect("it is there").is_none(), "the template answered");
    tx.commit().await.expect("the database is there");
    let automatic = latest(app).await;
    let way = Way { domain: "norvalt.example", is_idempotent: true };
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    assert!(outbox::take(&mut tx, automatic, way).await.expect("it is there").is_some());
    outbox::mark_retrying(&mut tx, automatic, Duration::from_secs(1), "cut").await.expect("it is there");
    tx.commit().await.expect("the database is there");
    let reply = json!({ "lead_id": lead, "message_content": "Hei", "channel": "email" });
    ask(admin, Method::POST, "/api/v1/conversations", Some(reply), 201).await;
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    outbox::mark_not_taken(&mut tx, automatic, Duration::from_secs(1), "away").await.expect("it is there");
    assert!(outbox::take(&mut tx, automatic, way).await.expect("it is there").is_none(), "it is withdrawn");
    tx.commit().await.expect("the database is there");
}

/// People of the dealership.
async fn told(app: &TestApp, oslo: &Dealership<'_>) {
    let mut superuser = app.connect().await;
    superuser.execute("UPDATE users SET phone = '+4792345678'").await.expect("a superuser may");
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    for customer in ["Uten svar", "Heller ikke"] {
        let lead = oslo.lead(customer).await.id;
        assert!(notifications::tell_if_unanswered(&mut tx, lead).await.expect("it is there"));
    }
    let bundled = notifications::bundle(&mut tx).await.expect("it is there");
    assert!(bundled.mails > 0 && bundled.texts > 0);
    tx.commit().await.expect("the database is there");
    let waits = "SELECT id FROM outbox WHERE user_id IS NOT NULL AND channel = 'email' AND status = 'queued' LIMIT 1";
    let notice: uuid::Uuid = sqlx::query_scalar(waits).fetch_one(&mut superuser).await.expect("there is one");
    let way = Way { domain: "norvalt.example", is_idempotent: true };
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    assert!(outbox::take(&mut tx, notice.into(), way).await.expect("it is there").is_some());
    notifications::forget(&mut tx, By::Email).await.expect("it is there");
    tx.commit().await.expect("the database is there");
}

async fn texts(app: &TestApp, oslo: &Dealership<'_>, admin: &Person<'_>) {
    let lead = tests::app::NewLead { customer_phone: "91234567".parse().ok(), ..new_lead() };
    let lead = oslo.lead_with(lead).await.id;
    let text = json!({ "lead_id": lead, "message_content": "Hei", "channel": "sms" });
    ask(admin, Method::POST, "/api/v1/conversations", Some(text), 201).await;
    let id = latest(app).await;
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    outbox::quiet_for(&mut tx, id).await.expect("it is there");
    let way = Way { domain: "sms.invalid", is_idempotent: false };
    outbox::take(&mut tx, id, way).await.expect("it is there");
    let nothing = common::conversations::DeliveryStatus::Delivered;
    outbox::doubt(&mut tx, &[nothing], "").await.expect("the database is there");
    tx.commit().await.expect("the database is there");
    let mut system = app.db.system().await.expect("the database is there");
    let body = b"MessageSid=SM1&From=%2B4791234567&Body=Er+den+ledig";
    assert_eq!(intake::receive_sms(&mut system, body, None).await.expect("it is there"), Some(true));
    system.commit().await.expect("the database is there");
    let mut superuser = app.connect().await;
    let delivery: i64 = sqlx::query_scalar("SELECT id FROM deliveries WHERE source = 'sms'")
        .fetch_one(&mut superuser)
        .await
        .expect("there is one");
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    intake::process_sms(&mut tx, delivery).await.expect("it is there");
    tx.commit().await.expect("the database is there");
}

/// Two records turn out to be one person, and then not to be.
async fn customers(admin: &Person<'_>) {
    for address in ["siri@example.no", "siri@jobb.example"] {
        let lead = json!({ "customer_name": "Siri", "customer_email": address });
        ask(admin, Method::POST, "/api/v1/leads", Some(lead), 201).await;
    }
    let leads = admin.get("/api/v1/leads?search=siri@jobb.example").await.expect(200);
    let lead = format!("/api/v1/leads/{}", leads["items"][0]["id"].as_str().expect("an id"));
    ask(admin, Method::PATCH, &lead, Some(json!({ "customer_phone": "98765432" })), 200).await;
    let list = admin.get("/api/v1/customers?email=siri@example.no").await.expect(200);
    admin.get("/api/v1/customers").await.expect(200);
    let other = admin.get("/api/v1/customers?email=siri@jobb.example").await.expect(200);
    let id = |page: &Value| page["items"][0]["id"].as_str().expect("an id").to_owned();
    let (id, other) = (id(&list), id(&other));
    let path = format!("/api/v1/customers/{id}");
    admin.get(&path).await.expect(200);
    for dry_run in [true, false] {
        let merge = json!({ "customer_id": other, "dry_run": dry_run });
        ask(admin, Method::POST, &format!("{path}/merge"), Some(merge), 200).await;
    }
    ask(admin, Method::POST, &format!("/api/v1/customers/{other}/unmerge"), None, 200).await;
    let part = json!({ "identities": [{ "kind": "email", "value": "siri@example.no" }] });
    ask(admin, Method::POST, &format!("{path}/split"), Some(part), 201).await;
}

/// Every filter, sort and part that there is.
async fn pages(admin: &Person<'_>, jonas: &Person<'_>) {
    for query in [
        String::new(),
        "?limit=1&offset=1".to_owned(),
        "?status=contacted&source=manual".to_owned(),
        format!("?assigned_to={}", jonas.id),
        "?assigned_to=none&created_from=2020-01-01&created_to=2090-01-01".to_owned(),
        "?search=ola%20nordmann".to_owned(),
    ] {
        admin.get(&format!("/api/v1/leads{query}")).await.expect(200);
    }
}

/// Something is made, looked at, changed and removed.
async fn keep(admin: &Person<'_>, path: &str, new: Value, change: Value) {
    let made = ask(admin, Method::POST, path, Some(new), 201).await;
    let one = format!("{path}/{}", made["id"].as_str().expect("an id"));
    admin.get(path).await.expect(200);
    admin.get(&one).await.expect(200);
    ask(admin, Method::PATCH, &one, Some(change), 200).await;
    ask(admin, Method::DELETE, &one, None, 204).await;
}

async fn leave(app: &TestApp, org: &ClerkOrgId, person: &Person<'_>) {
    let id = format!("orgmem_{org}_{}", person.user).parse().expect("printable");
    app.change(Change::MembershipDeleted { id, user: Some(person.user.clone()) }).await;
}

async fn close(app: &TestApp, org: &ClerkOrgId) {
    app.deliver("msg_closed", &deleted("organization.deleted", org.as_str(), 9_000)).await.expect(202);
    let mut tx = app.db.system().await.expect("the database is there");
    let id = app.count("SELECT id FROM deliveries WHERE external_id = 'msg_closed'").await;
    common::clerk::process(&mut tx, id).await.expect("it can be processed");
    assert!(purge(&mut tx, org).await.expect("it is closed"));
    tx.commit().await.expect("the database is there");
}
