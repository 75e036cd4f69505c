use multer::bytes::Bytes;
use uuid::Uuid;

use super::{Became, IntakeError, Origin, take_in};
use crate::{
    db::TenantTx,
    deliveries::{Own, ProcessError, Source, Status, settle_own, take_own},
    ids::{OutboxId, ReceiptId},
    inquiry::{
        Asked, Reading, adf,
        charset::parameter,
        email::{self, OwnAddresses, Provider, Report, plus_token, portal::SenderRules},
        form,
    },
    lead_sources::{self, Settings},
    outbox::{self, ReportKind, read_reply_token},
};

/// What a delivery came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    pub source: Source,
    pub status: Status,
    /// Ids and reasons, nothing of the customer.
    pub outcome: String,
}

/// Why a delivery was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// What a worker has to fetch is not here.
    #[error("it is not read but fetched")]
    NotHere,
    #[error(transparent)]
    Db(#[from] crate::db::Error),
}

/// Reads a pending delivery of the dealership and writes down what it says. `None` if that was done before.
pub async fn process(tx: &mut TenantTx, id: i64) -> Result<Option<Settled>, ReadError> {
    process_by(tx, id, read).await
}

/// Writes down what was fetched for a pending delivery. `None` if that was done before.
pub async fn process_fetched(tx: &mut TenantTx, id: i64, fetched: Asked) -> Result<Option<Settled>, ReadError> {
    process_by(tx, id, |_, _| Ok(Reading::Inquiries(vec![fetched]))).await
}

async fn process_by(
    tx: &mut TenantTx,
    id: i64,
    read: impl FnOnce(&Own, &Settings) -> Result<Reading, ReadError> + Send,
) -> Result<Option<Settled>, ReadError> {
    let delivery = take_own(tx, id).await?;
    if delivery.status != Status::Pending {
        return Ok(None);
    }
    let settings = match delivery.source_id {
        Some(source) => lead_sources::settings(tx, source).await?,
        None => None,
    };
    let source = delivery.source;
    let parked = |reason: &str| Settled { source, status: Status::Parked, outcome: reason.to_owned() };
    let settled = match &settings {
        None => parked("its source was removed"),
        Some(settings) if !settings.enabled => parked("its source is switched off"),
        Some(settings) => {
            let reading = read(&delivery, settings)?;
            write_down(tx, &delivery, settings, reading).await?
        }
    };
    settle_own(tx, id, settled.status, &settled.outcome, &[]).await?;
    Ok(Some(settled))
}

/// What a delivery says, whether its source is switched on or not.
pub(super) fn read(delivery: &Own, settings: &Settings) -> Result<Reading, ReadError> {
    let body = Bytes::copy_from_slice(delivery.body.as_deref().unwrap_or_default());
    let content_type = delivery.headers["content-type"].as_str().unwrap_or_default();
    Ok(match delivery.source {
        Source::Form => match form::read(content_type, &body) {
            Ok(form) => Reading::Inquiries(vec![form.inquiry.into()]),
            Err(error) => Reading::Dead(error.to_string()),
        },
        Source::Email => read_mail(delivery, settings, &body),
        Source::Adf => read_adf(&body, parameter(content_type, "charset")),
        Source::Facebook | Source::Clerk | Source::Report | Source::Sms => return Err(ReadError::NotHere),
    })
}

fn read_adf(document: &[u8], charset: Option<&str>) -> Reading {
    match adf::read(document, charset) {
        Ok(prospects) => Reading::Inquiries(prospects.into_iter().map(Asked::from).collect()),
        Err(error) => Reading::Dead(error.to_string()),
    }
}

fn read_mail(delivery: &Own, settings: &Settings, body: &[u8]) -> Reading {
    let header = |name: &str| delivery.headers[name].as_str().unwrap_or_default();
    let Ok(provider) = header("provider").parse::<Provider>() else {
        return Reading::Dead("nobody knows who handed it over".to_owned());
    };
    let received = match provider.read(header("content-type"), header("x-envelope-to"), body) {
        Ok(received) => received,
        Err(error) => return Reading::Dead(error.to_string()),
    };
    let rules: SenderRules = serde_json::from_str(settings.sender_rules.get()).unwrap_or_default();
    let own = own_addresses(&settings.dealership_email);
    email::read(&received.mail, &own, &rules)
}

/// Where so many have addresses that one of them says nothing of another.
const WEBMAIL: [&str; 8] =
    ["gmail.com", "outlook.com", "hotmail.com", "live.no", "online.no", "yahoo.no", "icloud.com", "dealership.invalid"];

/// Those of the dealership: who writes from them is no customer.
fn own_addresses(email: &str) -> OwnAddresses {
    let domain = email.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
    let domain = domain.filter(|domain| !WEBMAIL.contains(&domain.as_str()));
    OwnAddresses { addresses: vec![email.to_owned()], domains: domain.into_iter().collect() }
}

