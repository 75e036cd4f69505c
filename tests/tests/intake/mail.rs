use reqwest::Method;
use serde_json::json;
use tests::{
    answer::Answer,
    app::{INBOUND_DOMAIN, MAIL_SECRET, TestApp},
    drain::drain,
};

use super::{inbound, key, leads, mail, source};

const PORTAL: &str = "From: FINN <noreply@finn.example>\r\nTo: salg@bil.example\r\nSubject: =?utf-8?q?Ny_foresp=C3=B8rsel?=\r\n\
    Message-ID: <1@finn.example>\r\nDate: Sun, 29 Nov 2026 20:00:00 +0100\r\nAuto-Submitted: auto-generated\r\n\
    Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
    Navn: =C5se B=E5tsen\r\nE-post: ase@example.no\r\nTelefon: 912 34 567\r\nBil: Tesla Model Y\r\n\
    FINN-kode: 312345678\r\nMelding: Er den fortsatt til salgs?\r\n";

fn from(sender: &str, id: &str, more: &str, text: &str) -> String {
    format!(
        "From: {sender}\r\nTo: salg@bil.example\r\nSubject: Bil\r\nMessage-ID: <{id}>\r\nDate: Sun, 29 Nov 2026 20:00:00 +0100\r\n{more}\r\n{text}\r\n"
    )
}

#[tokio::test]
async fn a_portals_mail_is_a_lead_of_the_customer_in_it() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let address = format!("{}@{INBOUND_DOMAIN}", key(&source(&kari, "email").await).to_uppercase());
    // The mail server is not sure that it was taken.
    for expected in ["received", "duplicate", "duplicate"] {
        assert_eq!(Answer::of(mail(&app, &address, PORTAL)).await.expect(200)["status"], expected);
    }
    drain(&app, &[]).await;
    let leads = leads(&kari).await;
    assert_eq!(leads.len(), 1);
    let lead = &leads[0];
    assert_eq!((&lead["source"], &lead["customer_name"]), (&json!("email"), &json!("Åse Båtsen")));
    assert_eq!(
        (&lead["customer_email"], &lead["customer_phone_e164"]),
        (&json!("ase@example.no"), &json!("+4791234567"))
    );
    assert_eq!(lead["vehicle_interest"], "Tesla Model Y");
    let text = lead["initial_message"].as_str().expect("a text");
    assert!(text.contains("fortsatt til salgs"), "{text}");
}

#[tokio::test]
async fn an_answer_belongs_to_the_lead_that_it_answers_and_what_nobody_wrote_is_no_lead() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let address = format!("{}@{INBOUND_DOMAIN}", key(&source(&kari, "email").await));
    let send = async |message: &str| Answer::of(mail(&app, &address, message)).await.expect(200);
    send(&from("Ola <ola@example.no>", "a@example.no", "", "Hei, har dere en ID.4?")).await;
    drain(&app, &[]).await;
    // From another address, by the thread; then by the person.
    send(&from("Ola <ola@jobb.example>", "b@jobb.example", "In-Reply-To: <a@example.no>\r\n", "Helst blå.")).await;
    send(&from("Ola <OLA@example.no>", "c@example.no", "", "Og med hengerfeste.")).await;
    send(&from(
        "MAILER-DAEMON <mailer-daemon@x.example>",
        "d@x.example",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n",
        "--b\r\n\r\nUndelivered\r\n--b--",
    ))
    .await;
    send(&from("Per <per@example.no>", "e@example.no", "Auto-Submitted: auto-replied\r\n", "Jeg er på ferie.")).await;
    send(&from(
        "Nytt <nyhetsbrev@x.example>",
        "f@x.example",
        "List-Unsubscribe: <https://x.example/u>\r\nPrecedence: bulk\r\n",
        "Ukens tilbud",
    ))
    .await;
    drain(&app, &[]).await;
    // By now that other address is theirs.
    send(&from("Ola <ola@jobb.example>", "g@jobb.example", "", "Kan jeg få et bilde?")).await;
    drain(&app, &[]).await;
    let leads = leads(&kari).await;
    assert_eq!(leads.len(), 1, "{leads:#?}");
    assert_eq!(leads[0]["conversation_count"], 3);
    assert_eq!(inbound(&kari, "ignored").await.len(), 2);
    let parked = inbound(&kari, "parked").await;
    assert_eq!(parked.len(), 1);
    let accept = kari.request(Method::POST, &format!("/api/v1/inbound/{}/accept", parked[0]["id"]));
    Answer::of(accept).await.expect(200);
    // Read once more from the beginning, nothing changes.
    let mut tx = app.db.system().await.expect("the database is there");
    common::deliveries::replay(&mut tx, &common::deliveries::DeliveryFilter::default()).await.expect("it is there");
    tx.commit().await.expect("the database is there");
    let before = self::leads(&kari).await;
    drain(&app, &[]).await;
    assert_eq!(self::leads(&kari).await, before);
}

