//! When people are there is told as the dealership has set it, and no other way.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::Answer,
    app::{Person, TestApp},
    assistant::{answering_through, assistant},
    drain::Worker,
    mailbox::{mailbox, sending_through},
};

use super::{fill_in, to, until};

const SETTINGS: &str = "/api/v1/dealership/answers";

async fn change(person: &Person<'_>, changes: &Value) -> Answer {
    Answer::of(person.request(Method::PATCH, SETTINGS).json(changes)).await
}

/// Open for a minute of each week: almost never.
fn almost_never() -> Value {
    json!({ "wednesday": [{ "from": "03:00", "to": "03:01" }] })
}

fn always() -> Value {
    let day = json!([{ "from": "00:00", "to": "24:00" }]);
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    Value::Object(days.iter().map(|name| ((*name).to_owned(), day.clone())).collect())
}

#[tokio::test]
async fn a_week_is_kept_as_it_is_given_and_all_that_is_wrong_with_one_is_said() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let set = json!({ "opening_times": almost_never(), "closed_days": ["2026-12-25", "2026-12-24"], "opening_hours": "etter avtale" });
    let kept = change(&kari, &set).await.expect(200);
    assert_eq!(kept["opening_times"]["wednesday"], json!([{ "from": "03:00", "to": "03:01" }]));
    assert_eq!((&kept["opening_times"]["sunday"], &kept["opening_hours"]), (&json!([]), &json!("etter avtale")));
    assert_eq!(kept["closed_days"], json!(["2026-12-24", "2026-12-25"]));
    assert_eq!(kari.get(SETTINGS).await.expect(200), kept);
    let wrong = json!({ "opening_times": { "monday": [{ "from": "17:00", "to": "09:00" }], "funday": [] }, "closed_days": ["24.12."] });
    let problem = change(&kari, &wrong).await.expect_problem(422, "invalid-input");
    let told = |place: usize| problem["errors"][place]["message"].as_str().expect("a text").to_owned();
    assert!(
        told(0).contains("monday closes at 09:00, which is not after 17:00") && told(0).contains("funday"),
        "{problem:#}"
    );
    assert!(told(1).contains("2026-12-24"), "{problem:#}");
    let cleared = change(&kari, &json!({ "opening_times": null, "closed_days": [] })).await.expect(200);
    assert_eq!((&cleared["opening_times"], &cleared["closed_days"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn the_template_says_when_people_are_back_and_the_assistant_is_given_the_hours() {
    let app = TestApp::start().await;
    let (mailbox, assistant) = (mailbox(&app).await, assistant(Duration::ZERO).await);
    let mut settings = sending_through(&mailbox);
    settings.extend(answering_through(&assistant));
    let worker = Worker::start(&app, &settings);
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    // Who asks to be called is answered by the template.
    let asks =
        |name: &str, text: &str| json!({ "name": name, "email": format!("{name}@kunde.example"), "message": text });
    for (times, name, is_away) in [(almost_never(), "per", true), (always(), "ola", false)] {
        change(&kari, &json!({ "opening_times": times })).await.expect(200);
        fill_in(&app, &oslo, &asks(name, "Hei! Kan dere ringe meg?")).await;
        let mail = to(&mailbox, &format!("{name}@kunde.example")).await;
        assert_eq!(mail.text.contains("Vi er tilbake"), is_away, "{}", mail.text);
        assert_eq!(mail.text.contains("kl. 03.00"), is_away, "{}", mail.text);
    }
    change(&kari, &json!({ "opening_times": almost_never(), "opening_hours": "døgnet rundt" })).await.expect(200);
    let lead = fill_in(&app, &oslo, &asks("eva", "Hei! Når har dere åpent?")).await;
    let answers =
        until(&kari, &format!("/api/v1/leads/{lead}/answers"), |answers| answers[0]["state"] == "answered").await;
    let given = &answers[0]["given"]["dealership"];
    assert_eq!(given["opening_hours"], "mandag–tirsdag stengt, onsdag 03:00–03:01, torsdag–søndag stengt");
    worker.stop().await;
}
