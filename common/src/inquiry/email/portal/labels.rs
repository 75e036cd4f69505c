//! What portals call the things that they tell of a customer. No portal publishes its format, so the words of Norwegian and
//! English are known, however they are cased and punctuated, and a dealership can add those of its own senders.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};

use crate::inquiry::email::{address::is_below, mail::Mail};

/// Bytes of the letters and digits of the longest label.
const LABEL_LIMIT: usize = 40;
/// Bytes within which a label ends.
const LABEL_BYTES: usize = 64;

/// What a value tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    Name,
    FirstName,
    LastName,
    Email,
    Mobile,
    Phone,
    /// A car in one text.
    Vehicle,
    Make,
    Model,
    Variant,
    Year,
    FinnCode,
    Registration,
    /// The page of the car.
    Url,
    Message,
    /// Something to leave out.
    Ignore,
}

impl Field {
    /// Whether it tells how to reach somebody.
    pub(super) fn is_contact(self) -> bool {
        matches!(self, Self::Email | Self::Mobile | Self::Phone)
    }

    pub(super) fn is_personal_name(self) -> bool {
        matches!(self, Self::Name | Self::FirstName | Self::LastName)
    }

    /// Whether it tells who somebody is or how to reach them.
    pub(super) fn is_personal(self) -> bool {
        self.is_contact() || self.is_personal_name()
    }

    /// Whether it tells what an inquiry is about.
    pub(super) fn is_matter(self) -> bool {
        !self.is_personal() && !matches!(self, Self::Url | Self::Year | Self::Ignore)
    }
}

/// Letters and digits of the labels of each field, in small letters.
#[rustfmt::skip]
const LABELS: [(Field, &[&str]); 15] = [
    (Field::Name, &["navn", "namn", "kunde", "kundenavn", "kundenamn", "kundensnavn", "navnpåkunde", "fulltnavn", "heilenamnet",
        "dittnavn", "dittnamn", "kontaktperson", "kontaktnavn", "avsender", "avsendar", "interessent", "kjøper", "kjøpar",
        "name", "fullname", "yourname", "customer", "customername", "contactname", "contact", "sendername"]),
    (Field::FirstName, &["fornavn", "førenamn", "firstname", "givenname"]),
    (Field::LastName, &["etternavn", "etternamn", "lastname", "surname", "familyname"]),
    (Field::Email, &["epost", "epostadresse", "eposten", "dinepost", "kundensepost", "epostkunde", "epostavsender", "svartil", "mail",
        "mailadresse", "email", "emailadresse", "emailaddress", "youremail", "customeremail", "contactemail", "replyto"]),
    (Field::Mobile, &["mobil", "mobilnr", "mobilnummer", "mobiltelefon", "mobiltlf", "telefonmobil", "tlfmobil", "mobile",
        "mobilenumber", "mobilephone", "cell", "cellphone"]),
    (Field::Phone, &["telefon", "telefonnr", "telefonnummer", "dintelefon", "kundenstelefon", "kontakttelefon", "tlf", "tlfnr",
        "tlfnummer", "tlph", "telefonprivat", "ringmegpå", "phone", "phonenumber", "yourphone", "customerphone", "contactphone",
        "telephone", "telephonenumber", "tel", "telno"]),
    (Field::Vehicle, &["bil", "bilen", "aktuellbil", "ønsketbil", "ønskabil", "bildetgjelder", "bildetgjeld", "gjelderbil",
        "gjeldbil", "gjelder", "gjeld", "interessertibil", "interesserti", "merkemodell", "merkeogmodell", "bilmerkeogmodell",
        "kjøretøy", "køyretøy", "annonse", "annonsen", "annonsetittel", "objekt", "vehicle", "car", "makemodel", "makeandmodel",
        "vehicleofinterest", "interestedin", "ad", "adtitle", "listing"]),
    (Field::Make, &["merke", "bilmerke", "fabrikat", "make", "brand", "manufacturer"]),
    (Field::Model, &["modell", "bilmodell", "model"]),
    (Field::Variant, &["variant", "utgave", "utstyrsnivå", "utførelse", "trim", "version"]),
    (Field::Year, &["årsmodell", "modellår", "årgang", "year", "modelyear"]),
    (Field::FinnCode, &["finnkode", "finnkoden", "finnid", "finnnr", "finnnummer", "finncode", "annonseid", "annonsekode",
        "annonsenr", "annonsenummer", "adid", "adcode"]),
    (Field::Registration, &["regnr", "regnummer", "registreringsnr", "registreringsnummer", "skiltnummer", "skilt", "kjennemerke",
        "kjennetegn", "regno", "registrationnumber", "licenseplate", "licenceplate", "plate"]),
    (Field::Url, &["annonselenke", "annonselenkje", "lenketilannonse", "lenketilannonsen", "linktilannonse", "lenke", "lenkje",
        "url", "link", "adlink", "adurl", "side", "page"]),
    (Field::Message, &["melding", "meldingen", "meldinga", "dinmelding", "meldingfrakunde", "meldingfrakunden", "kundensmelding",
        "meldingtilselger", "meldingsinnhold", "kommentar", "kommentarer", "kommentarar", "kommentarfrakunde", "beskjed", "spørsmål", "dittspørsmål",
        "henvendelse", "henvending", "førespurnad", "forespørsel", "merknad", "fritekst", "message", "messagebody", "yourmessage",
        "customermessage", "comment", "comments", "question", "enquiry", "inquiry"]),
];

