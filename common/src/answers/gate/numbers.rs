//! Every number of a reply is a fact, or too small to be a promise. Amounts are prices of the vehicle that is spoken of.

use std::sync::LazyLock;

use regex::{Match, Regex};

use super::{
    Reason,
    contact::without_own,
    opening,
    stock::{spelled, spoken_of},
    topics::{is_left_to_staff, is_of_opening},
};
use crate::answers::{
    facts::Facts,
    words::{any_of, expression, folded, sentences},
};

/// Digits that only telephone and account numbers have.
const PHONE_DIGITS: usize = 7;
/// The largest number that needs no fact: days of a month, and what people count.
const SMALL: u64 = 31;
/// Characters before a number in which a word makes it an amount.
const BEFORE: usize = 28;
/// A mileage that is said to be approximate may be off by so many kilometres.
const ROUNDED: u64 = 500;

static SPAN: LazyLock<Regex> = LazyLock::new(|| expression(r"[+(]{0,2}\d(?:(?:\) | \(| ?- ?|[ .,'/)-])?\d)*"));
static CURRENCY_BEFORE: LazyLock<Regex> =
    LazyLock::new(|| expression(r"(?:_(?:kr|nok|kroner|kronen|sek|dkk|eur|euro|usd|gbp|pln|zl)_\.? ?)$"));
static CURRENCY_AFTER: LazyLock<Regex> = LazyLock::new(|| {
    expression(
        r"^ ?(?:,-|\.-|:-|,--|(?:kr|nok|kroner|kronen|kronor|krone|koron|sek|dkk|eur|euro|usd|gbp|pln|zl|zloty\w*)_)",
    )
});
static PRICED: LazyLock<Regex> = LazyLock::new(|| {
    expression(
        r"_(?:pris\w*|price\w*|priced|cena|ceny|cene|koster|kostar|kosta|costs?|kosztuje|belop\w*|totalt|preis\w*|kostet|kosten)_[^.!?\n]*$",
    )
});
static MULTIPLIED: LazyLock<Regex> =
    LazyLock::new(|| expression(r"^ ?(?:k|t|tusen|mill\w*|mio|mln|tys|tkr|laken|lapp\w*)_"));
static PERCENT: LazyLock<Regex> =
    LazyLock::new(|| expression(r"^ ?(?:%|(?:prosent|percent|procent|prosjent|prozent)_)"));
static MONTH: LazyLock<Regex> = LazyLock::new(|| {
    expression(
        r"^\.? ?(?:(?:st|nd|rd|th)_ ?(?:of )?)?(?:jan|feb|mars|march|marz|marca|apr|mai|may|maj|jun|jul|aug|sep|okt|oct|nov|des|dec|dez|stycz|lut|kwiet|czerw|lip|sierp|wrzes|pazdz|listop|grud)[a-z]*_",
    )
});
static MONTH_BEFORE: LazyLock<Regex> =
    LazyLock::new(|| expression(r"_(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* (?:the )?$"));
static CLOCK_BEFORE: LazyLock<Regex> =
    LazyLock::new(|| expression(r"_(?:kl\.?|klokka|klokken|klockan|at|godz\.?|godzin\w+|o|um) ?$"));
/// Where it is said when the doors are open.
static OPENS_FROM: LazyLock<Regex> =
    LazyLock::new(|| expression(r"_(?:fra|fran|from|od|von|mellom|mellan|between|zwischen) (?:kl\.? ?)?$"));
static CLOCK_AFTER: LazyLock<Regex> = LazyLock::new(|| expression(r"^ ?(?:am|pm|a\.m|p\.m|o'clock|uhr)_"));
/// An hour, or from one to another.
static HOURS: LazyLock<Regex> = LazyLock::new(|| expression(r"^\d{1,2}(?:[.:]\d\d)?(?: ?- ?\d{1,2}(?:[.:]\d\d)?)?$"));
static CLOCK: LazyLock<Regex> = LazyLock::new(|| expression(r"^(?:[01]?\d|2[0-4])[.:][0-5]\d$"));
static DATE: LazyLock<Regex> = LazyLock::new(|| expression(r"^[0-3]?\d(?:/|\.|-)[01]?\d(?:(?:/|\.|-)\d{2,4})?$"));
static KILOMETRES: LazyLock<Regex> = LazyLock::new(|| expression(r"^ ?(?:km|kilomet\w+)_"));
static MILES: LazyLock<Regex> = LazyLock::new(|| expression(r"^ ?mil_"));
/// What would be a fact about the car.
static UNIT: LazyLock<Regex> = LazyLock::new(|| {
    expression(
        r"^[ -]?(?:kwh|kw|hk|hp|km|ps|nm|liter|litre|mil|miles|seter|seats|sitze[rn]?|sitzer|ars?|aring|jahren?|jahre|years?|year-old|lata?|maneder|manader|mnd|months?|monaten?|monate|miesi\w+|eiere?|owners?|vorbesitzer\w*|nokler|schlussel|keys|sett|airbag\w*|tommer?|grader|gonger|ganger)_",
    )
});
/// The customer's own car.
static THEIRS: LazyLock<Regex> = LazyLock::new(|| {
    any_of(&[
        "din",
        "ditt",
        "dine",
        "your",
        "twoj\\w*",
        "innbytt?e\\w*",
        "trade-?in",
        "inbyt\\w*",
        "pan\\w* samoch\\w*",
        "ihr\\w*",
    ])
});
static APPROXIMATE: LazyLock<Regex> = LazyLock::new(|| {
    expression(
        r"_(?:ca\.?|cirka|circa|etwa|rund|ungefahr|rundt|omtrent|om lag|about|around|approximately|okolo|ok\.) ?$",
    )
});

