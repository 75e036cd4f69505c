use std::{fmt, time::Duration};

use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::http::{self, NoAnswer};

/// Why Graph does not do what it was asked. <https://developers.facebook.com/docs/graph-api/guides/error-handling>
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The token is of no use any more: somebody has to connect the page again.
    #[error("Facebook no longer takes the token: {reason} (code {code})")]
    Reconnect { code: i64, reason: ReconnectReason },
    /// The token is in order, and lacks a permission.
    #[error("the permission for this is missing (code {code})")]
    Permission { code: i64 },
    /// Too many calls; where Graph says when to come back, not before.
    #[error("Facebook takes no more calls for now (code {code})")]
    Throttled { code: i64, retry_after: Option<Duration> },
    /// It may work next time.
    #[error("Facebook has a problem of its own")]
    Transient { retry_after: Option<Duration> },
    /// There is no such object, or none that the token may see: Graph does not say which.
    #[error("Facebook shows no such object: it is gone, or the app has no access to leads (code {code})")]
    NotFound { code: i64, subcode: Option<i64> },
    /// Blocked for a violation of Meta's policies.
    #[error("Facebook has blocked this for its policies (code {code})")]
    Blocked { code: i64 },
    /// Another refusal, which repeating does not change.
    #[error("Facebook refuses the request (code {code}, subcode {subcode:?})")]
    Refused { code: i64, subcode: Option<i64> },
    #[error("Facebook cannot be reached")]
    Unreachable(#[source] NoAnswer),
    /// Not the shape that we know.
    #[error("Facebook's answer cannot be read")]
    Unreadable,
    #[error("the address of the Graph API is not a URL")]
    InvalidUrl,
}

/// What happened to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconnectReason {
    AppRemoved,
    /// The user has to log in to Facebook first.
    LoginRequired,
    PasswordChanged,
    Expired,
    Invalid,
}

impl fmt::Display for ReconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AppRemoved => "the app was removed",
            Self::LoginRequired => "the user has to log in to Facebook",
            Self::PasswordChanged => "the user's password changed",
            Self::Expired => "it has expired",
            Self::Invalid => "it is not valid",
        })
    }
}

impl GraphError {
    /// Whether the same request may succeed later without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Transient { .. } | Self::Unreachable(_))
    }

    fn classified(failure: &Failure, wait: Option<Duration>) -> Self {
        let (code, subcode) = (failure.code, failure.error_subcode);
        match code {
            102 | 190 => Self::Reconnect { code, reason: reason(subcode) },
            10 | 200..=299 => Self::Permission { code },
            4 | 17 | 32 | 341 | 613 | 80_000..=80_014 => Self::Throttled { code, retry_after: wait },
            1 | 2 => Self::Transient { retry_after: wait },
            368 => Self::Blocked { code },
            100 if subcode == Some(33) => Self::NotFound { code, subcode },
            803 => Self::NotFound { code, subcode },
            _ if failure.is_transient == Some(true) => Self::Transient { retry_after: wait },
            _ => Self::Refused { code, subcode },
        }
    }
}

impl From<NoAnswer> for GraphError {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::Unreachable(_) => Self::Unreachable(error),
            NoAnswer::TooLarge(_) => Self::Unreadable,
        }
    }
}

#[derive(Deserialize)]
struct Failed {
    error: Failure,
}

#[derive(Deserialize)]
struct Failure {
    code: i64,
    error_subcode: Option<i64>,
    is_transient: Option<bool>,
}

fn reason(subcode: Option<i64>) -> ReconnectReason {
    match subcode {
        Some(458) => ReconnectReason::AppRemoved,
        Some(459 | 464) => ReconnectReason::LoginRequired,
        Some(460) => ReconnectReason::PasswordChanged,
        Some(463) => ReconnectReason::Expired,
        _ => ReconnectReason::Invalid,
    }
}

/// The error that an answer holds. Its code says what it is, and the status only where there is no code: Graph answers
/// with 400, 403 and 500 as it likes.
pub(super) fn in_answer(status: StatusCode, body: &[u8], wait: Option<Duration>) -> Option<GraphError> {
    if let Ok(failed) = serde_json::from_slice::<Failed>(body) {
        return Some(GraphError::classified(&failed.error, wait));
    }
    match status {
        status if status.is_success() => None,
        StatusCode::TOO_MANY_REQUESTS => Some(GraphError::Throttled { code: 0, retry_after: wait }),
        status if status.is_server_error() => Some(GraphError::Transient { retry_after: wait }),
        _ => Some(GraphError::Unreadable),
    }
}

