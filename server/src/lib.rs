//! Connections of HTTP clients, for the API and for the addresses for operators: accepted, bounded in number for all and
//! for each client, bounded in what a slow client may make of one, and ended without losing a request.

mod connections;
mod explained;
mod listen;
mod serve;

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

pub use explained::Explain;
pub use listen::listen;
pub use serve::{App, serve};
use tokio::sync::{Notify, watch};

/// What clients may take up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub connections: usize,
    /// Of those, the connections of one network address. Nothing, where they all come from a proxy.
    pub per_client: Option<usize>,
    /// How long a new connection has until its first request's head is complete.
    pub first_head: Duration,
    /// How long a connection is kept between an answer and the next request's complete head.
    pub next_head: Duration,
    /// How long a client may take none of its answer.
    pub stall: Duration,
}

impl Limits {
    /// For an address for operators: few, and so that they cost the process little.
    pub const OPERATORS: Self = Self {
        connections: 32,
        per_client: None,
        first_head: Duration::from_secs(5),
        next_head: Duration::from_secs(75),
        stall: Duration::from_secs(15),
    };
}

/// How far the process is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Serving,
    /// Not ready any more, but serving, until balancers have seen that.
    Draining,
    /// Running requests finish.
    Closing,
}

/// Waits until the process is as far as that.
pub async fn reached(mut phase: watch::Receiver<Phase>, wanted: Phase) {
    // An error means that the sender is gone, which happens after it has sent the last one.
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

/// In a request's extensions: closes its connection, whatever that is doing.
#[derive(Debug, Clone, Default)]
pub struct HangUp(Arc<Notify>);

impl HangUp {
    pub fn now(&self) {
        self.0.notify_one();
    }

    /// Waits until somebody has called [`Self::now`].
    pub async fn wanted(&self) {
        self.0.notified().await;
    }
}

/// Who is behind an address: an IPv4 address, or the /64 that one IPv6 customer gets.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}
