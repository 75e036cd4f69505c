//! POSTs that may be sent again, under a key of the client's:
//! <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>.
//!
//! A repeat that comes before the first is answered is told so, 409, and does not wait: it would keep a connection to the
//! database for it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts},
    response::IntoResponse,
};
use common::{
    db::Identity,
    idempotency::{Answer, Keyed},
};
use serde::Serialize;

use crate::{body::BufferedBody, problem::Problem};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is the first one's.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const MAX_LENGTH: usize = 255;

/// The requests with a key that this process is answering: a repeat is told before it waits to be admitted.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnderWay(Arc<Mutex<HashSet<Who>>>);

/// A person in a dealership, as the token names them, and their key.
type Who = (String, Option<String>, String);

/// A request with a key, until it is answered.
#[derive(Debug)]
pub(crate) struct Repeatable {
    pub(crate) keyed: Keyed,
    who: Who,
    under_way: UnderWay,
}

impl Repeatable {
    /// The request as one that may be repeated, if it has a key and is a POST: others may be in any case.
    pub(crate) fn of(parts: &Parts, identity: &Identity, under_way: &UnderWay) -> Result<Option<Self>, Problem> {
        if parts.method != Method::POST {
            return Ok(None);
        }
        let Some(key) = key(parts)? else { return Ok(None) };
        let body = match parts.extensions.get() {
            Some(BufferedBody(Ok(body))) => body.clone(),
            // Whoever wants it refuses the request.
            _ => Bytes::new(),
        };
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        let keyed = Keyed::new(key, &[b"POST", target.as_bytes(), &body]);
        let organization = identity.organization.as_ref().map(ToString::to_string);
        let who = (identity.user.to_string(), organization, key.to_owned());
        under_way.enter(&who)?;
        Ok(Some(Self { keyed, who, under_way: under_way.clone() }))
    }
}

impl Drop for Repeatable {
    fn drop(&mut self) {
        self.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.who);
    }
}

impl UnderWay {
    fn enter(&self, who: &Who) -> Result<(), Problem> {
        let entered = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(who.clone());
        if entered { Ok(()) } else { Err(Problem::under_way()) }
    }
}

/// The one key of a request, as it is: the quotation marks of the draft are part of it.
fn key(parts: &Parts) -> Result<Option<&str>, Problem> {
    let mut given = parts.headers.get_all(KEY).iter();
    let Some(key) = given.next() else { return Ok(None) };
    let fit =
        |key: &&str| (1..=MAX_LENGTH).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    let key = key.to_str().ok().filter(fit).filter(|_| given.next().is_none());
    key.map(Some).ok_or_else(Problem::unusable_key)
}

/// What a POST is answered: complete before its effect is committed, so that both are kept together.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    replayed: bool,
}

impl Answered {
    /// 201 with what was created.
    pub(crate) fn created<T: Serialize>(created: &T) -> Result<Self, Problem> {
        Self::with(StatusCode::CREATED, None, created)
    }

    /// 201 with what was created, and where it is from now on.
    pub(crate) fn created_at<T: Serialize>(location: String, created: &T) -> Result<Self, Problem> {
        Self::with(StatusCode::CREATED, Some(location), created)
    }

    /// 200.
    pub(crate) fn ok<T: Serialize>(value: &T) -> Result<Self, Problem> {
        Self::with(StatusCode::OK, None, value)
    }

    /// 202 with what will be there.
    pub(crate) fn accepted<T: Serialize>(begun: &T) -> Result<Self, Problem> {
        Self::with(StatusCode::ACCEPTED, None, begun)
    }

    /// 204.
    pub(crate) fn nothing() -> Self {
        let answer = Answer { status: StatusCode::NO_CONTENT.as_u16(), location: None, body: None };
        Self { answer, replayed: false }
    }

    /// As it was answered before.
    pub(crate) fn again(answer: Answer) -> Self {
        Self { answer, replayed: true }
    }

    fn with<T: Serialize>(status: StatusCode, location: Option<String>, value: &T) -> Result<Self, Problem> {
        let body = serde_json::to_string(value).map_err(|_| Problem::internal())?;
        Ok(Self { answer: Answer { status: status.as_u16(), location, body: Some(body) }, replayed: false })
    }
}

impl IntoResponse for Answered {
    fn into_response(self) -> Response<Body> {
        let Self { answer: Answer { status, location, body }, replayed } = self;
        let Ok(status) = StatusCode::from_u16(status) else { return Problem::internal().into_response() };
        let mut response = body.map_or_else(Body::empty, Body::from).into_response();
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if status != StatusCode::NO_CONTENT {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(location) = location.and_then(|location| HeaderValue::try_from(location).ok()) {
            headers.insert(header::LOCATION, location);
        }
        if replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use common::db::Identity;

    use super::{Repeatable, UnderWay};

    fn of(under_way: &UnderWay, method: &str, keys: &[&str]) -> Result<Option<Repeatable>, super::Problem> {
        let request = Request::builder().method(method).uri("/api/v1/leads");
        let request = keys.iter().fold(request, |request, key| request.header("Idempotency-Key", *key));
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let user = "user_1".parse().expect("printable");
        Repeatable::of(&parts, &Identity { user, organization: None, impersonator: None }, under_way)
    }

    #[test]
    fn a_key_is_one_of_printable_characters() {
        let (all, long) = (UnderWay::default(), "x".repeat(256));
        assert!(of(&all, "POST", &[]).expect("it needs none").is_none());
        assert!(of(&all, "PATCH", &[""]).expect("it has no meaning there").is_none());
        for wrong in [&[""][..], &[&long], &["å"], &["a\tb"], &["a", "a"]] {
            let refused = of(&all, "POST", wrong).expect_err("it is no key");
            assert_eq!(refused.status(), 400, "{wrong:?}");
        }
        for right in ["x", &long[..255], "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "a b"] {
            assert!(of(&all, "POST", &[right]).expect("it is a key").is_some());
        }
    }

    #[test]
    fn of_a_key_one_request_is_under_way() {
        let all = UnderWay::default();
        let first = of(&all, "POST", &["1"]).expect("it is the first");
        assert_eq!(of(&all, "POST", &["1"]).expect_err("it is the second").status(), 409);
        assert!(of(&all, "POST", &["2"]).is_ok(), "another key");
        drop(first);
        assert!(of(&all, "POST", &["1"]).is_ok());
        assert!(all.0.lock().expect("nobody panicked").is_empty());
    }
}
