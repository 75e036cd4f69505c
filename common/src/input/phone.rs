use std::str::FromStr;

use rlibphonenumber::{CountryCodeSource, PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, Region};

use super::{Invalid, values::short};

/// Without a country code a number is of this country.
const HOME: Region = Region::NO;

/// A phone number as typed, with its normal form beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// As typed.
    pub typed: String,
    /// As dialled from anywhere, such as `+4791234567`. <https://www.itu.int/rec/T-REC-E.164>
    pub e164: String,
}

impl FromStr for Phone {
    type Err = Invalid;

    /// Reads a number of at most 40 characters; one without a country code is Norwegian.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let typed = short(text, 40)?;
        let legible = legible(typed);
        if let Some(e164) = home_mobile(&legible) {
            return Ok(Self { typed: typed.to_owned(), e164 });
        }
        let number = valid(&legible).or_else(|| valid(first_number(&legible)));
        let number =
            number.ok_or("must be a phone number, such as +47 912 34 567; one from abroad begins with + or 00")?;
        let e164 = number.format_as(PhoneNumberFormat::E164).into_owned();
        Ok(Self { typed: typed.to_owned(), e164 })
    }
}

/// What most people have is read without the library, which tries the rules for all kinds of numbers.
fn home_mobile(legible: &str) -> Option<String> {
    let number: String = legible.strip_prefix("+47").unwrap_or(legible).split(' ').collect();
    let begins_as_one = match number.as_bytes() {
        [b'4', second, ..] => matches!(second, b'0' | b'1' | b'5'..=b'8'),
        [first, ..] => *first == b'9',
        [] => false,
    };
    let is_one = begins_as_one && number.len() == 8 && number.bytes().all(|b| b.is_ascii_digit());
    is_one.then(|| format!("+47{number}"))
}

/// The number that is written here, if it can be in use.
fn valid(text: &str) -> Option<PhoneNumber> {
    let number = PHONE_NUMBER_UTIL.parse_and_keep_raw_input(text, Some(HOME)).ok()?;
    if number.is_valid() {
        return Some(number);
    }
    // After a country code many write the zero that is dialled inside the country: `+46 (0)70`. The library knows it where
    // there is one; others write it too, where there is none. Elsewhere a zero may mean another country's number.
    if number.country_code_source() == CountryCodeSource::FromDefaultCountry {
        return None;
    }
    let without_zeros = format!("+{}{}", number.country_code, number.national_number);
    PHONE_NUMBER_UTIL.parse(&without_zeros, None).ok().filter(PhoneNumber::is_valid)
}

/// With separators that the library knows, without what copying from elsewhere brings along unseen, and beginning with
/// `+` if it has any of the international prefixes that people write.
fn legible(typed: &str) -> String {
    let visible = typed.chars().filter_map(|c| match c {
        '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => None,
        '_' | '·' | '•' => Some(' '),
        '＋' => Some('+'),
        c if c.is_whitespace() => Some(' '),
        c => Some(c),
    });
    let visible: String = visible.collect();
    let number = visible.trim_start_matches(['+', '0', ' ', '(']);
    let prefix = visible.strip_suffix(number).unwrap_or_default();
    if prefix.contains('+') || prefix.contains("00") { format!("+{number}") } else { visible }
}

