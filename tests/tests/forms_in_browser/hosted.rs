use axum::http::StatusCode;

use super::stage::{KEY, Stage};

#[tokio::test]
async fn a_customer_without_script_and_without_a_mouse_is_understood() {
    let Some(mut stage) = Stage::set().await else { return };
    stage.browser.forbid_scripts().await;
    stage.open_hosted("?vehicle_interest=VW%20ID.4&utm_source=finn").await;

    // From field to field, past what only programs see.
    let mut order = Vec::new();
    for text in ["Åse Bjørnøy", "", "ase.bjornoy", "", "Når kan jeg prøvekjøre?\nHilsen «Åse» <3"] {
        order.push(stage.focus_after("Tab").await);
        // What the focus came to is selected, and would be written over.
        if !text.is_empty() {
            stage.browser.write(text).await;
        }
    }
    order.push(stage.focus_after("Tab").await);
    assert_eq!(order, ["name", "phone", "email", "vehicle_interest", "message", "button"]);
    stage.browser.press("Enter").await;

    stage.browser.until("document.title.startsWith('Feil: ')").await;
    stage.focus_comes_to("alert").await;
    assert_eq!(stage.focus_after("Tab").await, "a");
    assert_eq!(stage.focus_after("Enter").await, "email");
    let email = "document.querySelector('#email')";
    assert_eq!(stage.browser.eval(&format!("{email}.value")).await, "ase.bjornoy");
    let spoken = stage.browser.read_aloud().await;
    let (_, _, description, wrong) = spoken.iter().find(|(_, name, ..)| name == "E-post").expect("it is there");
    assert!(*wrong && description.starts_with("Skriv e-postadressen slik"), "{description}");
    stage.browser.screenshot("hosted-mistake").await;

    stage.browser.press("Control+a").await;
    stage.browser.write("ase@bjørnøy.no").await;
    stage.browser.press("Enter").await;
    stage.browser.until("location.pathname.endsWith('/thanks')").await;
    stage.browser.screenshot("hosted-thanks").await;

    let [first, second] = &stage.sent()[..] else { panic!("{:?}", stage.sent()) };
    assert_eq!(first["_nonce"], second["_nonce"]);
    for (name, value) in [
        ("name", "Åse Bjørnøy"),
        ("email", "ase@bjørnøy.no"),
        ("vehicle_interest", "VW ID.4"),
        ("message", "Når kan jeg prøvekjøre?\r\nHilsen «Åse» <3"),
        ("utm_source", "finn"),
        ("_language", "nb"),
        ("_gotcha", ""),
        ("_elapsed", ""),
    ] {
        assert_eq!(second[name], value, "{name}");
    }
}

#[tokio::test]
async fn what_was_typed_survives_a_rush() {
    let Some(mut stage) = Stage::set().await else { return };
    let next = format!("{}/takk", stage.site);
    stage.open_hosted(&format!("?_next={next}")).await;
    stage.fail_with(&[StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE]);
    stage.browser.eval("document.querySelector('#phone').focus()").await;
    stage.browser.write("912 34 567").await;
    for (attempt, heading) in ["Det er mange som skriver", "Henvendelsen ble ikke sendt"].into_iter().enumerate() {
        stage.browser.eval("document.querySelector('button').focus()").await;
        // A double click.
        stage.browser.press("Enter").await;
        stage.browser.press("Enter").await;
        stage
            .browser
            .until(&format!("!!document.querySelector('.alert h2')?.textContent.startsWith('{heading}')"))
            .await;
        assert_eq!(stage.sent().len(), attempt + 1);
        stage.focus_comes_to("alert").await;
        assert_eq!(stage.browser.eval("document.querySelector('#phone').value").await, "912 34 567");
        stage.browser.screenshot(&format!("hosted-trouble-{attempt}")).await;
    }
    assert_eq!(stage.browser.eval("window.violations").await, serde_json::json!([]));
    stage.browser.eval("document.querySelector('button').focus()").await;
    stage.browser.press("Enter").await;
    stage.browser.until(&format!("location.href === '{next}'")).await;

    let sent = stage.sent();
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|sent| sent["_nonce"] == "4f1c" && sent["phone"] == "912 34 567"));
    let elapsed: Vec<u32> = sent.iter().map(|sent| sent["_elapsed"].parse().expect("milliseconds")).collect();
    assert!(elapsed[0] > 0 && elapsed.is_sorted(), "{elapsed:?}");
    assert!(sent[0]["source_url"].starts_with(&format!("{}/forms/{KEY}", stage.api)), "{:?}", sent[0]);
}

#[tokio::test]
async fn a_form_that_does_not_exist_says_so() {
    let Some(mut stage) = Stage::set().await else { return };
    stage.browser.open(&format!("{}/forms/nothing", stage.api)).await;
    assert_eq!(stage.browser.eval("document.title").await, "Dette skjemaet er ikke i bruk");
    stage.browser.screenshot("hosted-closed").await;
}
