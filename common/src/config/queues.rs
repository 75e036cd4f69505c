use std::{collections::BTreeMap, str::FromStr, time::Duration};

use crate::jobs::{Job, KINDS, ReadInquiry, SendEmail, SendSms, WriteAnswer, WriteSuggestion};

/// Jobs of one queue that one process may run at once, at most.
const MAX_CONCURRENCY: u32 = 1_000;
/// Jobs that a rate may let begin in its period, at most.
const MAX_RATE: u32 = 1_000_000;

/// What a queue may do, where it differs from other queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueLimit {
    /// Jobs that run at once in one process; `WORKER_CONCURRENCY`, if absent.
    pub concurrency: Option<u32>,
    /// How fast jobs may begin in all processes together; if absent, as fast as they can, or as they must where the queue
    /// [`spares_others`].
    pub rate: Option<Rate>,
}

/// So many jobs in each period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    jobs: u32,
    period: Duration,
}

impl Rate {
    /// So many jobs in each second; none count as one.
    pub fn per_second(jobs: u32) -> Self {
        Self { jobs: jobs.max(1), period: Duration::from_secs(1) }
    }

    /// From the beginning of one job to that of the next.
    pub fn interval(self) -> Duration {
        self.period / self.jobs
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rate = text.split_once('/').and_then(|(jobs, period)| {
            let period = match period {
                "s" => Duration::from_secs(1),
                "min" => Duration::from_mins(1),
                "h" => Duration::from_hours(1),
                _ => return None,
            };
            Some(Self { jobs: within(jobs, MAX_RATE)?, period })
        });
        rate.ok_or_else(|| format!("the rate {text} must be such as 10/s, 300/min or 2000/h, of 1 to {MAX_RATE}"))
    }
}

/// Jobs that wait for the assistant cost neither a connection nor a processor, and there is a limit to how long a customer
/// waits.
const OF_ANSWERS: u32 = 500;
/// The same of what people ask the assistant, who wait as well, but of whom there are fewer.
const OF_ASSISTANT: u32 = 100;
/// The same of those that wait for a provider: one dealership's slow mail server must not take all the slots.
const OF_SENDING: u32 = 100;

/// How many jobs of a queue run at once in one process, where nothing else is said and `WORKER_CONCURRENCY` would not do.
pub fn default_concurrency(queue: &str) -> Option<u32> {
    match queue {
        WriteAnswer::QUEUE => Some(OF_ANSWERS),
        WriteSuggestion::QUEUE => Some(OF_ASSISTANT),
        SendEmail::QUEUE | SendSms::QUEUE => Some(OF_SENDING),
        _ => None,
    }
}

/// Whether jobs of a queue begin only as fast as what waits requires, where no rate is set: of what a thousand customers write at
/// once, each is a message to read, an assistant to ask and a mail to send, and whoever signs up meanwhile should not notice.
pub fn spares_others(queue: &str) -> bool {
    queue == ReadInquiry::QUEUE
}

/// Reads `name:concurrency@rate`, separated by commas, of the queues in which jobs wait. Either part may be left out.
pub(super) fn queue_limits(text: &str) -> Result<BTreeMap<String, QueueLimit>, String> {
    let mut limits = BTreeMap::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (name, limit) = queue_limit(item)?;
        if limits.insert(name.to_owned(), limit).is_some() {
            return Err(format!("names the queue {name} twice"));
        }
    }
    Ok(limits)
}

fn queue_limit(item: &str) -> Result<(&str, QueueLimit), String> {
    let (rest, rate) = match item.split_once('@') {
        Some((rest, rate)) => (rest, Some(rate.parse()?)),
        None => (item, None),
    };
    let (name, concurrency) = match rest.split_once(':') {
        Some((name, number)) => {
            let wrong =
                || format!("{number} jobs of {name} at once: must be a whole number from 1 to {MAX_CONCURRENCY}");
            (name, Some(within(number, MAX_CONCURRENCY).ok_or_else(wrong)?))
        }
        None => (rest, None),
    };
    let mut known: Vec<_> = KINDS.iter().map(|(_, queue)| *queue).collect();
    known.sort_unstable();
    known.dedup();
    if !known.contains(&name) {
        return Err(format!("there is no queue {name:?}, only {}", known.join(", ")));
    }
    if concurrency.is_none() && rate.is_none() {
        return Err(format!("says nothing about {name}; write {name}:20, {name}@10/s or {name}:20@10/s"));
    }
    Ok((name, QueueLimit { concurrency, rate }))
}

fn within(text: &str, most: u32) -> Option<u32> {
    text.parse().ok().filter(|number| (1..=most).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_queue_may_have_its_own_limits() {
        let limits = queue_limits("default:50, clerk:2@600/min").expect("they are valid");
        let plain = QueueLimit { concurrency: Some(50), rate: None };
        let slow = QueueLimit { concurrency: Some(2), rate: Some(Rate::per_second(10)) };
        assert_eq!(limits.get("default"), Some(&plain));
        assert_eq!(limits["clerk"].rate.map(Rate::interval), slow.rate.map(Rate::interval));
        assert_eq!(limits["clerk"].concurrency, slow.concurrency);
        let rated = queue_limits("clerk@2/h").expect("it is valid");
        assert_eq!(rated["clerk"].concurrency, None);
        assert_eq!(rated["clerk"].rate.map(Rate::interval), Some(Duration::from_mins(30)));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, told) in [
            (
                "defualt:2",
                "there is no queue \"defualt\", only answers, assistant, clerk, deadlines, default, email, facebook, inquiries, sms",
            ),
            ("default", "says nothing about default; write default:20, default@10/s or default:20@10/s"),
            ("default:0", "0 jobs of default at once: must be a whole number from 1 to 1000"),
            ("default:many", "many jobs of default at once: must be a whole number from 1 to 1000"),
            ("default:1001", "1001 jobs of default at once: must be a whole number from 1 to 1000"),
            ("default@10", "the rate 10 must be such as 10/s, 300/min or 2000/h, of 1 to 1000000"),
            ("default@0/s", "the rate 0/s must be such as 10/s, 300/min or 2000/h, of 1 to 1000000"),
            ("default@10/d", "the rate 10/d must be such as 10/s, 300/min or 2000/h, of 1 to 1000000"),
            ("default:2,default:3", "names the queue default twice"),
        ] {
            assert_eq!(queue_limits(text), Err(told.to_owned()), "{text}");
        }
    }
}
