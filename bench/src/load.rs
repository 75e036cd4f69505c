use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::task::JoinSet;

use crate::{Outcome, http::Connection};

/// The requests of one connection, one after the other.
pub(crate) trait Requests: Send + 'static {
    /// The bytes of the next one.
    fn next(&mut self) -> Outcome<&[u8]>;

    /// Whether its answer is the right one.
    fn check(&self, status: u16, body: &[u8]) -> Result<(), String>;
}

/// What a load came to.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Measured {
    /// Right answers in a second.
    pub(crate) per_second: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    /// Milliseconds.
    pub(crate) p99: f64,
    /// Right answers.
    pub(crate) answers: usize,
    /// Deliberate 503s.
    pub(crate) refused: usize,
    /// Everything else that was not right.
    pub(crate) errors: usize,
    /// The first of those.
    pub(crate) error: Option<String>,
}

/// How long a load goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    Elapsed(Duration),
    /// So many on each connection.
    Requests(usize),
}

#[derive(Default)]
struct Tally {
    micros: Vec<u32>,
    refused: usize,
    errors: usize,
    error: Option<String>,
}

/// Sends one request after the other on each of so many connections, and checks every answer.
pub(crate) async fn run<R: Requests>(address: SocketAddr, traffic: Vec<R>, until: Until) -> Outcome<Measured> {
    let mut connections = Vec::new();
    for traffic in traffic {
        connections.push((Connection::open(address).await?, traffic));
    }
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for (connection, traffic) in connections {
        tasks.spawn(one(address, connection, traffic, until, begin));
    }
    let mut all = Tally::default();
    while let Some(tally) = tasks.join_next().await {
        let tally = tally??;
        all.micros.extend(tally.micros);
        all.refused += tally.refused;
        all.errors += tally.errors;
        all.error = all.error.or(tally.error);
    }
    Ok(all.over(begin.elapsed()))
}

async fn one<R: Requests>(
    address: SocketAddr,
    mut connection: Connection,
    mut traffic: R,
    until: Until,
    begin: Instant,
) -> Outcome<Tally> {
    let mut tally = Tally::default();
    let mut sent = 0;
    while match until {
        Until::Elapsed(length) => begin.elapsed() < length,
        Until::Requests(count) => sent < count,
    } {
        let request = traffic.next()?;
        let asked = Instant::now();
        let (status, verdict) = match connection.exchange(request).await {
            Ok(answer) => (answer.status, traffic.check(answer.status, answer.body)),
            Err(error) => (0, Err(error.to_string())),
        };
        let took = asked.elapsed();
        sent += 1;
        match verdict {
            Ok(()) => tally.micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX)),
            Err(_) if status == 503 => tally.refused += 1,
            Err(error) => {
                tally.errors += 1;
                tally.error.get_or_insert(error);
            }
        }
        if status == 0 {
            connection = Connection::open(address).await?;
        }
    }
    Ok(tally)
}

impl Tally {
    fn over(mut self, elapsed: Duration) -> Measured {
        self.micros.sort_unstable();
        let per_second = self.micros.len() as f64 / elapsed.as_secs_f64();
        Measured {
            per_second,
            p50: percentile(&self.micros, 50),
            p99: percentile(&self.micros, 99),
            answers: self.micros.len(),
            refused: self.refused,
            errors: self.errors,
            error: self.error,
        }
    }
}

/// In milliseconds, of sorted microseconds; the smallest value that at least so many percent do not exceed.
pub(crate) fn percentile(sorted: &[u32], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).map_or(f64::NAN, |&micros| f64::from(micros) / 1000.0)
}

/// The middle one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let micros: Vec<u32> = (1..=200).map(|n| n * 1000).collect();
        let shown = [50, 99, 100].map(|percent| percentile(&micros, percent).to_string());
        assert_eq!(shown, ["100", "198", "200"]);
        assert_eq!(percentile(&[7000], 99).to_string(), "7");
        assert_eq!(median([3.0, 1.0, 2.0]).to_string(), "2");
    }
}
