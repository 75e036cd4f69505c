//! Two servers, and an operator who types.

use std::{env, fs, io::Read, path::PathBuf, process::Stdio};

use common::{
    clerk::receive,
    clock::Clock,
    lead_sources,
    outbox::{self, SuppressionReason},
};
use flate2::read::GzDecoder;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use sqlx::Executor;
use tests::{
    answer::Answer,
    app::{Dealership, NewLead, SECRETS_KEYS, TestApp, email, new_lead, phone},
    binaries::binary,
    clerk_events,
};
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::cli::{Ran, norvalt};

/// Where an operator types `norvalt dealership`.
#[derive(Clone)]
pub(super) struct Server {
    url: String,
    keys: Option<&'static str>,
}

impl Server {
    pub(super) fn of(app: &TestApp) -> Self {
        Self { url: app.database_url.clone(), keys: Some(SECRETS_KEYS) }
    }

    pub(super) fn without_keys(&self) -> Self {
        Self { keys: None, ..self.clone() }
    }

    async fn types(&self, arguments: &[&str]) -> Ran {
        let mut environment = vec![("DATABASE_URL", self.url.as_str()), ("USER", "odd")];
        environment.extend(self.keys.map(|keys| ("SECRETS_KEYS", keys)));
        norvalt(&[&["dealership"], arguments].concat(), &environment).await
    }

    pub(super) async fn does(&self, arguments: &[&str]) -> String {
        let ran = self.types(arguments).await;
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{arguments:?}: {}", ran.out);
        ran.out
    }

    /// Whether it was done.
    pub(super) async fn tries(&self, arguments: &[&str]) -> bool {
        self.types(arguments).await.code == Some(0)
    }

    pub(super) async fn refuses(&self, arguments: &[&str], because: &str) {
        let ran = self.types(arguments).await;
        assert!(
            ran.code == Some(1) && ran.err.contains(because),
            "{arguments:?}: {:?} {}{}",
            ran.code,
            ran.err,
            ran.out
        );
    }

    pub(super) async fn code(&self, arguments: &[&str]) -> String {
        let said = self.does(&[arguments, &["--json"]].concat()).await;
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        said["code"].as_str().expect("a code").to_owned()
    }

    pub(super) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(binary("norvalt"));
        command.arg("dealership").args(arguments).env_clear().env("DATABASE_URL", &self.url);
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("the binary runs")
    }
}

/// A file that is not there yet, and goes with this value.
pub(super) struct Archive(PathBuf);

pub(super) fn archive() -> Archive {
    Archive(env::temp_dir().join(format!("norvalt-{}.archive", Uuid::new_v4())))
}

impl Archive {
    pub(super) fn to_str(&self) -> &str {
        self.0.to_str().expect("text")
    }

    pub(super) fn exists(&self) -> bool {
        self.0.exists()
    }

    pub(super) fn lines(&self) -> String {
        let mut lines = String::new();
        GzDecoder::new(fs::File::open(&self.0).expect("it is there")).read_to_string(&mut lines).expect("it is whole");
        lines
    }

    pub(super) fn write(&self, bytes: &[u8]) {
        fs::write(&self.0, bytes).expect("it is ours");
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        fs::read(&self.0).expect("it is there")
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        // It may never have been written.
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_file(format!("{}.part", self.to_str()));
    }
}

