//! A dealership's own mail server. Whoever names it may name anything: it is reached only on the public Internet, at ports
//! for handing mail over, and encrypted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::config::{SmtpSecurity, SmtpServer};

use super::{NoProvider, smtp::Smtp};

/// Where mail servers take mail of those who log in.
pub const PORTS: [u16; 3] = [465, 587, 2525];

/// What a server of a dealership must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsuitable {
    #[error("the port must be 465, 587 or 2525")]
    Port,
    #[error("the connection must be encrypted")]
    Plain,
    #[error("the server must be given by its name in DNS")]
    Name,
}

/// Prepares for sending through it; nothing is connected yet. Its name is looked up for each connection, and only public
/// addresses of those found are connected to: what the name leads to later does not matter.
pub fn own_host(server: SmtpServer, hello: &str) -> Result<Smtp, NoProvider> {
    let unsuitable = check(&server).err();
    if let Some(reason) = unsuitable {
        return Err(NoProvider::InvalidSetting(reason.into()));
    }
    Ok(Smtp::new(server, hello)?.only_at(is_public))
}

/// What can be told without looking the name up.
pub fn check(server: &SmtpServer) -> Result<(), Unsuitable> {
    let is_name = server.host.contains('.') && idna::domain_to_ascii_strict(&server.host).is_ok();
    let is_number = server.host.rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()));
    if !is_name || is_number {
        Err(Unsuitable::Name)
    } else if !PORTS.contains(&server.port) {
        Err(Unsuitable::Port)
    } else if server.security == SmtpSecurity::Plain {
        Err(Unsuitable::Plain)
    } else {
        Ok(())
    }
}

/// Not for everybody: <https://www.iana.org/assignments/iana-ipv4-special-registry>, with multicast and what is reserved.
const SPECIAL_V4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The part of IPv6 that is given out. <https://www.iana.org/assignments/ipv6-unicast-address-assignments>
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// Protocols, documentation, and tunnels that lead to any IPv4 address.
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];
/// Stands for the IPv4 address at its end, where a network has only IPv6. <https://www.rfc-editor.org/rfc/rfc6052>
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Whether an address is one of the public Internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|net| is_in_v4(address, *net)),
        IpAddr::V6(address) => match v4_within(address) {
            Some(within) => is_public(within.into()),
            None => is_in_v6(address, GLOBAL_V6) && !SPECIAL_V6.iter().any(|net| is_in_v6(address, *net)),
        },
    }
}

fn v4_within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let at_end = || Ipv4Addr::from_bits(u32::try_from(address.to_bits() & u128::from(u32::MAX)).unwrap_or_default());
    address.to_ipv4_mapped().or_else(|| is_in_v6(address, NAT64).then(at_end))
}

fn is_in_v4(address: Ipv4Addr, (net, prefix): (Ipv4Addr, u32)) -> bool {
    (address.to_bits() ^ net.to_bits()).leading_zeros() >= prefix
}

fn is_in_v6(address: Ipv6Addr, (net, prefix): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ net.to_bits()).leading_zeros() >= prefix
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::email::{EmailSender, SendError, tests::mail};

    #[test]
    fn only_the_public_internet_is_public() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2a00:1450:400f::1a",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        for special in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(special.parse().expect("an address")), "{special}");
        }
    }

    #[test]
    fn a_server_is_named_and_encrypted_at_a_port_for_mail() {
        let checked = |url: &str| check(&url.parse().expect("a server"));
        for suitable in ["smtp://mail.example.no", "smtps://mail.example.no", "smtp://mail.blåbær.no:2525"] {
            assert_eq!(checked(suitable), Ok(()), "{suitable}");
        }
        for (url, expected) in [
            ("smtp://mail.example.no:25", Unsuitable::Port),
            ("smtps://mail.example.no:6379", Unsuitable::Port),
            ("smtp+plain://mail.example.no:587", Unsuitable::Plain),
            ("smtp://127.0.0.1:587", Unsuitable::Name),
            ("smtp://2130706433:587", Unsuitable::Name),
            ("smtp://127.1:587", Unsuitable::Name),
            ("smtps://[::1]", Unsuitable::Name),
            ("smtp://localhost", Unsuitable::Name),
        ] {
            assert_eq!(checked(url), Err(expected), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_followed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("it can be asked without waiting");
        let port = listener.local_addr().expect("it is bound").port();
        let server: SmtpServer = format!("smtp+plain://localhost:{port}").parse().expect("a server");
        let inside = Smtp::new(server, "norvalt.no").expect("a client").only_at(is_public);
        let result = inside.send(&mail()).await;
        assert!(matches!(&result, Err(SendError::Misconfigured(why)) if why.contains("public")), "{result:?}");
        let none = listener.accept().expect_err("nobody connects");
        assert_eq!(none.kind(), std::io::ErrorKind::WouldBlock);
    }
}
