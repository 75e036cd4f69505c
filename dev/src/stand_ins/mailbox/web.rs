//! `SendGrid`, Resend and Postmark, as far as handing a mail over goes.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
};
use mail_parser::{Address, MessageParser};
use serde_json::{Value, json};

use super::{
    ActiveFault, Fault, Message, Provider, arrival,
    server::{Mailbox, hang_up},
};

/// <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send>
pub(super) async fn sendgrid(State(mailbox): State<Mailbox>, headers: HeaderMap, body: String) -> Response {
    let refuse = |status: StatusCode, words: &str| {
        (status, Json(json!({ "errors": [{ "message": words, "field": null, "help": null }] }))).into_response()
    };
    let has_key = headers.contains_key(AUTHORIZATION);
    match take(&mailbox, Provider::SendGrid, has_key, &body, read_sendgrid, refuse).await {
        Ok(message) => (StatusCode::ACCEPTED, [("x-message-id", message.provider_id)]).into_response(),
        Err(refusal) => refusal,
    }
}

/// <https://resend.com/docs/api-reference/emails/send-email>
pub(super) async fn resend(State(mailbox): State<Mailbox>, headers: HeaderMap, body: String) -> Response {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let earlier = mailbox.store().find(|message| key.is_some() && message.idempotency_key == key);
    if let Some(earlier) = earlier {
        if earlier.raw == body {
            return Json(json!({ "id": earlier.provider_id })).into_response();
        }
        let words = "Same idempotency key used with a different request payload.";
        let name = "invalid_idempotent_request";
        return (StatusCode::CONFLICT, Json(json!({ "statusCode": 409, "name": name, "message": words })))
            .into_response();
    }
    let refuse = |status: StatusCode, words: &str| {
        let name = if status == StatusCode::TOO_MANY_REQUESTS { "rate_limit_exceeded" } else { "validation_error" };
        (status, Json(json!({ "statusCode": status.as_u16(), "name": name, "message": words }))).into_response()
    };
    let read = |body: &Value, message: Message| {
        read_resend(body, message).map(|message| Message { idempotency_key: key, ..message })
    };
    match take(&mailbox, Provider::Resend, headers.contains_key(AUTHORIZATION), &body, read, refuse).await {
        Ok(message) => Json(json!({ "id": message.provider_id })).into_response(),
        Err(refusal) => refusal,
    }
}

/// <https://postmarkapp.com/developer/api/email-api>
pub(super) async fn postmark(State(mailbox): State<Mailbox>, headers: HeaderMap, body: String) -> Response {
    let refuse = |status: StatusCode, words: &str| match status {
        StatusCode::UNAUTHORIZED => (status, Json(json!({ "ErrorCode": 10, "Message": words }))).into_response(),
        StatusCode::TOO_MANY_REQUESTS => (status, Json(json!({ "ErrorCode": 429, "Message": words }))).into_response(),
        _ => (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "ErrorCode": 406, "Message": words }))).into_response(),
    };
    let has_key = headers.contains_key("x-postmark-server-token");
    match take(&mailbox, Provider::Postmark, has_key, &body, read_postmark, refuse).await {
        Ok(message) => {
            let answer = json!({ "To": message.to.join(", "), "SubmittedAt": message.at.to_rfc3339(),
                "MessageID": message.provider_id, "ErrorCode": 0, "Message": "OK" });
            Json(answer).into_response()
        }
        Err(refusal) => refusal,
    }
}

