use std::net::{Ipv4Addr, TcpListener};

use dev::console::Console;

use crate::failure::Failure;

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
