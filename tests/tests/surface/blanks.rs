//! Forms send an empty text for each input that nobody filled in.

use reqwest::Method;
use serde_json::json;
use tests::app::TestApp;

use super::{fields_of, id_for, one_of_each, operations};

#[tokio::test]
async fn what_a_form_sends_for_an_empty_field_is_never_wrong_to_change() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let ids = one_of_each(&oslo).await;
    let document = app.get("/openapi.json").await.expect(200);
    let both = json!({ "customer_email": "ola@example.no", "customer_phone": "912 34 567" });
    let mut changed = 0;
    for operation in operations(&app).await.iter().filter(|operation| operation.method == Method::PATCH) {
        let id = id_for(&ids, &operation.path);
        for field in fields_of(&document, operation) {
            // One of the two stays.
            operation.send(&oslo.admin(), id, Some(&both)).await.expect(200);
            for blank in ["", " \t"] {
                let answer = operation.send(&oslo.admin(), id, Some(&json!({ field.as_str(): blank }))).await;
                assert_eq!(answer.status, 200, "{} with an empty {field}: {}", operation.name(), answer.json);
                changed += 1;
            }
        }
    }
    assert!(changed > 80, "leads, vehicles, rules, sources, the dealership, its answers, oneself: {changed}");
}
