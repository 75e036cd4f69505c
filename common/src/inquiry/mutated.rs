//! Real samples, changed as no sender means to. Each reader is given a few hundred; with `FUZZ_SECONDS=600` as many as it
//! reads in ten minutes, and says how many that were. Best built with `CARGO_PROFILE_DEV_OPT_LEVEL=2`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use multer::bytes::Bytes;

use super::{
    adf,
    email::{self, OwnAddresses, Provider, portal::SenderRules},
    facebook, form,
};

/// Inputs for each reader in an ordinary run.
const CASES: usize = 300;
/// Bytes of the longest input.
const LONGEST: usize = 64 * 1024;
/// An input of [`LONGEST`] bytes takes milliseconds; one that takes this long holds up others.
const SLOW: Duration = Duration::from_secs(5);
/// How often an input may take that long: a busy machine can stop for seconds at any of them.
const TRIES: usize = 3;

const MAILS: [&[u8]; 12] = [
    include_bytes!("email/samples/adf_attached.eml"),
    include_bytes!("email/samples/adf_escaped.eml"),
    include_bytes!("email/samples/bounce.eml"),
    include_bytes!("email/samples/finn_html.eml"),
    include_bytes!("email/samples/finn_text.eml"),
    include_bytes!("email/samples/forwarded_attached.eml"),
    include_bytes!("email/samples/forwarded_outlook.eml"),
    include_bytes!("email/samples/importer.eml"),
    include_bytes!("email/samples/latin1.eml"),
    include_bytes!("email/samples/outlook_html.eml"),
    include_bytes!("email/samples/reply_quotes.eml"),
    include_bytes!("email/samples/windows1252.eml"),
];
const FORMS: [&[u8]; 4] = [
    r#"{"name":"Bjørn Åse","email":"bjorn@example.no","phone":91234567,"message":"Hei\u00e5\n","utm_source":["a",{"b":null}],"_elapsed":8000}"#.as_bytes(),
    b"name=%C3%85se&phone=912+34+567&email=kari%40example.no&farge=r%F8d&farge=bl%E5&_charset_=iso-8859-1&_nonce=n1&_next=/takk",
    b"--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n\xc5se\r\n--x\r\nContent-Disposition: form-data; name=\"_charset_\"\r\n\r\niso-8859-1\r\n--x\r\nContent-Disposition: form-data; name=\"phone\"\r\n\r\n91234567\r\n--x--\r\n",
    b"--x\r\nContent-Disposition: form-data; name=\"email\"\r\nContent-Type: text/plain; charset=utf-16\r\n\r\nkari@example.no\r\n--x\r\nContent-Disposition: form-data; name=\"bilde\"; filename=\"bil.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\r\n--x--\r\n",
];
const SENDGRID: [&[u8]; 2] = [
    b"--x\r\nContent-Disposition: form-data; name=\"headers\"\r\n\r\nFrom: =?iso-8859-1?Q?Bj=F8rn?= <bjorn@example.no>\nMessage-Id: <1@example.no>\nContent-Type: text/plain; charset=iso-8859-1\n\r\n--x\r\nContent-Disposition: form-data; name=\"dkim\"\r\n\r\n{@example.no : pass}{@b.no : fail}\r\n--x\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nHar dere \xe5pent p\xe5 l\xf8rdag?\r\n--x\r\nContent-Disposition: form-data; name=\"html\"\r\n\r\n<table><tr><td>Navn<td>Kari</table>\r\n--x\r\nContent-Disposition: form-data; name=\"envelope\"\r\n\r\n{\"to\":[\"abc@inn.norvalt.example\",\"def@inn.norvalt.example\"],\"from\":\"post@bilhuset.example\"}\r\n--x\r\nContent-Disposition: form-data; name=\"charsets\"\r\n\r\n{\"to\":\"UTF-8\",\"text\":\"iso-8859-1\"}\r\n--x\r\nContent-Disposition: form-data; name=\"attachment-info\"\r\n\r\n{\"attachment1\":{\"filename\":\"lead.xml\",\"type\":\"application/xml\"}}\r\n--x\r\nContent-Disposition: form-data; name=\"attachment1\"; filename=\"lead.xml\"\r\n\r\n<adf><prospect/></adf>\r\n--x--\r\n",
    b"--x\r\nContent-Disposition: form-data; name=\"envelope\"\r\n\r\n{\"to\":[\"abc@inn.norvalt.example\"],\"from\":\"\"}\r\n--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nFrom: a@b.no\r\nSubject: =?utf-8?B?w6U=?=\r\nContent-Type: text/html\r\n\r\n<p>Hei</p>\r\n--x--\r\n",
];
const MAILGUN: [&[u8]; 2] = [
    b"recipient=abc%40inn.norvalt.example&sender=bjorn%40example.no&from=Bj%C3%B8rn+%3Cbjorn%40example.no%3E&subject=Sp%C3%B8rsm%C3%A5l&body-plain=%C3%85pent%3F&body-html=%3Cp%3E%C3%85pent%3F%3C%2Fp%3E&timestamp=1764151920&token=t&signature=s&message-headers=%5B%5B%22From%22%2C+%22Bj%C3%B8rn+%3Cbjorn%40example.no%3E%22%5D%2C+%5B%22Message-Id%22%2C+%22%3C2%40example.no%3E%22%5D%5D",
    b"recipient=abc%40inn.norvalt.example&sender=&body-mime=From%3A+a%40b.no%0D%0AContent-Type%3A+multipart%2Fmixed%3B+boundary%3Db%0D%0A%0D%0A--b%0D%0A%0D%0AHei%0D%0A--b--",
];
const POSTMARK: [&[u8]; 2] = [
    r#"{"From":"bjorn@example.no","FromFull":{"Email":"bjorn@example.no","Name":"Bjørn","MailboxHash":""},"ToFull":[{"Email":"abc+r@inn.norvalt.example","Name":"","MailboxHash":"r"}],"CcFull":[],"BccFull":[],"OriginalRecipient":"abc@inn.norvalt.example","ReplyTo":"","Subject":"Spørsmål","Date":"Thu, 26 Nov 2026 10:12:00 +0100","MailboxHash":"r","MessageID":"22c74902","TextBody":"Åpent?","HtmlBody":"<p>Åpent?</p>","Headers":[{"Name":"Message-ID","Value":"<3@example.no>"},{"Name":"Content-Type","Value":"text/plain; charset=utf-8"}],"Attachments":[{"Name":"lead.xml","Content":"PGFkZj48L2FkZj4=","ContentType":"application/xml","ContentLength":11}]}"#.as_bytes(),
    br#"{"OriginalRecipient":"abc@inn.norvalt.example","RawEmail":"From: a@b.no\r\nSubject: x\r\n\r\nHei","Headers":[]}"#,
];
const ADF: [&[u8]; 2] = [
    r#"<?ADF VERSION="1.0"?><?xml version="1.0" encoding="UTF-8"?><adf><prospect status="resend"><id sequence="1" source="p">1</id><requestdate>2026-23-11 8:47:50</requestdate><vehicle interest="trade-in"><year>2023</year><make>Toyota</make><odometer units="mi">61,000</odometer><comments><![CDATA[<p>Å & Ø</p>]]></comments></vehicle><customer><contact><name part="full">Bjørn &amp; Co</name><email>bjorn@example.no</email><phone type="cellphone" preferredcontact="1">912 34 567</phone></contact><timeframe><description>Nå</description></timeframe><comments>Hei</comments></customer><vendor><vendorname>Bil</vendorname></vendor></prospect></adf>"#.as_bytes(),
    b"  <?xml version='1.0' encoding='iso-8859-1'?>\n<!DOCTYPE adf>\n<adf><prospect><customer><contact><name>\xc5se</name><cellphone>91234567</cellphone></contact></customer></prospect><prospect/></adf>",
];
const FACEBOOK: [&[u8]; 2] = [
    br#"{"object":"page","entry":[{"id":"2","time":1790000000,"changes":[{"field":"leadgen","value":{"leadgen_id":9007199254740993,"page_id":"2","form_id":"3","created_time":1790000000,"ad_id":"1"}}]},{"id":0,"changes":[{"field":"feed","value":{"a":"\u00f8"}}]}]}"#,
    br#"{"id":"1","created_time":"2026-09-21T12:13:18+0000","form_id":"3","is_organic":false,"platform":"fb","field_data":[{"name":"full_name","values":["Kari \u00c5s"]},{"name":"phone_number","values":["+4791234567","2"]},{"name":"bil?","values":["a","b"]}],"custom_disclaimer_responses":[{"checkbox_key":"a","is_checked":"1"}],"vehicle":"x"}"#,
];
/// What changes how the rest is read.
const PIECES: [&[u8]; 32] = [
    b"\0",
    b"\r\n",
    b"\n\n",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"%",
    b"%00",
    b"&",
    b"=",
    b"<",
    b">",
    b"]]>",
    b"<![CDATA[",
    b"<!--",
    b"--x\r\n",
    b"--x--",
    b"--b\n",
    b"=?utf-7?B?//?=",
    b"charset=utf-16",
    b"charset=utf-7",
    b"charset=shift_jis",
    b"base64",
    b"quoted-printable",
    b"{\"a\":",
    b"[[[[[[[[",
    b"1e999",
    b"-1",
    b"99999999999999999999",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
];
const CHARSETS: [&[u8]; 8] =
    [b"utf-8", b"iso-8859-1", b"utf-16le", b"utf-7", b"gb18030", b"iso-2022-jp", b"us-ascii", b"x-unknown"];

