//! Clerk's events become dealerships, users and access: the same ones, in whatever order and however often they come.

mod deletions;
mod versions;

use common::{
    clerk::{Applied, Event, Outcome, apply},
    db::Db,
};
use serde_json::{Value, json};
use sqlx::Row;
use tests::{
    app::TestApp,
    clerk_events::{Membership, deleted, organization, user},
    cluster::database,
};

/// All orders of the numbers below `n`.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let insert = |shorter: Vec<usize>| {
        (0..n).map(move |at| {
            let mut longer = shorter.clone();
            longer.insert(at, n - 1);
            longer
        })
    };
    permutations(n - 1).into_iter().flat_map(insert).collect()
}

async fn give(db: &Db, event: &Value) -> Applied {
    let event = Event::parse(&event.to_string()).expect("a well-formed event");
    let mut tx = db.system().await.expect("the database is there");
    let applied = apply(&mut tx, event.change).await.expect("a valid change");
    tx.commit().await.expect("the database is there");
    applied
}

/// Everything that follows from the events about ids that end in `_{suffix}`, with the suffix cut off.
async fn state(conn: &mut sqlx::PgConnection, suffix: &str) -> Vec<String> {
    let rows = sqlx::query(
        "SELECT concat_ws(' | ', 'dealership', d.clerk_org_id, d.name, d.closed_at IS NOT NULL) AS line
         FROM dealerships d WHERE d.clerk_org_id LIKE '%\\_' || $1
         UNION ALL
         SELECT concat_ws(' | ', 'user', d.clerk_org_id, u.clerk_user_id, u.name, u.email, u.role, u.suspended)
         FROM users u JOIN dealerships d ON d.id = u.dealership_id WHERE d.clerk_org_id LIKE '%\\_' || $1
         ORDER BY line",
    )
    .bind(suffix)
    .fetch_all(conn)
    .await
    .expect("a valid statement");
    rows.iter().map(|row| row.get::<String, _>("line").replace(&format!("_{suffix}"), "")).collect()
}

/// Gives the events of a story in every order, each order with ids of its own and with one event twice more, and
/// expects the same end of all. `story` makes the events for a suffix of the ids.
async fn in_every_order(story: impl Fn(&dyn Fn(&str) -> String) -> Vec<Value>, expected: &[&str]) {
    let database = database().await;
    let db = Db::new(&database.url.parse().expect("a valid URL"), 2, "tests");
    let mut conn = database.connect().await;
    let length = story(&|id| id.to_owned()).len();
    for (n, order) in permutations(length).into_iter().enumerate() {
        let suffix = format!("n{n}");
        let events = story(&|id| format!("{id}_{suffix}"));
        for &at in &order {
            give(&db, &events[at]).await;
        }
        for repeated in [order[0], order[n % length]] {
            let Applied { outcome, effects } = give(&db, &events[repeated]).await;
            assert!(outcome != Outcome::Applied && effects.is_empty(), "a repeated event changes nothing: {effects:?}");
        }
        let order: Vec<_> = order.iter().map(|&at| events[at]["type"].as_str().unwrap_or_default()).collect();
        assert_eq!(state(&mut conn, &suffix).await, expected, "after {order:#?}");
    }
}

fn kari<'a>(id: &'a str, org: &'a str, user: &'a str) -> Membership<'a> {
    Membership {
        id,
        org,
        org_name: "Tesla Oslo",
        org_at: 1_000,
        user,
        first_name: "Kari",
        identifier: Some("kari@example.no"),
        role: "org:admin",
        at: 2_000,
    }
}

