//! Requests that two servers could understand differently are refused, whatever stands between.

use std::net::Ipv6Addr;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Response, Version, header, uri::Authority},
    middleware::Next,
    response::IntoResponse,
};

use crate::problem::Problem;

/// Lets requests through that say exactly once whom they are for, and how long they are in a way that we know. A connection
/// ends with whatever could have been understood differently: hyper goes by `Transfer-Encoding` and removes a
/// `Content-Length` beside it, so that it may have been there. <https://www.rfc-editor.org/rfc/rfc9112#section-6.1>
pub(crate) async fn check(request: Request, next: Next) -> Response<Body> {
    let checked = well_formed(request.version(), request.headers());
    let closes = checked.is_err() || request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(detail) => Problem::unreadable(detail).into_response(),
    };
    if closes {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn well_formed(version: Version, headers: &HeaderMap) -> Result<(), &'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if host.to_str().is_ok_and(is_host) => {}
        (None, None) if version < Version::HTTP_11 => {}
        // <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>
        _ => return Err("Send exactly one header “Host”, with the name of this server."),
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, None) => Ok(()),
        // <https://www.rfc-editor.org/rfc/rfc9112#section-6.1>
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err("The only “Transfer-Encoding” that is understood here is “chunked”; send the body as it is."),
    }
}

/// A name or an address, with or without a port. Stricter than the grammar of URIs, which knows `a,b` as one name: proxies
/// join two headers so.
fn is_host(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    let is_address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).map(str::parse::<Ipv6Addr>);
    let is_port =
        |rest: &str| rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    !name.is_empty()
        && is_address.map_or_else(|| is_name(name), |address| address.is_ok())
        && host.strip_prefix(name).is_some_and(is_port)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue, Version};

    use super::well_formed;

    fn refused(lines: &[(&str, &str)]) -> bool {
        let header = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().expect("a name"), HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
        };
        well_formed(
            Version::HTTP_11,
            &lines.iter().map(header).fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            }),
        )
        .is_err()
    }

    #[test]
    fn a_request_has_one_host_and_one_length() {
        for host in ["api.norvalt.no", "api.norvalt.no:8000", "127.0.0.1:8000", "[::1]:8000", "localhost"] {
            assert!(!refused(&[("host", host)]), "{host}");
        }
        for host in ["", "a b", "a@b", "a,b", "a/b", "a;b", "[::1", "[a]", "[::1]x", ":80", "a:b", "a:80:80", "bjørn"]
        {
            assert!(refused(&[("host", host)]), "{host}");
        }
        assert!(refused(&[]) && refused(&[("host", "a"), ("host", "a")]));
        assert!(well_formed(Version::HTTP_10, &HeaderMap::new()).is_ok());
        assert!(!refused(&[("host", "a"), ("transfer-encoding", "Chunked")]));
        for coding in ["gzip, chunked", "chunked, chunked", "gzip", "identity", "chunked;q=1"] {
            assert!(refused(&[("host", "a"), ("transfer-encoding", coding)]), "{coding}");
        }
        assert!(refused(&[("host", "a"), ("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")]));
    }
}
