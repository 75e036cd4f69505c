//! Wall-clock time, passed in so that a test can choose it.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};

/// Tells the time. Clones share the same source.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// The clock of this host.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the host's clock")]
        Self(Arc::new(Utc::now))
    }

    /// A clock that answers with whatever `now` returns.
    pub fn from_fn(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
