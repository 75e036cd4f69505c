use chrono::DateTime;
use encoding_rs::WINDOWS_1252;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::input::Email;

/// As the definition has it.
const PROPER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<?adf version="1.0"?>
<adf>
  <prospect status="new">
    <id sequence="1" source="bilportalen.example">bp-88123</id>
    <requestdate>2026-11-23T08:47:50+01:00</requestdate>
    <vehicle interest="buy" status="used">
      <year>2023</year><make>Toyota</make><model>RAV4 Plug-in Hybrid</model><trim>Active</trim>
      <vin>JTMEB3FV70D123456</vin><stock>EL12345</stock>
      <odometer status="original" units="km">42 500</odometer>
      <price type="asking" currency="NOK">429900</price>
      <option><optionname>Tilhengerfeste</optionname></option>
      <comments>Kampanjebil</comments>
    </vehicle>
    <vehicle interest="trade-in" status="used">
      <year>2015</year><make>VW</make><model>Golf</model><odometer units="mi">61,000</odometer>
    </vehicle>
    <customer>
      <contact>
        <name part="first">Bjørn</name><name part="middle">Åge</name><name part="last">Håkonsen</name>
        <email preferredcontact="0">bjorn@example.no</email>
        <phone type="voice" time="evening">55 12 34 56</phone>
        <phone type="fax">55 12 34 57</phone>
        <phone type="cellphone" preferredcontact="1" time="day">912 34 567</phone>
        <address type="home"><street line="1">Storgata 1</street><city>Bergen</city><postalcode>5003</postalcode></address>
      </contact>
      <id source="crm">77</id>
      <timeframe><description>Innen 1 måned</description></timeframe>
      <comments>Er den fortsatt til salgs?</comments>
    </customer>
    <vendor><vendorname>Bergen Bil AS</vendorname><contact><name part="full">Selger</name><email>post@bergenbil.example</email></contact></vendor>
    <provider><name part="full">Bilportalen</name><email>lead@bilportalen.example</email></provider>
  </prospect>
</adf>"#;

fn one(document: &str) -> Prospect {
    let mut prospects = read(document.as_bytes(), None).expect(document);
    assert_eq!(prospects.len(), 1, "{document}");
    prospects.remove(0)
}

