use common::lead_sources::Language;
use maud::html;
use serde_json::json;

use super::texts::{LANGUAGES, Texts};

const SCRIPT: &str = include_str!("static/embed.js");
const STYLE: &str = concat!(include_str!("static/fields.css"), include_str!("static/embed.css"));

/// A form on the dealership's own pages. It is drawn where its script stands, or in each element with `data-norvalt-form`
/// (which may name the key, where there are several forms). `data-language` on either chooses another language. A page with a
/// policy has to let this API in for `script-src` and `connect-src`, and Turnstile for `script-src` and `frame-src`. When an
/// inquiry has arrived, the event `norvalt:received` bubbles from the element `norvalt-form`, for the page's own statistics.
#[derive(Debug)]
pub struct EmbeddedForm<'a> {
    /// The public key of the form.
    pub key: &'a str,
    /// Where this API is reached, such as `https://api.example.no`.
    pub api_origin: &'a str,
    /// Unless the page asks for another one.
    pub language: Language,
    /// The name of the dealership.
    pub dealership: &'a str,
    /// Where visitors are asked to show that they are people.
    pub turnstile_site_key: Option<&'a str>,
}

impl EmbeddedForm<'_> {
    /// The script that draws it.
    pub fn script(&self) -> String {
        let texts: serde_json::Map<_, _> =
            LANGUAGES.map(|language| (language.as_str().to_owned(), json!(Texts::of(language)))).into_iter().collect();
        let config = json!({
            "key": self.key,
            "origin": self.api_origin,
            "language": self.language.as_str(),
            "dealership": self.dealership,
            "siteKey": self.turnstile_site_key,
            "texts": texts,
            "style": STYLE,
        });
        // JSON is JavaScript, and no script element can end in it when the script is pasted into one.
        let config = config.to_string().replace('<', "\\u003c");
        format!("({})({config});\n", SCRIPT.trim().trim_end_matches(';'))
    }
}

/// The line that the dealership pastes where the form shall stand. Without script it is a link to the hosted page.
pub fn embed_line(api_origin: &str, key: &str, language: Language) -> String {
    let line = html! {
        script src={ (api_origin) "/embed/" (key) ".js" } async {}
        noscript { a href={ (api_origin) "/forms/" (key) } { (Texts::of(language).open_form) } }
    };
    line.into_string()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_script_is_told_what_it_needs_and_nothing_can_break_out_of_it() {
        let dealership = "O'Hara & Sønner \"Bil\" </script><!--`${alert(1)}\\";
        let form = EmbeddedForm {
            key: "f7Kq2mXw9rTz",
            api_origin: "https://api.example.no",
            language: Language::Nn,
            dealership,
            turnstile_site_key: None,
        };
        let script = form.script();
        let config = script
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(");\n"))
            .expect("a call")
            .split_once(SCRIPT.trim());
        let config = config.expect("of the function").1.strip_prefix(")(").expect("with one argument");
        assert!(!config.contains('<'), "{config}");
        let config: Value = serde_json::from_str(config).expect("JSON");
        assert_eq!(config["dealership"], dealership);
        assert_eq!(config["texts"]["nn"]["name"], "Namn");
        assert_eq!((config["language"].as_str(), config["siteKey"].as_str()), (Some("nn"), None));
        // What the script asks for is there.
        for text in
            SCRIPT.split("texts.").skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
        {
            assert!(config["texts"]["en"][text.expect("a name")].is_string(), "{text:?}");
        }
    }

    #[test]
    fn the_line_to_paste_works_without_script_too() {
        assert_eq!(
            embed_line("https://api.example.no", "f7Kq2mXw9rTz", Language::Nb),
            "<script src=\"https://api.example.no/embed/f7Kq2mXw9rTz.js\" async></script>\
             <noscript><a href=\"https://api.example.no/forms/f7Kq2mXw9rTz\">Åpne kontaktskjemaet</a></noscript>"
        );
    }
}
