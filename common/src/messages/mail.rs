//! A mail as the customer sees it: plain text, and the same in HTML.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment};
use serde::Serialize;

use crate::language::Language;

/// Characters that a subject may have.
const SUBJECT_LIMIT: usize = 200;

/// What a mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailContent {
    pub language: Language,
    pub dealership: Sender,
    pub subject: String,
    /// Plain text; empty lines separate paragraphs.
    pub body: String,
    /// Below the body, in several lines if it has them.
    pub signature: Option<String>,
    /// That the mail is automatic, and how to reach a person: stands before everything else.
    pub disclosure: Option<String>,
    /// Whether to say that answers to the mail arrive.
    pub reply_hint: bool,
    /// Where further mails are declined.
    pub unsubscribe_url: Option<String>,
    pub quoted: Option<Quoted>,
}

/// The dealership as its mails show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sender {
    pub name: String,
    /// HTTPS, or it is left out.
    pub logo_url: Option<String>,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub address: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quoted {
    pub who: String,
    /// As the reader writes dates.
    pub when: String,
    pub text: String,
}

/// Ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Words around what was written.
#[derive(Debug, Serialize)]
struct Words {
    wrote: &'static str,
    reply_hint: &'static str,
    unsubscribe: &'static str,
}

/// What the templates are given.
#[derive(Debug, Serialize)]
struct View<'c> {
    language: &'static str,
    subject: &'c str,
    /// What mail programs show beside the subject.
    preview: String,
    dealership: &'c Sender,
    logo_url: Option<&'c str>,
    /// How to call from a telephone.
    dial: Option<String>,
    disclosure: Option<&'c str>,
    /// By paragraph and line.
    body: Vec<Vec<&'c str>>,
    signature: Vec<&'c str>,
    reply_hint: bool,
    unsubscribe_url: Option<&'c str>,
    quoted: Option<&'c Quoted>,
    quoted_lines: Vec<&'c str>,
    words: Words,
}

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_auto_escape_callback(|name| {
        if name.rsplit('.').next() == Some("html") { AutoEscape::Html } else { AutoEscape::None }
    });
    for (name, source) in
        [("mail.html", include_str!("templates/mail.html")), ("mail.txt", include_str!("templates/mail.txt"))]
    {
        environment.add_template(name, source).expect("our templates are tested");
    }
    environment
});

/// Makes the mail. Everything in it is shown as text, whatever it is; only addresses of the web are linked to.
pub fn render(content: &MailContent) -> Rendered {
    let subject = one_line(&content.subject);
    let view = view(content, &subject);
    let made = |name| {
        let template = TEMPLATES.get_template(name).expect("it was added");
        template.render(&view).expect("our templates are tested with every value present and absent")
    };
    let (text, html) = (tidy(&made("mail.txt")), made("mail.html"));
    Rendered { subject, text, html }
}

fn view<'c>(content: &'c MailContent, subject: &'c str) -> View<'c> {
    let lines = |text: &'c str| text.trim().lines().map(str::trim_end).collect::<Vec<_>>();
    let body = lines(&content.body);
    let paragraphs =
        body.split(|line| line.is_empty()).filter(|lines| !lines.is_empty()).map(<[&str]>::to_vec).collect();
    View {
        language: content.language.as_str(),
        subject,
        preview: body.join(" ").chars().take(120).collect(),
        dealership: &content.dealership,
        logo_url: content.dealership.logo_url.as_deref().filter(|url| is_web(url)),
        dial: content.dealership.phone.as_deref().map(dialled),
        disclosure: content.disclosure.as_deref().map(str::trim).filter(|text| !text.is_empty()),
        body: paragraphs,
        signature: content.signature.as_deref().map(lines).unwrap_or_default(),
        reply_hint: content.reply_hint,
        unsubscribe_url: content.unsubscribe_url.as_deref().filter(|url| is_web(url)),
        quoted: content.quoted.as_ref(),
        quoted_lines: content.quoted.as_ref().map(|quoted| lines(&quoted.text)).unwrap_or_default(),
        words: words(content.language),
    }
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") && !url.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Digits, and the plus before them.
fn dialled(phone: &str) -> String {
    let plus = if phone.trim_start().starts_with('+') { "+" } else { "" };
    phone.chars().filter(char::is_ascii_digit).fold(plus.to_owned(), |mut number, digit| {
        number.push(digit);
        number
    })
}

/// Without line ends, which would begin another header, and characters that turn text around.
fn one_line(text: &str) -> String {
    let is_mark =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let plain: String = text.chars().filter(|c| !is_mark(*c)).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<_> = plain.split_whitespace().collect();
    words.join(" ").chars().take(SUBJECT_LIMIT).collect()
}

/// At most one empty line in a row, and none at the ends.
fn tidy(text: &str) -> String {
    let mut lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.dedup_by(|next, line| next.is_empty() && line.is_empty());
    lines.join("\n").trim().to_owned() + "\n"
}

fn words(language: Language) -> Words {
    let (wrote, reply_hint, unsubscribe) = match language {
        Language::Nb => ("skrev", "Du kan svare rett på denne e-posten.", "Meld deg av"),
        Language::Nn => ("skreiv", "Du kan svare rett på denne e-posten.", "Meld deg av"),
        Language::En => ("wrote", "You can simply reply to this e-mail.", "Unsubscribe"),
        Language::Sv => ("skrev", "Du kan svara direkt på det här mejlet.", "Avregistrera dig"),
        Language::Da => ("skrev", "Du kan svare direkte på denne mail.", "Afmeld"),
        Language::Pl => ("–", "Na tę wiadomość można po prostu odpowiedzieć.", "Wypisz się"),
        Language::De => ("schrieb", "Sie können einfach auf diese E-Mail antworten.", "Abmelden"),
    };
    Words { wrote, reply_hint, unsubscribe }
}

#[cfg(test)]
mod tests;
