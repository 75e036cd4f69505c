//! Two people who write at the same moment: what is recorded agrees with what took effect, and nobody gets an error that
//! they could do nothing about.

mod deadlocks;
mod early;
mod leads;
mod others;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use tests::{
    answer::Answer,
    app::{Person, TestApp},
    cluster::{TestDatabase, database},
};

/// What a database may have been told that transactions are by default, and how many pairs of writes meet there.
const ISOLATION_LEVELS: [(&str, usize); 3] = [("read committed", 100), ("repeatable read", 24), ("serializable", 24)];

/// An API on a database with this default.
async fn app_with_isolation(level: &str) -> (TestApp, TestDatabase) {
    let database = database().await;
    let name: String =
        sqlx::query_scalar("SELECT current_database()").fetch_one(&mut database.connect().await).await.expect("a name");
    let alter = format!("ALTER DATABASE {name} SET default_transaction_isolation = '{level}'");
    database.connect().await.execute(AssertSqlSafe(alter)).await.expect("the superuser may");
    (TestApp::start_on(&database.url, |_| {}).await, database)
}

async fn send(person: &Person<'_>, method: Method, path: &str, body: &Value) -> Answer {
    let answer = Answer::of(person.request(method, path).json(body)).await;
    assert!(answer.status.as_u16() < 500, "{path}: {:#}", answer.json);
    answer
}

async fn list(person: &Person<'_>, path: &str) -> Vec<Value> {
    match person.get(path).await.expect(200) {
        Value::Array(items) => items,
        other => panic!("{path} is no list: {other:#}"),
    }
}

/// A time of an answer, of which texts of one length would be in the same order.
fn time(value: &Value) -> chrono::DateTime<chrono::Utc> {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no time: {value}"))
}

async fn create(person: &Person<'_>, path: &str, body: Value) -> Value {
    send(person, Method::POST, path, &body).await.expect(201)
}

async fn create_lead(person: &Person<'_>) -> String {
    let new = json!({ "customer_email": "ola@example.no", "customer_phone": "912 34 567" });
    let lead = create(person, "/api/v1/leads", new).await;
    format!("/api/v1/leads/{}", lead["id"].as_str().expect("an id"))
}
