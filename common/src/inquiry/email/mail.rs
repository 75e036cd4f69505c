//! A mail as it concerns a dealership: who wrote what, and what it belongs to.

use std::{borrow::Cow, collections::BTreeSet};

use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, Utc};

use super::{
    address::OwnAddresses,
    body::{Attachment, Contents},
    headers::{Headers, Mailbox},
    marks::{self, Mark},
    mime::split_head,
    quotes,
    report::Report,
};
use crate::{
    hex,
    inquiry::{charset, clean},
};

/// How many mails within one another are read.
const NESTING: usize = 3;
const SUBJECT_LIMIT: usize = 1000;
/// Web addresses that are kept.
const LINK_LIMIT: usize = 200;
/// Without any of these it is no mail.
const USUAL: [&str; 7] = ["From", "To", "Subject", "Date", "Message-ID", "Received", "Return-Path"];

/// A mail that was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mail {
    pub from: Option<Mailbox>,
    pub reply_to: Option<Mailbox>,
    pub subject: Option<String>,
    /// What its reader sees, with what it quotes. A page's table of labels and values has one of them a line.
    pub text: String,
    /// Addresses of web pages, of mail and of telephones in it.
    pub links: Vec<String>,
    /// Without brackets. Not unique, and anybody can repeat it.
    pub message_id: Option<String>,
    pub in_reply_to: Vec<String>,
    /// From the first mail of the thread to the one that this answers.
    pub references: Vec<String>,
    /// When it was written, as the sender's clock has it.
    pub date: Option<DateTime<Utc>>,
    pub attachments: Vec<Attachment>,
    pub marks: BTreeSet<Mark>,
    /// The mailing list that it went over, such as `post.bilhuset.no`.
    pub list: Option<String>,
    /// What it tells of a mail of ours that came back.
    pub report: Option<Report>,
    /// The mail that it passes on, attached or in its text.
    pub forwarded: Option<Box<Mail>>,
    /// What stands above it, if it is in the text.
    pub(super) note: Option<String>,
    pub(super) adf: Option<String>,
}

impl Mail {
    /// Reads a message with its headers and parts; nothing if it is none.
    pub(super) fn read(raw: &[u8]) -> Option<Self> {
        Self::within(raw, NESTING)
    }

    fn within(raw: &[u8], nesting: usize) -> Option<Self> {
        let raw = with_line_ends(raw);
        let (head, body) = split_head(&raw);
        // Some write their letters as they are, in whatever character set.
        let head = match str::from_utf8(head) {
            Ok(_) => Cow::Borrowed(head),
            Err(_) => charset::decode(head, None).into_bytes().into(),
        };
        let headers = Headers::read(&head);
        let contents = Contents::read(&headers, body);
        Self::of(&headers, contents, nesting)
    }

    /// Puts together what a provider has taken apart; `head` is the lines of the headers.
    pub(super) fn assembled(head: &str, contents: Contents) -> Option<Self> {
        let head = [head.trim(), "\n"].concat();
        Self::of(&Headers::read(head.as_bytes()), contents, NESTING)
    }

    fn of(headers: &Headers<'_>, mut contents: Contents, nesting: usize) -> Option<Self> {
        if !USUAL.iter().any(|name| headers.has(name)) {
            return None;
        }
        let from = headers.mailbox("From").or_else(|| headers.mailbox("Sender"));
        let subject = clean(headers.text("Subject").unwrap_or_default()).replace('\n', " ");
        let marks = marks::read(headers, from.as_ref(), &subject);
        let is_report = [Mark::Bounce, Mark::Complaint, Mark::Receipt].iter().any(|mark| marks.contains(mark));
        let attached = contents.message.take().filter(|_| !is_report && nesting > 0);
        let attached = attached.and_then(|message| Self::within(&message, nesting - 1));
        let (forwarded, note) = match attached {
            Some(mail) => (Some(mail), None),
            None if is_report => (None, None),
            None => Self::passed_on(&subject, &contents.text, &contents.links, nesting).unzip(),
        };
        Some(Self {
            from,
            reply_to: headers.mailbox("Reply-To"),
            subject: Some(subject.chars().take(SUBJECT_LIMIT).collect()).filter(|subject: &String| !subject.is_empty()),
            links: links(contents.links, &contents.text),
            text: contents.text,
            message_id: headers.ids("Message-ID").into_iter().next(),
            in_reply_to: headers.ids("In-Reply-To"),
            references: headers.ids("References"),
            date: headers.date(),
            list: headers.list(),
            attachments: contents.attachments,
            report: contents.report.filter(|_| is_report),
            marks,
            forwarded: forwarded.map(Box::new),
            note,
            adf: contents.adf,
        })
    }

