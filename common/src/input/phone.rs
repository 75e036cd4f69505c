use std::str::FromStr;

use super::{Invalid, values::short};

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
        let number = phonenumber::parse(Some(phonenumber::country::NO), typed).ok();
        let number = number.filter(phonenumber::is_valid);
        let e164 = number.map(|number| number.format().mode(phonenumber::Mode::E164).to_string());
        let e164 = e164.ok_or("must be a phone number, such as +47 912 34 567")?;
        Ok(Self { typed: typed.to_owned(), e164 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phone_numbers_are_norwegian_unless_they_say_otherwise() {
        for (typed, e164) in [
            ("91234567", "+4791234567"),
            ("912 34 567", "+4791234567"),
            ("+47 912 34 567", "+4791234567"),
            ("0047 912 34 567", "+4791234567"),
            ("55 12 34 56", "+4755123456"),
            ("+46 70 123 45 67", "+46701234567"),
            ("+48 501 234 567", "+48501234567"),
        ] {
            let phone: Phone = typed.parse().expect(typed);
            assert_eq!((phone.typed.as_str(), phone.e164.as_str()), (typed, e164));
        }
        for wrong in ["123", "ring meg", "+47 1", "+999 12345678", "912 34 567 891 011"] {
            assert!(wrong.parse::<Phone>().is_err(), "{wrong}");
        }
    }
}
