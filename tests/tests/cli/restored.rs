//! `norvalt restored`.

use common::audit::{Operator, Via};
use common::restored;
use serde_json::json;
use sqlx::AssertSqlSafe;
use tests::app::TestApp;

use super::norvalt;

#[tokio::test]
async fn an_odd_job_keeps_nobody_from_being_held() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let (per, siri) = (oslo.inquiry(tests::app::new_lead()).await, bergen.inquiry(tests::app::new_lead()).await);
    for dealership in [oslo.id, bergen.id] {
        for odd in [
            json!({ "lead_id": "x" }),
            json!({ "lead_id": null }),
            json!({}),
            json!([1]),
            json!({ "lead_id": [per.id] }),
        ] {
            let insert = format!(
                "INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts, for_dealership)
                 VALUES ('default', 'answers.write', '{odd}', 1, 'available', 3, '{dealership}')"
            );
            sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut app.connect().await).await.expect("a valid statement");
        }
    }
    let url = [("DATABASE_URL", app.database_url.as_str())];
    let counted = norvalt(&["restored", "--dry-run", "--json"], &url).await.done();
    let said = norvalt(&["restored", "--json"], &url).await.done();
    assert_eq!((said.as_str(), said.contains("\"answers\":2")), (counted.as_str(), true));
    for (dealership, lead) in [(&oslo, per), (&bergen, siri)] {
        let found = dealership.admin().get(&format!("/api/v1/leads/{}", lead.id)).await.expect(200);
        assert!(found["needs_human"].is_string(), "{found:#}");
    }
    let left = "SELECT count(*) FROM jobs WHERE kind LIKE 'answers.%' AND state NOT IN ('cancelled', 'done')";
    assert_eq!(app.count(left).await, 0);
    let again = restored::hold(&app.db, &Operator::new("tests", Via::Command)).await.expect("the database is there");
    assert_eq!(again, restored::Held::default());
}