    /// The mail that a text passes on, and those within it, with what is written above it. Which links of the page are
    /// whose is not known.
    fn passed_on(subject: &str, text: &str, of_page: &[String], nesting: usize) -> Option<(Self, String)> {
        if nesting == 0 {
            return None;
        }
        let forward = quotes::forward(subject, text)?;
        let subject = forward.subject.as_deref().map(|subject| subject.chars().take(SUBJECT_LIMIT).collect::<String>());
        let (within, note) =
            Self::passed_on(subject.as_deref().unwrap_or_default(), &forward.text, of_page, nesting - 1).unzip();
        let mail = Self {
            from: forward.from,
            reply_to: forward.reply_to,
            subject,
            links: links(of_page.to_vec(), &forward.text),
            text: forward.text,
            forwarded: within.map(Box::new),
            note,
            ..Self::default()
        };
        Some((mail, forward.note.to_owned()))
    }

    /// What the sender wrote, without what they quote. Only an answer quotes: the form of a web page may look the same.
    pub fn fresh_text(&self) -> Cow<'_, str> {
        let quotes = self.note.is_none() && self.is_answer();
        if quotes { quotes::fresh(&self.text).into() } else { self.text.as_str().into() }
    }

    fn is_answer(&self) -> bool {
        let subject = self.subject.as_deref().unwrap_or_default();
        !self.in_reply_to.is_empty() || !self.references.is_empty() || quotes::is_answer(subject)
    }

    /// What the sender wrote of the mail that they pass on.
    pub fn forwarding_note(&self) -> Option<String> {
        self.forwarded.as_ref()?;
        let note = self.note.clone().unwrap_or_else(|| quotes::fresh(&self.text));
        Some(note).filter(|note| !note.is_empty())
    }

    /// The ADF document in its text or in a file, also one that was passed on.
    pub fn adf(&self) -> Option<&str> {
        self.adf.as_deref().or_else(|| self.forwarded.as_ref().and_then(|mail| mail.adf()))
    }

    /// Whether a program sent it, or it went to many.
    pub fn is_automatic(&self, own: &OwnAddresses) -> bool {
        let by_program = |mark: &Mark| !matches!(mark, Mark::Spam | Mark::NoAnswer | Mark::Bulk | Mark::List);
        self.is_to_many(own) || self.marks.iter().any(by_program)
    }

    /// Whether it went to many people. A dealership's own address may be a mailing list of its staff, which marks what
    /// customers send there in the same way.
    pub(super) fn is_to_many(&self, own: &OwnAddresses) -> bool {
        let is_own = self.list.as_ref().is_some_and(|list| own.contains(&format!("list@{list}")));
        !is_own && (self.marks.contains(&Mark::List) || self.marks.contains(&Mark::Bulk))
    }
}

/// What tells this mail to this recipient from every other: hexadecimal SHA-256 of the recipient, Message-ID, date, sender
/// and content. A provider that sends it again sends the same; one Message-ID does not make two mails one.
pub fn identity(recipient: &str, mail: &Mail) -> String {
    let mut context = Context::new(&SHA256);
    let mut add = |text: &str| {
        context.update(&text.len().to_be_bytes());
        context.update(text.as_bytes());
    };
    add(&recipient.trim().to_lowercase());
    add(mail.message_id.as_deref().unwrap_or_default());
    add(&mail.date.map(|date| date.timestamp().to_string()).unwrap_or_default());
    add(mail.from.as_ref().map_or("", |from| &from.address));
    add(mail.subject.as_deref().unwrap_or_default());
    add(&mail.text);
    for attachment in &mail.attachments {
        add(&attachment.sha256);
    }
    hex(context.finish().as_ref())
}

/// Begins with the first header, has lines that end with a line feed, and headers that end.
fn with_line_ends(raw: &[u8]) -> Cow<'_, [u8]> {
    let raw = raw.trim_ascii_start();
    let has_line_feeds = raw.contains(&b'\n');
    if !has_line_feeds && raw.contains(&b'\r') {
        return raw.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect();
    }
    if raw.ends_with(b"\n") || split_head(raw).0.len() < raw.len() {
        return raw.into();
    }
    [raw, b"\n"].concat().into()
}

/// Those of its pages, and those that stand in the text.
fn links(of_pages: Vec<String>, text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || "<>\"()[]".contains(c));
    let written = words.filter(|word| {
        ["http://", "https://", "www.", "finn.no/", "m.finn.no/"].iter().any(|start| word.starts_with(start))
    });
    let mut seen = BTreeSet::new();
    let all =
        of_pages.into_iter().chain(written.map(|link| link.trim_end_matches(['.', ',', ';', '!', '?']).to_owned()));
    all.filter(|link| link.len() <= 2000 && seen.insert(link.clone())).take(LINK_LIMIT).collect()
}
