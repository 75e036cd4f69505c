//! Labels and values in a text.

use std::collections::BTreeMap;

use super::labels::{Field, Labels, bare, condensed};

/// Values of one field, and others, that are kept.
const VALUE_LIMIT: usize = 20;
const OTHER_LIMIT: usize = 30;
/// Bytes of the longest heading.
const HEADING_LIMIT: usize = 30;
/// Bytes of the longest value that follows a label on a line of its own.
const LINE_LIMIT: usize = 300;

/// Lines after which the labels are of whoever sells, and of whoever asks.
const OF_SELLER: [&str; 11] = [
    "forhandler",
    "forhandlar",
    "dinforhandler",
    "selger",
    "seljar",
    "annonsør",
    "mottaker",
    "mottakar",
    "dealer",
    "vendor",
    "seller",
];
const OF_CUSTOMER: [&str; 14] = [
    "kunde",
    "kunden",
    "kundeinformasjon",
    "kundeopplysninger",
    "kundedetaljer",
    "kontaktinformasjon",
    "kontaktinfo",
    "kontaktopplysninger",
    "interessent",
    "avsender",
    "customer",
    "customerinformation",
    "contactinformation",
    "contactdetails",
];

#[derive(Debug, Default)]
pub(super) struct Found {
    values: BTreeMap<Field, Vec<String>>,
    /// Labels that are not known, and those of the seller.
    pub(super) others: Vec<(String, String)>,
}

impl Found {
    pub(super) fn all(&self, field: Field) -> &[String] {
        self.values.get(&field).map_or(&[], Vec::as_slice)
    }

    pub(super) fn first(&self, field: Field) -> Option<&str> {
        self.all(field).first().map(String::as_str)
    }

    /// How many different things are told.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn any(&self, is: impl Fn(Field) -> bool) -> bool {
        self.values.keys().any(|field| is(*field))
    }

    fn add(&mut self, field: Field, value: &str) {
        let values = self.values.entry(field).or_default();
        if values.len() < VALUE_LIMIT && !values.iter().any(|known| known == value) {
            values.push(value.to_owned());
        }
    }
}

/// Reads `Label: value`, a label with its value on the next line, and rows of cells.
pub(super) fn scan(text: &str, labels: &Labels) -> Found {
    let lines = text.lines().map(str::trim).collect();
    let mut scanner = Scanner { labels, lines, next: 0, of_seller: false, message: None, found: Found::default() };
    while let Some(line) = scanner.lines.get(scanner.next).copied() {
        scanner.next += 1;
        scanner.line(line);
    }
    if let Some(message) = scanner.message.take().filter(|message| !message.trim().is_empty()) {
        scanner.found.add(Field::Message, message.trim());
    }
    scanner.found
}

struct Scanner<'t> {
    labels: &'t Labels,
    lines: Vec<&'t str>,
    next: usize,
    /// Whether the labels here are of whoever sells.
    of_seller: bool,
    message: Option<String>,
    found: Found,
}

impl<'t> Scanner<'t> {
    fn line(&mut self, line: &'t str) {
        if line.is_empty() {
            self.of_seller = false;
        } else if line.contains('\t') {
            self.cells(line);
        } else if let Some(of_seller) = self.heading(line) {
            self.of_seller = of_seller;
        } else if let Some(labelled) = self.labels.read(line) {
            match (labelled.field, labelled.value) {
                (Field::Message, value) => self.message(value),
                (field, "") => {
                    if let Some(value) = self.following() {
                        self.keep(labelled.label, field, value);
                    }
                }
                (field, value) => self.keep(labelled.label, field, value),
            }
        } else {
            self.unknown(line);
        }
    }

    /// Whose labels follow, if this line is a heading above some.
    fn heading(&self, line: &str) -> Option<bool> {
        if line.len() > HEADING_LIMIT {
            return None;
        }
        let name = condensed(line);
        let of_seller = OF_SELLER.contains(&name.as_str());
        if !of_seller && !OF_CUSTOMER.contains(&name.as_str()) {
            return None;
        }
        let next = self.lines[self.next..].iter().find(|line| !line.is_empty())?;
        self.labels.read(next).map(|_| of_seller)
    }

