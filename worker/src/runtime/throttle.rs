use std::{num::NonZero, thread, time::Duration};

use common::{config::Rate, queue::Waiting};
use tokio::time::Instant;

/// A queue that has been idle may begin what this time allows at once, so that fast rates are claimed in batches.
const BURST: Duration = Duration::from_millis(100);
/// As fast as this, for each processor, may a queue begin jobs that spares others, whatever waits. An inquiry and all that follows
/// from it takes some 10 ms of one: most of the time, others find a processor free.
const SPARING: Duration = Duration::from_millis(100);
/// Within this, what waits in such a queue has begun: half the time in which customers are promised an answer.
const BEGUN_WITHIN: Duration = Duration::from_secs(45);

/// How fast a queue's jobs begin in this process.
#[derive(Debug)]
pub(super) struct Throttle {
    limit: Limit,
    /// From the beginning of one job here to that of the next; not known before the workers have been counted, where they keep a
    /// rate together.
    interval: Option<Duration>,
    /// When the next job may begin; not known before they have been counted twice.
    next: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Limit {
    /// That all workers of the queue keep together.
    Rate(Rate),
    /// As fast as what waits requires, and slowly otherwise: a thousand inquiries leave the processors to others in between.
    Need,
}

/// How many jobs may begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    Jobs(usize),
    /// None before then.
    NotBefore(Instant),
    /// None before the workers have been counted twice.
    NotYet,
}

impl Throttle {
    /// Keeps a rate.
    pub(super) fn at(rate: Rate) -> Self {
        Self { limit: Limit::Rate(rate), interval: None, next: None }
    }

    /// Spares others, unless what waits would wait too long.
    pub(super) fn by_need(now: Instant) -> Self {
        Self { limit: Limit::Need, interval: Some(sparing()), next: Some(now) }
    }

    /// Whether [`Throttle::adapt`] wants to know what waits.
    pub(super) fn is_by_need(&self) -> bool {
        matches!(self.limit, Limit::Need)
    }

    /// So many workers, this one among them, serve the queue, in which so much waits. Where they keep a rate, the others have counted
    /// this one, too, between the first time and the second: only then does it begin, with nothing saved up, so that restarts do not
    /// make the queue faster.
    pub(super) fn adapt(&mut self, workers: u32, waiting: Waiting, now: Instant) {
        let interval = match self.limit {
            Limit::Rate(rate) => rate.interval() * workers.max(1),
            Limit::Need => sparing().min(needed(workers, waiting)),
        };
        if self.interval.replace(interval).is_some() {
            self.next.get_or_insert(now + interval);
        }
    }

    pub(super) fn allowed(&self, now: Instant) -> Allowed {
        let (Some(interval), Some(next)) = (self.interval, self.next) else { return Allowed::NotYet };
        if interval.is_zero() {
            return Allowed::Jobs(usize::MAX);
        }
        if next > now {
            return Allowed::NotBefore(next);
        }
        let saved = (now - next).min(BURST).as_nanos() / interval.as_nanos();
        Allowed::Jobs(usize::try_from(saved).unwrap_or(usize::MAX).saturating_add(1))
    }

    /// Whether there is anything to hold back at present.
    pub(super) fn is_slow(&self) -> bool {
        self.interval.is_none_or(|interval| !interval.is_zero())
    }

    pub(super) fn begins(&mut self, now: Instant) {
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        if let (Some(interval), Some(next)) = (self.interval, &mut self.next) {
            *next = (*next).max(earliest) + interval;
        }
    }
}

/// From the beginning of one job to that of the next, where nothing is urgent.
fn sparing() -> Duration {
    SPARING / u32::try_from(thread::available_parallelism().map_or(1, NonZero::get)).unwrap_or(u32::MAX)
}

