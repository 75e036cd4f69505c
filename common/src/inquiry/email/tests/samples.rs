use super::own;
use crate::inquiry::email::{
    Kind, Mail, Mark, identity,
    portal::{self, SenderRules, may_answer},
};

/// A mail and what it must come to.
struct Sample {
    file: &'static str,
    raw: &'static [u8],
    kind: Kind,
    /// Name, e-mail address, phone number, vehicle.
    customer: [&'static str; 4],
    /// The message, or how it begins where `[…]` follows.
    message: &'static str,
    /// Whether the customer may be answered automatically.
    answered: bool,
    details: &'static [(&'static str, &'static str)],
}

macro_rules! sample {
    ($file:literal, $kind:expr, $customer:expr, $message:literal, $answered:literal, $details:expr) => {
        Sample {
            file: $file,
            raw: include_bytes!(concat!("../samples/", $file, ".eml")),
            kind: $kind,
            customer: $customer,
            message: $message,
            answered: $answered,
            details: $details,
        }
    };
}

/// Those that are of a customer.
const INQUIRIES: [Sample; 21] = [
    sample!(
        "finn_text",
        Kind::Inquiry,
        ["Kari Nordmann", "kari.nordmann@example.no", "+4791234567", "Volkswagen Golf 1.5 eTSI Style"],
        "Hei! Er bilen fortsatt ledig?\nKan jeg prøvekjøre den lørdag kl. 11:30?\n\nHilsen Kari",
        true,
        &[
            ("finn_code", "312345678"),
            ("subject", "Ny henvendelse på Volkswagen Golf"),
            ("sender", "no-reply@finn.example")
        ]
    ),
    sample!(
        "finn_html",
        Kind::Inquiry,
        ["Pål Ødegård", "pal.odegard@example.no", "+4798877665", "Volvo XC60 B4 2021"],
        "Tar dere min Tesla i innbytte?\nDen er fra 2018.[…]",
        true,
        &[("finn_code", "298765432"), ("registration_number", "EK12345"), ("attachment", "logo.png")]
    ),
    sample!(
        "importer",
        Kind::Inquiry,
        ["Ola Hansen", "", "+4740612345", "Škoda Enyaq 85 Sportline 2027"],
        "Forhandler\nNavn: Bilhuset Oslo AS[…]",
        false,
        &[("phone", "22 11 22 33"), ("Ønsket tidspunkt", "Mandag formiddag"), ("E-post", "oslo@forhandler.example")]
    ),
    sample!(
        "importer_nynorsk",
        Kind::Inquiry,
        ["Åshild Bø", "ashild@example.no", "+4757820000", "Kia EV6"],
        "Kva kostar vinterhjul til denne?\nHelsing Åshild",
        true,
        &[("sender", "web@bilimport.example")]
    ),
    sample!(
        "portal_en",
        Kind::Inquiry,
        ["John O'Brien", "john@example.ie", "+353850123456", "Toyota RAV4"],
        "Can you ship it to Dublin?",
        true,
        &[]
    ),
    sample!(
        "label_lines",
        Kind::Inquiry,
        ["Mette-Marit Lie", "", "+4793456789", "Peugeot e-208 GT"],
        "Hvor lang er leveringstiden?\nGjelder garantien i hele Norden?",
        false,
        &[("finn_code", "31234567")]
    ),
    sample!(
        "forwarded_gmail",
        Kind::Inquiry,
        ["Kari Nordmann", "kari.nordmann@example.no", "+4791234567", ""],
        "Hei, er Golfen fortsatt til salgs?\n\nMvh Kari\nTlf: 912 34 567",
        true,
        &[
            ("forwarded_by", "ola@bilhuset.example"),
            ("forwarding_note", "Kan noen ta denne?"),
            ("subject", "Golf til salgs?")
        ]
    ),
    sample!(
        "forwarded_outlook",
        Kind::Inquiry,
        ["Åse Bjørnstad", "ase@example.no", "", ""],
        "Hei, kan jeg prøvekjøre Enyaq på fredag? Jeg kan fra kl. 14 – etter jobb.",
        true,
        &[("forwarded_by", "ola@bilhuset.example"), ("subject", "Prøvekjøring Enyaq")]
    ),
    sample!(
        "forwarded_attached",
        Kind::Inquiry,
        ["Svån Bakke", "svan@example.no", "", ""],
        "Har dere ledig time til EU-kontroll før jul?",
        true,
        &[("forwarding_note", "Ligger ved."), ("attachment", "kunde.eml")]
    ),
    sample!(
        "outlook_html",
        Kind::Inquiry,
        ["Per Jensen", "per.jensen@example.no", "+4790123456", ""],
        "Hei,\n\nHva får jeg for en Leaf fra 2017 i innbytte?\n\nRing gjerne.\n\nPer Jensen\nMobil: 901 23 456",
        true,
        &[("subject", "Innbytte")]
    ),
    sample!(
        "latin1",
        Kind::Inquiry,
        ["Bjørn Ås", "bjorn@example.no", "", ""],
        "Selger dere hengerfeste til Våler-tilhengere?",
        true,
        &[("subject", "Spørsmål om båtfeste")]
    ),
    sample!(
        "windows1252",
        Kind::Inquiry,
        ["Bjørn", "bjorn2@example.no", "", ""],
        "Hei – er prisen 299 000 € eller kroner? Blåbær…",
        true,
        &[]
    ),
    sample!("adf_attached", Kind::Inquiry, ["", "", "", ""], "See attachment.", false, &[("attachment", "lead.xml")]),
    sample!(
        "adf_body",
        Kind::Inquiry,
        ["", "leads@adfportal.example", "", ""],
        "<?ADF VERSION=\"1.0\"?>[…]",
        true,
        &[]
    ),
    sample!(
        "adf_escaped",
        Kind::Inquiry,
        ["", "leads@adfportal.example", "", ""],
        "<?ADF VERSION=\"1.0\"?>[…]",
        true,
        &[]
    ),
    sample!(
        "reply_quotes",
        Kind::Inquiry,
        ["Kari Nordmann", "kari.nordmann@example.no", "", ""],
        "Ja takk, fredag passer fint!\n\nKari",
        true,
        &[]
    ),
    sample!("no_message_id", Kind::Inquiry, ["", "kari.nordmann@example.no", "", ""], "Er Golfen ledig?", true, &[]),
    sample!(
        "two_recipients",
        Kind::Inquiry,
        ["Nils", "nils@example.no", "", ""],
        "Jeg ser etter en varebil.",
        true,
        &[]
    ),
    sample!(
        "wordpress",
        Kind::Inquiry,
        ["Liv Moe", "liv@example.no", "", ""],
        "Når kan jeg komme på service?",
        true,
        &[("sender", "wordpress@bilhuset.example")]
    ),
    sample!(
        "staff_list",
        Kind::Inquiry,
        ["Tor Vik", "tor.vik@example.no", "", ""],
        "Hva koster leasing av en ID.4?",
        true,
        &[]
    ),
    sample!(
        "carriage_returns",
        Kind::Inquiry,
        ["Mac", "mac@example.no", "", ""],
        "Er den ledig?\nHilsen Mac",
        true,
        &[]
    ),
];

/// Those that are not, or not surely.
const OTHERS: [(&str, &[u8], Kind); 12] = [
    ("bounce", include_bytes!("../samples/bounce.eml"), Kind::Bounce),
    ("bounce_plain", include_bytes!("../samples/bounce_plain.eml"), Kind::Bounce),
    ("complaint", include_bytes!("../samples/complaint.eml"), Kind::Complaint),
    ("out_of_office", include_bytes!("../samples/out_of_office.eml"), Kind::AutoReply),
    ("out_of_office_exchange", include_bytes!("../samples/out_of_office_exchange.eml"), Kind::AutoReply),
    ("read_receipt", include_bytes!("../samples/read_receipt.eml"), Kind::AutoReply),
    ("newsletter", include_bytes!("../samples/newsletter.eml"), Kind::Suspected("a newsletter")),
    ("spam", include_bytes!("../samples/spam.eml"), Kind::Suspected("advertising")),
    ("own_address", include_bytes!("../samples/own_address.eml"), Kind::Unsure("from the dealership itself")),
    ("automatic", include_bytes!("../samples/automatic.eml"), Kind::Unsure("automatic, and names no customer")),
    ("empty", include_bytes!("../samples/empty.eml"), Kind::Unsure("empty")),
    ("cut_off", include_bytes!("../samples/cut_off.eml"), Kind::Inquiry),
];

/// Every sample, for those who change them.
pub(super) fn all() -> impl Iterator<Item = &'static [u8]> {
    INQUIRIES.iter().map(|sample| sample.raw).chain(OTHERS.iter().map(|(_, raw, _)| *raw))
}