/// How long to wait: `Retry-After`, or what Graph says of the business, in minutes.
/// <https://developers.facebook.com/docs/graph-api/overview/rate-limiting>
pub(super) fn wait(answer: &Response) -> Option<Duration> {
    let usage = || answer.headers().get("x-business-use-case-usage")?.to_str().ok().and_then(minutes_of_usage);
    http::retry_after(answer).or_else(usage)
}

/// The longest of `{"<business>": [{"estimated_time_to_regain_access": 5, …}]}` that is not nothing.
fn minutes_of_usage(header: &str) -> Option<Duration> {
    let usage: Value = serde_json::from_str(header).ok()?;
    let businesses = usage.as_object()?.values();
    let minutes = businesses.filter_map(Value::as_array).flatten();
    let minutes = minutes.filter_map(|usage| usage["estimated_time_to_regain_access"].as_u64());
    minutes.max().filter(|minutes| *minutes > 0).map(|minutes| Duration::from_mins(minutes.min(24 * 60)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &str) -> Option<GraphError> {
        in_answer(StatusCode::from_u16(status).expect("a status"), body.as_bytes(), Some(Duration::from_secs(7)))
    }

    #[test]
    fn the_code_tells_and_not_the_status() {
        let error = |code: i64, more: &str| format!(r#"{{"error":{{"message":"x","code":{code}{more}}}}}"#);
        for (code, more, expected) in [
            (190, r#","error_subcode":463"#, "Reconnect { code: 190, reason: Expired }"),
            (190, r#","error_subcode":458"#, "Reconnect { code: 190, reason: AppRemoved }"),
            (190, "", "Reconnect { code: 190, reason: Invalid }"),
            (102, "", "Reconnect { code: 102, reason: Invalid }"),
            (10, "", "Permission { code: 10 }"),
            (200, "", "Permission { code: 200 }"),
            (299, "", "Permission { code: 299 }"),
            (4, "", "Throttled { code: 4, retry_after: Some(7s) }"),
            (80_004, "", "Throttled { code: 80004, retry_after: Some(7s) }"),
            (1, "", "Transient { retry_after: Some(7s) }"),
            (2, r#","is_transient":false"#, "Transient { retry_after: Some(7s) }"),
            (368, "", "Blocked { code: 368 }"),
            (100, r#","error_subcode":33"#, "NotFound { code: 100, subcode: Some(33) }"),
            (100, r#","error_subcode":36009"#, "Refused { code: 100, subcode: Some(36009) }"),
            (100, "", "Refused { code: 100, subcode: None }"),
            (999, r#","is_transient":true"#, "Transient { retry_after: Some(7s) }"),
            (999, "", "Refused { code: 999, subcode: None }"),
        ] {
            for status in [200, 400, 403, 500] {
                let found = told(status, &error(code, more)).expect("an error");
                assert_eq!(format!("{found:?}"), expected);
            }
        }
    }

    #[test]
    fn without_a_code_the_status_tells() {
        assert!(matches!(told(500, "<html>Sorry</html>"), Some(GraphError::Transient { .. })));
        assert!(matches!(told(429, ""), Some(GraphError::Throttled { .. })));
        assert!(matches!(told(400, "<html>"), Some(GraphError::Unreadable)));
        assert!(matches!(told(302, ""), Some(GraphError::Unreadable)));
        assert!(told(200, r#"{"id":"1"}"#).is_none());
    }

    #[test]
    fn a_business_is_told_when_to_come_back() {
        let header = r#"{"1":[{"type":"leadgen","estimated_time_to_regain_access":19}],"2":[{"estimated_time_to_regain_access":5}]}"#;
        assert_eq!(minutes_of_usage(header), Some(Duration::from_mins(19)));
        for header in ["", "{}", "[]", r#"{"1":[{"estimated_time_to_regain_access":0}]}"#] {
            assert_eq!(minutes_of_usage(header), None, "{header}");
        }
    }
}