    /// The value below a label: the next line or the one after an empty one, unless it is a label itself.
    fn following(&mut self) -> Option<&'t str> {
        let at = (self.next..self.lines.len().min(self.next + 2)).find(|at| !self.lines[*at].is_empty())?;
        let value = self.lines[at];
        if value.len() > LINE_LIMIT || is_rule(value) || self.labels.read(value).is_some() {
            return None;
        }
        self.next = at + 1;
        Some(bare(value))
    }

    /// What a customer wrote ends where another label or a line of dashes stands.
    fn message(&mut self, first: &str) {
        let mut text = first.to_owned();
        while let Some(&line) = self.lines.get(self.next) {
            if is_rule(line) || self.labels.read(line).is_some() {
                break;
            }
            text.extend(["\n", line]);
            self.next += 1;
        }
        // An earlier one counts, unless it was empty.
        if self.message.as_ref().is_none_or(|message| message.trim().is_empty()) {
            self.message = Some(text);
        } else {
            self.other("melding", text.trim());
        }
    }

    /// Rows of cells: labels above values, or each label before its value.
    fn cells(&mut self, line: &'t str) {
        let cells = |line: &'t str| line.split('\t').map(bare).filter(|cell| !cell.is_empty()).collect::<Vec<_>>();
        let row = cells(line);
        let fields: Vec<_> = row.iter().map(|cell| self.labels.field(cell.trim_end_matches(':'))).collect();
        if row.len() > 1 && fields.iter().all(Option::is_some) {
            let below = self.lines.get(self.next).map(|line| cells(line)).unwrap_or_default();
            if below.len() == row.len() {
                self.next += 1;
                for ((label, field), value) in row.iter().zip(fields.into_iter().flatten()).zip(below) {
                    self.keep(label, field, value);
                }
                return;
            }
        }
        let mut cells = row.into_iter().peekable();
        while let Some(cell) = cells.next() {
            let Some(labelled) = self.labels.read(cell) else { continue };
            let value = match labelled.value {
                "" => cells.next_if(|next| self.labels.read(next).is_none()),
                value => Some(value),
            };
            if let Some(value) = value {
                self.keep(labelled.label, labelled.field, value);
            }
        }
    }

    fn keep(&mut self, label: &str, field: Field, value: &str) {
        if self.of_seller && field.is_personal() {
            self.other(label, value);
        } else if field != Field::Ignore {
            self.found.add(field, value);
        }
    }

    /// A line without a known label: `Ønsket tid: lørdag` is kept as it is; what follows on a message without an empty line
    /// between, as a name follows a number, belongs to it.
    fn unknown(&mut self, line: &str) {
        let label = line[..line.floor_char_boundary(LINE_LIMIT.min(60))].split_once(':').map(|(label, _)| label.trim());
        let is_label = |label: &&str| {
            label.split_whitespace().count() <= 5
                && label.starts_with(char::is_alphabetic)
                && !label.contains(|c: char| c.is_ascii_digit())
                && !label.starts_with("http")
        };
        let before = self.next.checked_sub(2).map_or("", |before| self.lines[before]);
        let follows = !before.is_empty() && !is_rule(before) && !is_rule(line);
        if let Some(label) = label.filter(is_label) {
            self.other(label, line.split_once(':').map_or("", |(_, value)| value));
        } else if let Some(message) = self.message.as_mut().filter(|_| follows) {
            message.extend(["\n", line]);
        }
    }

    fn other(&mut self, label: &str, value: &str) {
        let value = bare(value);
        if !value.is_empty() && self.found.others.len() < OTHER_LIMIT {
            self.found.others.push((label.to_owned(), value.to_owned()));
        }
    }
}

/// A line of dashes, or what stands before a signature.
fn is_rule(line: &str) -> bool {
    line == "--"
        || (line.len() >= 3 && line.chars().all(|c| matches!(c, '-' | '_' | '=' | '*' | '~' | '—' | '–' | ' ')))
}
