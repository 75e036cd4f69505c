use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// Listens on this port of all addresses: IPv6 and IPv4, or IPv4 alone where the system has no IPv6.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let both = bind(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into());
    both.or_else(|error| match error.kind() {
        // Somebody else has the port.
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
        _ => bind(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into()),
    })
}

fn bind(domain: Domain, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(false)?;
    }
    // As the standard library does: a restart need not wait for connections that have ended.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn both_kinds_of_addresses_lead_here() {
        let listener = listen(0).expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).await.expect("IPv4");
        // Not every system has the other.
        if address.is_ipv6() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, address.port())).await.expect("IPv6");
        }
    }
}
