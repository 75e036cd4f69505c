//! When a dealership is open, in Norwegian time: by weekday, and closed on single days.

use std::fmt;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Weekday};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;
use utoipa::ToSchema;

use crate::input::Invalid;

/// Spans of one day.
const MAX_SPANS: usize = 4;
/// Days that are closed besides.
const MAX_CLOSED: usize = 100;
/// Days within which somebody is back, or it is not said.
const MAX_AHEAD: i64 = 14;
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A time of day, in minutes; the end of the day is 24:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay(u16);

/// From when to when somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct OpeningSpan {
    /// When the doors open.
    #[schema(value_type = String, example = "09:00")]
    pub from: TimeOfDay,
    /// When they close; the end of the day is 24:00.
    #[schema(value_type = String, example = "17:00")]
    pub to: TimeOfDay,
}

/// When a dealership is open in a week. A day without spans is closed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct OpeningTimes {
    /// When somebody is there on Mondays; nothing if nobody is.
    pub monday: Vec<OpeningSpan>,
    /// When somebody is there on Tuesdays; nothing if nobody is.
    pub tuesday: Vec<OpeningSpan>,
    /// When somebody is there on Wednesdays; nothing if nobody is.
    pub wednesday: Vec<OpeningSpan>,
    /// When somebody is there on Thursdays; nothing if nobody is.
    pub thursday: Vec<OpeningSpan>,
    /// When somebody is there on Fridays; nothing if nobody is.
    pub friday: Vec<OpeningSpan>,
    /// When somebody is there on Saturdays; nothing if nobody is.
    pub saturday: Vec<OpeningSpan>,
    /// When somebody is there on Sundays; nothing if nobody is.
    pub sunday: Vec<OpeningSpan>,
}

/// A dealership's week, with the days on which it is closed besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opening {
    pub times: OpeningTimes,
    pub closed_days: Vec<NaiveDate>,
}

impl TimeOfDay {
    /// When nobody opens or closes.
    pub const MIDDLE_OF_THE_NIGHT: Self = Self(3 * 60 + 33);

    pub fn new(hour: u16, minute: u16) -> Option<Self> {
        let minutes = hour * 60 + minute;
        (hour <= 24 && minute < 60 && minutes <= 24 * 60).then_some(Self(minutes))
    }

    fn parse(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        (digits(hour) && digits(minute)).then(|| Self::new(hour.parse().ok()?, minute.parse().ok()?)).flatten()
    }

    fn of(time: NaiveTime) -> Self {
        Self(u16::try_from(time.num_seconds_from_midnight() / 60).unwrap_or(u16::MAX))
    }

    /// Without the day's end, which is the next day's beginning.
    fn time(self) -> Option<NaiveTime> {
        NaiveTime::from_hms_opt((self.0 / 60).into(), (self.0 % 60).into(), 0)
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OpeningTimes {
    /// As stored.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&Value::deserialize(deserializer)?).map_err(|Invalid(problem)| D::Error::custom(problem))
    }
}

impl OpeningTimes {
    /// Reads the times of a request, and says everything that is wrong with them.
    pub fn read(value: &Value) -> Result<Self, Invalid> {
        let form = "must be an object of days such as {\"monday\": [{\"from\": \"09:00\", \"to\": \"17:00\"}]}";
        let Some(days) = value.as_object() else { return Err(form.into()) };
        let mut times = Self::default();
        let mut problems = Vec::new();
        for (name, spans) in days {
            match DAYS.iter().position(|day| day == name) {
                None => problems.push(format!("{name} is no day, which are {}", DAYS.join(", "))),
                Some(day) => match spans_of(spans) {
                    Ok(spans) => *times.day_mut(day) = spans,
                    Err(problem) => problems.push(format!("{name} {problem}")),
                },
            }
        }
        if problems.is_empty() && (0..7).all(|day| times.day(day).is_empty()) {
            problems.push("there must be a day on which you are open; null clears them".to_owned());
        }
        if problems.is_empty() { Ok(times) } else { Err(format!("is wrong: {}", problems.join("; ")).into()) }
    }

    /// The spans of a day, 0 for Monday.
    pub fn day(&self, day: usize) -> &[OpeningSpan] {
        let Self { monday, tuesday, wednesday, thursday, friday, saturday, sunday } = self;
        [monday, tuesday, wednesday, thursday, friday, saturday, sunday][day % 7]
    }

    fn day_mut(&mut self, day: usize) -> &mut Vec<OpeningSpan> {
        let Self { monday, tuesday, wednesday, thursday, friday, saturday, sunday } = self;
        [monday, tuesday, wednesday, thursday, friday, saturday, sunday]
            .into_iter()
            .nth(day % 7)
            .expect("there are seven")
    }

