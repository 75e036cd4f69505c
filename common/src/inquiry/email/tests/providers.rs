use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::inquiry::email::{Mailbox, Mark, NoMail, Received, read_mailgun, read_postmark, read_raw, read_sendgrid};

const MULTIPART: &str = "multipart/form-data; boundary=xYzZY";
const RAW: &[u8] = include_bytes!("../samples/latin1.eml");

/// A multipart form as `SendGrid` writes it: parts have nothing but their name, and text in any character set.
fn multipart(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let is_file = name.ends_with(|c: char| c.is_ascii_digit());
        let file = if is_file { "; filename=\"lead.xml\"\r\nContent-Type: application/xml" } else { "" };
        body.extend_from_slice(
            format!("--xYzZY\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--xYzZY--\r\n");
    body
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect()
}

const HEADERS: &[u8] = b"Content-Type: text/plain; charset=iso-8859-1\nDate: Thu, 26 Nov 2026 10:12:00 +0100\nFrom: =?iso-8859-1?Q?Bj=F8rn_=C5s?= <bjorn@example.no>\nMessage-Id: <1@example.no>\nReply-To: bjorn@example.no\nSubject: =?iso-8859-1?Q?Sp=F8rsm=E5l?=\nTo: post@bilhuset.example\n";

#[test]
fn sendgrid_routes_by_the_envelope_and_reads_each_field_in_its_character_set() {
    let text = latin1("Har dere åpent på lørdag?");
    let body = multipart(&[
        ("headers", HEADERS),
        ("dkim", b"{@example.no : pass}"),
        ("SPF", b"softfail"),
        ("to", b"post@bilhuset.example"),
        ("from", "Bjørn Ås <bjorn@example.no>".as_bytes()),
        ("subject", "Spørsmål".as_bytes()),
        ("text", &text),
        ("sender_ip", b"192.0.2.1"),
        ("envelope", br#"{"to":["abc@inn.norvalt.example","def@inn.norvalt.example","ABC@inn.norvalt.example"],"from":"post@bilhuset.example"}"#),
        ("charsets", br#"{"to":"UTF-8","from":"UTF-8","subject":"UTF-8","text":"iso-8859-1"}"#),
        ("attachments", b"1"),
        ("attachment-info", br#"{"attachment1":{"filename":"lead.xml","name":"lead.xml","type":"application/xml"}}"#),
        ("attachment1", b"<?xml version=\"1.0\"?><adf></adf>"),
        ("spam_score", b"6.1"),
    ]);
    let received = read_sendgrid(MULTIPART, &body).expect("a mail");
    assert_eq!(received.recipients, ["abc@inn.norvalt.example", "def@inn.norvalt.example"]);
    assert_eq!(received.sender.as_deref(), Some("post@bilhuset.example"));
    let mail = &received.mail;
    assert_eq!(mail.text, "Har dere åpent på lørdag?");
    assert_eq!(mail.subject.as_deref(), Some("Spørsmål"));
    assert_eq!(mail.message_id.as_deref(), Some("1@example.no"));
    assert_eq!(mail.from, Mailbox::new(Some("Bjørn Ås"), "bjorn@example.no"));
    assert_eq!((mail.attachments.len(), mail.attachments[0].name.as_deref()), (1, Some("lead.xml")));
    assert!(mail.adf().is_some() && mail.marks.contains(&Mark::Spam));
    let identities: Vec<_> = received.identities().collect();
    assert!(identities.len() == 2 && identities[0].1 != identities[1].1, "one delivery for each dealership");
}

#[test]
fn sendgrid_posts_whole_mails_too() {
    let envelope = br#"{"to":["abc@inn.norvalt.example"],"from":""}"#;
    let received = read_sendgrid(MULTIPART, &multipart(&[("email", RAW), ("envelope", envelope)])).expect("a mail");
    assert_eq!(received.mail.text, "Selger dere hengerfeste til Våler-tilhengere?");
    assert_eq!(received.sender.as_deref(), Some(""));
    assert!(received.mail.marks.contains(&Mark::NullSender));
}

#[test]
fn mailgun_posts_forms_of_both_kinds() {
    let urlencoded = "recipient=abc%40inn.norvalt.example&sender=bjorn%40example.no&from=Bj%C3%B8rn+%3Cbjorn%40example.no%3E&subject=Sp%C3%B8rsm%C3%A5l&body-plain=%C3%85pent+p%C3%A5+l%C3%B8rdag%3F&body-html=%3Cp%3E%C3%85pent+p%C3%A5+l%C3%B8rdag%3F%3C%2Fp%3E&timestamp=1764151920&token=t&signature=s&message-headers=%5B%5B%22From%22%2C+%22Bj%C3%B8rn+%3Cbjorn%40example.no%3E%22%5D%2C+%5B%22Subject%22%2C+%22Sp%C3%B8rsm%C3%A5l%22%5D%2C+%5B%22Message-Id%22%2C+%22%3C2%40example.no%3E%22%5D%5D";
    let listed = read_mailgun("application/x-www-form-urlencoded", urlencoded.as_bytes()).expect("a mail");
    let without_list = urlencoded.split("&message-headers").next().expect("it begins with something");
    let unlisted =
        read_mailgun("application/x-www-form-urlencoded; charset=utf-8", without_list.as_bytes()).expect("a mail");
    for received in [&listed, &unlisted] {
        assert_eq!(received.recipients, ["abc@inn.norvalt.example"]);
        assert_eq!(received.mail.text, "Åpent på lørdag?");
        assert_eq!(received.mail.subject.as_deref(), Some("Spørsmål"));
        assert_eq!(received.mail.from, Mailbox::new(Some("Bjørn"), "bjorn@example.no"));
    }
    assert_eq!(listed.mail.message_id.as_deref(), Some("2@example.no"));
    let fields: [(&str, &[u8]); 4] = [
        ("recipient", b"abc@inn.norvalt.example"),
        ("from", b"bjorn@example.no"),
        ("body-plain", b"Hei"),
        ("attachment-1", b"<adf></adf>"),
    ];
    let received = read_mailgun(MULTIPART, &multipart(&fields)).expect("a mail");
    assert_eq!((received.mail.text.as_str(), received.mail.adf()), ("Hei", Some("<adf></adf>")));
    let whole: [(&str, &[u8]); 2] = [("recipient", b"abc@inn.norvalt.example"), ("body-mime", RAW)];
    let received = read_mailgun(MULTIPART, &multipart(&whole)).expect("a mail");
    assert_eq!(received.mail.subject.as_deref(), Some("Spørsmål om båtfeste"));
}

#[test]
fn postmark_posts_json() {
    let mut posted = json!({
        "FromName": "Bjørn Ås", "MessageStream": "inbound", "From": "bjorn@example.no",
        "FromFull": {"Email": "bjorn@example.no", "Name": "Bjørn Ås", "MailboxHash": ""},
        "To": "post@bilhuset.example", "ToFull": [], "Cc": "", "CcFull": [], "Bcc": "", "BccFull": [],
        "OriginalRecipient": "abc+tok@inn.norvalt.example", "Subject": "Spørsmål", "MessageID": "postmarks-own",
        "ReplyTo": "", "MailboxHash": "tok", "Date": "Thu, 26 Nov 2026 10:12:00 +0100",
        "TextBody": "Åpent på lørdag?", "HtmlBody": null, "StrippedTextReply": "", "Tag": "",
        "Headers": [{"Name": "Message-ID", "Value": "<3@example.no>"}, {"Name": "X-Spam-Status", "Value": "No"}],
        "Attachments": [{"Name": "lead.adf", "Content": STANDARD.encode("<adf></adf>"), "ContentType": "application/x-adf+xml", "ContentLength": 11}],
    });
    let received = read_postmark(posted.to_string().as_bytes()).expect("a mail");
    assert_eq!(received.recipients, ["abc+tok@inn.norvalt.example"]);
    assert_eq!(received.mail.message_id.as_deref(), Some("3@example.no"));
    assert_eq!(received.mail.from, Mailbox::new(Some("Bjørn Ås"), "bjorn@example.no"));
    assert_eq!((received.mail.text.as_str(), received.mail.adf()), ("Åpent på lørdag?", Some("<adf></adf>")));
    posted["RawEmail"] = "From: kari@example.no\r\nSubject: Hel\r\n\r\nHei".into();
    let whole = read_postmark(posted.to_string().as_bytes()).expect("a mail");
    assert_eq!((whole.mail.subject.as_deref(), whole.mail.text.as_str()), (Some("Hel"), "Hei"));
}

#[test]
fn whoever_pipes_mail_names_its_recipients() {
    let received = read_raw(RAW, &["<abc@inn.norvalt.example>".into()]).expect("a mail");
    assert_eq!(received.recipients, ["abc@inn.norvalt.example"], "not those of the headers");
    let two = include_bytes!("../samples/two_recipients.eml");
    let received = read_raw(two, &["a@inn.norvalt.example".into(), "b@inn.norvalt.example".into()]).expect("a mail");
    assert_eq!(received.identities().count(), 2);
}

#[test]
fn what_is_no_mail_is_refused_with_the_reason() {
    let error = |result: Result<Received, NoMail>| result.expect_err("no mail");
    let envelope: (&str, &[u8]) = ("envelope", br#"{"to":["abc@inn.norvalt.example"]}"#);
    let whole = multipart(&[envelope, ("email", RAW)]);
    for (result, reason) in [
        (read_raw(b"\x00\x01", &["a@b.no".into()]), NoMail::NoHeaders),
        (read_raw(b"", &["a@b.no".into()]), NoMail::NoHeaders),
        (read_raw(RAW, &[]), NoMail::NoRecipient),
        (read_raw(RAW, &["nobody".into()]), NoMail::NoRecipient),
        (read_sendgrid("application/json", b"{}"), NoMail::NoForm),
        (read_sendgrid("multipart/form-data", &whole), NoMail::DamagedForm),
        (read_sendgrid(MULTIPART, &whole[..whole.len() / 2]), NoMail::DamagedForm),
        (read_sendgrid(MULTIPART, b""), NoMail::DamagedForm),
        (read_sendgrid(MULTIPART, &multipart(&[("email", RAW)])), NoMail::NoRecipient),
        (read_sendgrid(MULTIPART, &multipart(&[envelope])), NoMail::NoHeaders),
        (read_mailgun("application/x-www-form-urlencoded", b"from=a%40b.no"), NoMail::NoRecipient),
        (read_mailgun("application/x-www-form-urlencoded", b"recipient=a%40b.no"), NoMail::NoHeaders),
        (read_postmark(b"[]"), NoMail::NoJson),
        (read_postmark(b"{}"), NoMail::NoHeaders),
        (read_postmark(br#"{"From":"a@b.no"}"#), NoMail::NoRecipient),
    ] {
        assert_eq!(error(result), reason);
    }
}
