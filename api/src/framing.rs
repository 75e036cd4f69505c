//! Requests that two servers could understand differently are refused, whatever stands between.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, Response, Version, header, uri::Authority},
    middleware::Next,
    response::IntoResponse,
};

use crate::problem::Problem;

/// Lets requests through that say exactly once whom they are for, and how long they are in a way that we know.
pub(crate) async fn check(request: Request, next: Next) -> Response<Body> {
    match well_formed(request.version(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(detail) => Problem::unreadable(detail).into_response(),
    }
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
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            if headers.contains_key(header::CONTENT_LENGTH) {
                return Err("Send the header “Content-Length” or “Transfer-Encoding”, not both.");
            }
            Ok(())
        }
        _ => Err("The only “Transfer-Encoding” that is understood here is “chunked”; send the body as it is."),
    }
}

fn is_host(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|authority| !authority.host().is_empty() && !host.contains('@'))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, Version};

    use super::well_formed;

    fn refused(lines: &[(&str, &str)]) -> bool {
        let header = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"))
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
        for host in ["", "a b", "a@b", "a,b", "a/b", "[::1", ":80", "bjørn"] {
            assert!(refused(&[("host", host)]), "{host}");
        }
        assert!(refused(&[]) && refused(&[("host", "a"), ("host", "a")]));
        assert!(well_formed(Version::HTTP_10, &HeaderMap::new()).is_ok());
        assert!(!refused(&[("host", "a"), ("transfer-encoding", "Chunked")]));
        for coding in ["gzip, chunked", "chunked, chunked", "gzip", "identity", "chunked;q=1"] {
            assert!(refused(&[("host", "a"), ("transfer-encoding", coding)]), "{coding}");
        }
        assert!(refused(&[("host", "a"), ("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")]));
        assert!(refused(&[("host", "a"), ("transfer-encoding", "chunked"), ("content-length", "3")]));
    }
}
