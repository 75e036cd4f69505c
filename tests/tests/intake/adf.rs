use reqwest::Method;
use serde_json::json;
use tests::{answer::Answer, app::TestApp, drain::drain};

use super::{inbound, key, leads, source};

fn document(id: &str, name: &str, email: &str) -> String {
    format!(
        "<?ADF VERSION=\"1.0\"?><?xml version=\"1.0\"?><adf><prospect><id sequence=\"1\" source=\"portal\">{id}</id>\
         <requestdate>2026-11-29T20:00:00+01:00</requestdate><vehicle interest=\"buy\"><year>2024</year><make>Volvo</make>\
         <model>EX30</model></vehicle><customer><contact><name part=\"full\">{name}</name><email>{email}</email></contact>\
         <comments>Ring meg & ta med nøkkel</comments></customer><vendor><contact><name>Bil</name></contact></vendor></prospect></adf>"
    )
}

#[tokio::test]
async fn each_prospect_is_one_lead_however_often_it_is_sent() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let path = format!("/webhooks/adf/{}", key(&source(&kari, "adf").await));
    let post = async |body: String| {
        let request = app.request(Method::POST, &path).header("content-type", "application/x-adf+xml").body(body);
        Answer::of(request).await.expect(200)
    };
    assert_eq!(post(document("7", "Åse", "ase@example.no")).await["status"], "received");
    assert_eq!(post(document("7", "Åse", "ase@example.no")).await["status"], "duplicate");
    drain(&app, &[]).await;
    // The same prospect in another document, and another prospect of another person.
    post(document("7", "Åse Lund", "ase@example.no")).await;
    post(document("8", "Per", "per@example.no")).await;
    post("<html>no adf</html>".to_owned()).await;
    drain(&app, &[]).await;
    let leads = leads(&kari).await;
    assert_eq!(leads.len(), 2, "{leads:#?}");
    let ase = leads.iter().find(|lead| lead["customer_email"] == "ase@example.no").expect("hers is there");
    assert_eq!(
        (&ase["source"], &ase["customer_name"], &ase["conversation_count"]),
        (&json!("adf"), &json!("Åse"), &json!(0))
    );
    assert!(ase["vehicle_interest"].as_str().expect("a car").contains("EX30"));
    assert!(ase["initial_message"].as_str().expect("a text").contains("& ta med"));
    let path = format!("/api/v1/leads/{}/adf", ase["id"].as_str().expect("an id"));
    let exported = kari.request(Method::GET, &path).send().await.expect("an answer").text().await.expect("a text");
    let read = common::inquiry::adf::read(exported.as_bytes(), None).expect("our own can be read");
    assert_eq!(read[0].inquiry.name.as_deref(), Some("Åse"));
    assert_eq!(inbound(&kari, "dead").await.len(), 1);
    let nobodys = app.request(Method::POST, "/webhooks/adf/nobody").body("<adf/>");
    Answer::of(nobodys).await.expect_problem(404, "form-not-found");
}
