use std::time::Duration;

/// What clients may take up. Nobody has needed to set these; a test lowers them, and the file descriptors that the
/// system allows may.
#[derive(Debug, Clone, Copy)]
pub struct ClientLimits {
    pub connections: usize,
    /// How long a new connection has until its first request's head is complete.
    pub first_head: Duration,
    /// How long a connection is kept between an answer and the next request's complete head. Longer than the 60 s for
    /// which balancers commonly keep theirs, so that it is not us who close one that is being used.
    pub next_head: Duration,
    /// How long a client may take none of its answer.
    pub stall: Duration,
    /// Requests that a client may make at once without being known: each takes one, and ten are given back in a second.
    pub anonymous_burst: u32,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            first_head: Duration::from_secs(10),
            next_head: Duration::from_secs(75),
            stall: Duration::from_secs(15),
            anonymous_burst: 100,
        }
    }
}
