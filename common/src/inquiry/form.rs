//! What a form sends: JSON, or as browsers send plain forms, in whatever character set.

use multer::bytes::Bytes;
use percent_encoding::percent_decode;
use serde_json::{Map, Value};

use super::{
    Inquiry,
    charset::{decode, parameter},
    clean,
    multipart::parts,
    numbers::as_written,
};

/// Fields that are read; the rest is counted.
const MAX_FIELDS: usize = 300;
/// Nobody fills in a form faster than that, in milliseconds.
const TOO_FAST: u64 = 1500;
/// Characters that a nonce may have.
const MAX_NONCE: usize = 100;
/// <https://developers.cloudflare.com/turnstile/get-started/server-side-validation/>
const MAX_TOKEN: usize = 2048;

/// A form that was sent.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    pub inquiry: Inquiry,
    /// The same for everything that one filled-in form sends, however often.
    pub nonce: Option<String>,
    /// Where the customer wants to go afterwards.
    pub next: Option<String>,
    /// In which language they read.
    pub language: Option<String>,
    /// What the check for bots gave the browser.
    pub turnstile_token: Option<String>,
    /// Why it may be a program's.
    pub suspicion: Option<&'static str>,
    /// All texts, as typed, for a page that shows them again.
    pub typed: Vec<(String, String)>,
    /// What nobody can be reached at, by field.
    pub mistakes: Vec<&'static str>,
}

/// The body is not a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAForm {
    #[error("the body is not a JSON object")]
    NotJson,
    #[error(transparent)]
    NotInParts(#[from] super::multipart::NotInParts),
}

/// Reads a form. Of an inquiry that nobody can be reached by, it says which fields are wrong.
pub fn read(content_type: &str, body: &Bytes) -> Result<Submission, NotAForm> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parameter(content_type, "charset");
    let fields = match essence.as_str() {
        "multipart/form-data" => from_parts(content_type, body)?,
        "application/x-www-form-urlencoded" => from_pairs(body, charset),
        // Scripts that avoid a preflight send JSON as text.
        _ => from_json(&decode(body, charset))?,
    };
    Ok(submission(fields))
}

type Fields = Vec<(String, Value)>;

fn from_json(text: &str) -> Result<Fields, NotAForm> {
    let members: Map<String, Value> = serde_json::from_str(&as_written(text)).map_err(|_| NotAForm::NotJson)?;
    Ok(members.into_iter().collect())
}

/// <https://url.spec.whatwg.org/#concept-urlencoded-parser>
fn from_pairs(body: &[u8], charset: Option<&str>) -> Fields {
    let bytes = |text: &[u8]| -> Vec<u8> {
        let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_decode(&spaced).collect()
    };
    let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).take(MAX_FIELDS);
    let pairs: Vec<_> = pairs
        .map(|pair| {
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &pair[..0]),
            };
            (bytes(name), bytes(value))
        })
        .collect();
    // Which one it is, browsers say in a field of this name, if the page has one.
    let said = pairs.iter().find(|(name, _)| name == b"_charset_");
    let said = said.and_then(|(_, label)| str::from_utf8(label).ok()).or(charset);
    pairs.iter().map(|(name, value)| (decode(name, said), decode(value, said).into())).collect()
}

fn from_parts(content_type: &str, body: &Bytes) -> Result<Fields, NotAForm> {
    let parts = parts(content_type, body.clone())?;
    let said = parts.iter().find(|part| part.name == "_charset_");
    let said = said.and_then(|part| str::from_utf8(&part.bytes).ok().map(str::to_owned));
    let fields = parts.iter().take(MAX_FIELDS).map(|part| {
        let charset = part.content_type.as_deref().and_then(|value| parameter(value, "charset"));
        let value = match &part.file_name {
            // What is in it is not kept.
            Some(file) if !part.bytes.is_empty() => serde_json::json!({ "file": file, "bytes": part.bytes.len() }),
            Some(_) => Value::Null,
            None => decode(&part.bytes, charset.or(said.as_deref())).into(),
        };
        (part.name.clone(), value)
    });
    Ok(fields.collect())
}

fn submission(fields: Fields) -> Submission {
    let mut form = Submission::default();
    for (name, value) in fields {
        let text = as_text(&value);
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            form.typed.push((name.clone(), text.clone()));
        }
        match (name.as_str(), text.as_deref()) {
            (_, Some("")) => {}
            ("name" | "email" | "phone" | "vehicle_interest" | "message" | "source_url", Some(text)) => {
                own_field(&mut form, &name, text);
            }
            ("_nonce", Some(text)) => form.nonce = Some(text.chars().take(MAX_NONCE).collect()),
            ("_next", Some(text)) => form.next = Some(text.to_owned()),
            ("_language", Some(text)) => form.language = Some(text.to_owned()),
            ("cf-turnstile-response", Some(text)) if text.len() <= MAX_TOKEN => {
                form.turnstile_token = Some(text.to_owned());
            }
            ("_gotcha" | "bot-field", Some(_)) => form.suspicion = Some("a field that people do not see was filled in"),
            ("_elapsed", Some(text)) if text.parse::<u64>().is_ok_and(|elapsed| elapsed < TOO_FAST) => {
                form.suspicion = form.suspicion.or(Some("it was filled in faster than people do"));
            }
            // Names that begin like this are between the page and us.
            (own, _) if own.starts_with('_') => {}
            (other, _) => form.inquiry.note(other, value),
        }
    }
    form.mistakes = mistakes(&form);
    form
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(clean(text).trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null => Some(String::new()),
        _ => None,
    }
}