/// What is the same at all of them.
async fn take(
    mailbox: &Mailbox,
    provider: Provider,
    has_key: bool,
    body: &str,
    read: impl FnOnce(&Value, Message) -> Option<Message>,
    refuse: impl Fn(StatusCode, &str) -> Response,
) -> Result<Message, Response> {
    let active = mailbox.fault_over_http().await;
    match active {
        Some(ActiveFault { fault: Fault::Busy, seconds, .. }) => {
            let answer = refuse(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
            return Err(([("retry-after", seconds.to_string())], answer).into_response());
        }
        Some(ActiveFault { fault: Fault::Refuse, .. }) => {
            return Err(refuse(StatusCode::BAD_REQUEST, "The recipient is refused"));
        }
        _ if !has_key => return Err(refuse(StatusCode::UNAUTHORIZED, "API key is missing")),
        _ => {}
    }
    let mut message = arrival::empty(mailbox.clock(), provider, uuid::Uuid::new_v4().to_string());
    body.clone_into(&mut message.raw);
    let read = serde_json::from_str(body).ok().and_then(|body| read(&body, message));
    let message = read.filter(|message| !message.to.is_empty() && !message.from.is_empty());
    let message = message.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "The request is not as documented"))?;
    let message = mailbox.take(message, active);
    if active.is_some_and(|active| active.fault == Fault::CutAfterData) {
        hang_up();
    }
    Ok(message)
}

fn read_sendgrid(body: &Value, mut message: Message) -> Option<Message> {
    let address = |mailbox: &Value| mailbox["email"].as_str().map(str::to_owned);
    let recipients = body["personalizations"].as_array()?.iter().filter_map(|one| one["to"].as_array()).flatten();
    message.to = recipients.filter_map(address).collect();
    message.from = address(&body["from"])?;
    message.from_name = text(&body["from"]["name"]);
    message.reply_to = address(&body["reply_to"]);
    message.subject = text(&body["subject"]);
    for part in body["content"].as_array().into_iter().flatten() {
        match part["type"].as_str() {
            Some("text/html") => message.html = text(&part["value"]),
            _ => message.text = text(&part["value"]).unwrap_or_default(),
        }
    }
    Some(with_headers(message, pairs(&body["headers"])))
}

fn read_resend(body: &Value, mut message: Message) -> Option<Message> {
    let recipients = body["to"].as_array().map_or_else(|| vec![body["to"].clone()], Clone::clone);
    message.to = recipients.iter().filter_map(|one| Some(mailbox(one)?.1)).collect();
    (message.from_name, message.from) = mailbox(&body["from"])?;
    message.reply_to = mailbox(&body["reply_to"]).map(|(_, address)| address);
    message.subject = text(&body["subject"]);
    message.text = text(&body["text"]).unwrap_or_default();
    message.html = text(&body["html"]);
    Some(with_headers(message, pairs(&body["headers"])))
}

fn read_postmark(body: &Value, mut message: Message) -> Option<Message> {
    message.to = vec![mailbox(&body["To"])?.1];
    (message.from_name, message.from) = mailbox(&body["From"])?;
    message.reply_to = mailbox(&body["ReplyTo"]).map(|(_, address)| address);
    message.subject = text(&body["Subject"]);
    message.text = text(&body["TextBody"]).unwrap_or_default();
    message.html = text(&body["HtmlBody"]);
    let headers = body["Headers"].as_array().into_iter().flatten();
    let headers = headers.filter_map(|header| Some((text(&header["Name"])?, text(&header["Value"])?))).collect();
    Some(with_headers(message, headers))
}

fn with_headers(mut message: Message, headers: Vec<(String, String)>) -> Message {
    message.headers = headers;
    let ids = |name: &str| -> Vec<String> {
        let ids = message.header(name).unwrap_or_default().split_whitespace();
        ids.map(|id| id.trim_matches(['<', '>']).to_owned()).collect()
    };
    (message.message_id, message.references) = (ids("Message-ID").pop(), ids("References"));
    message
}

fn pairs(headers: &Value) -> Vec<(String, String)> {
    let headers = headers.as_object().into_iter().flatten();
    headers.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The name and the address of `"Kari" <kari@example.no>`.
fn mailbox(value: &Value) -> Option<(Option<String>, String)> {
    let header = format!("From: {}\r\n\r\n", value.as_str()?);
    let parsed = MessageParser::default().parse_headers(header.as_bytes())?;
    let first = parsed.from().and_then(Address::first)?;
    Some((first.name().map(str::to_owned), first.address()?.to_owned()))
}
