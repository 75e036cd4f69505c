//! Everything that a customer reads, in each language. `{dealership}` stands for its name.

use common::lead_sources::Language;
use serde::Serialize;

/// All of them.
pub(super) const LANGUAGES: [Language; 3] = [Language::Nb, Language::Nn, Language::En];

/// Why an inquiry cannot be answered, in the order of the fields: everything else that somebody writes is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mistake {
    /// Neither a phone number nor an e-mail address.
    Unreachable,
    InvalidPhone,
    InvalidEmail,
}

/// Those of one language. The embedded form gets all that are not skipped.
#[derive(Debug, Serialize)]
pub(super) struct Texts {
    pub(super) title: &'static str,
    pub(super) intro: &'static str,
    pub(super) name: &'static str,
    pub(super) contact: &'static str,
    pub(super) one_of_two: &'static str,
    pub(super) phone: &'static str,
    pub(super) email: &'static str,
    pub(super) vehicle: &'static str,
    pub(super) message: &'static str,
    pub(super) honeypot: &'static str,
    pub(super) send: &'static str,
    pub(super) sending: &'static str,
    pub(super) privacy: &'static str,
    pub(super) mistakes: &'static str,
    pub(super) unreachable: &'static str,
    pub(super) invalid_phone: &'static str,
    pub(super) invalid_email: &'static str,
    pub(super) busy: &'static str,
    pub(super) failed: &'static str,
    pub(super) kept: &'static str,
    pub(super) retry: &'static str,
    pub(super) own_page: &'static str,
    pub(super) thanks: &'static str,
    pub(super) answer_follows: &'static str,
    pub(super) another: &'static str,
    pub(super) closed: &'static str,
    pub(super) closed_help: &'static str,
    /// Before the title of a page that says what went wrong.
    #[serde(skip)]
    pub(super) error: &'static str,
    #[serde(skip)]
    pub(super) crowded: &'static str,
    #[serde(skip)]
    pub(super) wait: &'static str,
    #[serde(skip)]
    pub(super) no_more: &'static str,
    #[serde(skip)]
    pub(super) no_more_help: &'static str,
    #[serde(skip)]
    pub(super) no_more_button: &'static str,
    #[serde(skip)]
    pub(super) no_more_done: &'static str,
    #[serde(skip)]
    pub(super) no_more_done_help: &'static str,
    /// What the dealership is called whose name is not known, within a sentence and at its beginning.
    #[serde(skip)]
    pub(super) unnamed: &'static str,
    #[serde(skip)]
    pub(super) unnamed_first: &'static str,
    /// Where the form should be and no script runs.
    #[serde(skip)]
    pub(super) open_form: &'static str,
}

impl Texts {
    pub(super) fn of(language: Language) -> &'static Self {
        match language {
            Language::Nb => &NB,
            Language::Nn => &NN,
            Language::En => &EN,
        }
    }

    pub(super) fn mistake(&self, mistake: Mistake) -> &'static str {
        match mistake {
            Mistake::Unreachable => self.unreachable,
            Mistake::InvalidPhone => self.invalid_phone,
            Mistake::InvalidEmail => self.invalid_email,
        }
    }
}

impl Texts {
    /// A text with the name of the dealership in it; without a name, where it could not be looked up.
    pub(super) fn named(&self, text: &str, dealership: &str) -> String {
        match (dealership, text.strip_prefix("{dealership}")) {
            ("", Some(rest)) => format!("{}{rest}", self.unnamed_first),
            ("", None) => text.replace("{dealership}", self.unnamed),
            (name, _) => text.replace("{dealership}", name),
        }
    }
}

static NB: Texts = Texts {
    title: "Kontakt {dealership}",
    intro: "Skriv hva du lurer på, så svarer vi deg.",
    name: "Navn",
    contact: "Hvordan kan vi nå deg?",
    one_of_two: "Fyll ut telefon eller e-post. Én av dem er nok, og resten av skjemaet er valgfritt.",
    phone: "Telefon",
    email: "E-post",
    vehicle: "Hvilken bil gjelder det?",
    message: "Melding",
    honeypot: "La dette feltet stå tomt",
    send: "Send",
    sending: "Sender …",
    privacy: "{dealership} bruker opplysningene til å svare på henvendelsen din.",
    mistakes: "Noe må rettes før vi kan svare deg",
    unreachable: "Skriv et telefonnummer eller en e-postadresse",
    invalid_phone: "Skriv telefonnummeret slik: 912 34 567. Er det utenlandsk, begynn med landkoden: +46",
    invalid_email: "Skriv e-postadressen slik: navn@eksempel.no",
    busy: "Det er mange som skriver akkurat nå, så henvendelsen er ikke sendt ennå",
    failed: "Henvendelsen ble ikke sendt",
    kept: "Det du har skrevet, står her fortsatt. Vent litt, og prøv igjen.",
    retry: "Prøv igjen",
    own_page: "Åpne skjemaet på en egen side",
    thanks: "Takk, vi har fått henvendelsen din",
    answer_follows: "{dealership} svarer deg så snart som mulig.",
    another: "Send en henvendelse til",
    closed: "Dette skjemaet er ikke i bruk",
    closed_help: "Lenken kan være gammel. Ta kontakt med forhandleren på en annen måte, for eksempel på telefon.",
    error: "Feil",
    crowded: "For mange vil inn akkurat nå",
    wait: "Vent et minutt, og last inn siden på nytt.",
    no_more: "Vil du ikke ha flere meldinger?",
    no_more_help: "Da får du ingen flere meldinger fra denne forhandleren.",
    no_more_button: "Ingen flere meldinger",
    no_more_done: "Du får ingen flere meldinger",
    no_more_done_help: "Angrer du, kan du skrive til forhandleren selv.",
    unnamed: "forhandleren",
    unnamed_first: "Forhandleren",
    open_form: "Åpne kontaktskjemaet",
};

