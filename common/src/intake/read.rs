use chrono::{DateTime, Utc};
use multer::bytes::Bytes;
use uuid::Uuid;

use super::{Became, IntakeError, Origin, sort::settle_unsure, take_in};
use crate::{
    db::TenantTx,
    deliveries::{Own, ProcessError, Source, Status, settle_own, take_own},
    ids::{OutboxId, ReceiptId},
    inquiry::{
        NewInquiry, Reading, adf,
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

impl Settled {
    fn of(delivery: &Own, status: Status, outcome: impl Into<String>) -> Self {
        Self { source: delivery.source, status, outcome: outcome.into() }
    }
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

/// Reads a pending delivery of the dealership and writes down what it says; of what rules cannot tell, the assistant is asked
/// if there is one. `None` if that was done before.
pub async fn process(tx: &mut TenantTx, id: i64, has_assistant: bool) -> Result<Option<Settled>, ReadError> {
    process_by(tx, id, has_assistant, read).await
}

/// Writes down what was fetched for a pending delivery. `None` if that was done before.
pub async fn process_fetched(tx: &mut TenantTx, id: i64, fetched: NewInquiry) -> Result<Option<Settled>, ReadError> {
    process_by(tx, id, false, |_, _| Ok(Reading::Inquiries(vec![fetched]))).await
}

async fn process_by(
    tx: &mut TenantTx,
    id: i64,
    has_assistant: bool,
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
    let parked = |reason: &str| Settled::of(&delivery, Status::Parked, reason);
    let settled = match &settings {
        None => parked("its source was removed"),
        Some(settings) if !settings.enabled => parked("its source is switched off"),
        Some(settings) => {
            let reading = read(&delivery, settings)?;
            write_down(tx, &delivery, settings, reading, has_assistant).await?
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
        Ok(prospects) => Reading::Inquiries(prospects.into_iter().map(NewInquiry::from).collect()),
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
pub(super) fn own_addresses(email: &str) -> OwnAddresses {
    let domain = email.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
    let domain = domain.filter(|domain| !WEBMAIL.contains(&domain.as_str()));
    OwnAddresses { addresses: vec![email.to_owned()], domains: domain.into_iter().collect() }
}

async fn write_down(
    tx: &mut TenantTx,
    delivery: &Own,
    settings: &Settings,
    reading: Reading,
    has_assistant: bool,
) -> Result<Settled, IntakeError> {
    let inquiries = match reading {
        Reading::Inquiries(inquiries) => inquiries,
        Reading::Doubtful(reason, _) => return Ok(Settled::of(delivery, Status::Parked, reason)),
        Reading::Unsure(unsure) => {
            let (status, outcome) = settle_unsure(tx, delivery, settings, &unsure, has_assistant).await?;
            return Ok(Settled::of(delivery, status, outcome));
        }
        Reading::Ignored(reason) => return Ok(Settled::of(delivery, Status::Ignored, reason)),
        Reading::Dead(reason) => return Ok(Settled::of(delivery, Status::Dead, reason)),
        Reading::Report(report) => return came_back(tx, delivery, &report).await,
    };
    if !inquiries.iter().any(|asked| asked.inquiry.is_reachable()) {
        let outcome = "nobody can be reached by what it says".to_owned();
        return Ok(Settled::of(delivery, Status::Parked, outcome));
    }
    let became = take_in_all(tx, delivery, settings, &inquiries, Some(delivery.received_at)).await?;
    Ok(Settled::of(delivery, Status::Processed, outcome(&became)))
}

/// The message to whose address for answers a mail was sent.
fn replies_to(delivery: &Own) -> Option<OutboxId> {
    let token = plus_token(delivery.headers["recipient"].as_str()?)?.token?;
    read_reply_token(&token)
}

/// The message that a mail tells of, if that is one of ours: by the Message-ID of what came back, or by the address that it
/// came back to.
fn told_of(delivery: &Own, back: &Report) -> impl Iterator<Item = OutboxId> + use<> {
    let by_id = back.original_message_id.as_deref().and_then(|id| id.split('@').next());
    let by_id = by_id.and_then(|id| Uuid::try_parse(id).ok()).map(OutboxId::from);
    by_id.into_iter().chain(replies_to(delivery))
}

/// A mail of ours has come back, or somebody has told what they think of it: then nothing more is sent to them, unless it is that
/// they want it.
async fn came_back(tx: &mut TenantTx, delivery: &Own, back: &Report) -> Result<Settled, IntakeError> {
    let ignored = |reason: &str| Ok(Settled::of(delivery, Status::Ignored, reason));
    let kind = match (&back.feedback, back.status.as_deref()) {
        (Some(feedback), _) => match feedback.to_ascii_lowercase().as_str() {
            "not-spam" => return ignored("a mail of ours is no spam"),
            "opt-out" | "opt-out-list" => ReportKind::OptOut,
            _ => ReportKind::Complaint,
        },
        _ if back.action.as_deref() != Some("failed") => return ignored("a mail of ours is delayed"),
        (None, Some(status)) if is_wrong_address(status) => ReportKind::HardBounce,
        _ => ReportKind::SoftBounce,
    };
    let reason = back.status.as_ref().map(|status| format!("the customer's mail server refused it ({status})"));
    for outbox in told_of(delivery, back) {
        let told = outbox::Report { outbox, kind, reason: reason.clone() };
        if outbox::report(tx, &told).await? {
            let outcome = match kind {
                ReportKind::Complaint | ReportKind::OptOut => format!("a complaint about {outbox}"),
                _ => format!("tells that {outbox} came back"),
            };
            return Ok(Settled::of(delivery, Status::Processed, outcome));
        }
    }
    ignored("a report about no mail of ours")
}

/// A full mailbox, a strict policy or a broken server may be different tomorrow; a wrong address is not.
/// <https://www.rfc-editor.org/rfc/rfc3463#section-3.2>
fn is_wrong_address(status: &str) -> bool {
    ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"]
        .contains(&status.split_whitespace().next().unwrap_or_default())
}

/// Each of a delivery's inquiries, in their order. Customers wait since `came_in`, or from now on.
pub(super) async fn take_in_all(
    tx: &mut TenantTx,
    delivery: &Own,
    settings: &Settings,
    inquiries: &[NewInquiry],
    came_in: Option<DateTime<Utc>>,
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
            came_in,
            is_answered: settings.automatic_answer,
        };
        all.push(take_in(tx, &asked.inquiry, &origin).await?);
    }
    Ok(all)
}

pub(super) fn outcome(became: &[Became]) -> String {
    became.iter().map(|became| became.outcome()).collect::<Vec<_>>().join("; ")
}
