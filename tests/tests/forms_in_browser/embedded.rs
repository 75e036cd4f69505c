use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::stage::Stage;

const ROOT: &str = "document.querySelector('norvalt-form').shadowRoot";

impl Stage {
    /// Waits for a text in an element of the embedded form.
    async fn until_form_says(&mut self, selector: &str, start: &str) {
        let said = format!("!!{ROOT}.querySelector('{selector}')?.textContent.startsWith('{start}')");
        self.browser.until(&said).await;
    }

    async fn form_value(&mut self, name: &str) -> Value {
        self.browser.eval(&format!("{ROOT}.querySelector('[name={name}]').value")).await
    }

    /// How every part of the form looks and what it says, however the page around it looks.
    async fn appearance(&mut self) -> Value {
        let parts = format!(
            "[...{ROOT}.querySelectorAll('*')].map((e) => {{
                 const style = getComputedStyle(e);
                 const names = ['color', 'backgroundColor', 'fontFamily', 'fontSize', 'lineHeight', 'letterSpacing', 'textAlign',
                                'textTransform', 'direction', 'display', 'visibility', 'opacity', 'transform', 'float',
                                'cursor', 'pointerEvents', 'borderTopColor', 'outlineColor'];
                 return [e.localName, e.id, ...names.map((name) => style[name])];
             }})"
        );
        self.browser.eval(&parts).await
    }
}

#[tokio::test]
async fn a_hostile_page_does_not_reach_the_form() {
    let Some(mut stage) = Stage::set().await else { return };
    stage.open_site("/plain").await;
    let expected = stage.appearance().await;
    assert!(expected.as_array().is_some_and(|parts| parts.len() > 20), "{expected}");
    stage.browser.screenshot("embedded").await;

    stage.open_site("/").await;
    assert_eq!(stage.appearance().await, expected);
    let host = "(() => {
      const host = document.querySelector('norvalt-form');
      const [style, box] = [getComputedStyle(host), host.getBoundingClientRect()];
      return [style.display, style.visibility, style.opacity, style.transform, style.float, style.pointerEvents,
              box.left >= 0 && box.right <= innerWidth && box.width > 500];
    })()";
    assert_eq!(stage.browser.eval(host).await, json!(["flow-root", "visible", "1", "none", "none", "auto", true]));
    stage.browser.screenshot("embedded-hostile").await;

    assert_eq!(stage.browser.eval("window.violations").await, json!([]), "the policy of the page permits all of it");
    assert_eq!(stage.browser.eval("document.cookie").await, "");
    let leaked = "document.querySelectorAll('.norvalt, input, style').length";
    assert_eq!(stage.browser.eval(leaked).await, 0, "nor does the form reach the page");
}

