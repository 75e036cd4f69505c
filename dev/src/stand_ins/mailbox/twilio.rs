//! Twilio's Messages resource. <https://www.twilio.com/docs/messaging/api/message-resource>

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Fault, Message, arrival, server::Mailbox};
use crate::random;

/// Characters of the longest text.
const TEXT_LIMIT: usize = 1600;

/// Of a request, by name; of those with the same name, the last.
pub(super) type Parameters = BTreeMap<String, String>;

/// The header `X-Twilio-Signature` of a form that is posted to this address.
/// <https://www.twilio.com/docs/usage/security#validating-requests>
pub fn signature(auth_token: &str, url: &str, parameters: &BTreeMap<String, String>) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth_token.as_bytes());
    let signed = parameters.iter().fold(url.to_owned(), |signed, (name, value)| signed + name + value);
    STANDARD.encode(hmac::sign(&key, signed.as_bytes()))
}

pub(super) async fn send(
    State(mailbox): State<Mailbox>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let active = mailbox.fault_over_http().await;
    if let Some(active) = active {
        match active.fault {
            Fault::Busy => {
                let wait = [("retry-after", active.seconds.to_string())];
                return (wait, refusal(StatusCode::TOO_MANY_REQUESTS, 20429, "Too Many Requests")).into_response();
            }
            Fault::Refuse => return bad(21610, "Attempt to send to unsubscribed recipient"),
            _ => {}
        }
    }
    if account != mailbox.account().sid || !is_login(&mailbox, &headers) {
        return refusal(StatusCode::UNAUTHORIZED, 20003, "Authenticate");
    }
    let parameters: Parameters = form_urlencoded::parse(&body).into_owned().collect();
    let message = match read(&mailbox, &parameters) {
        Ok(message) => mailbox.take(message, active),
        Err((code, words)) => return bad(code, words),
    };
    if active.is_some_and(|active| active.fault == Fault::CutAfterData) {
        super::server::hang_up();
    }
    (StatusCode::CREATED, Json(resource(&account, &message))).into_response()
}

fn read(mailbox: &Mailbox, parameters: &Parameters) -> Result<Message, (u32, &'static str)> {
    let get = |name: &str| parameters.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let to = get("To").ok_or((21604, "A 'To' phone number is required."))?;
    let from = get("From").or(get("MessagingServiceSid"));
    let from = from.ok_or((21603, "A 'From' phone number is required."))?;
    let text = get("Body").ok_or((21602, "Message body is required."))?;
    if text.chars().count() > TEXT_LIMIT {
        return Err((21617, "The concatenated message body exceeds the 1600 character limit"));
    }
    let digits = to.strip_prefix('+').unwrap_or_default();
    if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err((21211, "Invalid 'To' Phone Number"));
    }
    Ok(arrival::sms(mailbox.clock(), from, to, text, get("StatusCallback").map(str::to_owned)))
}

fn is_login(mailbox: &Mailbox, headers: &HeaderMap) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let account = mailbox.account();
    let expected = STANDARD.encode(format!("{}:{}", account.sid, account.auth_token));
    given.and_then(|value| value.strip_prefix("Basic ")) == Some(&expected)
}

fn resource(account: &str, message: &Message) -> Value {
    let date = message.at.to_rfc2822();
    json!({
        "account_sid": account, "api_version": "2010-04-01", "body": message.text, "date_created": date, "date_sent": null,
        "date_updated": date, "direction": "outbound-api", "error_code": null, "error_message": null,
        "from": message.from, "messaging_service_sid": null, "num_media": "0", "num_segments": "1", "price": null,
        "price_unit": "USD", "sid": message.provider_id, "status": "queued", "to": message.to.first(),
        "uri": format!("/2010-04-01/Accounts/{account}/Messages/{}.json", message.provider_id),
    })
}

fn bad(code: u32, words: &str) -> Response {
    refusal(StatusCode::BAD_REQUEST, code, words)
}

fn refusal(status: StatusCode, code: u32, words: &str) -> Response {
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    let body = json!({ "code": code, "message": words, "more_info": more_info, "status": status.as_u16() });
    (status, Json(body)).into_response()
}

/// What tells that a message got so far. <https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks>
pub(super) fn status(account: &str, message: &Message, status: &str, error: Option<u32>) -> Parameters {
    let pairs = [
        ("AccountSid", account),
        ("ApiVersion", "2010-04-01"),
        ("From", &message.from),
        ("MessageSid", &message.provider_id),
        ("MessageStatus", status),
        ("SmsSid", &message.provider_id),
        ("SmsStatus", status),
        ("To", message.to.first().map_or("", String::as_str)),
    ];
    let error = error.map(|code| ("ErrorCode".to_owned(), code.to_string()));
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).chain(error).collect()
}

/// What the customer answers. <https://www.twilio.com/docs/messaging/guides/webhook-request>
pub(super) fn inbound(account: &str, message: &Message, text: &str) -> Parameters {
    let sid = format!("SM{}", common::hex(&random::bytes::<16>()));
    let from = message.to.first().map_or("", String::as_str);
    let is_stop = ["STOP", "STOPP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"];
    let opt_out = is_stop.contains(&text.trim().to_uppercase().as_str());
    let pairs = [
        ("AccountSid", account),
        ("ApiVersion", "2010-04-01"),
        ("Body", text),
        ("From", from),
        ("FromCountry", "NO"),
        ("MessageSid", &sid),
        ("NumMedia", "0"),
        ("NumSegments", "1"),
        ("SmsMessageSid", &sid),
        ("SmsSid", &sid),
        ("SmsStatus", "received"),
        ("To", &message.from),
        ("ToCountry", "NO"),
    ];
    let opt_out = opt_out.then(|| ("OptOutType".to_owned(), "STOP".to_owned()));
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).chain(opt_out).collect()
}
