//! Inquiries by mail, as ADF and from Facebook: each becomes exactly one lead, however often it comes.

mod adf;
mod facebook;
mod facebook_login;
mod mail;
mod property;
mod sorting;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{
    answer::Answer,
    app::{MAIL_SECRET, Person, TestApp},
};

/// A new source of a kind.
async fn source(person: &Person<'_>, kind: &str) -> Value {
    let new = person.request(Method::POST, "/api/v1/lead-sources").json(&json!({ "kind": kind, "name": kind }));
    Answer::of(new).await.expect(201)
}

fn key(source: &Value) -> &str {
    source["key"].as_str().expect("a key")
}

async fn leads(person: &Person<'_>) -> Vec<Value> {
    let page = person.get("/api/v1/leads").await.expect(200);
    page["items"].as_array().expect("leads").clone()
}

async fn inbound(person: &Person<'_>, status: &str) -> Vec<Value> {
    person.get(&format!("/api/v1/inbound?status={status}")).await.expect(200).as_array().expect("a list").clone()
}

/// A mail as a mail server hands it over.
fn mail(app: &TestApp, to: &str, message: &str) -> RequestBuilder {
    let request = app.request(Method::POST, "/webhooks/email/raw").bearer_auth(MAIL_SECRET);
    request.header("content-type", "message/rfc822").header("x-envelope-to", to).body(message.to_owned())
}
