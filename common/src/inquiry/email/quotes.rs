//! What of a text its sender wrote, and what they quote or pass on. Mail programs write both for people to read; the forms
//! here are those of Outlook, Gmail, Apple Mail and Thunderbird in Norwegian, Swedish, Danish, English and German.

use super::headers::Mailbox;

/// Lines that the heading of a quoted mail may take.
const HEADING_LINES: usize = 14;
/// Longest line that can introduce a quotation, in bytes.
const INTRODUCTION_LIMIT: usize = 300;

const FROM: [&str; 5] = ["fra", "frå", "from", "från", "von"];
const REPLY_TO: [&str; 5] = ["svar til", "reply-to", "reply to", "svar till", "antwort an"];
const SUBJECT: [&str; 5] = ["emne", "subject", "ämne", "betreff", "tema"];
const SENT: [&str; 7] = ["sendt", "sent", "skickat", "gesendet", "dato", "date", "datum"];
const OTHERS: [&str; 11] =
    ["til", "to", "till", "an", "kopi", "cc", "bcc", "kopia", "prioritet", "importance", "viktighet"];

/// Beginnings of subjects of mails that are passed on, and of those that are answers, in small letters.
const FORWARDS: [&str; 8] = ["vs:", "vs.:", "fwd:", "fw:", "vb:", "wg:", "videresendt:", "vidaresendt:"];

const ANSWERS: [&str; 6] = ["re:", "sv:", "svar:", "aw:", "antw:", "ad:"];

/// Lines after which a mail follows that is passed on, without the dashes around them, in small letters.
const FORWARD_LINES: [&str; 11] = [
    "forwarded message",
    "begin forwarded message",
    "videresendt melding",
    "vidaresend melding",
    "videresendt e-post",
    "start på videresendt melding",
    "begynnelse på videresendt melding",
    "starten på videresendt melding",
    "vidarebefordrat meddelande",
    "videresendt meddelelse",
    "weitergeleitete nachricht",
];
/// The same of a mail that is quoted or passed on.
const ORIGINAL_LINES: [&str; 6] = [
    "opprinnelig melding",
    "opprinneleg melding",
    "original message",
    "oprindelig meddelelse",
    "ursprungligt meddelande",
    "ursprüngliche nachricht",
];

/// A mail that stands in the text of another.
#[derive(Debug, PartialEq)]
pub(super) struct Forward<'t> {
    /// What was written above it.
    pub(super) note: &'t str,
    pub(super) from: Option<Mailbox>,
    pub(super) reply_to: Option<Mailbox>,
    pub(super) subject: Option<String>,
    /// The text that was passed on.
    pub(super) text: String,
}

/// The mail that a text passes on. A heading alone may as well belong to a quotation: the subject decides.
pub(super) fn forward<'t>(subject: &str, text: &'t str) -> Option<Forward<'t>> {
    if is_answer(subject) {
        return None;
    }
    let by_subject = is_forward(subject);
    let lines: Vec<&str> = text.lines().collect();
    let at = (0..lines.len()).find(|at| {
        let words = words(lines[*at]);
        FORWARD_LINES.contains(&words.as_str())
            || (by_subject && (ORIGINAL_LINES.contains(&words.as_str()) || Heading::begins(&lines[*at..])))
    })?;
    // The heading follows at once or after an empty line or two.
    let (start, heading) = (at..lines.len().min(at + 4)).find_map(|at| Some((at, Heading::read(&lines[at..])?)))?;
    let note = &text[..offset(text, lines[at])];
    let body = lines[start + heading.lines..].iter().map(|line| unquoted(line)).collect::<Vec<_>>().join("\n");
    Some(Forward {
        note: note.trim().trim_end_matches(['_', '-']).trim_end(),
        from: heading.from,
        reply_to: heading.reply_to,
        subject: heading.subject,
        text: body.trim().to_owned(),
    })
}

/// Where a line of a text begins in it.
fn offset(text: &str, line: &str) -> usize {
    line.as_ptr() as usize - text.as_ptr() as usize
}

/// Whether a subject says that the mail passes another on.
fn is_forward(subject: &str) -> bool {
    begins(subject, &FORWARDS)
}

/// Whether a subject says that the mail answers another.
pub(super) fn is_answer(subject: &str) -> bool {
    begins(subject, &ANSWERS)
}

fn begins(subject: &str, prefixes: &[&str]) -> bool {
    let subject = subject.trim_start().to_lowercase();
    prefixes.iter().any(|prefix| subject.starts_with(prefix))
}