static KNOWN: LazyLock<HashMap<&'static str, Field>> =
    LazyLock::new(|| LABELS.iter().flat_map(|(field, labels)| labels.iter().map(|label| (*label, *field))).collect());

/// What the senders of a dealership's leads call things.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SenderRules(pub Vec<SenderRule>);

/// Labels of one sender, which come before those that everybody uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SenderRule {
    /// An address, or `@portal.no` for everybody there and below.
    pub sender: String,
    /// Which field each label is of. Case and punctuation make no difference.
    pub labels: BTreeMap<String, Field>,
}

impl SenderRules {
    /// The rules for whoever sent a mail.
    pub(in crate::inquiry::email) fn of<'r>(&'r self, mail: &Mail) -> impl Iterator<Item = &'r SenderRule> {
        let address = mail.from.as_ref().map_or("", |from| from.address.as_str()).to_owned();
        self.0.iter().filter(move |rule| match rule.sender.strip_prefix('@') {
            Some(domain) => is_below(&address, domain),
            None => rule.sender.trim().eq_ignore_ascii_case(&address),
        })
    }
}

/// The labels that a mail may use.
#[derive(Debug, Default)]
pub(super) struct Labels {
    own: HashMap<String, Field>,
}

/// A label and what follows it on its line.
#[derive(Debug, PartialEq)]
pub(super) struct Labelled<'t> {
    pub(super) label: &'t str,
    pub(super) field: Field,
    pub(super) value: &'t str,
}

impl Labels {
    pub(super) fn new<'r>(rules: impl Iterator<Item = &'r SenderRule>) -> Self {
        let labels = rules.flat_map(|rule| &rule.labels);
        Self { own: labels.map(|(label, field)| (condensed(label), *field)).collect() }
    }

    pub(super) fn field(&self, label: &str) -> Option<Field> {
        let label = condensed(label);
        if label.is_empty() {
            return None;
        }
        let own = if self.own.is_empty() { None } else { self.own.get(&label) };
        own.or_else(|| KNOWN.get(label.as_str())).copied()
    }

    /// Reads `Label: value`, and a label that stands alone.
    pub(super) fn read<'t>(&self, line: &'t str) -> Option<Labelled<'t>> {
        let line = line.trim_start_matches(|c: char| c.is_whitespace() || "-*•·>|".contains(c));
        let head = &line[..line.floor_char_boundary(LABEL_BYTES)];
        let mut separators = separators(head).peekable();
        if separators.peek().is_none() {
            let label = Some(bare(line)).filter(|label| label.len() <= LABEL_BYTES)?;
            return Some(Labelled { label, field: self.field(label)?, value: "" });
        }
        separators.take(3).find_map(|separator| {
            let label = line[..separator.start].trim();
            Some(Labelled { label, field: self.field(label)?, value: bare(&line[separator.end..]) })
        })
    }
}