/// `SplitMix64`: the same numbers for the same seed, anywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).expect("it is below a usize")
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let (a, b) = (self.below(length + 1), self.below(length + 1));
        // Short ones mostly: they leave the rest to be read.
        let longest = self.of(&[4, 40, 400, LONGEST]);
        a.min(b)..a.max(b).min(a.min(b) + longest)
    }

    fn mutated(&mut self, samples: &[&[u8]]) -> Vec<u8> {
        let mut input = self.of(samples).to_vec();
        for _ in 0..=self.below(7) {
            self.change(&mut input, samples);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, samples: &[&[u8]]) {
        let range = self.range(input.len());
        let at = range.start;
        match self.below(10) {
            0 | 1 => {
                let bit = 1 << self.below(8);
                input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bit);
            }
            2 => drop(input.drain(range)),
            3 => input.truncate(at),
            4 => {
                let often = self.of(&[1, 2, 30, 1000]).min(LONGEST / range.len().max(1));
                let piece = input[range].repeat(often);
                drop(input.splice(at..at, piece));
            }
            5 => {
                let other = self.of(samples);
                let from = self.range(other.len());
                drop(input.splice(range, other[from].iter().copied()));
            }
            6 | 7 => {
                let piece = self.of(&PIECES);
                drop(input.splice(at..at, piece.iter().copied()));
            }
            8 => self.rename_charset(input),
            _ => *input = self.recoded(input),
        }
    }

    /// Says that the input is in another character set than it is.
    fn rename_charset(&mut self, input: &mut Vec<u8>) {
        let (old, new) = (self.of(&CHARSETS[..2]), self.of(&CHARSETS));
        let found = input.windows(old.len()).position(|window| window.eq_ignore_ascii_case(old));
        if let Some(at) = found {
            drop(input.splice(at..at + old.len(), new.iter().copied()));
        }
    }

    /// The input in another character set than it says.
    fn recoded(&mut self, input: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(input);
        match self.below(3) {
            0 => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
            1 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            _ => input.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes(),
        }
    }
}