const DIGIT_WORDS: &str = "null|en|ein|eins|zwei|drei|vier|funf|sechs|sieben|acht|neun|ett|to|tre|fire|fem|seks|sju|syv|atte|ni|zero|oh|one|two|three|four|five|six|seven|\
    eight|nine|jeden|dwa|trzy|cztery|piec|szesc|siedem|osiem|dziewiec|noll|tva|fyra|sex|nio|atta";
const TENS: &str = "tjue|tretti|forti|forr|femti|seksti|sytti|atti|nitti|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|zwanzig|dreissig|vierzig|funfzig|sechzig|siebzig|achtzig|neunzig|\
    dwadziescia|trzydziesci|czterdziesci|piecdziesiat|szescdziesiat|siedemdziesiat|osiemdziesiat|dziewiecdziesiat";
/// Four digits, or three pairs, in a row.
static SPELLED_DIGITS: LazyLock<Regex> = LazyLock::new(|| {
    let pair = format!("(?:{TENS})(?:[ -]?(?:{DIGIT_WORDS}))?");
    expression(&format!(
        r"_(?:{DIGIT_WORDS})(?:[ ,-]+(?:{DIGIT_WORDS})){{3,}}_|_(?:{DIGIT_WORDS}|{pair})(?:[ ,-]+(?:{pair})){{2,}}_"
    ))
});
static ONE_KRONE: LazyLock<Regex> = LazyLock::new(|| {
    expression(r"_(?:en|ein|ei|eine|einen|one|a|jedna|jedn[ae]) (?:krone|krona|kroner|korona|korone|euro|dollar)_")
});
/// A sentence about what the car costs.
static OF_PRICE: LazyLock<Regex> = LazyLock::new(|| {
    any_of(&[
        r"pris(?:en|ar)?",
        r"(?:the|its|our|same|final) price",
        "koster",
        "kostar",
        "kosta",
        "costs?",
        r"cen[aeyi]",
        "kosztuje",
        r"preise?s?",
        "kostet",
    ])
});
static SINGLE_DIGITS: LazyLock<Regex> = LazyLock::new(|| expression(r"_\d(?:[^a-z0-9]{1,3}\d){5,}_"));
static SPELLED_AMOUNT: LazyLock<Regex> = LazyLock::new(|| {
    expression(
        r"_[a-z-]*(?:tusen|hundre|hundred|thousand|tusind|hundrede|tysiac\w*|tysiec\w*|million\w*|milion\w*|tusende|tausend|hundert)[a-z]*_( (?:takk|tack|tak|dziek\w*|dank))?|_(?:\w+sta|\w+set) tys\w*|_(?:halv|en|ett|a) mill\w*_",
    )
});
static LETTERS_AS_DIGITS: LazyLock<Regex> =
    LazyLock::new(|| expression(r"_\d[\d.,]*[ .]?(?:o[o\d]+|[ol]\d+|\d*[ol]{2,})_"));

pub(super) fn check(reply: &str, facts: &Facts) -> Result<(), Reason> {
    let text = folded(reply);
    spelled_out(&text)?;
    if ONE_KRONE.is_match(&text) || sentences(reply).iter().any(|sentence| hints_at_price(&folded(sentence), facts)) {
        return Err(Reason::Price);
    }
    let text = without_own(&text, facts);
    let unnamed = without_names(&text, facts);
    for span in SPAN.find_iter(&unnamed) {
        Number::at(&text, span).check(facts)?;
    }
    Ok(())
}

fn spelled_out(text: &str) -> Result<(), Reason> {
    if SPELLED_AMOUNT.captures_iter(text).any(|found| found.get(1).is_none()) {
        return Err(Reason::Price);
    }
    if SPELLED_DIGITS.is_match(text) || SINGLE_DIGITS.is_match(text) {
        return Err(Reason::Phone);
    }
    if LETTERS_AS_DIGITS.is_match(text) { Err(Reason::Number) } else { Ok(()) }
}

