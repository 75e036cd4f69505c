//! Mails that rules cannot tell are parked, and the assistant is asked what they are. Its word makes leads of one, as a person's
//! would, or stands beside it: it never puts anything away, and whoever decides meanwhile has decided.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::to_value;

use super::{
    IntakeError,
    read::{ReadError, Settled, outcome, own_addresses, read, take_in_all},
};
use crate::{
    answers::{
        self, AssistantReply,
        prompt::sorting::{self, Letter, MailKind, MailToSort, Sorted},
    },
    db::TenantTx,
    deliveries::{self, Opinion, Own, Status, settle_own, take_own},
    inquiry::{
        NewInquiry, Reading,
        email::{Mail, Mailbox, Unsure, portal::may_answer},
    },
    jobs::SortMail,
    lead_sources::{self, Settings},
    queue::{NewJob, enqueue},
};

/// How long the assistant has.
const ASSISTANT_TIME: TimeDelta = TimeDelta::seconds(45);

/// A mail of which the assistant is to be asked.
#[derive(Debug, Clone)]
pub struct SortRequest {
    pub mail: MailToSort,
    pub until: DateTime<Utc>,
    unsure: Unsure,
}

/// What a mail came to that rules cannot tell: what the assistant said of it before, or that a person has to decide, while the
/// assistant is asked if there is one.
pub(super) async fn settle_unsure(
    tx: &mut TenantTx,
    delivery: &Own,
    settings: &Settings,
    unsure: &Unsure,
    has_assistant: bool,
) -> Result<(Status, String), IntakeError> {
    let said = delivery.opinion.as_ref().filter(|opinion| opinion.kind.is_some());
    let said = said.and_then(|opinion| sorting::read(opinion.came_back.as_deref()?, true));
    if let Some(sorted) = said {
        return settle_sorted(tx, delivery, settings, unsure, &sorted).await;
    }
    if answers::may_ask(tx, has_assistant).await?.is_ok() {
        let job = SortMail { delivery_id: delivery.id };
        let key = delivery.id.to_string();
        enqueue(tx, &NewJob { unique_key: Some(&key), ..NewJob::now(&job) }).await?;
    }
    Ok((Status::Parked, unsure.reason.clone()))
}

/// Begins to ask of a mail that is parked. `None` where there is nothing to ask: it is decided, or nobody may be asked.
pub async fn prepare_sorting(
    tx: &mut TenantTx,
    id: i64,
    has_assistant: bool,
    now: DateTime<Utc>,
) -> Result<Option<SortRequest>, ReadError> {
    let delivery = take_own(tx, id).await?;
    if answers::may_ask(tx, has_assistant).await?.is_err() {
        return Ok(None);
    }
    let Some((settings, unsure)) = waiting(tx, &delivery).await? else { return Ok(None) };
    let mail =
        MailToSort { dealership: settings.dealership, unsure: unsure.reason.clone(), mail: letter(&unsure.mail) };
    Ok(Some(SortRequest { mail, until: now + ASSISTANT_TIME, unsure }))
}

/// The source of a mail that is parked since rules cannot tell it, and what they can tell.
async fn waiting(tx: &mut TenantTx, delivery: &Own) -> Result<Option<(Settings, Unsure)>, ReadError> {
    let Some(source) = delivery.source_id.filter(|_| is_waiting(delivery)) else { return Ok(None) };
    let settings = lead_sources::settings(tx, source).await?.filter(|settings| settings.enabled);
    let Some(settings) = settings else { return Ok(None) };
    match read(delivery, &settings)? {
        Reading::Unsure(unsure) => Ok(Some((settings, *unsure))),
        _ => Ok(None),
    }
}

/// Whether nobody has decided, nor erased what it says.
fn is_waiting(delivery: &Own) -> bool {
    delivery.status == Status::Parked && delivery.body.is_some()
}

/// Notes what the assistant said, and makes leads of the mail if it is an inquiry. What it came to, if it is no longer parked.
pub async fn finish_sorting(
    tx: &mut TenantTx,
    id: i64,
    asked: SortRequest,
    came_back: AssistantReply<Option<Sorted>>,
) -> Result<Option<Settled>, ReadError> {
    let delivery = take_own(tx, id).await?;
    let (opinion, tokens, sorted) = opinion(&asked.mail, came_back);
    if !is_waiting(&delivery) {
        deliveries::note_opinion(tx, id, None, tokens).await?;
        return Ok(None);
    }
    deliveries::note_opinion(tx, id, Some(&opinion), tokens).await?;
    let (Some(sorted), Some(source)) = (sorted, delivery.source_id) else { return Ok(None) };
    let settings = lead_sources::settings(tx, source).await?.filter(|settings| settings.enabled);
    let Some(settings) = settings else { return Ok(None) };
    let (status, outcome) = settle_sorted(tx, &delivery, &settings, &asked.unsure, &sorted).await?;
    settle_own(tx, id, status, &outcome, &[]).await?;
    Ok((status != Status::Parked).then_some(Settled { source: delivery.source, status, outcome }))
}