static NN: Texts = Texts {
    title: "Kontakt {dealership}",
    intro: "Skriv kva du lurer på, så svarer vi deg.",
    name: "Namn",
    contact: "Korleis kan vi nå deg?",
    one_of_two: "Fyll ut telefon eller e-post. Éin av dei er nok, og resten av skjemaet er valfritt.",
    phone: "Telefon",
    email: "E-post",
    vehicle: "Kva bil gjeld det?",
    message: "Melding",
    honeypot: "Lat dette feltet stå tomt",
    send: "Send",
    sending: "Sender …",
    privacy: "{dealership} bruker opplysningane til å svare på førespurnaden din.",
    mistakes: "Noko må rettast før vi kan svare deg",
    unreachable: "Skriv eit telefonnummer eller ei e-postadresse",
    invalid_phone: "Skriv telefonnummeret slik: 912 34 567. Er det utanlandsk, byrj med landkoden: +46",
    invalid_email: "Skriv e-postadressa slik: namn@eksempel.no",
    busy: "Det er mange som skriv akkurat no, så førespurnaden er ikkje send enno",
    failed: "Førespurnaden vart ikkje send",
    kept: "Det du har skrive, står her framleis. Vent litt, og prøv igjen.",
    retry: "Prøv igjen",
    own_page: "Opne skjemaet på ei eiga side",
    thanks: "Takk, vi har fått førespurnaden din",
    answer_follows: "{dealership} svarar deg så snart som mogleg.",
    another: "Send ein førespurnad til",
    closed: "Dette skjemaet er ikkje i bruk",
    closed_help: "Lenkja kan vere gammal. Ta kontakt med forhandlaren på ein annan måte, til dømes på telefon.",
    error: "Feil",
    crowded: "For mange vil inn akkurat no",
    wait: "Vent eit minutt, og last inn sida på nytt.",
    no_more: "Vil du ikkje ha fleire meldingar?",
    no_more_help: "Då får du ingen fleire meldingar frå denne forhandlaren.",
    no_more_button: "Ingen fleire meldingar",
    no_more_done: "Du får ingen fleire meldingar",
    no_more_done_help: "Angrar du, kan du skrive til forhandlaren sjølv.",
    unnamed: "forhandlaren",
    unnamed_first: "Forhandlaren",
    open_form: "Opne kontaktskjemaet",
};

static EN: Texts = Texts {
    title: "Contact {dealership}",
    intro: "Write what you would like to know, and we will get back to you.",
    name: "Name",
    contact: "How can we reach you?",
    one_of_two: "Fill in phone or email. One of them is enough, and the rest of the form is optional.",
    phone: "Phone",
    email: "Email",
    vehicle: "Which car is it about?",
    message: "Message",
    honeypot: "Leave this field empty",
    send: "Send",
    sending: "Sending …",
    privacy: "{dealership} uses what you write to answer you.",
    mistakes: "Something must be corrected before we can answer you",
    unreachable: "Enter a phone number or an email address",
    invalid_phone: "Enter the phone number like this: 912 34 567. If it is not Norwegian, begin with the country code: +44",
    invalid_email: "Enter the email address like this: name@example.com",
    busy: "Many people are writing right now, so your inquiry has not been sent yet",
    failed: "Your inquiry was not sent",
    kept: "What you have written is still here. Wait a moment, and try again.",
    retry: "Try again",
    own_page: "Open the form on a page of its own",
    thanks: "Thank you, we have received your inquiry",
    answer_follows: "{dealership} will get back to you as soon as possible.",
    another: "Send another inquiry",
    closed: "This form is not in use",
    closed_help: "The link may be old. Contact the dealership in another way, for example by phone.",
    error: "Error",
    crowded: "Too many visitors right now",
    wait: "Wait a minute, and reload the page.",
    no_more: "No more messages?",
    no_more_help: "You will get no more messages from this dealership.",
    no_more_button: "No more messages",
    no_more_done: "You will get no more messages",
    no_more_done_help: "If you change your mind, write to the dealership yourself.",
    unnamed: "the dealership",
    unnamed_first: "The dealership",
    open_form: "Open the contact form",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_there_in_every_language_and_names_the_dealership_alike() {
        let texts = LANGUAGES.map(|language| serde_json::to_value(Texts::of(language)).expect("plain data"));
        for (name, text) in texts[0].as_object().expect("an object") {
            let all = texts.each_ref().map(|texts| texts[name].as_str().expect("a text"));
            assert!(all.iter().all(|text| !text.is_empty() && text.trim() == *text), "{name}: {all:?}");
            let names = |text: &str| text.contains("{dealership}");
            assert!(all.iter().all(|other| names(other) == names(text.as_str().expect("a text"))), "{name}: {all:?}");
        }
    }

    #[test]
    fn a_dealership_without_a_name_is_spoken_of_all_the_same() {
        assert_eq!(NB.named(NB.title, "Fjordbil {dealership}"), "Kontakt Fjordbil {dealership}");
        assert_eq!(NB.named(NB.title, ""), "Kontakt forhandleren");
        assert_eq!(NN.named(NN.privacy, ""), "Forhandlaren bruker opplysningane til å svare på førespurnaden din.");
    }
}