fn mail(raw: &[u8]) -> Mail {
    Mail::read(raw).expect("it has headers")
}

fn classify(mail: &Mail) -> Kind {
    crate::inquiry::email::classify(mail, &own(), &SenderRules::default())
}

#[test]
fn what_customers_ask_is_read_from_every_sort_of_mail() {
    let mut wrong = Vec::new();
    for sample in &INQUIRIES {
        let mail = mail(sample.raw);
        let inquiry = portal::read(&mail, &SenderRules::default(), &own());
        let customer = [
            inquiry.name.as_deref().unwrap_or_default(),
            inquiry.email.as_ref().map_or("", |email| email.as_str()),
            inquiry.phone.as_ref().map_or("", |phone| phone.e164.as_str()),
            inquiry.vehicle_interest.as_deref().unwrap_or_default(),
        ];
        let message = inquiry.message.as_deref().unwrap_or_default();
        let is_message = match sample.message.strip_suffix("[…]") {
            Some(start) => message.starts_with(start),
            None => message == sample.message,
        };
        let answered = inquiry.email.as_ref().is_some_and(|email| may_answer(&mail, email, &own()));
        let is_noted = |(name, value): &(&str, &str)| inquiry.details.get(*name).is_some_and(|noted| noted == *value);
        let is_right = classify(&mail) == sample.kind
            && customer == sample.customer
            && is_message
            && answered == sample.answered
            && sample.details.iter().all(is_noted);
        if !is_right {
            wrong.push(format!("{}: {:?} {answered} {inquiry:#?}", sample.file, classify(&mail)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_nobody_asks_is_told_from_it() {
    for (file, raw, kind) in OTHERS {
        let mail = mail(raw);
        assert_eq!(classify(&mail), kind, "{file}: {:?}", mail.marks);
    }
}

#[test]
fn adf_is_found_in_files_bodies_and_pages() {
    for raw in [
        include_bytes!("../samples/adf_attached.eml").as_slice(),
        include_bytes!("../samples/adf_body.eml"),
        include_bytes!("../samples/adf_escaped.eml"),
    ] {
        let mail = mail(raw);
        let adf = mail.adf().expect("it has some");
        assert!(adf.starts_with("<?ADF VERSION=\"1.0\"?>") && adf.ends_with("</adf>"), "{adf}");
        assert!(adf.contains("<name part=\"full\">Kari Nordmann</name>") && adf.contains("ledig &amp; klar"), "{adf}");
    }
    assert_eq!(mail(include_bytes!("../samples/finn_text.eml")).adf(), None);
}

#[test]
fn a_bounce_tells_which_mail_reached_whom_not() {
    let report = mail(include_bytes!("../samples/bounce.eml")).report.expect("it is one");
    let told = [report.recipient, report.action, report.status, report.original_message_id];
    let told = told.map(Option::unwrap_or_default);
    assert_eq!(told, ["kari@example.no", "failed", "5.1.1", "svar-17@inn.norvalt.example"]);
    assert_eq!(mail(include_bytes!("../samples/forwarded_attached.eml")).report, None);
}

#[test]
fn an_answer_names_its_thread() {
    let mail = mail(include_bytes!("../samples/reply_quotes.eml"));
    assert_eq!(mail.in_reply_to, ["svar-17@inn.norvalt.example"]);
    assert_eq!(mail.references, ["CAK-1@mail.gmail.example", "svar-17@inn.norvalt.example"]);
    assert_eq!(mail.message_id.as_deref(), Some("CAK-2@mail.gmail.example"));
    assert_eq!(mail.date.map(|date| date.to_rfc3339()).as_deref(), Some("2026-11-26T12:00:00+00:00"));
    assert!(mail.text.contains("passer fredag kl. 14"), "the raw text is kept");
}

#[test]
fn what_was_cut_off_is_read_as_far_as_it_came() {
    let mail = mail(include_bytes!("../samples/cut_off.eml"));
    assert!(mail.text.starts_with("Hei, jeg ønsker tilbud på en"), "{}", mail.text);
}

#[test]
fn identity_follows_recipient_and_content_and_not_the_message_id_alone() {
    let first = mail(include_bytes!("../samples/finn_text.eml"));
    let here = identity("abc@inn.norvalt.example", &first);
    assert_eq!(here, identity(" ABC@inn.norvalt.example", &first.clone()));
    assert_eq!(here.len(), 64);
    let mut others = vec![
        identity("abd@inn.norvalt.example", &first),
        identity("abc@inn.norvalt.example", &Mail { text: "En annen melding".into(), ..first.clone() }),
        identity("abc@inn.norvalt.example", &Mail { message_id: None, ..first.clone() }),
        identity("abc@inn.norvalt.example", &Mail { date: None, ..first.clone() }),
        identity("abc@inn.norvalt.example", &Mail { from: None, ..first }),
        here,
    ];
    others.sort();
    others.dedup();
    assert_eq!(others.len(), 6);
}

#[test]
fn a_dealerships_rules_read_its_own_senders() {
    let raw = "From: robot@importor.example\nSubject: Lead\nPrecedence: bulk\nAuto-Submitted: auto-generated\n\nKundereferanse: Kari Nordmann\nNås på: 912 34 567\nInteresse: Kia EV9\nKjøreønske: Helst lørdag";
    let rules = r#"[{"sender": "@importor.example", "labels": {"Kundereferanse": "name", "Nås på": "mobile",
        "Interesse": "vehicle", "Kjøreønske": "message"}}]"#;
    let rules: SenderRules = serde_json::from_str(rules).expect("valid rules");
    let mail = mail(raw.as_bytes());
    assert_eq!(classify(&mail), Kind::Suspected("a newsletter"));
    assert_eq!(crate::inquiry::email::classify(&mail, &own(), &rules), Kind::Inquiry);
    let inquiry = portal::read(&mail, &rules, &own());
    assert_eq!(inquiry.name.as_deref(), Some("Kari Nordmann"));
    assert_eq!(inquiry.vehicle_interest.as_deref(), Some("Kia EV9"));
    assert_eq!(inquiry.message.as_deref(), Some("Helst lørdag"));
    assert!(inquiry.phone.is_some() && inquiry.email.is_none());
}

#[test]
fn nobody_is_answered_who_must_not_be() {
    let customer = "kari@example.no".parse().expect("an address");
    let mail = Mail::read(b"From: kari@example.no\nSubject: Bil\n\nHei").expect("a mail");
    assert!(may_answer(&mail, &customer, &own()));
    for mark in [Mark::AutoReplied, Mark::AutoGenerated, Mark::Bulk, Mark::NullSender, Mark::NoAnswer, Mark::Spam] {
        let marked = Mail { marks: [mark].into(), ..mail.clone() };
        assert!(!may_answer(&marked, &customer, &own()), "{mark:?}");
    }
    for never in ["no-reply@example.no", "post@bilhuset.example", "mailer-daemon@example.no"] {
        assert!(!may_answer(&mail, &never.parse().expect("an address"), &own()), "{never}");
    }
}