#[tokio::test]
async fn an_inquiry_is_sent_by_keyboard_past_mistakes_and_failures() {
    let Some(mut stage) = Stage::set().await else { return };
    stage.open_site("/").await;
    let mut order = Vec::new();
    for _ in 0..6 {
        order.push(stage.focus_after("Tab").await);
    }
    assert_eq!(order, ["name", "phone", "email", "vehicle_interest", "message", "button"]);

    // Nothing at all.
    stage.browser.press("Enter").await;
    stage.until_form_says(".alert a", "Skriv et telefonnummer eller en e-postadresse").await;
    stage.focus_comes_to("alert").await;
    stage.browser.screenshot("embedded-mistake").await;
    let spoken = stage.browser.read_aloud().await;
    let wrong: BTreeSet<_> = spoken.iter().filter(|(.., wrong)| *wrong).map(|(_, name, ..)| name.as_str()).collect();
    assert_eq!(wrong, ["Telefon", "E-post"].into());
    assert!(spoken.iter().filter(|(.., wrong)| *wrong).all(|(.., said, _)| said.starts_with("Skriv et telefonnummer")));
    assert_eq!(stage.focus_after("Tab").await, "a");
    assert_eq!(stage.focus_after("Enter").await, "phone");

    // The site's shortcuts stay out of it.
    for digit in "91234567".split("").filter(|digit| !digit.is_empty()) {
        stage.browser.press(digit).await;
    }
    assert_eq!(stage.form_value("phone").await, "91234567");
    assert_eq!(stage.browser.eval("window.shortcuts").await, 0);

    stage.fail_with(&[StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS]);
    for heading in ["Henvendelsen ble ikke sendt", "Det er mange som skriver"] {
        stage.browser.eval(&format!("{ROOT}.querySelector('[name=phone]').focus()")).await;
        // A double click.
        stage.browser.press("Enter").await;
        stage.browser.press("Enter").await;
        stage.until_form_says(".alert h3", heading).await;
        stage.focus_comes_to("alert").await;
        assert_eq!(stage.form_value("phone").await, "91234567");
        stage.until_form_says("button", "Prøv igjen").await;
    }
    stage.browser.screenshot("embedded-trouble").await;
    let link = stage.browser.eval(&format!("{ROOT}.querySelector('.alert a').href")).await;
    assert!(link.as_str().is_some_and(|link| link.starts_with(&format!("{}/forms/", stage.api))), "{link}");

    stage.browser.eval(&format!("{ROOT}.querySelector('button').focus()")).await;
    stage.browser.press("Enter").await;
    stage.until_form_says("h2", "Takk").await;
    stage.focus_comes_to("title").await;
    stage.until_form_says("[role=status]", "Fjordbil Ålesund AS svarer").await;
    assert_eq!(stage.browser.eval("window.received").await, 1);
    stage.browser.screenshot("embedded-thanks").await;
    let sent = stage.sent();
    assert_eq!(sent.len(), 4);
    assert_ne!(sent[0]["_nonce"], sent[1]["_nonce"], "another text is another inquiry");
    assert!(sent[2..].iter().all(|later| later["_nonce"] == sent[1]["_nonce"]), "the same text is the same");
}

#[tokio::test]
async fn what_is_sent_is_what_was_written() {
    let Some(mut stage) = Stage::set().await else { return };
    stage.open_site("/?utm_source=facebook&gclid=Cj0K&annet=1#side").await;
    let fields = [
        ("name", "Bjørn \"Bilen\" Ødegård"),
        ("email", "bjorn@example.no"),
        ("vehicle_interest", "Škoda Enyaq <img src=x onerror=alert(1)>"),
        ("message", "Hei!\n{dealership} & </script> 🚗"),
    ];
    for (name, value) in fields {
        stage.browser.eval(&format!("{ROOT}.querySelector('[name={name}]').focus()")).await;
        stage.browser.write(value).await;
    }
    stage.browser.eval(&format!("{ROOT}.querySelector('button').focus()")).await;
    stage.browser.press("Enter").await;
    stage.until_form_says("h2", "Takk").await;

    // And once more, which is another inquiry.
    stage.browser.press("Tab").await;
    assert_eq!(stage.focus_after("Enter").await, "name");
    assert_eq!(stage.form_value("message").await, "");
    stage.browser.eval(&format!("{ROOT}.querySelector('[name=email]').focus()")).await;
    stage.browser.write("bjorn@example.no").await;
    stage.browser.press("Enter").await;
    stage.until_form_says("h2", "Takk").await;

    let [first, second] = &stage.sent()[..] else { panic!("{:?}", stage.sent()) };
    assert_ne!(first["_nonce"], second["_nonce"]);
    for (name, value) in fields {
        assert_eq!(first[name].replace("\r\n", "\n"), value, "{name}");
    }
    let source = format!("{}/?utm_source=facebook&gclid=Cj0K&annet=1", stage.site);
    for (name, value) in
        [("source_url", &*source), ("utm_source", "facebook"), ("gclid", "Cj0K"), ("_gotcha", ""), ("_language", "nb")]
    {
        assert_eq!(first[name], value, "{name}");
    }
    assert!(first["_elapsed"].parse::<u32>().is_ok_and(|elapsed| elapsed > 0), "{first:?}");
    assert!(!first.contains_key("annet") && !first.contains_key("utm_medium"), "{first:?}");
}

#[tokio::test]
async fn without_script_the_line_is_a_link_to_the_hosted_page() {
    let Some(mut stage) = Stage::set().await else { return };
    stage.browser.forbid_scripts().await;
    stage.browser.open(&format!("{}/plain", stage.site)).await;
    assert_eq!(stage.focus_after("Tab").await, "a");
    stage.browser.press("Enter").await;
    stage.browser.until("location.pathname.startsWith('/forms/') && !!document.querySelector('form')").await;
}