/// The same, for all that waits to begin in time. None where that cannot be, or where there is more than was counted.
fn needed(workers: u32, waiting: Waiting) -> Duration {
    match waiting {
        Waiting { jobs, longest } if jobs < Waiting::MOST => {
            BEGUN_WITHIN.saturating_sub(longest) / jobs.max(1) * workers.max(1)
        }
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(rate: u32, workers: u32, now: Instant) -> Throttle {
        let mut throttle = Throttle::at(Rate::per_second(rate));
        (0..2).for_each(|_| throttle.adapt(workers, Waiting::default(), now));
        throttle
    }

    /// Begins as many jobs as are allowed every 10 ms of so many seconds, and returns how many.
    fn begun(throttle: &mut Throttle, from: Instant, seconds: u64) -> usize {
        let steps = (0..seconds * 100).map(|step| from + Duration::from_millis(step * 10));
        let mut begun = 0;
        for now in steps {
            if let Allowed::Jobs(jobs) = throttle.allowed(now) {
                (0..jobs).for_each(|_| throttle.begins(now));
                begun += jobs;
            }
        }
        begun
    }

    #[test]
    fn the_rate_is_kept_and_used_up() {
        let now = Instant::now();
        for rate in [1, 7, 20, 1_000] {
            let mut throttle = counted(rate, 1, now);
            let (most, jobs) = (10 * rate as usize, begun(&mut throttle, now, 10));
            assert!((most * 9 / 10..=most).contains(&jobs), "{jobs} jobs in 10 s of {rate} in each");
        }
    }

    #[test]
    fn what_was_not_used_is_saved_for_a_moment_only() {
        let now = Instant::now();
        let throttle = counted(50, 1, now);
        assert_eq!(throttle.allowed(now + Duration::from_mins(1)), Allowed::Jobs(6));
    }

    #[test]
    fn workers_share_the_rate_and_a_new_one_waits_until_the_others_know() {
        let now = Instant::now();
        let mut throttle = Throttle::at(Rate::per_second(100));
        throttle.adapt(1, Waiting::default(), now);
        assert_eq!(throttle.allowed(now), Allowed::NotYet);
        throttle.adapt(4, Waiting::default(), now);
        let first = now + Duration::from_millis(40);
        assert_eq!(throttle.allowed(now), Allowed::NotBefore(first));
        assert!((225..=253).contains(&begun(&mut throttle, first, 10)));
        throttle.adapt(1, Waiting::default(), now);
        assert!((900..=1_011).contains(&begun(&mut throttle, first + Duration::from_secs(10), 10)));
    }

    /// A queue in which so many jobs wait, one of them for so long, and that two workers serve.
    fn needing(jobs: u32, longest: u64, now: Instant) -> Throttle {
        let mut throttle = Throttle::by_need(now);
        throttle.adapt(2, Waiting { jobs, longest: Duration::from_secs(longest) }, now);
        throttle
    }

    #[test]
    fn what_waits_begins_in_time_and_no_faster_than_that() {
        let now = Instant::now();
        let slowly = usize::try_from(10 * SPARING.as_nanos() / sparing().as_nanos()).expect("a few processors");
        for (jobs, longest, within) in [(0, 0, slowly * 10), (8, 0, slowly * 10), (4_000, 0, 444), (4_000, 5, 500)] {
            let (expected, begun) = (within.max(slowly * 10), begun(&mut needing(jobs, longest, now), now, 10));
            assert!(
                (expected * 9 / 10..=expected + slowly + 1).contains(&begun),
                "{begun} of {jobs} instead of {expected}"
            );
        }
    }

    #[test]
    fn what_is_late_or_too_much_to_count_begins_at_once() {
        let now = Instant::now();
        for (jobs, longest) in [(1, 45), (1_000, 600), (Waiting::MOST, 0)] {
            let throttle = needing(jobs, longest, now);
            assert_eq!(throttle.allowed(now), Allowed::Jobs(usize::MAX), "{jobs} wait for up to {longest} s");
            assert!(!throttle.is_slow());
        }
    }
}