    /// As people write it in Norwegian: `mandag–fredag 09:00–17:00, lørdag 10:00–15:00, søndag stengt`.
    pub fn told(&self) -> String {
        const NAMES: [&str; 7] = ["mandag", "tirsdag", "onsdag", "torsdag", "fredag", "lørdag", "søndag"];
        let hours = |day: usize| match self.day(day) {
            [] => "stengt".to_owned(),
            spans => {
                let spans: Vec<_> = spans.iter().map(|span| format!("{}–{}", span.from, span.to)).collect();
                spans.join(" og ")
            }
        };
        let mut parts = Vec::new();
        let mut first = 0;
        while first < 7 {
            let last = (first..7).take_while(|day| self.day(*day) == self.day(first)).last().unwrap_or(first);
            let days =
                if first == last { NAMES[first].to_owned() } else { format!("{}–{}", NAMES[first], NAMES[last]) };
            parts.push(format!("{days} {}", hours(first)));
            first = last + 1;
        }
        parts.join(", ")
    }
}

/// The spans of one day, in their order and apart from each other.
fn spans_of(value: &Value) -> Result<Vec<OpeningSpan>, String> {
    let form = || "must be a list of spans such as {\"from\": \"09:00\", \"to\": \"17:00\"}".to_owned();
    let list = value.as_array().ok_or_else(form)?;
    if list.len() > MAX_SPANS {
        return Err(format!("has more than {MAX_SPANS} spans"));
    }
    let mut spans = Vec::with_capacity(list.len());
    for span in list {
        let members = span.as_object().filter(|members| members.len() == 2).ok_or_else(form)?;
        let time = |name: &str| {
            let text = members.get(name).and_then(Value::as_str).ok_or_else(form)?;
            TimeOfDay::parse(text).ok_or_else(|| format!("has {text:?} where a time such as 09:00 must be"))
        };
        let (from, to) = (time("from")?, time("to")?);
        if from >= to {
            return Err(format!("closes at {to}, which is not after {from}"));
        }
        spans.push(OpeningSpan { from, to });
    }
    spans.sort_by_key(|span| span.from);
    match spans.windows(2).find(|pair| pair[1].from < pair[0].to) {
        Some(pair) => Err(format!("opens at {} before it has closed at {}", pair[1].from, pair[0].to)),
        None => Ok(spans),
    }
}

/// Reads the days on which a dealership is closed besides.
pub fn closed_days(value: &Value) -> Result<Vec<NaiveDate>, Invalid> {
    let form = "must be a list of days such as [\"2026-12-24\"]";
    let list = value.as_array().ok_or(form)?;
    if list.len() > MAX_CLOSED {
        return Err(format!("must have at most {MAX_CLOSED} days").into());
    }
    let read = |day: &Value| day.as_str().and_then(|text| text.parse::<NaiveDate>().ok());
    let mut days = list.iter().map(read).collect::<Option<Vec<_>>>().ok_or(form)?;
    days.sort_unstable();
    days.dedup();
    Ok(days)
}

impl Opening {
    /// As customers are told, with the closed days that are near.
    pub fn told(&self, today: NaiveDate) -> String {
        const MONTHS: [&str; 12] = [
            "januar",
            "februar",
            "mars",
            "april",
            "mai",
            "juni",
            "juli",
            "august",
            "september",
            "oktober",
            "november",
            "desember",
        ];
        let is_near = |day: &&NaiveDate| (0..=MAX_AHEAD).contains(&(**day - today).num_days());
        let month = |day: &NaiveDate| MONTHS[usize::try_from(day.month0()).unwrap_or(0) % 12];
        let closed = self.closed_days.iter().filter(is_near).map(|day| format!("{}. {}", day.day(), month(day)));
        let closed: Vec<_> = closed.collect();
        let besides = if closed.is_empty() { String::new() } else { format!("; stengt {}", closed.join(", ")) };
        self.times.told() + &besides
    }

    /// When somebody is there again; nothing while somebody is, or if that is far away. `now` is in Norwegian time.
    pub fn opens_next(&self, now: NaiveDateTime) -> Option<NaiveDateTime> {
        let minute = TimeOfDay::of(now.time());
        if self.on(now.date()).iter().any(|span| span.from <= minute && minute < span.to) {
            return None;
        }
        let mut days = (0..=MAX_AHEAD).filter_map(|ahead| now.date().checked_add_signed(TimeDelta::days(ahead)));
        days.find_map(|day| {
            let later = |span: &&OpeningSpan| day > now.date() || span.from > minute;
            self.on(day).iter().find(later).and_then(|span| Some(day.and_time(span.from.time()?)))
        })
    }