/// What comes before a remark or another number.
fn first_number(text: &str) -> &str {
    let digit = text.find(char::is_numeric).unwrap_or(text.len());
    let more = |c: char| c.is_alphabetic() || matches!(c, '/' | ',' | ';');
    text[digit..].find(more).map_or(text, |end| &text[..digit + end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Region, national and international spelling and normal form of the example numbers of Google's libphonenumber 9.0.43
    /// of every kind in every region, as it writes and reads them itself.
    const EXAMPLES: &str = include_str!("phone_examples.tsv");

    fn e164(typed: &str) -> Option<String> {
        typed.parse::<Phone>().ok().map(|phone| phone.e164)
    }

    fn fullwidth(c: char) -> char {
        c.to_digit(10).and_then(|digit| char::from_u32(0xff10 + digit)).unwrap_or(c)
    }

    #[test]
    fn numbers_of_every_kind_and_region_are_understood_in_every_international_spelling() {
        let mut wrong = Vec::new();
        for (index, example) in EXAMPLES.lines().enumerate() {
            let [region, national, international, expected] =
                example.split('\t').collect::<Vec<_>>().try_into().expect("four columns");
            let code = international.split([' ', '-']).next().expect("a country code");
            let mut spellings = vec![international.to_owned(), format!("{code} {national}")];
            // Where numbers begin with a zero of their own, one in brackets is that one.
            if !(expected[code.len()..].starts_with('0') || matches!(region, "IT" | "AC")) {
                spellings.push(international.replacen(' ', " (0)", 1));
            }
            if region == "NO" {
                spellings.extend([national.to_owned(), expected[1..].to_owned()]);
            }
            spellings.push(match index % 6 {
                0 => expected.to_owned(),
                1 => international.replace('+', "00"),
                2 => international.replace([' ', '-'], "\u{a0}"),
                3 => international.replace([' ', '-'], "."),
                4 => format!("\u{202a}{international}\u{202c}"),
                _ => expected.chars().map(fullwidth).collect(),
            });
            for spelling in spellings {
                let got = e164(&spelling);
                if got.as_deref() != Some(expected) {
                    wrong.push(format!("{region} {spelling:?} is {expected} and was read as {got:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn what_is_read_without_the_library_is_what_it_reads() {
        for first in 0..1000 {
            for number in [format!("{first:03} 12 345"), format!("+47{first:03}12345")] {
                let by_library = valid(&number).map(|number| number.format_as(PhoneNumberFormat::E164).into_owned());
                let by_us = home_mobile(&number);
                assert!(by_us.is_none() || by_us == by_library, "{number} is {by_library:?}, and we read {by_us:?}");
                assert_eq!(by_us.is_some(), matches!(first, 400..=419 | 450..=489 | 900..=999), "{number}");
            }
        }
        for other in ["912345678", "9123456", "+46 91234567", "91234567x", "4791234567", "", "+47", "９1234567"] {
            assert_eq!(home_mobile(other), None, "{other}");
        }
    }

    #[test]
    fn numbers_are_norwegian_unless_they_say_otherwise_however_they_are_written() {
        for (typed, expected) in [
            ("91234567", "+4791234567"),
            ("912 34 567", "+4791234567"),
            ("912-34-567", "+4791234567"),
            ("912\u{2011}34\u{2011}567", "+4791234567"),
            ("912.34.567", "+4791234567"),
            ("912_34_567", "+4791234567"),
            ("912\u{202f}34\u{a0}567", "+4791234567"),
            ("\u{202a}+47 912 34 567\u{202c}", "+4791234567"),
            ("+47 912 34 567", "+4791234567"),
            ("(+47) 912 34 567", "+4791234567"),
            ("+ 47 912 34 567", "+4791234567"),
            ("++47 912 34 567", "+4791234567"),
            ("0047 912 34 567", "+4791234567"),
            ("(0047) 912 34 567", "+4791234567"),
            ("00+47 912 34 567", "+4791234567"),
            ("4791234567", "+4791234567"),
            ("47 91 23 45 67", "+4791234567"),
            ("+47 (0) 912 34 567", "+4791234567"),
            ("tel:+47-912-34-567", "+4791234567"),
            ("tlf. 912 34 567", "+4791234567"),
            ("912 34 567 (mobil)", "+4791234567"),
            ("912 34 567 / 988 77 665", "+4791234567"),
            ("９１２３４５６７", "+4791234567"),
            ("٩١٢٣٤٥٦٧", "+4791234567"),
            ("476 54 321", "+4747654321"),
            ("47 65 43 21", "+4747654321"),
            ("47654321", "+4747654321"),
            ("4747654321", "+4747654321"),
            ("+47 476 54 321", "+4747654321"),
            ("55 12 34 56", "+4755123456"),
            ("02800", "+4702800"),
            ("+46 70 123 45 67", "+46701234567"),
            ("+46 (0)70-123 45 67", "+46701234567"),
            ("+46 070-123 45 67", "+46701234567"),
            ("00 46 (0)70-123 45 67", "+46701234567"),
            ("+44 (0) 20 7183 8750", "+442071838750"),
            ("+49 (0)30/123456", "+4930123456"),
            ("+39 06 1234 5678", "+390612345678"),
            ("+39 (0)6 1234 5678", "+390612345678"),
            ("+45 (0) 32 12 34 56", "+4532123456"),
            ("+48 501 234 567", "+48501234567"),
        ] {
            let phone: Phone = typed.parse().expect(typed);
            assert_eq!((phone.typed.as_str(), phone.e164.as_str()), (typed, expected));
        }
    }

    #[test]
    fn what_nobody_can_dial_is_refused() {
        for wrong in [
            "",
            "123",
            "ring meg",
            "+47 1",
            "+999 12345678",
            "912 34 567 891 011",
            "070-123 45 67",
            "091234567",
            "+",
            "00",
            "+47",
        ] {
            assert!(wrong.parse::<Phone>().is_err(), "{wrong}");
        }
    }
}
