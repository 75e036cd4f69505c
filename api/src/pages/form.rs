use std::collections::BTreeSet;

use axum::{http::StatusCode, response::Response};
use common::{input::FieldError, lead_sources::Language};
use maud::{Markup, html};

use super::{
    assets::SCRIPT,
    layout, respond,
    texts::{Mistake, Texts},
};

/// What a link to the form, or the page around it, tells of where the customer came from.
const CAMPAIGN: [&str; 8] =
    ["source_url", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "gclid", "fbclid"];

/// Why the form comes back, though nothing that was written is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormNotice {
    /// Too many were sent.
    Busy,
    /// It could not be stored.
    Failed,
}

/// The hosted page of a form: as it is first shown, and as it comes back with what was typed.
#[derive(Debug)]
pub struct FormPage<'a> {
    /// The name of the dealership; blank if it could not be looked up.
    pub dealership: &'a str,
    /// The public key of the form.
    pub key: &'a str,
    pub language: Language,
    /// Where visitors are asked to show that they are people.
    pub turnstile_site_key: Option<&'a str>,
    /// Names and values that were sent, or that the link to the form fills in.
    pub typed: &'a [(String, String)],
    /// What of it is wrong: only their fields matter, since their messages are for programmers.
    pub mistakes: &'a [FieldError],
    pub notice: Option<FormNotice>,
    /// The same for each attempt to send what was typed.
    pub nonce: &'a str,
    /// The address where the visitor is sent afterwards, if it is not ours.
    pub next: Option<&'a str>,
}

