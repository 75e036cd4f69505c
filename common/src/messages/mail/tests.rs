use super::*;

fn content() -> MailContent {
    MailContent {
        language: Language::Nb,
        dealership: Sender {
            name: "Fjordbil & Sønner AS".to_owned(),
            logo_url: None,
            phone: Some("+47 22 12 34 56".to_owned()),
            email: Some("salg@fjordbil.example".to_owned()),
            address: Some("Økernveien 115, 0579 Oslo".to_owned()),
        },
        subject: "Tesla Model Y 2023".to_owned(),
        body: "Hei Kari,\n\nTakk for henvendelsen om Tesla Model Y. Bilen er fortsatt tilgjengelig, og prisen er \
               429 000 kr.\n\nDu er velkommen til prøvekjøring. En av oss tar kontakt for å finne en tid som passer."
            .to_owned(),
        signature: Some("Vennlig hilsen\nalle oss i Fjordbil".to_owned()),
        disclosure: Some(
            "Dette svaret er automatisk. Svar på denne meldingen for å nå et menneske hos oss.".to_owned(),
        ),
        reply_hint: true,
        unsubscribe_url: Some("https://norvalt.example/u/1?a=1&b=2".to_owned()),
        quoted: Some(Quoted {
            who: "Kari".to_owned(),
            when: "30. november 2026 kl. 21.14".to_owned(),
            text: "Hei!\n\nEr denne fortsatt til salgs?".to_owned(),
        }),
    }
}

fn bare() -> MailContent {
    let dealership = Sender { name: "Fjordbil".to_owned(), logo_url: None, phone: None, email: None, address: None };
    MailContent {
        dealership,
        signature: None,
        disclosure: None,
        reply_hint: false,
        unsubscribe_url: None,
        quoted: None,
        ..content()
    }
}

#[test]
fn the_plain_text_reads_as_a_letter() {
    let expected = "\
Dette svaret er automatisk. Svar på denne meldingen for å nå et menneske hos oss.

Hei Kari,

Takk for henvendelsen om Tesla Model Y. Bilen er fortsatt tilgjengelig, og prisen er 429 000 kr.

Du er velkommen til prøvekjøring. En av oss tar kontakt for å finne en tid som passer.

Vennlig hilsen
alle oss i Fjordbil

--
Fjordbil & Sønner AS
Økernveien 115, 0579 Oslo
+47 22 12 34 56
salg@fjordbil.example

Du kan svare rett på denne e-posten.

Meld deg av: https://norvalt.example/u/1?a=1&b=2

Kari skrev (30. november 2026 kl. 21.14):
> Hei!
>
> Er denne fortsatt til salgs?
";
    assert_eq!(render(&content()).text, expected);
}

#[test]
fn the_page_has_everything_in_its_place_and_nothing_that_is_absent() {
    let html = render(&content()).html;
    let places =
        ["Dette svaret er automatisk", "Hei Kari,", "alle oss i Fjordbil", "Kari skrev", "Økernveien", "Meld deg av"];
    let body = html.split_once("<body").expect("a body").1.replacen("Hei Kari,", "", 1);
    let found: Vec<_> = places.iter().map(|place| body.find(place).expect(place)).collect();
    assert!(found.is_sorted(), "{found:?}");
    assert!(html.contains("Fjordbil &amp; S") && html.contains("href=\"tel:+4722123456\""), "{html}");
    let html = render(&bare()).html;
    for absent in ["<img", "href", "None", "none</", "undefined", "class=\"note\" "] {
        assert!(!html.contains(absent), "{absent}");
    }
    for language in Language::ALL {
        let html = render(&MailContent { language, ..content() }).html;
        assert!(html.contains(&format!("<html lang=\"{}\"", language.as_str())));
    }
}

#[test]
fn what_anybody_wrote_is_text_wherever_it_stands() {
    let hostile = "<script>alert(1)</script>\"><img src=x onerror=alert(2)>' {{ 7 * 7 }} {% raw %} æøå & €";
    let own = || Some(hostile.to_owned());
    let quoted = Quoted { who: hostile.to_owned(), when: hostile.to_owned(), text: hostile.to_owned() };
    let dealership = Sender { name: hostile.to_owned(), logo_url: own(), phone: own(), email: own(), address: own() };
    let mail = render(&MailContent {
        dealership,
        subject: hostile.to_owned(),
        body: hostile.to_owned(),
        signature: own(),
        disclosure: own(),
        unsubscribe_url: Some("javascript:alert(1)".to_owned()),
        quoted: Some(quoted),
        ..content()
    });
    assert!(!mail.html.contains("<script") && !mail.html.contains("<img") && !mail.html.contains("javascript:"));
    assert!(!mail.html.contains("\"><") || !mail.html.contains("\"><img"));
    assert!(mail.html.contains("&lt;script&gt;") && mail.html.contains("æøå &amp; €"));
    assert!(mail.html.contains("{{ 7 * 7 }}") && !mail.html.contains("49"), "no template within");
    assert_eq!(mail.html.matches("</p>").count(), render(&content()).html.matches("</p>").count() - 2);
    assert!(mail.text.contains(hostile), "plain text is as written");
}

#[test]
fn a_subject_is_one_line_of_bounded_length() {
    let subject = |text: &str| render(&MailContent { subject: text.to_owned(), ..bare() }).subject;
    assert_eq!(subject("Tilbud\r\nBcc: alle@example.no\u{202e} \t x"), "Tilbud Bcc: alle@example.no x");
    assert_eq!(subject(&"å".repeat(500)).chars().count(), SUBJECT_LIMIT);
}

#[test]
fn only_addresses_of_the_web_are_shown_or_linked() {
    let logo = |url: &str| {
        let mut content = bare();
        content.dealership.logo_url = Some(url.to_owned());
        render(&content).html.contains("<img")
    };
    assert!(logo("https://cdn.example/logo.png"));
    for url in
        ["http://cdn.example/logo.png", "javascript:alert(1)", "data:image/png;base64,AAAA", "https://x\n.example"]
    {
        assert!(!logo(url), "{url}");
    }
}
