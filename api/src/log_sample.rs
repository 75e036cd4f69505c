use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Lines that are written in each [`WINDOW`].
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// Of lines that strangers cause as fast as they like, so many are written, and the rest is counted.
#[derive(Debug, Default)]
pub(crate) struct LogSample(Mutex<Option<Window>>);

#[derive(Debug)]
struct Window {
    since: Instant,
    written: u32,
    suppressed: u64,
}

impl LogSample {
    /// Whether a line is to be written now: with how many were not, since the last one.
    pub(crate) fn next(&self) -> Option<u64> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Option<u64> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *current {
            Some(window) if now.duration_since(window.since) < WINDOW => {
                if window.written == LINES {
                    window.suppressed += 1;
                    return None;
                }
                window.written += 1;
                Some(0)
            }
            window => {
                let suppressed = window.as_ref().map_or(0, |window| window.suppressed);
                *window = Some(Window { since: now, written: 1, suppressed: 0 });
                Some(suppressed)
            }
        }
    }
}

/// Those that tell of webhooks which are not taken, and why.
#[derive(Debug, Default)]
pub(crate) struct RefusalLines {
    /// Of whoever did not sign as the sender does.
    pub(crate) forged: LogSample,
    /// Of whoever may be the sender: we are not told how to tell.
    pub(crate) not_configured: LogSample,
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::{LINES, LogSample, WINDOW};

    #[test]
    fn what_is_not_written_is_counted() {
        let (sample, now) = (LogSample::default(), Instant::now());
        let written = (0..1_000).filter(|_| sample.at(now).is_some()).count();
        assert_eq!(u32::try_from(written), Ok(LINES));
        assert_eq!(sample.at(now + WINDOW), Some(1_000 - u64::from(LINES)));
        assert_eq!(sample.at(now + WINDOW), Some(0));
    }
}
