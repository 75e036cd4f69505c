//! Answers of the API, and what is expected of them.

use reqwest::{RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::Value;

/// What the API answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body, null if it is not JSON.
    pub json: Value,
}

impl Answer {
    /// Sends a request.
    ///
    /// # Panics
    /// When there is no answer at all.
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the API answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.expect("the answer is complete");
        Self { status, headers, json: serde_json::from_slice(&body).unwrap_or_default() }
    }

    /// The body of a success.
    ///
    /// # Panics
    /// When the status is another one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.json);
        self.json
    }

    /// The body of a problem, after checking everything that all problems have in common.
    ///
    /// # Panics
    /// When it is not that problem.
    #[track_caller]
    pub fn expect_problem(self, status: u16, slug: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.json);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.json["type"], format!("urn:norvalt:problem:{slug}"));
        assert_eq!(self.json["status"], status);
        assert!(self.json["title"].is_string() && self.json["detail"].is_string(), "{:#}", self.json);
        assert_eq!(self.json["request_id"], self.headers["x-request-id"].to_str().expect("printable"));
        self.json
    }
}