#[tokio::test]
async fn a_member_who_stays() {
    let story = |id: &dyn Fn(&str) -> String| {
        vec![
            organization("organization.created", &id("org"), "Tesla Oslo", 1_000),
            kari(&id("orgmem"), &id("org"), &id("user")).event("created"),
            user("user.created", &id("user"), "Kari Marie", Some("kari.marie@example.no"), false, 1_500),
            organization("organization.updated", &id("org"), "Tesla Oslo Øst", 3_000),
        ]
    };
    in_every_order(
        story,
        &[
            "dealership | org | Tesla Oslo Øst | f",
            "user | org | user | Kari Marie | kari.marie@example.no | admin | f",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_member_who_left() {
    let story = |id: &dyn Fn(&str) -> String| {
        let membership = |kind| kari(&id("orgmem"), &id("org"), &id("user")).event(kind);
        vec![
            organization("organization.created", &id("org"), "Tesla Oslo", 1_000),
            membership("created"),
            membership("updated"),
            membership("deleted"),
        ]
    };
    in_every_order(story, &["dealership | org | Tesla Oslo | f"]).await;

    let hardly_more_than_the_id = |id: &dyn Fn(&str) -> String| {
        let (org, membership) = (id("org"), id("orgmem"));
        let end = deleted("organizationMembership.deleted", &membership, 4_000);
        vec![kari(&membership, &org, &id("user")).event("created"), end]
    };
    in_every_order(hardly_more_than_the_id, &["dealership | org | Tesla Oslo | f"]).await;
}

#[tokio::test]
async fn a_member_who_left_and_came_back_as_somebody_else() {
    let story = |id: &dyn Fn(&str) -> String| {
        let first = kari(&id("orgmem_1"), &id("org"), &id("user")).event("created");
        let gone = kari(&id("orgmem_1"), &id("org"), &id("user")).event("deleted");
        let (second, org, person) = (id("orgmem_2"), id("org"), id("user"));
        let again = Membership { role: "org:manager", at: 9_000, ..kari(&second, &org, &person) };
        vec![first, gone, again.event("created"), organization("organization.created", &id("org"), "Tesla Oslo", 1_000)]
    };
    in_every_order(
        story,
        &["dealership | org | Tesla Oslo | f", "user | org | user | Kari | kari@example.no | manager | f"],
    )
    .await;
}

#[tokio::test]
async fn a_person_who_was_deleted() {
    let story = |id: &dyn Fn(&str) -> String| {
        vec![
            organization("organization.created", &id("org"), "Tesla Oslo", 1_000),
            kari(&id("orgmem"), &id("org"), &id("user")).event("created"),
            user("user.created", &id("user"), "Kari Marie", Some("kari@example.no"), false, 1_500),
            deleted("user.deleted", &id("user"), 4_000),
        ]
    };
    in_every_order(story, &["dealership | org | Tesla Oslo | f"]).await;
}

#[tokio::test]
async fn a_dealership_that_was_closed() {
    let story = |id: &dyn Fn(&str) -> String| {
        vec![
            organization("organization.created", &id("org"), "Tesla Oslo", 1_000),
            kari(&id("orgmem"), &id("org"), &id("user")).event("created"),
            deleted("organization.deleted", &id("org"), 4_000),
            organization("organization.updated", &id("org"), "Tesla Oslo Øst", 3_000),
        ]
    };
    in_every_order(
        story,
        &["dealership | org | Tesla Oslo Øst | t", "user | org | user | Kari | kari@example.no | admin | f"],
    )
    .await;
}

#[tokio::test]
async fn roles_and_bans_follow_the_latest_word() {
    let story = |id: &dyn Fn(&str) -> String| {
        let (membership, org, person) = (id("orgmem"), id("org"), id("user"));
        let as_role = |role, at| Membership { role, at, ..kari(&membership, &org, &person) };
        vec![
            as_role("org:admin", 2_000).event("created"),
            as_role("org:something_new", 5_000).event("updated"),
            as_role("org:manager", 4_000).event("updated"),
            user("user.updated", &person, "Kari", None, true, 6_000),
            user("user.updated", &person, "Kari", None, false, 5_000),
        ]
    };
    in_every_order(
        story,
        &["dealership | org | Tesla Oslo | f", "user | org | user | Kari | user@user.invalid | sales_rep | t"],
    )
    .await;
}

#[tokio::test]
async fn names_and_addresses_identify_nobody() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let lead = oslo.lead("Ola Nordmann").await;
    let thief = Membership { org: "org_thief", user: "user_thief", ..kari("orgmem_thief", "", "") };
    give(&app.db, &Membership { identifier: Some("admin@example.no"), ..thief }.event("created")).await;
    assert_eq!(app.count("SELECT count(*) FROM dealerships WHERE name = 'Tesla Oslo'").await, 2);
    let thief = oslo.stranger("user_thief", "org_thief");
    assert_eq!(thief.get("/api/v1/leads").await.expect(200)["total"], 0);
    thief.get(&format!("/api/v1/leads/{}", lead.id)).await.expect_problem(404, "lead-not-found");

    let namesake = Membership { org: oslo.org.as_str(), user: "user_namesake", ..kari("orgmem_namesake", "", "") };
    give(&app.db, &Membership { identifier: Some("admin@example.no"), ..namesake }.event("created")).await;
    oslo.admin().get("/api/v1/me").await.expect(200);
    oslo.stranger("user_namesake", oslo.org.as_str()).get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn what_cannot_be_an_address_becomes_a_placeholder() {
    let database = database().await;
    let db = Db::new(&database.url.parse().expect("a valid URL"), 2, "tests");
    for (n, identifier) in [None, Some("+4791234567"), Some("kari_n")].into_iter().enumerate() {
        let (id, org, user) = (format!("orgmem_{n}"), format!("org_{n}"), format!("user_{n}"));
        give(&db, &Membership { identifier, ..kari(&id, &org, &user) }.event("created")).await;
    }
    let mut conn = database.connect().await;
    let emails: Vec<String> =
        sqlx::query_scalar("SELECT email FROM users UNION ALL SELECT email FROM dealerships ORDER BY 1")
            .fetch_all(&mut conn)
            .await
            .expect("a valid statement");
    let expected: Vec<_> = (0..3)
        .map(|n| format!("org_{n}@dealership.invalid"))
        .chain((0..3).map(|n| format!("user_{n}@user.invalid")))
        .collect();
    assert_eq!(emails, expected);
}

/// What Clerk tells of people without names is shown as their name, and the placeholder of an address never is.
#[tokio::test]
async fn people_without_names_are_called_what_they_sign_in_with() {
    let database = database().await;
    let db = Db::new(&database.url.parse().expect("a valid URL"), 2, "tests");
    let joined = |user: &str, identifier: Option<&str>, username: Option<&str>| {
        let id = format!("orgmem_{user}");
        let mut event = Membership { first_name: " ", identifier, ..kari(&id, "org", user) }.event("created");
        event["data"]["public_user_data"]["username"] = json!(username);
        event
    };
    let person = |id: &str, data: Value| {
        let mut event = user("user.updated", id, "", None, false, 9_000);
        event["data"].as_object_mut().expect("an object").extend(data.as_object().expect("an object").clone());
        event
    };
    let phones =
        json!([{ "id": "idn_1", "phone_number": "+4790000001" }, { "id": "idn_2", "phone_number": "+4791234567" }]);
    let phones = json!({ "phone_numbers": phones, "primary_phone_number_id": "idn_2" });
    let email = json!({ "email_addresses": [{ "id": "idn_3", "email_address": "d@example.no" }] });
    let mut email_and_phone = email.clone();
    email_and_phone.as_object_mut().expect("an object").extend(phones.as_object().expect("an object").clone());
    for event in [
        joined("user_a", Some("kari_n"), None),
        joined("user_b", Some("b@example.no"), Some("ola_n")),
        joined("user_c", Some("+4791234567"), None),
        joined("user_d", Some("d@example.no"), None),
        joined("user_e", None, None),
        joined("user_f", Some("old"), None),
        person("user_f", json!({ "username": "new" })),
        joined("user_g", Some("+4790000000"), None),
        person("user_g", phones),
        joined("user_h", None, None),
        person("user_h", email_and_phone),
    ] {
        give(&db, &event).await;
    }
    let shown: Vec<String> = sqlx::query_scalar("SELECT concat_ws(' ', name, email) FROM users ORDER BY clerk_user_id")
        .fetch_all(&mut database.connect().await)
        .await
        .expect("a valid statement");
    let expected = [
        "kari_n user_a@user.invalid",
        "ola_n b@example.no",
        "+4791234567 user_c@user.invalid",
        "d@example.no d@example.no",
        "user_e user_e@user.invalid",
        "new user_f@user.invalid",
        "+4791234567 user_g@user.invalid",
        "d@example.no d@example.no",
    ];
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn concurrent_events_do_not_overtake_each_other() {
    let database = database().await;
    let db = Db::new(&database.url.parse().expect("a valid URL"), 8, "tests");
    let mut conn = database.connect().await;
    for round in 0..20 {
        let id = |id: &str| format!("{id}_r{round}");
        let membership = |kind| kari(&id("orgmem"), &id("org"), &id("user")).event(kind);
        let mut events = vec![
            organization("organization.created", &id("org"), "Tesla Oslo", 1_000),
            organization("organization.updated", &id("org"), "Tesla Oslo Øst", 3_000),
            user("user.created", &id("user"), "Kari", Some("old@example.no"), false, 1_500),
            user("user.updated", &id("user"), "Kari", Some("new@example.no"), false, 2_500),
            membership("created"),
            Membership { role: "org:manager", at: 3_000, ..kari(&id("orgmem"), &id("org"), &id("user")) }
                .event("updated"),
        ];
        let gone = round % 2 == 1;
        if gone {
            events.push(membership("deleted"));
        }
        let given: Vec<_> = events
            .into_iter()
            .map(|event| {
                let db = db.clone();
                tokio::spawn(async move { give(&db, &event).await })
            })
            .collect();
        for event in given {
            event.await.expect("no deadlock and no refusal");
        }
        let mut expected = vec!["dealership | org | Tesla Oslo Øst | f"];
        if !gone {
            expected.push("user | org | user | Kari | new@example.no | manager | f");
        }
        assert_eq!(state(&mut conn, &format!("r{round}")).await, expected);
    }
}
