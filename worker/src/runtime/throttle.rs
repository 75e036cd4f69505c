use std::time::Duration;

use common::config::Rate;
use tokio::time::Instant;

/// A queue that has been idle may begin what this time allows at once, so that fast rates are claimed in batches.
const BURST: Duration = Duration::from_millis(100);

/// How fast a queue's jobs begin in this process: its share of the rate that all workers of the queue keep together.
#[derive(Debug)]
pub(super) struct Throttle {
    rate: Rate,
    /// From the beginning of one job here to that of the next; not known before the workers have been counted.
    interval: Option<Duration>,
    /// When the next job may begin; not known before they have been counted twice.
    next: Option<Instant>,
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
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, interval: None, next: None }
    }

    /// So many workers, this one among them, serve the queue. Between the first time and the second, the others have counted
    /// this one, too: only then does it begin, with nothing saved up, so that restarts do not make the queue faster.
    pub(super) fn share_among(&mut self, workers: u32, now: Instant) {
        let interval = self.rate.interval() * workers.max(1);
        if self.interval.replace(interval).is_some() {
            self.next.get_or_insert(now + interval);
        }
    }

    pub(super) fn allowed(&self, now: Instant) -> Allowed {
        let (Some(interval), Some(next)) = (self.interval, self.next) else { return Allowed::NotYet };
        if next > now {
            return Allowed::NotBefore(next);
        }
        let saved = (now - next).min(BURST).as_nanos() / interval.as_nanos().max(1);
        Allowed::Jobs(usize::try_from(saved).unwrap_or(usize::MAX).saturating_add(1))
    }

    pub(super) fn begins(&mut self, now: Instant) {
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        if let (Some(interval), Some(next)) = (self.interval, &mut self.next) {
            *next = (*next).max(earliest) + interval;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(rate: u32, workers: u32, now: Instant) -> Throttle {
        let mut throttle = Throttle::new(Rate::per_second(rate));
        (0..2).for_each(|_| throttle.share_among(workers, now));
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
        let mut throttle = Throttle::new(Rate::per_second(100));
        throttle.share_among(1, now);
        assert_eq!(throttle.allowed(now), Allowed::NotYet);
        throttle.share_among(4, now);
        let first = now + Duration::from_millis(40);
        assert_eq!(throttle.allowed(now), Allowed::NotBefore(first));
        assert!((225..=253).contains(&begun(&mut throttle, first, 10)));
        throttle.share_among(1, now);
        assert!((900..=1_011).contains(&begun(&mut throttle, first + Duration::from_secs(10), 10)));
    }
}
