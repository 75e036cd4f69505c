//! What a dealership has elsewhere: pages of Facebook, and accounts at providers.

use common::{clock::Clock, ids::DealershipId, lead_sources, secrets, sending_accounts};
use reqwest::Method;
use serde_json::json;
use tests::app::{Person, TestApp};

use super::ask;

/// An admin logs in to Facebook, and connects a page that they have there.
pub(super) async fn facebook_login(app: &TestApp, oslo: DealershipId, admin: &Person<'_>) {
    let path = "/api/v1/lead-sources/facebook/login";
    let keyring = tests::app::SECRETS_KEYS.parse().expect("keys");
    for is_wrong in [true, false] {
        let begun = ask(admin, Method::POST, path, None, 201).await;
        let url: reqwest::Url = begun["authorize_url"].as_str().expect("an address").parse().expect("a URL");
        let state = url.query_pairs().find(|(name, _)| name == "state").expect("it has one").1.into_owned();
        let mut tx = app.db.tenant(oslo).await.expect("the database is there");
        let code = lead_sources::Return::Code("code".to_owned().into());
        let digits = lead_sources::come_back(&mut tx, &keyring, &state, &code).await.expect("it is there");
        let digits = digits.expect("it is her").expect("she agreed");
        tx.commit().await.expect("the database is there");
        let mut superuser = app.connect().await;
        let login: uuid::Uuid =
            sqlx::query_scalar("SELECT id FROM facebook_logins").fetch_one(&mut superuser).await.expect("there is one");
        let mut tx = app.db.tenant(oslo).await.expect("the database is there");
        assert!(lead_sources::load_login(&mut tx, &keyring, login).await.expect("it is there").is_some());
        let page = lead_sources::Page { id: "5".to_owned(), name: "Bil".to_owned(), token: "EAAB".to_owned().into() };
        for outcome in
            [lead_sources::Outcome::Token("EAAU".to_owned().into()), lead_sources::Outcome::Pages(vec![page])]
        {
            lead_sources::save_login(&mut tx, &keyring, login, &outcome).await.expect("it is there");
        }
        lead_sources::fail_login(&mut tx, login, "too late").await.expect("it is there");
        tx.commit().await.expect("the database is there");
        admin.get(path).await.expect(200);
        let (digits, expected) = if is_wrong { ("x", 422) } else { (digits.as_str(), 200) };
        let choice = json!({ "page_ids": ["5"], "confirmation": digits });
        ask(admin, Method::POST, &format!("{path}/pages"), Some(choice), expected).await;
    }
}

/// The dealership sends through accounts of its own for a while.
pub(super) async fn own(app: &TestApp, oslo: DealershipId, admin: &Person<'_>) {
    let path = "/api/v1/dealership/sending/email";
    let account = json!({ "provider": "resend", "from": "salg@tesla.example", "api_key": "re_of_nobody" });
    ask(admin, Method::PUT, path, Some(account), 200).await;
    admin.get(path).await.expect(200);
    let sending = uuid::Uuid::nil();
    let mut tx = app.db.tenant(oslo).await.expect("the database is there");
    let keyring = tests::app::SECRETS_KEYS.parse().expect("keys");
    let none = sending_accounts::email_of(&mut tx, &keyring, sending.into()).await.expect("the database is there");
    assert!(none.is_none(), "there is no such message");
    let updated_at = Clock::system().now();
    let own = sending_accounts::Own {
        dealership: oslo,
        medium: sending_accounts::Medium::Email,
        updated_at,
        is_confirmed: true,
        settings: (),
    };
    assert!(sending_accounts::domain_to_check(&mut tx).await.expect("the database is there").is_some());
    assert!(!sending_accounts::save_domain(&mut tx, updated_at, &[]).await.expect("the database is there"));
    sending_accounts::mark_broken(&mut tx, &own, "it lets nobody in").await.expect("the database is there");
    sending_accounts::mark_working(&mut tx, &own).await.expect("the database is there");
    tx.commit().await.expect("the database is there");
    let rotated = format!("new:{},{}", "AgIC".repeat(10) + "AgI=", tests::app::SECRETS_KEYS).parse().expect("keys");
    let mut tx = app.db.tenant(oslo).await.expect("the database is there");
    let resealed = secrets::reseal(&mut tx, &rotated).await.expect("the database is there");
    assert!(resealed.secrets > 0 && resealed.unopened.is_empty(), "{resealed:?}");
    drop(tx);
    ask(admin, Method::DELETE, path, None, 204).await;
}