/// Gives a reader its inputs. What it cannot read without an end is shown, to become a sample.
fn fuzz(name: &str, samples: &[&[u8]], read: impl Fn(&[u8], usize)) {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let (begun, long) = (Instant::now(), seconds.map(Duration::from_secs));
    // Long runs go on elsewhere each time.
    let seed = long.map_or(1, |_| uuid::Uuid::new_v4().as_u64_pair().0);
    let (mut random, mut tried, mut slowest) = (Random(seed), 0, Duration::ZERO);
    while long.map_or(tried < CASES, |long| begun.elapsed() < long) {
        let (input, variant) = (random.mutated(samples), random.below(usize::MAX));
        let timed = || {
            let start = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| read(&input, variant)));
            assert!(outcome.is_ok(), "{name}: variant {variant} of {}", String::from_utf8_lossy(&input).escape_debug());
            start.elapsed()
        };
        let Some(took) = (0..TRIES).map(|_| timed()).find(|took| *took < SLOW) else {
            panic!("{name}: too slow for {}", String::from_utf8_lossy(&input).escape_debug());
        };
        tried += 1;
        slowest = slowest.max(took);
    }
    println!("{name}: {tried} inputs in {:.0?}, the slowest in {slowest:?}, seed {seed}", begun.elapsed());
}

/// All that is done with what a provider posted.
fn read_mail(provider: Provider, content_type: &str, body: &[u8]) {
    let own = OwnAddresses { addresses: Vec::new(), domains: vec!["inn.norvalt.example".into()] };
    let Ok(received) = provider.read(content_type, "abc@inn.norvalt.example", body) else { return };
    assert!(received.identities().all(|(_, identity)| !identity.is_empty()));
    let _ = email::read(&received.mail, &own, &SenderRules::default());
    received.mail.fresh_text();
}

#[test]
fn forms() {
    let kinds = [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; charset=utf-16",
    ];
    fuzz("form", &FORMS, |body, variant| drop(form::read(kinds[variant % kinds.len()], &Bytes::copy_from_slice(body))));
}

#[test]
fn raw_mails() {
    fuzz("raw", &MAILS, |body, _| read_mail(Provider::Raw, "message/rfc822", body));
}

#[test]
fn mails_of_sendgrid() {
    fuzz("sendgrid", &SENDGRID, |body, _| read_mail(Provider::Sendgrid, "multipart/form-data; boundary=x", body));
}

#[test]
fn mails_of_mailgun() {
    fuzz("mailgun", &MAILGUN, |body, _| read_mail(Provider::Mailgun, "application/x-www-form-urlencoded", body));
}

#[test]
fn mails_of_postmark() {
    fuzz("postmark", &POSTMARK, |body, _| read_mail(Provider::Postmark, "application/json", body));
}

#[test]
fn adf_documents() {
    let charsets = [None, Some("utf-8"), Some("iso-8859-1"), Some("utf-16"), Some("x-unknown")];
    fuzz("adf", &ADF, |body, variant| drop(adf::read(body, charsets[variant % charsets.len()])));
}

#[test]
fn facebook_webhooks_and_leads() {
    fuzz("facebook", &FACEBOOK, |body, _| {
        for change in facebook::read_webhook(body).unwrap_or_default() {
            facebook::is_test(&change);
        }
        if let Ok(lead) = serde_json::from_slice::<facebook::Lead>(body) {
            lead.inquiry(None);
        }
    });
}