/// What says something of a price tells it, or leaves it to the staff.
fn hints_at_price(sentence: &str, facts: &Facts) -> bool {
    let digits: String = sentence.chars().filter(char::is_ascii_digit).collect();
    let tells =
        facts.vehicles.iter().filter_map(|vehicle| vehicle.price).any(|price| digits.contains(&price.to_string()));
    OF_PRICE.is_match(sentence) && !tells && !is_left_to_staff(sentence)
}

/// The folded text with letters in place of the names that have digits, and of the dealership's address.
fn without_names(text: &str, facts: &Facts) -> String {
    let mut names: Vec<String> = vec![folded(&facts.dealership.name)];
    if let Some(address) = facts.dealership.address.as_deref().map(folded) {
        names.extend(address.split(',').map(str::to_owned));
        names.push(address);
    }
    for vehicle in &facts.vehicles {
        let name = folded(&vehicle.name());
        let words: Vec<_> = name.split_whitespace().collect();
        // `Model 3` and `Golf 8`, but neither `3` nor `8`.
        names.extend(words.windows(2).map(|pair| pair.join(" ")));
        names.extend(
            words.iter().filter(|word| word.contains(|c: char| c.is_ascii_alphabetic())).map(|word| (*word).to_owned()),
        );
    }
    names.retain(|name| name.contains(|c: char| c.is_ascii_digit()));
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let mut text = text.to_owned();
    for (start, end) in names.iter().flat_map(|name| spelled(&text, name)).collect::<Vec<_>>() {
        text.replace_range(start..end, &"x".repeat(end - start));
    }
    text
}

/// A number and what stands around it.
struct Number<'t> {
    text: &'t str,
    start: usize,
    span: &'t str,
    before: &'t str,
    after: &'t str,
}

impl<'t> Number<'t> {
    fn at(text: &'t str, span: Match<'t>) -> Self {
        let start = span.start();
        let from = text.floor_char_boundary(start.saturating_sub(BEFORE));
        let number = span.as_str().trim_start_matches(['(', ' ']);
        Self { text, start, span: number, before: &text[from..start], after: &text[span.end()..] }
    }

    fn check(&self, facts: &Facts) -> Result<(), Reason> {
        let digits: String = self.span.chars().filter(char::is_ascii_digit).collect();
        if is_phone_of(&digits, facts) {
            return Ok(());
        }
        let value = self.value();
        if self.is_amount() || (PRICED.is_match(self.before) && !value.is_some_and(|value| self.is_year(value, facts)))
        {
            let is_price = value.is_some_and(|value| self.is_price(value, facts));
            return if is_price && !MULTIPLIED.is_match(self.after) { Ok(()) } else { Err(Reason::Price) };
        }
        if PERCENT.is_match(self.after) {
            return Err(Reason::Discount);
        }
        if self.is_time() || OPENS_FROM.is_match(self.before) && is_of_opening(self.sentence()) {
            return if self.is_opening_hour(facts) { Ok(()) } else { Err(Reason::Appointment) };
        }
        if value.is_some_and(|value| self.is_fact(value, facts)) || self.is_opening_hour(facts) {
            return Ok(());
        }
        if is_of_opening(self.sentence()) && self.is_hours() {
            return Err(Reason::Appointment);
        }
        if digits.len() >= PHONE_DIGITS || digits.len() >= 3 && digits.starts_with('0') || self.span.starts_with('+') {
            return Err(Reason::Phone);
        }
        self.check_small(value)
    }

    /// Groups that are no number together are numbers by themselves.
    fn check_small(&self, value: Option<u64>) -> Result<(), Reason> {
        if UNIT.is_match(self.after) {
            return Err(Reason::Number);
        }
        let groups: Vec<_> = self.span.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect();
        let small = |group: &&str| group.parse::<u64>().is_ok_and(|value| value <= SMALL);
        let few = groups.len() <= 2 && groups.iter().all(small);
        if value.is_some_and(|value| value <= SMALL) || few { Ok(()) } else { Err(Reason::Number) }
    }

    /// Of one group of digits, or of thousands: `429000`, `429 000`, `429.000,00`.
    fn value(&self) -> Option<u64> {
        let span = self.span.strip_suffix(",00").or(self.span.strip_suffix(".00")).unwrap_or(self.span);
        let mut groups = span.split([' ', '.', ',', '\'']);
        let first = groups.next()?;
        let thousands: Vec<_> = groups.collect();
        let grouped = thousands.is_empty() || first.len() <= 3 && thousands.iter().all(|group| group.len() == 3);
        let digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
        let whole = digits(first) && thousands.iter().all(|group| digits(group));
        (grouped && whole).then(|| span.replace([' ', '.', ',', '\''], "").parse().ok()).flatten()
    }