/// Notes why the assistant said nothing.
pub async fn give_up_sorting(tx: &mut TenantTx, id: i64, reason: &str) -> Result<(), ReadError> {
    let delivery = take_own(tx, id).await?;
    if is_waiting(&delivery) && delivery.opinion.is_none() {
        let opinion = Opinion { reason: reason.to_owned(), ..Opinion::default() };
        deliveries::note_opinion(tx, id, Some(&opinion), 0).await?;
    }
    Ok(())
}

fn opinion(mail: &MailToSort, came_back: AssistantReply<Option<Sorted>>) -> (Opinion, i64, Option<Sorted>) {
    let given = to_value(mail).unwrap_or_default();
    match came_back {
        AssistantReply::Nothing { reason } => (Opinion { given, reason, ..Opinion::default() }, 0, None),
        AssistantReply::Written { text, model, tokens: (read, written), verdict } => {
            let kind = verdict.as_ref().map(|sorted| sorted.kind.as_str().to_owned());
            let unreadable = || "what the assistant said cannot be read".to_owned();
            let reason = verdict.as_ref().map_or_else(unreadable, |sorted| sorted.reason.clone());
            let opinion = Opinion { given, came_back: Some(text), model: Some(model), kind, reason };
            (opinion, read.saturating_add(written), verdict)
        }
    }
}

/// What becomes of a mail by the assistant's word.
async fn settle_sorted(
    tx: &mut TenantTx,
    delivery: &Own,
    settings: &Settings,
    unsure: &Unsure,
    sorted: &Sorted,
) -> Result<(Status, String), IntakeError> {
    let told = format!("{}; the assistant takes it for {}", unsure.reason, sorted.kind.told());
    if sorted.kind != MailKind::Inquiry {
        return Ok((Status::Parked, told));
    }
    let inquiries = completed(settings, unsure, sorted);
    if !inquiries.iter().any(|asked| asked.inquiry.is_reachable()) {
        return Ok((Status::Parked, format!("{told}, but nobody can be reached by what it says")));
    }
    // Never back to what a program sent.
    let own = own_addresses(&settings.dealership_email);
    let mut emails = inquiries.iter().filter_map(|asked| asked.inquiry.email.as_ref());
    let is_answered = emails.all(|email| may_answer(&unsure.mail, email, &own));
    let settings = Settings { automatic_answer: settings.automatic_answer && is_answered, ..settings.clone() };
    let became = take_in_all(tx, delivery, &settings, &inquiries, Some(delivery.received_at)).await?;
    Ok((Status::Processed, format!("taken for an inquiry by the assistant: {}", outcome(&became))))
}

/// What rules have read, with what the assistant has copied from the mail where they have read nothing.
fn completed(settings: &Settings, unsure: &Unsure, sorted: &Sorted) -> Vec<NewInquiry> {
    let letter = letter(&unsure.mail);
    let own = own_addresses(&settings.dealership_email);
    let sender = unsure.mail.from.as_ref().map_or("", |from| from.address.as_str());
    let is_theirs = |email: &String| !own.contains(email) && !email.eq_ignore_ascii_case(sender);
    let mut inquiries = unsure.inquiries.clone();
    for NewInquiry { inquiry, .. } in &mut inquiries {
        if let Some(name) = letter.copied(&sorted.name).filter(|_| inquiry.name.is_none()) {
            inquiry.set_name(&name);
        }
        if let Some(email) = letter.copied(&sorted.email).filter(is_theirs).filter(|_| inquiry.email.is_none()) {
            inquiry.set_email(&email);
        }
        if let Some(phone) = letter.copied(&sorted.phone).filter(|_| inquiry.phone.is_none()) {
            inquiry.set_phone(&phone);
        }
        if let Some(vehicle) = letter.copied(&sorted.vehicle).filter(|_| inquiry.vehicle_interest.is_none()) {
            inquiry.set_vehicle_interest(&vehicle);
        }
        inquiry.note("sorted_by", "assistant");
    }
    inquiries
}

fn letter(mail: &Mail) -> Letter {
    let shown = |mailbox: Option<&Mailbox>| match mailbox {
        Some(Mailbox { name: Some(name), address }) => format!("{name} <{address}>"),
        Some(Mailbox { name: None, address }) => address.clone(),
        None => String::new(),
    };
    let subject = mail.subject.as_deref().unwrap_or_default();
    Letter::new(&shown(mail.from.as_ref()), &shown(mail.reply_to.as_ref()), subject, &mail.text)
}