async fn write_down(
    tx: &mut TenantTx,
    delivery: &Own,
    settings: &Settings,
    reading: Reading,
) -> Result<Settled, IntakeError> {
    let inquiries = match reading {
        Reading::Inquiries(inquiries) => inquiries,
        Reading::Doubtful(reason, _) => {
            return Ok(Settled { source: delivery.source, status: Status::Parked, outcome: reason });
        }
        Reading::Ignored(reason) => {
            return Ok(Settled { source: delivery.source, status: Status::Ignored, outcome: reason });
        }
        Reading::Dead(reason) => return Ok(Settled { source: delivery.source, status: Status::Dead, outcome: reason }),
        Reading::CameBack(report) => return came_back(tx, delivery, &report).await,
    };
    if !inquiries.iter().any(|asked| asked.inquiry.is_reachable()) {
        let outcome = "nobody can be reached by what it says".to_owned();
        return Ok(Settled { source: delivery.source, status: Status::Parked, outcome });
    }
    let became = take_in_all(tx, delivery, settings, &inquiries).await?;
    Ok(Settled { source: delivery.source, status: Status::Processed, outcome: outcome(&became) })
}

/// The message to whose address for answers a mail was sent.
fn replies_to(delivery: &Own) -> Option<OutboxId> {
    let token = plus_token(delivery.headers["recipient"].as_str()?)?.token?;
    read_reply_token(&token)
}

/// A mail of ours has come back.
async fn came_back(tx: &mut TenantTx, delivery: &Own, back: &Report) -> Result<Settled, IntakeError> {
    let by_id = back.original_message_id.as_deref().and_then(|id| id.split('@').next());
    let by_id = by_id.and_then(|id| Uuid::try_parse(id).ok()).map(OutboxId::from);
    if let Some(feedback) = &back.feedback {
        return complained(tx, delivery, by_id, feedback).await;
    }
    let is_final = back.action.as_deref() == Some("failed");
    let kind = match back.status.as_deref() {
        Some(status) if is_final && status.starts_with('5') => ReportKind::HardBounce,
        _ if is_final => ReportKind::SoftBounce,
        _ => {
            return Ok(Settled {
                source: delivery.source,
                status: Status::Ignored,
                outcome: "a mail of ours is delayed".to_owned(),
            });
        }
    };
    let reason = back.status.as_ref().map(|status| format!("the customer's mail server refused it ({status})"));
    for outbox in by_id.into_iter().chain(replies_to(delivery)) {
        let told = outbox::Report { outbox, kind, reason: reason.clone() };
        if outbox::report(tx, &told).await? {
            return Ok(Settled {
                source: delivery.source,
                status: Status::Processed,
                outcome: format!("tells that {outbox} came back"),
            });
        }
    }
    Ok(Settled {
        source: delivery.source,
        status: Status::Ignored,
        outcome: "a report that a mail did not arrive".to_owned(),
    })
}

/// Somebody has told what they think of a mail of ours. Nothing more is sent to them, unless it is that they want it.
async fn complained(
    tx: &mut TenantTx,
    delivery: &Own,
    by_id: Option<OutboxId>,
    feedback: &str,
) -> Result<Settled, IntakeError> {
    let settled = |status, outcome: String| Settled { source: delivery.source, status, outcome };
    let kind = match feedback.to_ascii_lowercase().as_str() {
        "not-spam" => return Ok(settled(Status::Ignored, "a mail of ours is no spam".to_owned())),
        "opt-out" | "opt-out-list" => ReportKind::OptOut,
        _ => ReportKind::Complaint,
    };
    for outbox in by_id.into_iter().chain(replies_to(delivery)) {
        if outbox::report(tx, &outbox::Report { outbox, kind, reason: None }).await? {
            return Ok(settled(Status::Processed, format!("a complaint about {outbox}")));
        }
    }
    Ok(settled(Status::Ignored, "a complaint about no mail of ours".to_owned()))
}

/// Each of a delivery's inquiries, in their order.
pub(super) async fn take_in_all(
    tx: &mut TenantTx,
    delivery: &Own,
    settings: &Settings,
    inquiries: &[Asked],
) -> Result<Vec<Became>, IntakeError> {
    let mut all = Vec::with_capacity(inquiries.len());
    for (place, asked) in inquiries.iter().enumerate() {
        let origin = Origin {
            kind: settings.kind,
            source_id: settings.id,
            delivery_id: delivery.id,
            receipt: ReceiptId::of(settings.id, &delivery.external_id, place),
            key: asked.key.as_deref(),
            mail_id: asked.mail_id.as_deref(),
            answers: &asked.answers,
            replies_to: replies_to(delivery),
            assigned_to: settings.assigned_to,
            is_answered: settings.automatic_answer,
        };
        all.push(take_in(tx, &asked.inquiry, &origin).await?);
    }
    Ok(all)
}

pub(super) fn outcome(became: &[Became]) -> String {
    became.iter().map(|became| became.outcome()).collect::<Vec<_>>().join("; ")
}