    /// The spans of a day.
    fn on(&self, day: NaiveDate) -> &[OpeningSpan] {
        if self.closed_days.contains(&day) { &[] } else { self.times.day(index(day.weekday())) }
    }
}

fn index(day: Weekday) -> usize {
    day.num_days_from_monday().try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn week() -> OpeningTimes {
        let day = json!([{ "from": "09:00", "to": "17:00" }]);
        let friday = json!([{ "from": "12:00", "to": "16:00" }, { "from": "09:00", "to": "11:30" }]);
        let saturday = json!([{ "from": "10:00", "to": "15:00" }]);
        let week = json!({ "monday": day, "tuesday": day, "wednesday": day, "thursday": day, "friday": friday, "saturday": saturday });
        OpeningTimes::read(&week).expect("they are right")
    }

    #[test]
    fn a_week_is_told_in_few_words_and_stored_as_it_is_read() {
        let told = "mandag–torsdag 09:00–17:00, fredag 09:00–11:30 og 12:00–16:00, lørdag 10:00–15:00, søndag stengt";
        assert_eq!(week().told(), told);
        let stored = serde_json::to_value(week()).expect("JSON");
        assert_eq!((&stored["sunday"], &stored["saturday"][0]["to"]), (&json!([]), &json!("15:00")));
        assert_eq!(serde_json::from_value::<OpeningTimes>(stored).expect("as stored"), week());
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let one = |from: &str, to: &str| json!([{ "from": from, "to": to }]);
        let wrong = json!({ "monday": one("17:00", "09:00"), "tuesday": one("9", "17:00"), "funday": [], "friday": "09-17",
            "saturday": [{ "from": "10:00", "to": "15:00" }, { "from": "14:00", "to": "16:00" }], "sunday": one("00:00", "24:01") });
        let Invalid(told) = OpeningTimes::read(&wrong).expect_err("all of it");
        for part in [
            "monday closes at 09:00, which is not after 17:00",
            "tuesday has \"9\"",
            "funday is no day",
            "friday must be a list",
            "saturday opens at 14:00 before it has closed at 15:00",
            "sunday has \"24:01\"",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        for (wrong, part) in
            [(json!([]), "an object"), (json!({}), "a day on which"), (json!({ "monday": [] }), "a day on which")]
        {
            let Invalid(told) = OpeningTimes::read(&wrong).expect_err("wrong");
            assert!(told.contains(part), "{told}");
        }
        OpeningTimes::read(&json!({ "monday": one("00:00", "24:00") })).expect("all day");
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        let days = closed_days(&json!(["2026-12-25", "2026-12-24", "2026-12-24"])).expect("days");
        assert_eq!(days, [day("2026-12-24"), day("2026-12-25")]);
        for wrong in [json!("2026-12-24"), json!(["24.12.2026"]), json!([1])] {
            assert!(closed_days(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn somebody_is_back_when_the_doors_open_next() {
        let at = |text: &str| text.parse::<NaiveDateTime>().expect("a time");
        let opening = Opening { times: week(), closed_days: vec!["2026-12-24".parse().expect("a day")] };
        for (now, next) in [
            // A Monday.
            ("2026-11-30T08:59:59", Some("2026-11-30T09:00:00")),
            ("2026-11-30T09:00:00", None),
            ("2026-11-30T16:59:59", None),
            ("2026-11-30T17:00:00", Some("2026-12-01T09:00:00")),
            // A Friday at lunch, and a Saturday's evening.
            ("2026-12-04T11:45:00", Some("2026-12-04T12:00:00")),
            ("2026-12-05T20:00:00", Some("2026-12-07T09:00:00")),
            // The 24th, a Thursday, is closed.
            ("2026-12-23T17:30:00", Some("2026-12-25T09:00:00")),
        ] {
            assert_eq!(opening.opens_next(at(now)), next.map(at), "{now}");
        }
        let today = |text: &str| text.parse::<NaiveDate>().expect("a day");
        assert!(opening.told(today("2026-12-12")).ends_with("søndag stengt; stengt 24. desember"));
        assert!(opening.told(today("2026-11-30")).ends_with("søndag stengt"));
        let closed = Opening { times: OpeningTimes::default(), closed_days: Vec::new() };
        assert_eq!(closed.opens_next(at("2026-11-30T10:00:00")), None);
    }
}