/// What a text says without the mails that it answers; all of it, where nothing else is left.
pub(super) fn fresh(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let end = (0..lines.len()).find(|at| introduces_quotation(&lines[*at..])).unwrap_or(lines.len());
    let fresh = unquoting(&lines[..end]);
    if !fresh.is_empty() {
        return fresh;
    }
    // An answer below what it quotes.
    let below = unquoting(lines.get(end + 1..).unwrap_or_default());
    if below.is_empty() { text.trim().to_owned() } else { below }
}

/// Without the lines that are marked as quoted.
fn unquoting(lines: &[&str]) -> String {
    let fresh: Vec<&str> = lines.iter().filter(|line| !line.trim_start().starts_with('>')).copied().collect();
    fresh.join("\n").trim().trim_end_matches('_').trim_end().to_owned()
}

fn introduces_quotation(lines: &[&str]) -> bool {
    let Some(line) = lines.first().map(|line| line.trim()) else { return false };
    ORIGINAL_LINES.contains(&words(line).as_str()) || is_attribution(lines) || Heading::begins(lines)
}

/// `Den tor. 26. nov. 2026 kl. 10:12 skrev Kari <kari@example.no>:`, perhaps on two lines.
fn is_attribution(lines: &[&str]) -> bool {
    let whole = lines.iter().take(3).map(|line| line.trim()).take_while(|line| !line.is_empty());
    let mut text = String::new();
    for line in whole {
        if line.len() > INTRODUCTION_LIMIT || line.starts_with('>') {
            return false;
        }
        text.extend([line, " "]);
        if line.ends_with(':') {
            let verb = [" skrev ", " skreiv ", " wrote", " schrieb "].iter().any(|verb| text.contains(verb));
            return verb && (text.contains('@') || has_time(&text));
        }
    }
    false
}

/// Whether there is a time of day, such as `10:12`.
fn has_time(text: &str) -> bool {
    text.as_bytes().windows(4).any(|window| {
        matches!(window, [hour, b':' | b'.', tens, ones] if [hour, tens, ones].iter().all(|digit| digit.is_ascii_digit()))
    })
}

/// The words of a line without what frames them, in small letters.
fn words(line: &str) -> String {
    if line.len() > INTRODUCTION_LIMIT / 3 {
        return String::new();
    }
    line.trim_matches(|c: char| c.is_whitespace() || "-_=>*:".contains(c)).to_lowercase()
}

fn unquoted(line: &str) -> &str {
    let line = line.strip_prefix('>').unwrap_or(line);
    line.strip_prefix(' ').unwrap_or(line)
}

/// The lines that name the sender and the subject of a mail within another.
#[derive(Debug, Default)]
struct Heading {
    from: Option<Mailbox>,
    reply_to: Option<Mailbox>,
    subject: Option<String>,
    lines: usize,
}

impl Heading {
    /// Whether these lines begin with one where nothing announces it.
    fn begins(lines: &[&str]) -> bool {
        let first = lines.first().and_then(|line| field(line));
        first.is_some_and(|(name, _)| FROM.contains(&name.as_str())) && Self::read(lines).is_some()
    }

    /// Reads one that begins with the first of these lines. It tells from whom, with their address or the day.
    fn read(lines: &[&str]) -> Option<Self> {
        let mut heading = Self::default();
        let (mut named, mut sent, mut fields) = (false, false, 0);
        for line in lines.iter().take(HEADING_LINES) {
            let (name, value) = field(line).unwrap_or_default();
            match name.as_str() {
                name if FROM.contains(&name) => {
                    named = true;
                    heading.from = mailbox(value);
                }
                name if REPLY_TO.contains(&name) => heading.reply_to = mailbox(value),
                name if SUBJECT.contains(&name) => heading.subject = Some(value.to_owned()),
                name if SENT.contains(&name) => sent = true,
                name if OTHERS.contains(&name) => {}
                // The rest of a long list of recipients.
                _ if fields > 0 && heading.subject.is_none() && !unquoted(line).trim().is_empty() => {}
                _ => break,
            }
            fields += 1;
        }
        heading.lines = fields;
        (named && fields > 1 && (sent || heading.from.is_some())).then_some(heading)
    }
}

/// Name and value of a line such as `*Fra:* Kari Nordmann`.
fn field(line: &str) -> Option<(String, &str)> {
    let line = unquoted(line).trim_start_matches(['>', ' ', '*']);
    let head = &line[..line.floor_char_boundary(24)];
    let at = head.find(':')?;
    let name = line[..at].trim_matches([' ', '*', '\t']).to_lowercase();
    Some((name, line[at + 1..].trim_matches([' ', '*', '\t'])))
}

