//! What a text message counts as: one of these costs as much as each part of a longer one.
//! <https://www.3gpp.org/dynareport/23038.htm>

/// How a text goes over the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmsEncoding {
    /// Western letters in seven bits each.
    Gsm7,
    /// Anything, sixteen bits for most of it.
    Ucs2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmsParts {
    pub encoding: SmsEncoding,
    /// Septets or UTF-16 code units.
    pub units: usize,
    pub parts: usize,
}

const GSM7: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                    abcdefghijklmnopqrstuvwxyzäöñüà";
/// These take an escape before them.
const GSM7_ESCAPED: &str = "\u{c}^{}\\[~]|€";

impl SmsEncoding {
    /// Units of a message that is alone, and of a part of one that is not.
    fn room(self) -> (usize, usize) {
        match self {
            Self::Gsm7 => (160, 153),
            Self::Ucs2 => (70, 67),
        }
    }
}

/// Counts `text`. What stands for one character is never cut in two.
pub fn sms_parts(text: &str) -> SmsParts {
    let septets: Option<Vec<usize>> = text.chars().map(septets).collect();
    let (encoding, widths) = match septets {
        Some(widths) => (SmsEncoding::Gsm7, widths),
        None => (SmsEncoding::Ucs2, text.chars().map(char::len_utf16).collect()),
    };
    let units = widths.iter().sum();
    let (alone, each) = encoding.room();
    let parts = if units <= alone { 1 } else { parts_of(each, &widths) };
    SmsParts { encoding, units, parts }
}

fn septets(c: char) -> Option<usize> {
    if GSM7.contains(c) { Some(1) } else { GSM7_ESCAPED.contains(c).then_some(2) }
}

fn parts_of(room: usize, widths: &[usize]) -> usize {
    let (mut parts, mut left) = (1, room);
    for width in widths {
        if *width > left {
            parts += 1;
            left = room;
        }
        left -= width;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_as_networks_do() {
        use SmsEncoding::{Gsm7, Ucs2};
        for (text, encoding, units, parts) in [
            (String::new(), Gsm7, 0, 1),
            ("Hei Kåre! Øl, ærlig talt? @_$".into(), Gsm7, 29, 1),
            ("a".repeat(160), Gsm7, 160, 1),
            ("a".repeat(161), Gsm7, 161, 2),
            ("a".repeat(306), Gsm7, 306, 2),
            ("a".repeat(307), Gsm7, 307, 3),
            ("€".repeat(80), Gsm7, 160, 1),
            ("€".repeat(81), Gsm7, 162, 2),
            // 153 is odd: the escape that would be cut moves to the next part.
            ("€".repeat(153), Gsm7, 306, 3),
            ("–".into(), Ucs2, 1, 1),
            ("«Bil»".into(), Ucs2, 5, 1),
            ("ć".repeat(70), Ucs2, 70, 1),
            ("ć".repeat(71), Ucs2, 71, 2),
            ("ć".repeat(135), Ucs2, 135, 3),
            ("🚗".repeat(35), Ucs2, 70, 1),
            ("🚗".repeat(36), Ucs2, 72, 2),
            ("🚗".repeat(67), Ucs2, 134, 3),
        ] {
            assert_eq!(sms_parts(&text), SmsParts { encoding, units, parts }, "{text}");
        }
        assert_eq!(GSM7.chars().count(), 127);
    }
}