impl FormPage<'_> {
    /// With the headers that let it work.
    pub fn respond(&self, status: StatusCode) -> Response {
        respond::form_page(status, self.render(), self.turnstile_site_key.is_some(), self.next)
    }

    pub fn render(&self) -> Markup {
        let texts = self.texts();
        let title = texts.named(texts.title, self.dealership);
        let wrong = self.notice.is_some() || !self.mistakes.is_empty();
        let page_title = if wrong { format!("{}: {title}", texts.error) } else { title.clone() };
        let content = html! {
            h1 { (title) }
            (self.notice())
            (self.summary())
            @if !wrong { p { (texts.intro) } }
            (self.form())
        };
        layout::document(self.language, &page_title, &self.scripts(), &content)
    }

    fn scripts(&self) -> Markup {
        html! {
            script src=(SCRIPT.address()) defer {}
            @if self.turnstile_site_key.is_some() {
                script src="https://challenges.cloudflare.com/turnstile/v0/api.js" defer {}
            }
        }
    }

    fn notice(&self) -> Markup {
        let texts = self.texts();
        let heading = self.notice.map(|notice| match notice {
            FormNotice::Busy => texts.busy,
            FormNotice::Failed => texts.failed,
        });
        html! {
            @if let Some(heading) = heading {
                div.alert role="alert" tabindex="-1" autofocus {
                    h2 { (heading) }
                    p { (texts.kept) }
                }
            }
        }
    }

    /// All mistakes, each with the way to its field.
    fn summary(&self) -> Markup {
        let texts = self.texts();
        let link = |mistake| match mistake {
            Mistake::InvalidEmail => "#email",
            Mistake::InvalidPhone | Mistake::Unreachable => "#phone",
        };
        html! {
            @if !self.mistakes.is_empty() {
                div.alert role="alert" tabindex="-1" autofocus {
                    h2 { (texts.mistakes) }
                    ul {
                        @for mistake in self.mistakes() {
                            li { a href=(link(mistake)) { (texts.mistake(mistake)) } }
                        }
                    }
                }
            }
        }
    }

    fn form(&self) -> Markup {
        let texts = self.texts();
        let send = if self.notice.is_some() { texts.retry } else { texts.send };
        html! {
            form method="post" action={ "/webhooks/form/" (self.key) } accept-charset="utf-8" {
                (self.hidden())
                (self.input(texts.name, "name", "name", 200))
                (self.contact())
                (self.input(texts.vehicle, "vehicle_interest", "off", 500))
                div.field {
                    label for="message" { (texts.message) }
                    // A line break after the tag belongs to the tag.
                    textarea id="message" name="message" rows="5" maxlength="20000" { "\n" (self.typed("message")) }
                }
                (self.honeypot())
                @if let Some(key) = self.turnstile_site_key {
                    div class="cf-turnstile" data-sitekey=(key) data-language=(self.language.as_str()) data-size="flexible" {}
                }
                p {
                    button type="submit" data-sending=(texts.sending) { (send) }
                    span.status role="status" {}
                }
                p.hint { (texts.named(texts.privacy, self.dealership)) }
            }
        }
    }

    fn hidden(&self) -> Markup {
        let milliseconds = self.typed("_elapsed").parse::<u32>().ok();
        html! {
            input type="hidden" name="_nonce" value=(self.nonce);
            input type="hidden" name="_language" value=(self.language.as_str());
            input type="hidden" name="_elapsed" value=[milliseconds];
            @if let Some(next) = self.next { input type="hidden" name="_next" value=(next); }
            @for name in CAMPAIGN {
                @let value = self.typed(name);
                @if !value.is_empty() || name == "source_url" { input type="hidden" name=(name) value=(value); }
            }
        }
    }

    /// The two fields of which one is needed.
    fn contact(&self) -> Markup {
        let texts = self.texts();
        html! {
            fieldset {
                legend { (texts.contact) }
                p.hint id="one-of-two" { (texts.one_of_two) }
                @if self.has(Mistake::Unreachable) { p.mistake id="unreachable" { (texts.unreachable) } }
                div.pair {
                    (self.contact_input(texts.phone, "phone", "tel", 100, Mistake::InvalidPhone))
                    (self.contact_input(texts.email, "email", "email", 254, Mistake::InvalidEmail))
                }
            }
        }
    }

    /// `kind` says which keyboard to show and what to suggest. No input is of the type `email`: there browsers write
    /// `xn--bjrny-wuac.no` for `bjørnøy.no`.
    fn contact_input(&self, label: &str, name: &str, kind: &str, limit: u16, invalid: Mistake) -> Markup {
        let (invalid_text, unreachable) = (self.has(invalid), self.has(Mistake::Unreachable));
        let own = format!("{name}-mistake");
        let parts = [(invalid_text, &*own), (unreachable, "unreachable"), (true, "one-of-two")];
        let described: Vec<_> = parts.into_iter().filter_map(|(shown, id)| shown.then_some(id)).collect();
        let wrong = invalid_text || unreachable;
        html! {
            div.field {
                label for=(name) { (label) }
                @if invalid_text { p.mistake id=(own) { (self.texts().mistake(invalid)) } }
                input type="text" id=(name) name=(name) value=(self.typed(name)) inputmode=(kind) autocomplete=(kind)
                    autocapitalize="none" spellcheck="false" maxlength=(limit) aria-describedby=(described.join(" ")) aria-invalid=[wrong.then_some("true")];
            }
        }
    }

    fn input(&self, label: &str, name: &str, autocomplete: &str, limit: u16) -> Markup {
        html! {
            div.field {
                label for=(name) { (label) }
                input type="text" id=(name) name=(name) value=(self.typed(name)) autocomplete=(autocomplete) maxlength=(limit);
            }
        }
    }

    /// A field that only programs see.
    fn honeypot(&self) -> Markup {
        html! {
            div.aside aria-hidden="true" {
                label for="gotcha" { (self.texts().honeypot) }
                input type="text" id="gotcha" name="_gotcha" tabindex="-1" autocomplete="off";
            }
        }
    }

    fn texts(&self) -> &'static Texts {
        Texts::of(self.language)
    }

    /// Each once, in the order of the fields. What is wrong with a field that was left empty is that the other one was, too.
    fn mistakes(&self) -> BTreeSet<Mistake> {
        let told = self.mistakes.iter().map(|FieldError { field, .. }| match field.as_str() {
            name if self.typed(name).trim().is_empty() => Mistake::Unreachable,
            "phone" => Mistake::InvalidPhone,
            "email" => Mistake::InvalidEmail,
            _ => Mistake::Unreachable,
        });
        told.collect()
    }

    fn has(&self, mistake: Mistake) -> bool {
        self.mistakes().contains(&mistake)
    }

    /// What was typed into this field.
    fn typed(&self, name: &str) -> &str {
        self.typed.iter().find(|(typed, _)| typed == name).map_or("", |(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::texts::LANGUAGES;

    const HOSTILE: &str = "\"><script>alert('Åse')</script>&<b onclick=x> ' style=";

    /// The tags of a page. Those that maud escapes are none.
    fn tags(page: &str) -> Vec<&str> {
        page.split('<').skip(1).map(|rest| rest.split_once('>').expect("tags end").0).collect()
    }

    fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
        let parts: Vec<_> = tag.split('"').collect();
        parts.chunks_exact(2).find(|pair| pair[0].ends_with(&format!(" {name}="))).map(|pair| pair[1])
    }

    fn error(field: &str) -> FieldError {
        FieldError { field: field.to_owned(), message: "is wrong".to_owned() }
    }

    /// In every language and state, with hostile values everywhere.
    fn pages() -> Vec<String> {
        let names = [
            "name",
            "phone",
            "email",
            "vehicle_interest",
            "message",
            "source_url",
            "utm_source",
            "_elapsed",
            "_gotcha",
        ];
        let typed = names.map(|name| (name.to_owned(), HOSTILE.to_owned()));
        let all = ["contact", "phone", "email"].map(error);
        let mut pages = Vec::new();
        for language in LANGUAGES {
            for mistakes in [&[], &all[..1], &all[1..]] {
                for notice in [None, Some(FormNotice::Busy), Some(FormNotice::Failed)] {
                    let page = FormPage {
                        dealership: HOSTILE,
                        key: "f7Kq2mXw9rTz",
                        language,
                        turnstile_site_key: Some("1x00000000000000000000AA"),
                        typed: &typed,
                        mistakes,
                        notice,
                        nonce: HOSTILE,
                        next: Some(HOSTILE),
                    };
                    pages.push(page.render().into_string());
                }
            }
        }
        pages
    }

    #[test]
    fn what_was_typed_comes_back_as_text() {
        let escaped = "&quot;&gt;&lt;script&gt;alert('Åse')&lt;/script&gt;&amp;&lt;b onclick=x&gt; ' style=";
        for page in pages() {
            assert!(page.contains(&format!("name=\"phone\" value=\"{escaped}\"")), "{page}");
            assert!(page.contains(&format!(">\n{escaped}</textarea>")), "{page}");
            assert_eq!(page.matches("utm_").count(), 1, "only what was given");
            let gotcha = tags(&page).into_iter().find(|tag| tag.contains("_gotcha")).expect("it is there");
            assert!(attribute(gotcha, "value").is_none() && attribute(gotcha, "tabindex") == Some("-1"), "{gotcha}");
            for tag in tags(&page) {
                let inline = ["style", "onclick", "srcdoc"].iter().any(|name| attribute(tag, name).is_some());
                assert!(!inline && !tag.starts_with("style"), "{tag}");
                assert!(!tag.starts_with("script") || attribute(tag, "src").is_some(), "{tag}");
            }
            assert_eq!(page.matches("<script").count(), page.matches("></script>").count(), "none has a content");
        }
    }

    #[test]
    fn every_field_has_a_label_and_every_reference_leads_somewhere() {
        for page in pages() {
            let tags = tags(&page);
            let ids: Vec<_> = tags.iter().filter_map(|tag| attribute(tag, "id")).collect();
            let unique: BTreeSet<_> = ids.iter().collect();
            assert_eq!(ids.len(), unique.len(), "{ids:?}");
            let labelled: Vec<_> = tags.iter().filter_map(|tag| attribute(tag, "for")).collect();
            let shown = tags.iter().filter(|tag| attribute(tag, "type") != Some("hidden"));
            let fields: Vec<_> = shown
                .filter(|tag| tag.starts_with("input") || tag.starts_with("textarea"))
                .map(|tag| attribute(tag, "id").expect("a field has an id"))
                .collect();
            assert_eq!(labelled, fields);
            let described =
                tags.iter().filter_map(|tag| attribute(tag, "aria-describedby")).flat_map(str::split_whitespace);
            let links = tags.iter().filter_map(|tag| attribute(tag, "href")?.strip_prefix('#'));
            for id in described.chain(links) {
                assert!(ids.contains(&id), "{id}");
            }
        }
    }

    #[test]
    fn each_mistake_is_told_once_and_an_empty_field_is_none() {
        let told = |typed: &[(&str, &str)], fields: &[&str]| {
            let typed: Vec<_> = typed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let errors: Vec<_> = fields.iter().map(|field| error(field)).collect();
            let page = FormPage {
                dealership: "Fjordbil",
                key: "k",
                language: Language::En,
                turnstile_site_key: None,
                typed: &typed,
                mistakes: &errors,
                notice: None,
                nonce: "n",
                next: None,
            };
            Vec::from_iter(page.mistakes())
        };
        let (phone, email) = (("phone", "12"), ("email", "kari(a)example.no"));
        assert_eq!(told(&[], &["email"]), [Mistake::Unreachable]);
        assert_eq!(told(&[("email", " ")], &["email", "phone"]), [Mistake::Unreachable]);
        assert_eq!(told(&[email], &["email"]), [Mistake::InvalidEmail]);
        assert_eq!(told(&[email, phone], &["email", "phone"]), [Mistake::InvalidPhone, Mistake::InvalidEmail]);
        assert_eq!(told(&[email], &["contact"]), [Mistake::Unreachable]);
    }
}
