use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use dev::console::Console;

use crate::failure::Failure;

/// Where the person wants the processes to listen.
pub(crate) struct WantedAddresses {
    pub(crate) port: u16,
    pub(crate) api_admin: Option<SocketAddr>,
    /// The worker's metrics and its health.
    pub(crate) worker_admin: Option<SocketAddr>,
}

/// Where the processes listen.
pub(crate) struct Addresses {
    pub(crate) port: u16,
    /// Where the API serves its metrics.
    pub(crate) api_admin: SocketAddr,
    /// Where the worker serves its metrics and its health.
    pub(crate) worker_admin: SocketAddr,
}

impl Addresses {
    /// As set by the person, as far as that is free.
    pub(crate) fn choose(wanted: &WantedAddresses, console: &Console) -> Result<Self, Failure> {
        let port = free_port(wanted.port, None, "the API", console)?;
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let api_admin = match wanted.api_admin {
            Some(address) => address,
            None => here(free_port(9000, Some(port), "the API's metrics", console)?),
        };
        let worker_admin = match wanted.worker_admin {
            Some(address) => address,
            None => here(free_port(9001, Some(api_admin.port()), "the worker's metrics", console)?),
        };
        Ok(Self { port, api_admin, worker_admin })
    }
}

/// The wanted port, or the next one that is free for `who`; says so if it is another one.
pub(crate) fn free_port(wanted: u16, not: Option<u16>, who: &str, console: &Console) -> Result<u16, Failure> {
    let free = |port: &u16| Some(*port) != not && is_free(*port);
    let port = (wanted..=u16::MAX).find(free).ok_or(Failure::NoPort(wanted))?;
    if port != wanted {
        console.say("dev", &format!("port {wanted} is taken, so {who} gets port {port}"));
    }
    Ok(port)
}

/// Whether it can be had on this host alone and on all its addresses.
fn is_free(port: u16) -> bool {
    [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED].iter().all(|address| TcpListener::bind((*address, port)).is_ok())
}