/// Where a label may end: at a colon, an equals sign or a dash between blanks.
fn separators(head: &str) -> impl Iterator<Item = Range<usize>> {
    head.char_indices().filter_map(|(at, c)| match c {
        ':' | '：' | '=' => Some(at..at + c.len_utf8()),
        '-' | '–' => {
            let between = head[..at].ends_with(' ') && head[at + c.len_utf8()..].starts_with(' ');
            between.then(|| at - 1..at + c.len_utf8() + 1)
        }
        _ => None,
    })
}

/// Without blanks and the signs of bold letters around it.
pub(super) fn bare(value: &str) -> &str {
    value.trim_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '_' | '|'))
}

/// The letters and digits of a label, in small letters; nothing for what is too long to be one.
pub(super) fn condensed(label: &str) -> String {
    let mut condensed = String::new();
    for c in label.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase) {
        if condensed.len() >= LABEL_LIMIT {
            return String::new();
        }
        condensed.push(c);
    }
    condensed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_condensed_and_of_one_field() {
        let all: Vec<_> = LABELS.iter().flat_map(|(_, labels)| labels.iter()).collect();
        assert!(all.iter().all(|label| condensed(label) == ***label && !label.is_empty()));
        assert_eq!(KNOWN.len(), all.len(), "none is there twice");
    }

    #[test]
    fn a_label_is_known_however_it_is_written() {
        let read = |line| Labels::default().read(line).map(|labelled| (labelled.field, labelled.value.to_owned()));
        for (line, field, value) in [
            ("Navn: Kari Nordmann", Field::Name, "Kari Nordmann"),
            ("  - E-POST:kari@example.no", Field::Email, "kari@example.no"),
            ("*Reg. nr.:* EK 12345", Field::Registration, "EK 12345"),
            ("Telefon *: 912 34 567", Field::Phone, "912 34 567"),
            ("FINN-kode = 312345678", Field::FinnCode, "312345678"),
            ("Spørsmål – Er den ledig: nå?", Field::Message, "Er den ledig: nå?"),
            ("Mobil", Field::Mobile, ""),
            ("Melding:", Field::Message, ""),
        ] {
            assert_eq!(read(line), Some((field, value.to_owned())), "{line}");
        }
        for line in ["", "– Hei", "Hei: hallo", "Jeg lurer på om navn: er viktig", ":", "Klokken 10:30"] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn a_dealership_adds_labels_of_its_senders() {
        let json = r#"[{"sender": "@Importør.no", "labels": {"Kjøreønske": "message", "Kunde": "ignore"}}]"#;
        let rules: SenderRules = serde_json::from_str(json).expect("valid rules");
        let mail = |from: &str| Mail::read(format!("From: {from}\n\n").as_bytes()).expect("a mail");
        let labels = |from| Labels::new(rules.of(&mail(from)));
        assert_eq!(labels("lead@post.importør.no").field("KJØREØNSKE:"), Some(Field::Message));
        assert_eq!(labels("lead@post.importør.no").field("Kunde"), Some(Field::Ignore));
        assert_eq!(labels("lead@annen.no").field("Kjøreønske"), None);
        assert!(serde_json::from_str::<SenderRules>(r#"[{"sender": "x", "labels": {"a": "colour"}}]"#).is_err());
    }
}
