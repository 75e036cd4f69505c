use common::lead_sources::Language;
use maud::{Markup, html};

use super::layout;

/// What an admin sees who comes back from Facebook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FacebookReturn<'a> {
    /// They agreed, and go on with these digits.
    Confirm(&'a str),
    Denied,
    /// Facebook could not ask them.
    Failed,
    Unknown,
    Used,
    Late,
}

/// What it says, and what to do.
struct Words {
    heading: &'static str,
    help: &'static str,
}

const fn words(heading: &'static str, help: &'static str) -> Words {
    Words { heading, help }
}

impl FacebookReturn<'_> {
    fn words(self, language: Language) -> Words {
        match language {
            Language::Nb => self.nb(),
            Language::Nn => self.nn(),
            Language::En => self.en(),
        }
    }

    fn nb(self) -> Words {
        match self {
            Self::Confirm(_) => words(
                "Nesten ferdig",
                "Skriv disse sifrene i Norvalt, der du begynte, og velg sidene. Gi dem ikke til noen. Etterpå kan du lukke dette vinduet.",
            ),
            Self::Denied => {
                words("Du har ikke gitt tilgang", "Ingenting er koblet til. Vil du likevel, begynn på nytt i Norvalt.")
            }
            Self::Failed => words(
                "Facebook kunne ikke spørre deg",
                "Ingenting er koblet til. Prøv på nytt i Norvalt om en stund, eller ta kontakt med oss.",
            ),
            Self::Unknown => words("Denne lenken gjelder ikke", "Begynn på nytt i Norvalt, og bruk det siste vinduet."),
            Self::Used => {
                words("Denne lenken er brukt", "Gå tilbake til Norvalt. Begynn på nytt der hvis noe mangler.")
            }
            Self::Late => words("Det tok for lang tid", "Av hensyn til sikkerheten må du begynne på nytt i Norvalt."),
        }
    }

    fn nn(self) -> Words {
        match self {
            Self::Confirm(_) => words(
                "Nesten ferdig",
                "Skriv desse siffera i Norvalt, der du byrja, og vel sidene. Gi dei ikkje til nokon. Etterpå kan du lukke dette vindauget.",
            ),
            Self::Denied => {
                words("Du har ikkje gitt tilgang", "Ingenting er kopla til. Vil du likevel, byrj på nytt i Norvalt.")
            }
            Self::Failed => words(
                "Facebook kunne ikkje spørje deg",
                "Ingenting er kopla til. Prøv på nytt i Norvalt om ei stund, eller ta kontakt med oss.",
            ),
            Self::Unknown => words("Denne lenkja gjeld ikkje", "Byrj på nytt i Norvalt, og bruk det siste vindauget."),
            Self::Used => words("Denne lenkja er brukt", "Gå tilbake til Norvalt. Byrj på nytt der om noko manglar."),
            Self::Late => words("Det tok for lang tid", "Av omsyn til tryggleiken må du byrje på nytt i Norvalt."),
        }
    }

    fn en(self) -> Words {
        match self {
            Self::Confirm(_) => words(
                "Almost done",
                "Enter these digits in Norvalt, where you began, and choose the pages. Give them to nobody. Then you can close this window.",
            ),
            Self::Denied => words(
                "You have not given access",
                "Nothing is connected. If you want to after all, begin again in Norvalt.",
            ),
            Self::Failed => words(
                "Facebook could not ask you",
                "Nothing is connected. Try again in Norvalt in a while, or contact us.",
            ),
            Self::Unknown => words("This link is not valid", "Begin again in Norvalt, and use the last window."),
            Self::Used => {
                words("This link was used", "Go back to Norvalt. If something is missing, begin again there.")
            }
            Self::Late => words("It took too long", "To be safe, you have to begin again in Norvalt."),
        }
    }
}

/// Says what comes of it.
pub fn facebook_return(language: Language, what: FacebookReturn<'_>) -> Markup {
    let Words { heading, help } = what.words(language);
    let content = html! {
        h1 { (heading) }
        @if let FacebookReturn::Confirm(digits) = what {
            // Apart, so that a screen reader reads six digits rather than a number.
            p.digits { @for digit in digits.chars() { span { (digit) } " " } }
        }
        p { (help) }
    };
    layout::document(language, heading, &html! {}, &content)
}
