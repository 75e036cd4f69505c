//! Which of two words about the same thing counts: the later one, and never the one that happened to arrive later.

use serde_json::{Value, json};
use tests::clerk_events::{Membership, organization, user};

use super::{in_every_order, kari};

/// Without any time of its own, as what is typed in by hand.
fn timeless(mut event: Value) -> Value {
    event["timestamp"] = Value::Null;
    for pointer in ["/data/updated_at", "/data/organization/updated_at"] {
        if let Some(time) = event.pointer_mut(pointer) {
            *time = Value::Null;
        }
    }
    event
}

#[tokio::test]
async fn equal_times_are_decided_by_content() {
    let organizations = |id: &dyn Fn(&str) -> String| {
        ["Aker Bil", "Bergen Bil", "Larvik Bil"]
            .map(|name| organization("organization.updated", &id("org"), name, 1_000))
            .to_vec()
    };
    in_every_order(organizations, &["dealership | org | Larvik Bil | f"]).await;

    let memberships = |id: &dyn Fn(&str) -> String| {
        let (membership, org, person) = (id("orgmem"), id("org"), id("user"));
        let as_told = |first_name, role, at| {
            Membership { first_name, role, at, ..kari(&membership, &org, &person) }.event("updated")
        };
        vec![
            as_told("Kari", "org:owner", 2_000),
            as_told("Kari Anne", "org:admin", 3_000),
            as_told("Kari Marie", "org:manager", 3_000),
        ]
    };
    let expected =
        ["dealership | org | Tesla Oslo | f", "user | org | user | Kari Marie | kari@example.no | manager | f"];
    in_every_order(memberships, &expected).await;

    let people = |id: &dyn Fn(&str) -> String| {
        let as_told = |name, banned| user("user.updated", &id("user"), name, Some("kari@example.no"), banned, 3_000);
        vec![
            kari(&id("orgmem"), &id("org"), &id("user")).event("created"),
            as_told("Kari Anne", false),
            as_told("Kari Marie", true),
        ]
    };
    let expected =
        ["dealership | org | Tesla Oslo | f", "user | org | user | Kari Marie | kari@example.no | admin | t"];
    in_every_order(people, &expected).await;
}

#[tokio::test]
async fn what_has_no_time_yields_to_what_has_one() {
    let story = |id: &dyn Fn(&str) -> String| {
        let (membership, org, person) = (id("orgmem"), id("org"), id("user"));
        let known = kari(&membership, &org, &person);
        let odd = Membership { org_name: "Ætt", first_name: "Åse", role: "org:owner", ..known.clone() };
        vec![organization("organization.created", &org, "Tesla Oslo", 1_000), known.event("created"), {
            timeless(Membership { role: "org:zealot", ..odd }.event("updated"))
        }]
    };
    let expected = ["dealership | org | Tesla Oslo | f", "user | org | user | Kari | kari@example.no | admin | f"];
    in_every_order(story, &expected).await;

    let story = |id: &dyn Fn(&str) -> String| {
        let as_told = |name, banned, at| user("user.updated", &id("user"), name, Some("kari@example.no"), banned, at);
        vec![
            kari(&id("orgmem"), &id("org"), &id("user")).event("created"),
            as_told("Kari", false, 1_000),
            timeless(as_told("Åse", true, 9_000)),
        ]
    };
    in_every_order(story, &expected).await;
}

#[tokio::test]
async fn an_event_counts_from_when_its_object_changed() {
    const THEN: i64 = 1_716_883_200_000;
    let story = |id: &dyn Fn(&str) -> String| {
        let sent = |name, updated_at: Value, timestamp: i64| {
            let mut event = organization("organization.updated", &id("org"), name, 0);
            (event["data"]["updated_at"], event["timestamp"]) = (updated_at, json!(timestamp));
            event
        };
        vec![
            sent("Changed first, sent last", json!(THEN), THEN + 9_000_000),
            sent("In milliseconds", Value::Null, THEN + 60_000),
            sent("In seconds", Value::Null, THEN / 1_000 + 120),
        ]
    };
    in_every_order(story, &["dealership | org | In seconds | f"]).await;
}

#[tokio::test]
async fn an_embedded_organization_is_as_old_as_it_says() {
    let story = |id: &dyn Fn(&str) -> String| {
        let (membership, org, person) = (id("orgmem"), id("org"), id("user"));
        let late = Membership { org_name: "Tesla", org_at: 500, at: 9_000, ..kari(&membership, &org, &person) };
        let newer = Membership { org_name: "Tesla Oslo Øst", org_at: 4_000, ..late.clone() };
        let mut undated = Membership { org_name: "Ætt", ..late.clone() }.event("updated");
        undated["data"]["organization"]["updated_at"] = Value::Null;
        vec![
            organization("organization.updated", &org, "Tesla Oslo", 3_000),
            late.event("updated"),
            undated,
            Membership { at: 2_000, ..newer }.event("created"),
        ]
    };
    let expected = ["dealership | org | Tesla Oslo Øst | f", "user | org | user | Kari | kari@example.no | admin | f"];
    in_every_order(story, &expected).await;
}

#[tokio::test]
async fn of_two_memberships_in_one_organization_the_newer_counts() {
    let story = |id: &dyn Fn(&str) -> String| {
        let (before, now, org, person) = (id("orgmem_b"), id("orgmem_a"), id("org"), id("user"));
        let again = Membership { role: "org:member", at: 9_000, ..kari(&now, &org, &person) };
        // The end of the first one is still on its way.
        vec![kari(&before, &org, &person).event("created"), again.event("created")]
    };
    let expected = ["dealership | org | Tesla Oslo | f", "user | org | user | Kari | kari@example.no | sales_rep | f"];
    in_every_order(story, &expected).await;
}
