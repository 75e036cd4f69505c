use std::time::Duration;

/// Jobs are fetched this far ahead: more than the round trip of a claim, less than anybody notices.
const AHEAD: Duration = Duration::from_millis(100);
/// Jobs that wait in this process for a slot, at most: this many, or as many as there are slots.
const BUFFER: usize = 16;

/// How quickly slots become free. A job that waits behind long ones here could be running in another process, so only
/// those are fetched ahead that will get a slot in a moment.
#[derive(Debug, Default)]
pub(super) struct Prefetch {
    average: Duration,
}

impl Prefetch {
    /// A job took so long.
    pub(super) fn ended(&mut self, took: Duration) {
        self.average = (self.average * 7 + took) / 8;
    }

    /// How many jobs to have waiting for `slots` of which none has become free for `stalled`.
    pub(super) fn ahead(&self, slots: usize, stalled: Duration) -> usize {
        let per_slot = self.average / u32::try_from(slots.max(1)).unwrap_or(u32::MAX);
        let interval = per_slot.max(stalled).as_nanos().max(1);
        usize::try_from(AHEAD.as_nanos() / interval).unwrap_or(usize::MAX).min(slots.max(BUFFER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(jobs: u32, took: Duration) -> Prefetch {
        let mut prefetch = Prefetch::default();
        (0..jobs).for_each(|_| prefetch.ended(took));
        prefetch
    }

    #[test]
    fn short_jobs_are_fetched_ahead_and_long_ones_are_not() {
        assert_eq!(after(0, Duration::ZERO).ahead(10, Duration::ZERO), 16);
        assert_eq!(after(50, Duration::from_millis(3)).ahead(10, Duration::ZERO), 16);
        assert_eq!(after(50, Duration::from_millis(3)).ahead(100, Duration::ZERO), 100);
        assert_eq!(after(50, Duration::from_millis(200)).ahead(10, Duration::ZERO), 5);
        assert_eq!(after(50, Duration::from_secs(2)).ahead(10, Duration::ZERO), 0);
    }

    #[test]
    fn nothing_is_fetched_ahead_when_no_slot_becomes_free() {
        let prefetch = after(50, Duration::from_millis(1));
        assert_eq!(prefetch.ahead(10, Duration::from_millis(50)), 2);
        assert_eq!(prefetch.ahead(10, Duration::from_millis(101)), 0);
    }
}