/// A dealership with something of everything.
pub(super) async fn fill<'a>(app: &'a TestApp, name: &str) -> Dealership<'a> {
    let oslo = app.dealership(name).await;
    let (kari, jonas) = (oslo.admin(), oslo.member("jonas", "org:member").await);
    let odd = "tab\there, \"quotes\", \\backslash\\, line\nbreak, æøå 日本 🚗 \u{1}";
    let lead = oslo
        .lead_with(NewLead {
            assigned_to: Some(jonas.id),
            customer_name: Some(odd.to_owned()),
            customer_email: Some(email("ola@example.no")),
            customer_phone: Some(phone("+4791234567")),
            created_at: Some(Clock::system().now() - chrono::TimeDelta::days(40)),
            ..new_lead()
        })
        .await;
    oslo.answer(lead.id, odd, None).await;
    let patch = json!({ "status": "contacted" });
    Answer::of(kari.request(Method::PATCH, &format!("/api/v1/leads/{}", lead.id)).json(&patch)).await.expect(200);
    for (path, body) in [
        ("/api/v1/vehicles", json!({ "make": "VW", "model": "ID.4", "year": 2024, "vin": "WVWZZZE1ZMP000001" })),
        (
            "/api/v1/automation-rules",
            json!({ "name": "Purr", "trigger_type": "no_response", "trigger_conditions": {}, "actions": [] }),
        ),
        ("/api/v1/leads", json!({ "customer_name": "Siri", "customer_email": "siri@example.no" })),
        ("/api/v1/leads", json!({ "customer_name": "Siri", "customer_email": "siri@jobb.example" })),
    ] {
        Answer::of(kari.request(Method::POST, path).json(&body)).await.expect(201);
    }
    let account = json!({ "provider": "resend", "from": "salg@nord.example", "api_key": "re_hunter2" });
    Answer::of(kari.request(Method::PUT, "/api/v1/dealership/sending/email").json(&account)).await.expect(200);
    let answers = json!({ "tone": "vennlig", "mode": "off" });
    Answer::of(kari.request(Method::PATCH, "/api/v1/dealership/answers").json(&answers)).await.expect(200);
    Answer::of(kari.request(Method::DELETE, "/api/v1/dealership/sending/email")).await.expect(204);
    Answer::of(kari.request(Method::PUT, "/api/v1/dealership/sending/sms").json(&json!({
        "provider": "twilio", "from": "+4759440099", "account_sid": format!("AC{:032}", 1), "auth_token": "hunter2",
    })))
    .await
    .expect(200);
    merge(&kari).await;
    come_in(app, &oslo).await;
    let page =
        json!({ "page_id": format!("1234{}", oslo.name.len()), "page_name": "Bil", "page_token": "EAABhunter2" });
    let page =
        Answer::of(kari.request(Method::POST, "/api/v1/lead-sources/facebook/connect").json(&page)).await.expect(200);
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    let source = page["id"].as_str().expect("an id").parse().expect("a UUID");
    lead_sources::confirm_page(&mut tx, source, page["key"].as_str().expect("a key")).await.expect("nobody has it");
    lead_sources::count_facebook_leads(&mut tx, source, &[("1".to_owned(), Clock::system().now())])
        .await
        .expect("it is there");
    let channel = common::conversations::Channel::Sms;
    outbox::suppress(&mut tx, channel, "+4791234567", SuppressionReason::OptOut).await.expect("the database is there");
    tx.commit().await.expect("the database is there");
    // What no door writes: a JSON null, leads that were counted.
    let odd = "UPDATE leads SET source_metadata = 'null' WHERE customer_name = 'Siri';
               UPDATE jobs SET state = 'dead', finished_at = now(), attempts = 12 WHERE kind = 'facebook.connect_page';
               UPDATE dealerships SET leads_counted = 1, leads_counted_before = now() - interval '30 days'";
    app.connect().await.execute(odd).await.expect("valid");
    oslo
}

/// Two records of a customer turn out to be one person.
async fn merge(kari: &tests::app::Person<'_>) {
    let found = async |address: &str| {
        let page = kari.get(&format!("/api/v1/customers?email={address}")).await.expect(200);
        page["items"][0]["id"].as_str().expect("an id").to_owned()
    };
    let (one, other) = (found("siri@example.no").await, found("siri@jobb.example").await);
    let merge = json!({ "customer_id": other, "dry_run": false });
    Answer::of(kari.request(Method::POST, &format!("/api/v1/customers/{one}/merge")).json(&merge)).await.expect(200);
}

/// To a form, from an address that nobody else has: one client may send a hundred at once.
pub(super) fn fill_in(app: &TestApp, form: &str) -> RequestBuilder {
    let [a, b, c, ..] = Uuid::new_v4().into_bytes();
    app.request(Method::POST, form).header("x-forwarded-for", format!("10.{a}.{b}.{c}"))
}

/// Inquiries, one of them twice and one that waits for a worker, and an event of Clerk that nobody has processed.
async fn come_in(app: &TestApp, oslo: &Dealership<'_>) {
    let form = format!("/webhooks/form/{}", oslo.id);
    for nonce in ["a", "b", "b"] {
        let inquiry = json!({ "email": format!("{nonce}@example.no"), "message": "Hei", "_nonce": nonce });
        Answer::of(fill_in(app, &form).json(&inquiry)).await.expect(200);
    }
    let robot = json!({ "email": "robot@example.no", "message": "Parkert", "_gotcha": "x" });
    Answer::of(fill_in(app, &form).json(&robot)).await.expect(200);
    let event = clerk_events::organization("organization.updated", oslo.org.as_str(), &oslo.name, 2).to_string();
    let svix_id = format!("msg_{}", oslo.org);
    receive(&app.db, None, &clerk_events::delivery(&svix_id, &event)).await.expect("the database is there");
}
