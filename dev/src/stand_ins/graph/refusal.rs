use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Graph's form of an error. <https://developers.facebook.com/docs/graph-api/guides/error-handling>
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    code: u32,
    subcode: Option<u32>,
    message: &'static str,
}

impl Refusal {
    const fn new(
        status: StatusCode,
        kind: &'static str,
        code: u32,
        subcode: Option<u32>,
        message: &'static str,
    ) -> Self {
        Self { status, kind, code, subcode, message }
    }

    const fn bad(kind: &'static str, code: u32, subcode: Option<u32>, message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, code, subcode, message)
    }

    pub(super) const NO_TOKEN: Self =
        Self::bad("OAuthException", 104, None, "An access token is required to request this resource.");
    pub(super) const INVALID_TOKEN: Self =
        Self::bad("OAuthException", 190, None, "Invalid OAuth access token - Cannot parse access token");
    pub(super) const EXPIRED: Self =
        Self::bad("OAuthException", 190, Some(463), "Error validating access token: Session has expired.");
    pub(super) const NO_PROOF: Self =
        Self::bad("GraphMethodException", 100, None, "API calls from the server require an appsecret_proof argument");
    pub(super) const WRONG_PROOF: Self =
        Self::bad("GraphMethodException", 100, None, "Invalid appsecret_proof provided in the API argument");
    pub(super) const MISSING: Self = Self::bad(
        "GraphMethodException",
        100,
        Some(33),
        "Unsupported get request. Object does not exist, cannot be loaded due to missing permissions, or does not support \
         this operation",
    );
    pub(super) const INVALID_PARAMETER: Self = Self::bad("OAuthException", 100, None, "Invalid parameter");
    pub(super) const USED_CODE: Self =
        Self::bad("OAuthException", 100, Some(36009), "This authorization code has been used.");
    pub(super) const WRONG_CODE: Self = Self::bad("OAuthException", 100, None, "Invalid verification code format.");
    pub(super) const WRONG_SECRET: Self = Self::bad("OAuthException", 1, None, "Error validating client secret.");
    pub(super) const NO_PERMISSION: Self = Self::new(
        StatusCode::FORBIDDEN,
        "OAuthException",
        10,
        None,
        "(#10) Application does not have permission for this action",
    );
    pub(super) const THROTTLED: Self =
        Self::new(StatusCode::FORBIDDEN, "OAuthException", 4, None, "(#4) Application request limit reached");
    pub(super) const TEMPORARY: Self = Self::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "OAuthException",
        2,
        None,
        "An unexpected error has occurred. Please retry your request later.",
    );
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut error = json!({
            "message": self.message, "type": self.kind, "code": self.code, "fbtrace_id": "A0stand-in",
        });
        if let Some(subcode) = self.subcode {
            error["error_subcode"] = subcode.into();
        }
        (self.status, Json(json!({ "error": error }))).into_response()
    }
}