/// `Kari Nordmann <kari@example.no>`, `Kari Nordmann [mailto:kari@example.no]` or the address alone.
pub(super) fn mailbox(text: &str) -> Option<Mailbox> {
    let around = |c: char| c.is_whitespace() || "<>[]()\"';,*".contains(c);
    let address = text.split(around).find(|word| word.contains('@'))?;
    let name = &text[..offset(text, address)];
    Mailbox::new(Some(name), address.strip_prefix("mailto:").unwrap_or(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTLOOK: &str = "Kan noen ta denne?\n\nMvh Ola\n\n________________________________\nFra: Kari Nordmann <kari@example.no>\nSendt: torsdag 26. november 2026 10:12\nTil: Bilhuset <post@bilhuset.no>\nEmne: Golf\n\nHei, er den ledig?";

    #[test]
    fn an_answer_is_what_stands_outside_of_quotations() {
        for (text, fresh_text) in [
            (
                "Ja takk!\n\nDen tor. 26. nov. 2026 kl. 10:12 skrev Bilhuset <\npost@bilhuset.no>:\n\n> Passer det?\n",
                "Ja takk!",
            ),
            ("Ja takk!\n\n26. nov. 2026 kl. 10:12 skrev Bilhuset <post@bilhuset.no>:\n\nPasser det?", "Ja takk!"),
            ("Yes\n\nOn Thu, 26 Nov 2026 at 10:12, Bilhuset <post@bilhuset.no> wrote:\n> Well?", "Yes"),
            ("Ja\n\n-----Opprinnelig melding-----\nFra: x@y.no\nEmne: z\n\nPasser det?", "Ja"),
            (OUTLOOK, "Kan noen ta denne?\n\nMvh Ola"),
            ("> Passer det?\nJa\n> Når?\nKl. 10", "Ja\nKl. 10"),
            ("26. nov. 2026 kl. 10:12 skrev Bilhuset <post@bilhuset.no>:\n> Passer det?\n\nJa", "Ja"),
            ("Selgeren skrev 12 ting om 2019-modellen:\nSant?", "Selgeren skrev 12 ting om 2019-modellen:\nSant?"),
            ("Fra: Oslo\nTil: Bergen\nNår?", "Fra: Oslo\nTil: Bergen\nNår?"),
            ("Ja takk\nFra: Ola\nSendt: 26. november\nEmne: Golf\n\nPasser det?", "Ja takk"),
            ("Fra: Oslo\n\nJeg kommer kl. 10", "Fra: Oslo\n\nJeg kommer kl. 10"),
            ("> bare sitat", "> bare sitat"),
            ("", ""),
        ] {
            assert_eq!(fresh(text), fresh_text, "{text}");
        }
    }

    #[test]
    fn a_mail_that_is_passed_on_is_found_with_its_sender() {
        let kari = Mailbox::new(Some("Kari Nordmann"), "kari@example.no");
        let gmail = "Se under\n\n---------- Forwarded message ---------\nFra: Kari Nordmann <kari@example.no>\nDate: tor. 26. nov. 2026 kl. 10:12\nSubject: Golf\nTo: <post@bilhuset.no>\n\n\nHei, er den ledig?\n";
        let apple = "Se under\n\nStart på videresendt melding:\n\n> Fra: Kari Nordmann <kari@example.no>\n> Emne: Golf\n> Dato: 26. november 2026\n> Til: post@bilhuset.no\n> \n> Hei, er den ledig?\n";
        let brackets = "Se under\n-----Original Message-----\nFrom: Kari Nordmann [mailto:kari@example.no]\nSent: 26. november\nSubject: Golf\nHei, er den ledig?";
        let table = "Se under\n\n-------- Videresendt melding --------\nEmne: Golf\nDato: 26. november\nFra: Kari Nordmann <kari@example.no>\nTil: post@bilhuset.no\n\nHei, er den ledig?";
        for (subject, text) in
            [("Fwd: Golf", gmail), ("Golf", gmail), ("Golf", table), ("VS: Golf", apple), ("FW: Golf", brackets)]
        {
            let forward = forward(subject, text).expect(text);
            assert_eq!((forward.note, forward.from), ("Se under", kari.clone()), "{text}");
            assert_eq!(
                (forward.subject.as_deref(), forward.text.as_str()),
                (Some("Golf"), "Hei, er den ledig?"),
                "{text}"
            );
        }
        let outlook = forward("VS: Golf", OUTLOOK).expect("its subject says so");
        assert_eq!((outlook.note, outlook.from), ("Kan noen ta denne?\n\nMvh Ola", kari));
        assert_eq!(forward("SV: Golf", OUTLOOK), None);
        assert_eq!(forward("Re: Fwd: Golf", gmail), None);
        assert_eq!(forward("VS: Golf", "Hei, er den ledig?"), None);
    }
}
