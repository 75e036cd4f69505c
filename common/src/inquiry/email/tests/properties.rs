use proptest::{collection::vec, prelude::*, sample::Index};

use super::{own, samples};
use crate::inquiry::email::{
    Mail, classify, identity,
    portal::{self, SenderRules, may_answer},
    read_mailgun, read_postmark, read_raw, read_sendgrid,
};

/// Everything that is done with a mail.
fn use_up(raw: &[u8]) {
    let Some(mail) = Mail::read(raw) else { return };
    classify(&mail, &own(), &SenderRules::default());
    let inquiry = portal::read(&mail, &SenderRules::default(), &own());
    if let Some(email) = &inquiry.email {
        may_answer(&mail, email, &own());
    }
    assert!(inquiry.message.as_ref().is_none_or(|message| message.chars().count() <= 20_000));
    assert!(mail.text.len() <= 200_000 && mail.links.len() <= 200 && mail.attachments.len() <= 200);
    identity("abc@inn.norvalt.example", &mail);
    mail.fresh_text();
}

/// A sample with some bytes replaced, taken out, repeated or moved.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<&[u8]> = samples::all().collect();
    let change = (any::<Index>(), any::<Index>(), 0_u8..5, vec(any::<u8>(), 0..6));
    (proptest::sample::select(all), vec(change, 1..8)).prop_map(|(sample, changes)| {
        let mut mail = sample.to_vec();
        for (from, to, how, bytes) in changes {
            let (from, to) = (from.index(mail.len() + 1), to.index(mail.len() + 1));
            let range = from.min(to)..from.max(to);
            let piece = mail[range.clone()].to_vec();
            match how {
                0 => drop(mail.splice(from..from, bytes)),
                1 => drop(mail.drain(range)),
                2 => drop(mail.splice(from..from, piece)),
                3 => mail.truncate(range.end),
                _ => drop(mail.splice(range, bytes)),
            }
        }
        mail
    })
}

/// What mails are made of, in any order.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"From: ",
        b"Subject: ",
        b"To: ",
        b"Content-Type: ",
        b"multipart/mixed; boundary=b",
        b"multipart/alternative; boundary=b",
        b"message/rfc822",
        b"text/html",
        b"text/plain; charset=utf-16",
        b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: quoted-printable",
        b"\r\n",
        b"\n",
        b"\n\n",
        b"--b\n",
        b"--b--\n",
        b"=?utf-8?Q?=E5?=",
        b"=?x?B?//?=",
        b"<",
        b">",
        b"\"",
        b"(",
        b"@",
        b"kari@example.no",
        b"Navn:",
        b"\t",
        b"Telefon: 912 34 567",
        b"<td>",
        b"<table>",
        b"<a href=mailto:",
        b"&#0;",
        b"&aring;",
        b"<adf>",
        b"Fra: ",
        b"---------- Forwarded message",
        b"> ",
        b"\xe5\xf8",
        b"\0",
        b"finnkode=",
        b"finn.no/312345678",
        b"Melding:",
        b"Return-Path: <>",
        b"=",
        b"Date: ",
        b"\x1b$B",
    ];
    vec(proptest::sample::select(pieces), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_is_read_or_refused(bytes in vec(any::<u8>(), 0..600), mail in mutated(), pieces in fragments()) {
        use_up(&bytes);
        use_up(&mail);
        use_up(&pieces);
        use_up(&[b"From: a@b.no\nContent-Type: text/html\n\n".as_slice(), &pieces].concat());
        let _ = read_postmark(&bytes);
        let _ = read_mailgun("application/x-www-form-urlencoded", &pieces);
        let form = [b"--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\n".as_slice(), &mail, b"\r\n--b"].concat();
        for kind in ["multipart/form-data; boundary=b", "multipart/form-data; boundary=", "application/x-www-form-urlencoded"] {
            let _ = read_sendgrid(kind, &form);
        }
    }

    #[test]
    fn reading_again_gives_the_same(mail in mutated()) {
        let recipients = ["abc@inn.norvalt.example".to_owned()];
        prop_assert_eq!(read_raw(&mail, &recipients), read_raw(&mail, &recipients));
    }
}

/// What would take hours or the whole memory, were it read in time that grows faster than its length.
#[test]
fn hostile_mails_cost_no_more_than_long_ones() {
    let in_body = |kind: &str, body: &str| format!("From: a@b.no\nContent-Type: {kind}\n\n{body}").into_bytes();
    let many = |piece: &str| piece.repeat(100_000 / piece.len());
    let some = |piece: &str| piece.repeat(20_000 / piece.len());
    let mut hostile = vec![
        // Some of these are deep enough to end a thread that follows them.
        many("Content-Type: message/rfc822\n\n").into_bytes(),
        many("From: a@b.no\nContent-Type: multipart/digest; boundary=b\n\n--b\n\n").into_bytes(),
        many("Content-Type: multipart/mixed; boundary=b\n\n--b\n").into_bytes(),
        in_body("multipart/mixed; boundary=b", &many("--b\n")),
        in_body("multipart/mixed; boundary=b", &many("--b\nContent-Type: message/rfc822\n\nFrom: a@b.no\n\n")),
        format!("From: {}", many("a@b.no,")).into_bytes(),
        format!("From: {}\n\n", many("(")).into_bytes(),
        format!("References: {}\n\n", many("<a@b>")).into_bytes(),
        format!("Subject: {}\n\n", many("=?utf-8?Q?a?= ")).into_bytes(),
        many("X: y\n").into_bytes(),
    ];
    for piece in [
        "Navn:\n",
        "Navn: a\tb\n",
        "Navn\tTelefon\n",
        "Melding:\n",
        "Selger\n",
        "\n",
        "\t",
        ">",
        "> \n",
        "Fra: a@b.no\n",
        ":",
        "Fra: a@b.no\nSendt: i dag\nEmne: x\n\n",
        "---------- Forwarded message\n",
        "a skrev 10:12\n",
        "finn",
        "finnkode",
        "<adf",
        "<adf>",
        "</adf",
        "http://a ",
        "finn.no/",
        "@",
        "a@b.no ",
        "- ",
        "*",
        "å",
        "E-post: a@b.no\n",
    ] {
        hostile.push(in_body("text/plain", &some(piece)));
        hostile.push(format!("From: a@b.no\nIn-Reply-To: <x@y>\nSubject: VS: x\n\n{}", some(piece)).into_bytes());
    }
    for piece in [
        "<td>",
        "<tr><td>x",
        "<a href='mailto:a@b.no'>",
        "</a>",
        "<!--",
        "<!-- -->",
        "&amp;",
        "&",
        "<p",
        "<br>",
        "<style>",
        "<x y='",
    ] {
        hostile.push(in_body("text/html", &some(piece)));
    }
    let nested = many("Content-Type: message/rfc822\n\n").into_bytes();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, nested);
    hostile.push(in_body("message/rfc822\nContent-Transfer-Encoding: base64", &encoded));
    for mail in hostile {
        use_up(&mail);
    }
}
