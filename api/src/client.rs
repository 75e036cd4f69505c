//! Where a request comes from.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRef, FromRequestParts},
    http::{HeaderMap, request::Parts},
};

/// How many proxies stand in front of this process, each of which adds to `X-Forwarded-For` where a request came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrustedProxies(pub(crate) u32);

/// Who made a request, as far as an address tells: an IPv4 address, or the /64 that one IPv6 customer gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Client(IpAddr);

impl Client {
    pub(crate) fn of(parts: &Parts, trusted_proxies: TrustedProxies) -> Self {
        let ConnectInfo(peer): &ConnectInfo<SocketAddr> =
            parts.extensions.get().expect("the server notes it of every connection");
        Self(server::network(behind(peer.ip(), &parts.headers, trusted_proxies.0)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Client
where
    TrustedProxies: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts, TrustedProxies::from_ref(state)))
    }
}

/// The address that the outermost trusted proxy was called from. What stands further left in `X-Forwarded-For` anybody
/// may have written. `Forwarded` is not read: a proxy that does not know it passes on a client's own.
fn behind(peer: IpAddr, headers: &HeaderMap, trusted_proxies: u32) -> IpAddr {
    let Some(last) = trusted_proxies.checked_sub(1) else { return peer };
    let noted = headers.get_all("x-forwarded-for").into_iter().rev().filter_map(|line| line.to_str().ok());
    let mut noted = noted.flat_map(|line| line.rsplit(',').map(str::trim));
    let address =
        |text: &str| text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()));
    noted.nth(last.try_into().unwrap_or(usize::MAX)).and_then(address).unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::behind;

    fn seen(lines: &[&'static str], trusted_proxies: u32) -> String {
        let headers: HeaderMap = lines
            .iter()
            .map(|line| ("x-forwarded-for".parse().expect("a name"), HeaderValue::from_static(line)))
            .collect();
        behind("10.0.0.1".parse().expect("an address"), &headers, trusted_proxies).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_wrote_counts() {
        assert_eq!(seen(&["203.0.113.7"], 0), "10.0.0.1");
        assert_eq!(seen(&["6.6.6.6, 203.0.113.7"], 1), "203.0.113.7");
        assert_eq!(seen(&["6.6.6.6, 203.0.113.7, 10.0.0.2"], 2), "203.0.113.7");
        assert_eq!(seen(&["6.6.6.6", "203.0.113.7", "10.0.0.2:4711"], 1), "10.0.0.2");
        assert_eq!(seen(&["6.6.6.6", "203.0.113.7", "10.0.0.2:4711"], 2), "203.0.113.7");
        assert_eq!(seen(&["[2001:db8::7]:80"], 1), "2001:db8::7");
        for nonsense in [&[][..], &["unknown"], &["203.0.113.7,"]] {
            assert_eq!(seen(nonsense, 1), "10.0.0.1", "{nonsense:?}");
        }
        assert_eq!(seen(&["203.0.113.7"], 2), "10.0.0.1");
    }
}