    fn is_amount(&self) -> bool {
        CURRENCY_BEFORE.is_match(self.before) || CURRENCY_AFTER.is_match(self.after) || MULTIPLIED.is_match(self.after)
    }

    fn is_price(&self, value: u64, facts: &Facts) -> bool {
        spoken_of(facts, self.text, self.start).iter().any(|vehicle| equal(vehicle.price, value))
    }

    fn is_year(&self, value: u64, facts: &Facts) -> bool {
        let no_unit = !UNIT.is_match(self.after) && !KILOMETRES.is_match(self.after);
        no_unit
            && self.span.len() == 4
            && spoken_of(facts, self.text, self.start).iter().any(|vehicle| equal(Some(vehicle.year), value))
    }

    fn is_fact(&self, value: u64, facts: &Facts) -> bool {
        let meant = spoken_of(facts, self.text, self.start);
        let kilometres = if MILES.is_match(self.after) { value * 10 } else { value };
        let slack = if APPROXIMATE.is_match(self.before) { ROUNDED } else { 0 };
        let driven = |mileage: i32| u64::try_from(mileage).is_ok_and(|mileage| mileage.abs_diff(kilometres) <= slack);
        let has_unit = KILOMETRES.is_match(self.after) || MILES.is_match(self.after);
        let is_mileage =
            (has_unit || value > 9999) && meant.iter().filter_map(|vehicle| vehicle.mileage_km).any(driven);
        self.is_year(value, facts)
            || is_mileage
            || (!has_unit && value > 999 && self.is_price(value, facts))
            || self.is_theirs(value, facts)
    }

    /// Year or mileage of the car that the customer has, as they told.
    fn is_theirs(&self, value: u64, facts: &Facts) -> bool {
        let about_theirs = THEIRS.is_match(self.text);
        let told = facts.customer.message.as_deref().map(folded).unwrap_or_default();
        let is_year = (1950..2040).contains(&value) && self.span.len() == 4;
        (is_year || KILOMETRES.is_match(self.after))
            && about_theirs
            && SPAN.find_iter(&told).any(|span| Number::at(&told, span).value() == Some(value))
    }

    fn is_time(&self) -> bool {
        CLOCK_BEFORE.is_match(self.before)
            || CLOCK_AFTER.is_match(self.after)
            || MONTH.is_match(self.after)
            || MONTH_BEFORE.is_match(self.before)
            || CLOCK.is_match(self.span)
            || self.after.starts_with(':')
            || self.before.ends_with(':') && self.text[..self.start - 1].ends_with(|c: char| c.is_ascii_digit())
            || DATE.is_match(self.span) && self.span.contains(['/', '.'])
    }

    /// An hour of the dealership's, where the reply tells when it is open.
    fn is_opening_hour(&self, facts: &Facts) -> bool {
        if let Some(opening) = &facts.dealership.opening {
            let is_of_opening = HOURS.is_match(self.span) && is_of_opening(self.sentence());
            return is_of_opening && opening::fits(self.sentence(), opening);
        }
        let Some(hours) = facts.dealership.opening_hours.as_deref().map(folded) else { return false };
        let numbers = |text: &str| -> Vec<String> {
            text.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).map(str::to_owned).collect()
        };
        let known = numbers(&hours);
        let is_known = |group: &String| {
            group == "00" || known.iter().any(|hour| hour == group || hour.trim_start_matches('0') == group)
        };
        is_of_opening(self.sentence()) && numbers(self.span).iter().all(is_known)
    }

    /// From an hour to another.
    fn is_hours(&self) -> bool {
        let groups = self.span.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty());
        self.span.contains('-') && groups.map(str::parse::<u64>).all(|hour| hour.is_ok_and(|hour| hour < 60))
    }

    fn sentence(&self) -> &'t str {
        let all = sentences(self.text);
        let begins = |sentence: &&str| sentence.as_ptr() as usize - self.text.as_ptr() as usize <= self.start;
        all.into_iter().rev().find(begins).unwrap_or(self.text)
    }
}

fn equal<T: TryInto<u64>>(fact: Option<T>, value: u64) -> bool {
    fact.and_then(|fact| fact.try_into().ok()) == Some(value)
}

/// Whether these are the digits of the dealership's number, with or without the country's code.
fn is_phone_of(digits: &str, facts: &Facts) -> bool {
    let own: String =
        facts.dealership.phone.iter().flat_map(|phone| phone.chars()).filter(char::is_ascii_digit).collect();
    let national = |digits: &str| {
        let digits = digits.strip_prefix("00").unwrap_or(digits);
        digits.strip_prefix("47").filter(|rest| rest.len() == 8).unwrap_or(digits).to_owned()
    };
    !own.is_empty() && national(digits) == national(&own)
}
