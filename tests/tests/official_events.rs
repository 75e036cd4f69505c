//! Every type of event that Clerk documents, in its official shape: `tests/fixtures/clerk-events`, a file for each.
//! <https://github.com/clerk/openapi-specs>

use std::{fs, path::Path};

use common::{
    clerk::{Change, Event, EventError, UserProfile, apply, process},
    db::Db,
};
use serde_json::{Value, json};
use tests::{app::TestApp, cluster::database};

const HANDLED: [&str; 9] = [
    "organization.created",
    "organization.deleted",
    "organization.updated",
    "organizationMembership.created",
    "organizationMembership.deleted",
    "organizationMembership.updated",
    "user.created",
    "user.deleted",
    "user.updated",
];

/// All of them, sorted by type.
fn official() -> Vec<(String, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/clerk-events");
    let files = fs::read_dir(path).expect("the files are part of the repository");
    let mut events: Vec<_> = files
        .map(|file| {
            let text = fs::read_to_string(file.expect("it can be listed").path()).expect("it can be read");
            let event: Value = serde_json::from_str(&text).expect("JSON");
            (event["type"].as_str().expect("a type").to_owned(), event)
        })
        .collect();
    events.sort_by(|(one, _), (other, _)| one.cmp(other));
    events
}

#[tokio::test]
async fn each_is_handled_or_ignored() {
    let app = TestApp::start().await;
    let events = official();
    assert_eq!(events.len(), 45);
    for (kind, event) in &events {
        let expected = if HANDLED.contains(&kind.as_str()) { (202, "accepted") } else { (200, "ignored") };
        assert_eq!(app.deliver(&format!("msg_{kind}"), event).await.expect(expected.0)["status"], expected.1, "{kind}");
    }
    for id in 1..=45 {
        let mut tx = app.db.system().await.expect("the database is there");
        process(&mut tx, id).await.expect("it can be processed, or has no need");
        tx.commit().await.expect("the database is there");
    }
    assert_eq!(app.count("SELECT count(*) FROM deliveries WHERE status = 'processed'").await, 9);
    assert_eq!(app.count("SELECT count(*) FROM deliveries WHERE status = 'ignored' AND body IS NULL").await, 36);
}

/// The event with one member after another, at whatever depth, taken away or replaced by something odd.
fn mutilations(event: &Value) -> Vec<Value> {
    let mut pointers = Vec::new();
    collect(event, "", &mut pointers);
    let odd = [json!(null), json!(-1), json!(1e300), json!("x\u{0}"), json!([]), json!({}), json!(true)];
    let mut all = Vec::new();
    for pointer in pointers {
        for odd in &odd {
            let mut changed = event.clone();
            changed.pointer_mut(&pointer).expect("it was found there").clone_from(odd);
            all.push(changed);
        }
        let (parent, member) = pointer.rsplit_once('/').expect("it begins with a slash");
        let mut without = event.clone();
        if let Some(object) = without.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.remove(member);
            all.push(without);
        }
    }
    all
}

fn collect(value: &Value, at: &str, pointers: &mut Vec<String>) {
    if let Value::Object(object) = value {
        for (member, value) in object {
            let at = format!("{at}/{member}");
            collect(value, &at, pointers);
            pointers.push(at);
        }
    }
}

#[tokio::test]
async fn none_can_do_harm_whatever_is_odd_about_it() {
    let database = database().await;
    let db = Db::new(&database.url.parse().expect("a valid URL"), 2, "tests");
    for (kind, event) in official().into_iter().filter(|(kind, _)| HANDLED.contains(&kind.as_str())) {
        let mut applied = 0;
        for odd in mutilations(&event) {
            match Event::parse(&odd.to_string()) {
                Ok(event) => {
                    let mut tx = db.system().await.expect("the database is there");
                    apply(&mut tx, event.change).await.unwrap_or_else(|error| panic!("{error:?} after {odd}"));
                    applied += 1;
                }
                Err(EventError::Malformed { .. } | EventError::NotHandled { .. }) => {}
                Err(EventError::NotJson) => panic!("it is JSON: {odd}"),
            }
        }
        assert!(applied > 0, "{kind}: most members are not needed");
    }
}

/// What is read of a person with these addresses.
fn profile(primary: &Value, addresses: &Value) -> UserProfile {
    let data = json!({ "id": "user_1", "primary_email_address_id": primary, "email_addresses": addresses });
    let event = Event::parse(&json!({ "type": "user.updated", "data": data }).to_string()).expect("an id is enough");
    let Change::User { profile, .. } = event.change else { panic!("{:?}", event.change) };
    profile
}

#[test]
fn the_primary_address_counts_or_else_the_first() {
    let both = json!([
        { "id": "idn_1", "email_address": "old@example.no" }, { "id": "idn_2", "email_address": "new@example.no" },
    ]);
    for (primary, expected) in
        [(json!("idn_2"), "new"), (json!("idn_1"), "old"), (json!("idn_3"), "old"), (Value::Null, "old")]
    {
        let email = profile(&primary, &both).email;
        assert_eq!(email, Some(format!("{expected}@example.no")), "{primary}");
    }
    for nothing in [json!([]), Value::Null] {
        assert_eq!(profile(&Value::Null, &nothing), UserProfile { name: None, email: None, banned: false });
    }
}
