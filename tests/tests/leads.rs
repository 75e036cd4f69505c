//! The leads inbox.

mod plans;
mod search;

use chrono::{DateTime, TimeDelta, Utc};
use common::leads::{LeadSource, LeadStatus};
use serde_json::{Value, json};
use tests::app::{Dealership, NewLead, TestApp, new_lead};

fn at(minute: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(1_790_000_000, 0).map(|time| time + TimeDelta::minutes(minute))
}

/// Thirty leads, three in each minute, so that the tie-break matters.
async fn thirty(dealership: &Dealership<'_>) {
    for n in 0..30 {
        let customer_name = Some(format!("Kunde {n:02}"));
        dealership.lead_with(NewLead { customer_name, created_at: at(n / 3), ..new_lead() }).await;
    }
}

fn names(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("items");
    items.iter().map(|lead| lead["customer_name"].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn pages_are_stable_and_complete_by_offset_and_by_cursor() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    thirty(&oslo).await;
    let whole = oslo.admin().get("/api/v1/leads?limit=100").await.expect(200);
    assert_eq!(
        (&whole["total"], &whole["page"], &whole["pages"], &whole["limit"]),
        (&json!(30), &json!(1), &json!(1), &json!(100))
    );
    assert!(whole["next_cursor"].is_null());
    let times: Vec<_> = whole["items"].as_array().expect("items").iter().map(|l| l["created_at"].as_str()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first");

    let first = oslo.admin().get("/api/v1/leads").await.expect(200);
    assert_eq!((names(&first).len(), &first["pages"], &first["limit"]), (25, &json!(2), &json!(25)));

    let mut by_offset = Vec::new();
    for offset in (0..30).step_by(7) {
        let page = oslo.admin().get(&format!("/api/v1/leads?limit=7&offset={offset}")).await.expect(200);
        assert_eq!(page["page"], offset / 7 + 1);
        let searched =
            oslo.admin().get(&format!("/api/v1/leads?limit=7&offset={offset}&status=new&search=kunde")).await;
        assert_eq!(searched.expect(200), page, "all of them are called that, and are new");
        by_offset.extend(names(&page).into_iter().map(str::to_owned));
    }
    assert_eq!(by_offset, names(&whole));

    let (mut by_cursor, mut url) = (Vec::new(), "/api/v1/leads?limit=7".to_owned());
    loop {
        let page = oslo.admin().get(&url).await.expect(200);
        by_cursor.extend(names(&page).into_iter().map(str::to_owned));
        if by_cursor.len() == 7 {
            // Shifts what an offset would show next, and must not shift this.
            oslo.lead("Kommer mens vi blar").await;
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        url = format!("/api/v1/leads?limit=7&cursor={cursor}");
    }
    assert_eq!(by_cursor, names(&whole));

    let beyond = oslo.admin().get("/api/v1/leads?offset=1000").await.expect(200);
    assert_eq!((names(&beyond).len(), &beyond["total"]), (0, &json!(31)));
}

#[tokio::test]
async fn filters_combine_and_the_total_follows_them() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let jonas = oslo.member("jonas", "org:member").await;
    let lead = |status, source, minute| NewLead { status, source, created_at: at(minute), ..new_lead() };
    oslo.lead_with(lead(LeadStatus::New, LeadSource::Website, 0)).await;
    oslo.lead_with(lead(LeadStatus::New, LeadSource::Facebook, 1)).await;
    oslo.lead_with(NewLead { assigned_to: Some(jonas.id), ..lead(LeadStatus::Won, LeadSource::Facebook, 2) }).await;
    let (minute_1, minute_2) = (at(1).expect("in range").to_rfc3339(), at(2).expect("in range").to_rfc3339());
    let encode = |time: &str| time.replace('+', "%2B");
    for (query, total) in [
        (String::new(), 3),
        ("status=new".to_owned(), 2),
        ("source=facebook".to_owned(), 2),
        ("status=new&source=facebook".to_owned(), 1),
        ("status=lost".to_owned(), 0),
        ("status=&search=&assigned_to=&created_from=&cursor=".to_owned(), 3),
        (format!("assigned_to={}", jonas.id), 1),
        (format!("created_from={}", encode(&minute_1)), 2),
        (format!("created_from={}&created_to={}", encode(&minute_1), encode(&minute_2)), 1),
        ("created_to=2020-01-01".to_owned(), 0),
        ("assigned_to=me".to_owned(), 0),
        ("assigned_to=none".to_owned(), 2),
        ("assigned_to=none&status=won".to_owned(), 0),
        ("limit=&offset=&created_to=&source=%20".to_owned(), 3),
    ] {
        let page = oslo.admin().get(&format!("/api/v1/leads?{query}")).await.expect(200);
        assert_eq!(
            (page["total"].as_i64(), names(&page).len()),
            (Some(total), usize::try_from(total).expect("small")),
            "{query}"
        );
    }
    assert_eq!(jonas.get("/api/v1/leads?assigned_to=me").await.expect(200)["total"], 1);
}

#[tokio::test]
async fn a_lead_shows_its_messages_its_assignee_and_its_times() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let jonas = oslo.member("jonas", "org:member").await;
    let lead = oslo.lead_with(NewLead { assigned_to: Some(jonas.id), created_at: at(0), ..new_lead() }).await;
    oslo.answer(lead.id, "Hei! Ja, den er på lager.", at(0).map(|time| time + TimeDelta::seconds(272))).await;
    let shown = oslo.admin().get(&format!("/api/v1/leads/{}", lead.id)).await.expect(200);
    assert_eq!(shown["conversation_count"], 1);
    assert_eq!(shown["first_response_time"], "PT272S");
    assert_eq!(shown["created_at"], "2026-09-21T14:13:20Z");
    assert_eq!(
        shown["assigned_user"],
        json!({ "id": jonas.id, "name": "jonas of Tesla Oslo", "email": "jonas@example.no", "role": "sales_rep" })
    );
    let listed = oslo.admin().get("/api/v1/leads").await.expect(200);
    assert_eq!(listed["items"][0], shown, "a lead looks the same alone and on a page");
}

#[tokio::test]
async fn all_that_is_wrong_with_a_query_is_said_at_once() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let query = "status=sold&source=fax&limit=0&offset=-1&assigned_to=jonas&created_from=yesterday&cursor=x&search=%00";
    let problem = oslo.admin().get(&format!("/api/v1/leads?{query}")).await.expect_problem(422, "invalid-input");
    let fields: Vec<_> = problem["errors"].as_array().expect("errors").iter().map(|e| e["field"].as_str()).collect();
    let expected = ["status", "source", "search", "assigned_to", "created_from", "limit", "offset", "cursor"];
    assert_eq!(fields, expected.map(Some));
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("limit must be a whole number from 1 to 100")));
    for query in
        ["limit=101", "limit=1.5", "offset=99999999999999999999", "created_to=0000-01-01", "offset=0&cursor=AAAA"]
    {
        oslo.admin().get(&format!("/api/v1/leads?{query}")).await.expect_problem(422, "invalid-input");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    for id in ["00000000-0000-0000-0000-000000000000", "7", "%00", "..%2Fme"] {
        oslo.admin().get(&format!("/api/v1/leads/{id}")).await.expect_problem(404, "lead-not-found");
    }
    app.get("/api/v1/nothing").await.expect_problem(404, "no-such-route");
    let request = app.request(reqwest::Method::PUT, "/api/v1/leads");
    tests::answer::Answer::of(request).await.expect_problem(405, "method-not-allowed");
}