#[test]
fn every_part_of_a_proper_document_is_kept() {
    let Prospect { inquiry, key, is_resend } = one(PROPER);
    assert_eq!((key.as_deref(), is_resend), (Some(r#"["bilportalen.example","bp-88123"]"#), false));
    assert_eq!(inquiry.name.as_deref(), Some("Bjørn Åge Håkonsen"));
    assert_eq!(inquiry.email.as_ref().map(Email::as_str), Some("bjorn@example.no"));
    assert_eq!(inquiry.phone.as_ref().map(|phone| phone.e164.as_str()), Some("+4791234567"));
    assert_eq!(inquiry.vehicle_interest.as_deref(), Some("2023 Toyota RAV4 Plug-in Hybrid Active"));
    assert_eq!(inquiry.message.as_deref(), Some("Er den fortsatt til salgs?"));
    for (name, expected) in [
        ("comments", json!("Kampanjebil")),
        ("timeframe", json!({ "description": "Innen 1 måned" })),
        ("requested_at", json!("2026-11-23T08:47:50+01:00")),
        ("phone_time", json!("day")),
        ("phone_voice", json!("55 12 34 56")),
        ("phone_fax", json!("55 12 34 57")),
        ("customer_id", json!({ "source": "crm", "text": "77" })),
    ] {
        assert_eq!(inquiry.details[name], expected, "{name}");
    }
    let vehicle = &inquiry.details["vehicle"];
    assert_eq!((&vehicle["odometer_km"], &vehicle["price"]["currency"]), (&json!(42_500), &json!("NOK")));
    assert_eq!(vehicle["option"]["optionname"], "Tilhengerfeste");
    let trade_in = &inquiry.details["trade_in"];
    assert_eq!((&trade_in["odometer_km"], &trade_in["make"]), (&json!(98_170), &json!("VW")));
    assert_eq!(inquiry.details["address"]["street"], json!({ "line": "1", "text": "Storgata 1" }));
    assert_eq!(inquiry.details["vendor"]["contact"]["email"], "post@bergenbil.example");
    assert_eq!(inquiry.details["provider"]["email"], "lead@bilportalen.example");
}

/// Name, e-mail address, E.164 number, vehicle and the beginning of the message.
type Expected = (&'static str, &'static str, &'static str, &'static str, &'static str);

const KARI: &str =
    r#"<customer><contact><name part="full">Kari Nordmann</name><email>kari@example.no</email></contact></customer>"#;
const EXPECTED: Expected = ("Kari Nordmann", "kari@example.no", "", "", "");

fn assert_read(document: &[u8], charset: Option<&str>, expected: Expected) {
    let shown = String::from_utf8_lossy(document).into_owned();
    let prospects = read(document, charset).unwrap_or_else(|error| panic!("{error}: {shown}"));
    let inquiry = &prospects[0].inquiry;
    let found = (
        inquiry.name.as_deref().unwrap_or_default(),
        inquiry.email.as_ref().map(Email::as_str).unwrap_or_default(),
        inquiry.phone.as_ref().map(|phone| phone.e164.as_str()).unwrap_or_default(),
        inquiry.vehicle_interest.as_deref().unwrap_or_default(),
    );
    assert_eq!(found, (expected.0, expected.1, expected.2, expected.3), "{shown}");
    let message = inquiry.message.as_deref().unwrap_or_default();
    assert!(message.starts_with(expected.4), "{message}: {shown}");
    assert_eq!(message.is_empty(), expected.4.is_empty(), "{message}: {shown}");
}

/// What senders make of the standard.
#[test]
fn what_arrives_in_the_wild_is_read() {
    let prospect = |inside: &str| format!("<adf><prospect>{inside}</prospect></adf>");
    let wild = [
        (format!(r#"<?ADF VERSION="1.0"?><?XML VERSION="1.0"?>{}"#, prospect(KARI)), EXPECTED),
        (format!("\n   <?xml version=\"1.0\"?>\n  <?adf version=\"1.0\"?>{}", prospect(KARI)), EXPECTED),
        (format!("<?xml version=\"1.0\"\n<?adf version=\"1.0\"\n{}", prospect(KARI)), EXPECTED),
        (prospect(&format!("<?adf version=\"1.0\">\n{KARI}")), EXPECTED),
        (format!("Ny henvendelse fra portalen:\n\n{}\n-- \nIkke svar på denne", prospect(KARI)), EXPECTED),
        (prospect(KARI).replace('<', "&lt;").replace('>', "&gt;"), EXPECTED),
        (
            format!(
                "<!DOCTYPE html><html><body><p>Hei &amp; hå</p><pre>{}</pre></body></html>",
                prospect(KARI).replace('<', "&lt;").replace('>', "&gt;<br>").replace('"', "&quot;")
            ),
            EXPECTED,
        ),
        (prospect(KARI).replace('<', "&amp;lt;").replace('>', "&amp;gt;"), EXPECTED),
        (prospect(KARI).to_uppercase(), ("KARI NORDMANN", "KARI@EXAMPLE.NO", "", "", "")),
        (prospect(KARI).replace("<adf", "<a:adf xmlns:a=\"x\"").replace("</adf", "</a:adf"), EXPECTED),
        (format!("<prospect>{KARI}</prospect>"), EXPECTED),
        (format!("<adf>{KARI}</adf>"), EXPECTED),
        (
            prospect(
                "<customer><contact><name part=full>Kari &aring; Nordmann</name><cellphone>912 34 567</cellphone>\
                 <international_phone>+46 70 123 45 67</international_phone></contact></customer>",
            ),
            ("Kari å Nordmann", "", "+4791234567", "", ""),
        ),
        (
            prospect(
                "<customer><contact><name part=\"first\">Kari</name><name part=\"full\">Kari</name>\
                 <name part=\"last\">Nordmann</name><phone type=\"work\">55 12 34 56</phone>\
                 <phone type=\"mobile\">91234567</phone><email></email></contact></customer>",
            ),
            ("Kari Nordmann", "", "+4791234567", "", ""),
        ),
        (
            prospect(
                "<vehicle><year></year><make>Tesla Model Y</make><model>Tesla Model Y</model></vehicle>\
                 <customer><comments>Pris & lån? Maks < 300 000 kr, & helst < 5 år; AT&T</comments></customer>",
            ),
            ("", "", "", "Tesla Model Y", "Pris & lån? Maks < 300 000 kr, & helst < 5 år; AT&T"),
        ),
        (
            prospect(
                "<vehicle interest=\"buy\"><make>Kia</make><model>EV9</model></vehicle><vehicle interest=\"test-drive\">\
                 <make>Kia</make><model>EV6</model></vehicle><vehicle interest=\"sell\"><make>Opel</make></vehicle>\
                 <customer><comments><![CDATA[<p>Hei!</p><p>Ring meg &aring; <b>snart</b></p>]]></comments></customer>",
            ),
            ("", "", "", "Kia EV9; Kia EV6", "Hei!\nRing meg å snart"),
        ),
        (
            prospect("<vehicle><stock>NV-1</stock><comments>Kan jeg<br>prøve den?</comments></vehicle>"),
            ("", "", "", "NV-1", "Kan jeg\nprøve den?"),
        ),
        (
            prospect("<customer><contact><email>Kari <kari@example.no></email><name>Kari</contact></customer>"),
            ("Kari", "kari@example.no", "", "", ""),
        ),
        (
            prospect(
                "<customer><contact><name part=\"full\">Kari Nordmann</phone><email>kari@example.no</email></contact>\
                 <vehicle><model>i4</model></vehicle>",
            ),
            ("Kari Nordmann", "kari@example.no", "", "i4", ""),
        ),
        (
            prospect(
                "<customer><comments><![CDATA[Hei</comments><contact><name>Kari Nordmann</name></contact></customer>",
            ),
            ("Kari Nordmann", "", "", "", "Hei"),
        ),
        (
            "<adf><prospect><customer><contact><name>Kari Nordmann</name><email>kari@example.no</email><phone ty"
                .to_owned(),
            EXPECTED,
        ),
        (
            prospect("<id/><requestdate>2026-23-11 T8:47:50 -08:0</requestdate><vehicle/><customer/><vendor/>"),
            ("", "", "", "", ""),
        ),
    ];
    for (document, expected) in wild {
        assert_read(document.as_bytes(), None, expected);
    }
}

#[test]
fn the_charset_is_found_whatever_is_declared() {
    let document = |declared: &str| {
        let name = "<customer><contact><name>Bjørn Håkonsen</name></contact></customer>";
        format!("<?xml version=\"1.0\" encoding=\"{declared}\"?><adf><prospect>{name}</prospect></adf>")
    };
    let latin = |declared: &str| WINDOWS_1252.encode(&document(declared)).0.into_owned();
    let utf_16 = |bom: &str| format!("{bom}{}", document("utf-16")).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(Vec<u8>, Option<&str>); 9] = [
        (document("utf-8").into_bytes(), None),
        (document("iso-8859-1").into_bytes(), Some("iso-8859-1")),
        (latin("utf-8"), Some("utf-8")),
        (latin("iso-8859-1"), None),
        (latin("utf-8"), None),
        (latin("none-such"), Some("none-such")),
        (format!("\u{feff}{}", document("iso-8859-1")).into_bytes(), Some("iso-8859-1")),
        (utf_16("\u{feff}"), None),
        (utf_16(""), None),
    ];
    for (bytes, charset) in cases {
        assert_read(&bytes, charset, ("Bjørn Håkonsen", "", "", "", ""));
    }
    let cyrillic = encoding_rs::WINDOWS_1251.encode("<adf><prospect><contact><name>Иван</name></contact>").0;
    assert_read(&cyrillic, Some("windows-1251"), ("Иван", "", "", "", ""));
}

#[test]
fn several_prospects_are_several_inquiries_even_without_ends() {
    let prospects = read(
        b"<adf><prospect status='resend'><id source='x'>1</id><customer><contact><name>Kari</name></contact>\
          <prospect><id>1</id><provider><name>Portal</name></provider><contact><name>Ola</name></contact></prospect>\
          <prospect><id>1</id><contact><name>Per</name></contact></prospect></adf>",
        None,
    )
    .expect("it is one");
    let shown: Vec<_> = prospects.iter().map(|p| (p.inquiry.name.as_deref(), p.key.as_deref(), p.is_resend)).collect();
    assert_eq!(
        shown,
        [
            (Some("Kari"), Some(r#"["x","1"]"#), true),
            (Some("Ola"), Some(r#"["Portal","1"]"#), false),
            (Some("Per"), None, false)
        ]
    );
}

#[test]
fn what_makes_xml_dangerous_is_refused() {
    let bomb = r#"<!DOCTYPE adf [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><adf><prospect>&b;</prospect></adf>"#;
    let external = r#"<adf><!doctype adf SYSTEM "file:///etc/passwd"><prospect/></adf>"#;
    for (document, error) in [
        (bomb.to_owned(), AdfError::Doctype),
        (external.to_owned(), AdfError::Doctype),
        (format!("<adf>{}", "<x>".repeat(MAX_DEPTH)), AdfError::TooDeep),
        (format!("<adf><prospect>{}", "<x/>".repeat(MAX_ELEMENTS)), AdfError::TooMany),
        (format!("<adf>{}", " ".repeat(MAX_BYTES)), AdfError::TooLarge),
        (String::new(), AdfError::NotAdf),
        ("Hei, er bilen til salgs? <3 & hilsen".to_owned(), AdfError::NotAdf),
        ("<adf/>".to_owned(), AdfError::NotAdf),
        ("<adfs><prospects/></adfs>".to_owned(), AdfError::NotAdf),
    ] {
        assert_eq!(read(document.as_bytes(), None), Err(error), "{}", &document[..document.len().min(80)]);
    }
    // No entity is looked up, and none refuses the inquiry.
    assert_eq!(one("<adf><prospect><contact><name>&xxe; &#x26;</name>").inquiry.name.as_deref(), Some("&xxe; &"));
}

/// What would take minutes if anything were looked for from each beginning anew.
#[test]
fn no_document_takes_long() {
    let read_all = |parts: &[&str], size: usize| {
        for part in parts {
            for prefix in ["", "<adf><prospect><customer><comments>"] {
                let _ = read(format!("{prefix}{}", part.repeat(size / part.len())).as_bytes(), None);
            }
        }
    };
    read_all(&["<![CDATA[", "<!--", "<?"], MAX_BYTES - 100);
    read_all(&["&", "&amp", "&lt;adf", "<adf", "]]>", "<", "<x ", "<x y='", "</x>", "<x/>"], MAX_BYTES / 32);
}

fn text() -> impl Strategy<Value = String> {
    "[a-zæøåÆØÅA-Z0-9 <>&\"'\\]\\[!?#;\n.,-]{0,40}".prop_map(|text: String| text.trim().to_owned())
}

fn texts() -> impl Strategy<Value = Option<String>> {
    text().prop_map(|text| Some(text).filter(|text| !text.is_empty()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_as_it_was(
        id in "[a-z0-9<&\"-]{1,20}", source in text(), name in texts(), vehicle in texts(), comments in texts(),
        seconds in 0_i64..4_000_000_000,
    ) {
        // A text that looks like HTML is read as such.
        let is_html = |text: &String| ["<p", "<br"].iter().any(|tag| text.to_lowercase().contains(tag));
        prop_assume!(!comments.as_ref().is_some_and(is_html));
        let lead = AdfLead {
            id, source, name, vehicle, comments,
            requested_at: DateTime::from_timestamp(seconds, 0).expect("in range"),
            email: Some("åse@example.no".to_owned()),
            phone: Some("+47 912 34 567".to_owned()),
            vendor_name: "Bil & Sønn <Bergen>".to_owned(),
        };
        let document = write(&lead);
        let Prospect { inquiry, key, .. } = one(&document);
        prop_assert_eq!(key, Some(json!(["Norvalt", lead.id.trim()]).to_string()));
        prop_assert_eq!(inquiry.name, lead.name);
        prop_assert_eq!(inquiry.email.map(|email| email.as_str().to_owned()), lead.email);
        prop_assert_eq!(inquiry.phone.map(|phone| phone.typed), lead.phone);
        prop_assert_eq!(inquiry.vehicle_interest, lead.vehicle);
        prop_assert_eq!(inquiry.message, lead.comments);
        prop_assert_eq!(&inquiry.details["vendor"]["vendorname"], &json!("Bil & Sønn <Bergen>"));
        prop_assert_eq!(&inquiry.details["requested_at"], &json!(lead.requested_at.to_rfc3339().replace("+00:00", "Z")));
        // Also for who insists on XML.
        let mut strict = quick_xml::Reader::from_str(&document);
        loop {
            match strict.read_event() {
                Ok(quick_xml::events::Event::Eof) => break,
                event => prop_assert!(event.is_ok(), "{:?}", event),
            }
        }
    }

    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes, None);
        let _ = read(&[b"<adf><prospect>", bytes.as_slice()].concat(), Some("utf-8"));
    }

    #[test]
    fn markup_never_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "<adf>", "<prospect>", "</prospect>", "<customer>", "<contact>", "<name part='full'>", "</name>", "<comments>", "<![CDATA[",
        "]]>", "<!--", "-->", "<?", "?>", "&", ";", "&#x0;", "&#99999999;", "&aring;", "<br>", "</p>", "<p>", "<", ">", "\"", "'", "=",
        "<vehicle interest=trade-in>", "<odometer units='mi'>", "1.000.000,5", "æ", "\u{feff}", "\0", "<phone>", "912 34 567", "/", ":",
    ]), 0..40)) {
        let _ = read(parts.concat().as_bytes(), None);
        let _ = read(format!("<adf><prospect>{}", parts.concat()).as_bytes(), None);
    }

    #[test]
    fn broken_documents_never_panic(at in 0..PROPER.len(), remove in 0_usize..40, insert in prop::collection::vec(any::<u8>(), 0..6)) {
        let mut bytes = PROPER.as_bytes().to_vec();
        let end = (at + remove).min(bytes.len());
        bytes.splice(at..end, insert);
        let _ = read(&bytes, None);
        bytes.truncate(at);
        // Whatever is cut off, the prospect has begun and counts.
        prop_assert!(read(&bytes, None).is_ok() || at < PROPER.find("status").expect("it has one") + 13);
    }
}
