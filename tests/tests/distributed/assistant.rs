//! What the assistant does beside the automatic answers.

use common::{
    answers::{self, AssistantReply, SuggestionKey, prompt::sorting},
    clock::Clock,
    intake,
};
use reqwest::Method;
use serde_json::json;
use tests::{
    answer::Answer,
    app::{Dealership, Person, TestApp},
};

/// The assistant suggests something to a person, and nothing to another.
pub(super) async fn suggested(app: &TestApp, oslo: &Dealership<'_>, admin: &Person<'_>) {
    let lead = oslo.lead("Ida").await.id;
    let path = format!("/api/v1/leads/{lead}/suggestions");
    for turn in 1..=2 {
        Answer::of(admin.request(Method::POST, &path)).await.expect(202);
        let key = SuggestionKey { lead, turn };
        let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
        let asked = answers::prepare_suggestion(&mut tx, key, true, Clock::system().now()).await.expect("it is there");
        let nothing = AssistantReply::Nothing { reason: "down".to_owned() };
        answers::finish_suggestion(&mut tx, key, &asked.expect("it waits"), nothing).await.expect("it is there");
        tx.commit().await.expect("the database is there");
    }
    admin.get(&path).await.expect(200);
}

/// The assistant is asked of mails that rules cannot tell, and takes the second for an inquiry.
pub(super) async fn sorted(app: &TestApp, oslo: &Dealership<'_>) {
    let mut superuser = app.connect().await;
    let body = "From: no-reply@svar.example\nAuto-Submitted: auto-generated\n\nKunden ringte. Ring 912 34 567.";
    let stored = "INSERT INTO deliveries (source, external_id, event_type, dealership_id, source_id, headers, body, status)
                  SELECT 'email', $1, 'mail', $2, id, $3, $4, 'pending' FROM lead_sources WHERE kind = 'email' AND dealership_id = $2
                  ORDER BY id LIMIT 1 RETURNING id";
    for (place, phone) in ["", "912 34 567"].into_iter().enumerate() {
        let headers = json!({ "provider": "raw", "content-type": "message/rfc822", "x-envelope-to": "x@in.example" });
        let id: i64 = sqlx::query_scalar(stored)
            .bind(format!("unsure {place}"))
            .bind(uuid::Uuid::from(oslo.id))
            .bind(headers)
            .bind(body.as_bytes())
            .fetch_one(&mut superuser)
            .await
            .expect("it is stored");
        let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
        intake::process(&mut tx, id, true).await.expect("it is there");
        let now = Clock::system().now();
        let asked = intake::prepare_sorting(&mut tx, id, true, now).await.expect("it is there").expect("it is parked");
        let said =
            json!({ "kind": "inquiry", "name": "", "email": "", "phone": phone, "vehicle": "", "reason": "asks" });
        let text = said.to_string();
        let verdict = sorting::read(&text, true);
        let came_back = AssistantReply::Written { text, model: "m".to_owned(), tokens: (1, 1), verdict };
        intake::finish_sorting(&mut tx, id, asked, came_back).await.expect("it is there");
        intake::give_up_sorting(&mut tx, id, "down").await.expect("it is there");
        tx.commit().await.expect("the database is there");
    }
}