fn own_field(form: &mut Submission, name: &str, text: &str) {
    match name {
        "name" => form.inquiry.set_name(text),
        "email" => form.inquiry.set_email(text),
        "phone" => form.inquiry.set_phone(text),
        "vehicle_interest" => form.inquiry.set_vehicle_interest(text),
        "message" => form.inquiry.set_message(text),
        _ => form.inquiry.set_source_url(text),
    }
}

/// Nothing is wrong as long as the customer can be reached.
fn mistakes(form: &Submission) -> Vec<&'static str> {
    if form.inquiry.is_reachable() {
        return Vec::new();
    }
    let typed = |name: &str| form.typed.iter().any(|(field, _)| field == name);
    let wrong: Vec<_> = ["email", "phone"].into_iter().filter(|name| typed(name)).collect();
    if wrong.is_empty() { vec!["contact"] } else { wrong }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(content_type: &str, body: &[u8]) -> Submission {
        read(content_type, &Bytes::copy_from_slice(body)).expect("a form")
    }

    #[test]
    fn a_form_is_read_however_it_is_sent() {
        let urlencoded = "application/x-www-form-urlencoded";
        let multipart = "multipart/form-data; boundary=x";
        let part = |name: &str, value: &[u8]| {
            [format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").as_bytes(), value, b"\r\n"]
                .concat()
        };
        let in_parts = [part("name", "Åse".as_bytes()), part("phone", b"912 34 567"), b"--x--\r\n".to_vec()].concat();
        let latin_parts = [part("_charset_", b"ISO-8859-1"), part("name", b"\xc5se"), part("phone", b"91234567")];
        let latin_parts = [&latin_parts.concat()[..], b"--x--\r\n"].concat();
        for (content_type, body) in [
            ("application/json", r#"{"name": "Åse", "phone": "912 34 567"}"#.as_bytes()),
            ("application/json; charset=iso-8859-1", b"{\"name\": \"\xc5se\", \"phone\": 91234567}"),
            ("text/plain;charset=UTF-8", r#"{"name": "Åse", "phone": "+47 912 34 567"}"#.as_bytes()),
            (urlencoded, b"name=%C3%85se&phone=912+34+567&email="),
            (urlencoded, b"name=%C5se&phone=91234567"),
            ("application/x-www-form-urlencoded; charset=ISO-8859-1", b"name=%C5se&phone=91234567"),
            (multipart, &in_parts),
            (multipart, &latin_parts),
        ] {
            let form = read_text(content_type, body);
            assert_eq!(form.inquiry.name.as_deref(), Some("Åse"), "{content_type}");
            assert_eq!(form.inquiry.phone.map(|phone| phone.e164).as_deref(), Some("+4791234567"), "{content_type}");
            assert!(form.mistakes.is_empty() && form.suspicion.is_none());
        }
    }

    #[test]
    fn only_what_cannot_be_answered_is_a_mistake() {
        let read = |body: &str| read_text("application/x-www-form-urlencoded", body.as_bytes());
        assert_eq!(read("name=Kari&message=Hei").mistakes, ["contact"]);
        assert_eq!(read("email=kari(a)example.no").mistakes, ["email"]);
        assert_eq!(read("email=kari(a)example.no&phone=12").mistakes, ["email", "phone"]);
        let typo = read("email=kari(a)example.no&phone=91234567");
        assert!(typo.mistakes.is_empty());
        assert_eq!(typo.inquiry.details["email"], "kari(a)example.no");
    }

    #[test]
    fn what_is_unknown_is_kept_and_what_is_ours_is_not() {
        let body = "phone=91234567&farge=rød&farge=blå&_nonce=n1&_next=/takk&_subject=x&utm_source=finn&_elapsed=800";
        let form = read_text("application/x-www-form-urlencoded", body.as_bytes());
        assert_eq!(form.inquiry.details["farge"], serde_json::json!(["rød", "blå"]));
        assert_eq!(form.inquiry.details["utm_source"], "finn");
        assert_eq!(form.inquiry.details.len(), 2);
        assert_eq!((form.nonce.as_deref(), form.next.as_deref()), (Some("n1"), Some("/takk")));
        assert!(form.suspicion.is_some());
        assert!(form.typed.contains(&("utm_source".to_owned(), "finn".to_owned())));
        assert!(read("application/json", &Bytes::from_static(b"[1]")).is_err());
    }

    #[test]
    fn numbers_stay_as_they_were_written() {
        let json = r#"{"phone":91234567,"nr":12345678901234567890123,"far":1e400,"pris":[1.50,249000],"_nonce":1.10}"#;
        let form = read_text("application/json", json.as_bytes());
        assert_eq!(form.inquiry.phone.map(|phone| phone.e164).as_deref(), Some("+4791234567"));
        assert_eq!(form.inquiry.details["nr"], "12345678901234567890123");
        assert_eq!(form.inquiry.details["far"], "1e400");
        assert_eq!(form.inquiry.details["pris"], serde_json::json!(["1.50", 249_000]));
        assert_eq!(form.nonce.as_deref(), Some("1.10"));
    }

    #[test]
    fn what_postgresql_cannot_store_is_left_out_of_every_text() {
        let json =
            read_text("application/json", br#"{"phone":"91234567\u0000","_nonce":"a\u0000b","x\u0000":["\u0000y"]}"#);
        let pairs = read_text("application/x-www-form-urlencoded", b"phone=91234567%00&_nonce=a%00b&x%00=%00y");
        for form in [json, pairs] {
            assert_eq!((form.nonce.as_deref(), form.mistakes.len()), (Some("ab"), 0));
            assert!(!format!("{:?}", form.inquiry.details).contains("\\0"), "{:?}", form.inquiry.details);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(kind in 0_usize..4, body in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
            let kinds = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""];
            _ = read(kinds[kind], &body.into());
        }
    }
}