#[tokio::test]
async fn who_is_known_has_a_name_even_where_a_mail_tells_none() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let address = format!("{}@{INBOUND_DOMAIN}", key(&source(&kari, "email").await));
    let send = async |message: &str| {
        Answer::of(mail(&app, &address, message)).await.expect(200);
        drain(&app, &[]).await;
    };
    send(&from("Ola Hansen <ola@example.no>", "a@example.no", "", "Hei, har dere en ID.4?")).await;
    send(&from("ola@example.no", "b@example.no", "", "Helst blå.")).await;
    let lead = format!("/api/v1/leads/{}", leads(&kari).await[0]["id"].as_str().expect("an id"));
    let messages = kari.get(&format!("{lead}/conversations")).await.expect(200);
    assert_eq!(messages[0]["sender"], "Ola Hansen");
    let closed = kari.request(Method::PATCH, &lead).json(&json!({ "status": "won" }));
    Answer::of(closed).await.expect(200);
    send(&from("ola@example.no", "c@example.no", "", "Jeg trenger én til.")).await;
    assert_eq!(leads(&kari).await[0]["customer_name"], "Ola Hansen");
    // A number besides may be somebody else's.
    let closed =
        kari.request(Method::PATCH, &format!("/api/v1/leads/{}", leads(&kari).await[0]["id"].as_str().expect("an id")));
    Answer::of(closed.json(&json!({ "status": "won" }))).await.expect(200);
    send(&from("ola@example.no", "d@example.no", "", "Hei, har dere en Golf?\r\nMobil: 912 34 567")).await;
    assert!(leads(&kari).await[0]["customer_name"].is_null());
    // Nobody is known by what they have never said.
    send(&from("per@example.no", "e@example.no", "", "Har dere en Polo?")).await;
    assert!(leads(&kari).await[0]["customer_name"].is_null());
}

#[tokio::test]
async fn the_envelope_says_for_whom_a_mail_is() {
    let app = TestApp::start().await;
    let (kari, silje) = (app.dealership("Tesla Oslo").await.admin(), app.dealership("VW Bergen").await.admin());
    let (oslo, bergen) = (source(&kari, "email").await, source(&silje, "email").await);
    let both = format!("{}@{INBOUND_DOMAIN}, {}@{INBOUND_DOMAIN}", key(&oslo), key(&bergen));
    Answer::of(mail(&app, &both, PORTAL)).await.expect(200);
    let nobodys = format!("nobody@{INBOUND_DOMAIN},{}@elsewhere.example", key(&oslo));
    Answer::of(mail(&app, &nobodys, PORTAL)).await.expect(200);
    drain(&app, &[]).await;
    assert_eq!((leads(&kari).await.len(), leads(&silje).await.len()), (1, 1));
    let unknown =
        "SELECT count(*) FROM deliveries WHERE status = 'parked' AND dealership_id IS NULL AND body IS NOT NULL";
    assert_eq!(app.count(unknown).await, 2);
}

#[tokio::test]
async fn each_provider_is_answered_as_it_needs() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let address = format!("{}@{INBOUND_DOMAIN}", key(&source(&kari, "email").await));
    let post = |provider: &str| app.request(Method::POST, &format!("/webhooks/email/{provider}"));
    // Not configured, and forged: SendGrid would destroy the mail on any 4xx.
    assert_eq!(Answer::of(post("sendgrid").body("x")).await.status, 503);
    for (provider, status) in [("mailgun", 401), ("postmark", 401), ("raw", 401), ("nobody", 404)] {
        assert_eq!(Answer::of(post(provider).body("x")).await.status, status, "{provider}");
    }
    let postmark = json!({
        "From": "ola@example.no", "FromFull": { "Email": "ola@example.no", "Name": "Ola", "MailboxHash": "" },
        "OriginalRecipient": address, "Subject": "Hei", "MessageID": "p1", "Date": "Sun, 29 Nov 2026 20:00:00 +0100",
        "TextBody": "Har dere en ID.4 på lager?", "Headers": [{ "Name": "Message-ID", "Value": "<p1@example.no>" }],
        "Attachments": [],
    });
    let posted = post("postmark").basic_auth("norvalt", Some(MAIL_SECRET)).json(&postmark);
    Answer::of(posted).await.expect(200);
    // What cannot be read is kept, and not sent again.
    let unreadable = post("raw").bearer_auth(MAIL_SECRET).header("x-envelope-to", &address).body("no mail");
    Answer::of(unreadable).await.expect(200);
    drain(&app, &[]).await;
    assert_eq!(leads(&kari).await[0]["customer_email"], "ola@example.no");
    assert_eq!(app.count("SELECT count(*) FROM deliveries WHERE source = 'email' AND status = 'dead'").await, 1);
}

#[tokio::test]
async fn whatever_sendgrid_does_wrong_it_keeps_the_mail() {
    let app = TestApp::start_with(|config| config.senders.mail.sendgrid_key = Some(vec![4; 65])).await;
    let post = || app.request(Method::POST, "/webhooks/email/sendgrid");
    let signed = || post().header("x-twilio-email-event-webhook-signature", "AAAA");
    for forged in [post().body("x"), signed().body("x"), signed().body("x".repeat(51 * 1024 * 1024))] {
        assert_eq!(Answer::of(forged).await.status, 503);
    }
}

#[tokio::test]
async fn a_long_mail_is_taken_and_read() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let address = format!("{}@{INBOUND_DOMAIN}", key(&source(&kari, "email").await));
    let picture = "QUJD".repeat(3_000_000);
    let message = from(
        "Ola <ola@example.no>",
        "long@example.no",
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n",
        &format!(
            "--b\r\nContent-Type: text/plain\r\n\r\nSe bildet\r\n--b\r\nContent-Type: image/jpeg; name=bil.jpg\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{picture}\r\n--b--"
        ),
    );
    Answer::of(mail(&app, &address, &message)).await.expect(200);
    let too_long = mail(&app, &address, &"x".repeat(51 * 1024 * 1024));
    assert_eq!(Answer::of(too_long).await.status, 413);
    drain(&app, &[]).await;
    let lead = &leads(&kari).await[0];
    assert!(lead["source_metadata"].to_string().contains("bil.jpg"), "{lead:#}");
}
