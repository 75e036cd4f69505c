//! All kinds of jobs, each with its payload. What a job does stands in the worker, one file each.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::ids::{LeadId, OutboxId, SourceId};

/// A kind of work. The behaviour is in the worker.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name in the database. Never the name of a Rust type: renaming one must not strand its jobs.
    const KIND: &'static str;
    /// Version of the payload's shape; raised when an older worker could not read it.
    const VERSION: i16 = 1;
    /// The queue it waits in.
    const QUEUE: &'static str = "default";
    /// After how many failed attempts it is dead.
    const MAX_ATTEMPTS: i16 = 12;
    /// Whether it leaves something behind when it dies: a worker then runs it once more, only to bury it, when its last
    /// attempt has lost its worker.
    const BURIED_BY_WORKER: bool = false;
}

/// The kinds of all jobs that this release knows, each with its queue.
pub const KINDS: [(&str, &str); 21] = [
    (ProcessClerkEvent::KIND, ProcessClerkEvent::QUEUE),
    (ReadInquiry::KIND, ReadInquiry::QUEUE),
    (CheckForm::KIND, CheckForm::QUEUE),
    (SortMail::KIND, SortMail::QUEUE),
    (ReadFacebookLead::KIND, ReadFacebookLead::QUEUE),
    (ReconcileFacebook::KIND, ReconcileFacebook::QUEUE),
    (ListPages::KIND, ListPages::QUEUE),
    (ConnectPage::KIND, ConnectPage::QUEUE),
    (CheckDomain::KIND, CheckDomain::QUEUE),
    (SendEmail::KIND, SendEmail::QUEUE),
    (SendSms::KIND, SendSms::QUEUE),
    (NotifyPeople::KIND, NotifyPeople::QUEUE),
    (WatchLead::KIND, WatchLead::QUEUE),
    (ReadReport::KIND, ReadReport::QUEUE),
    (ReadSms::KIND, ReadSms::QUEUE),
    (WriteAnswer::KIND, WriteAnswer::QUEUE),
    (AnswerInTime::KIND, AnswerInTime::QUEUE),
    (WriteSuggestion::KIND, WriteSuggestion::QUEUE),
    (ReconcileClerk::KIND, ReconcileClerk::QUEUE),
    (CountLeads::KIND, CountLeads::QUEUE),
    (Prune::KIND, Prune::QUEUE),
];

/// The kinds of those that process a delivery, whose payload names it as `delivery_id`.
pub const PROCESS_DELIVERY: [&str; 7] = [
    ProcessClerkEvent::KIND,
    ReadInquiry::KIND,
    CheckForm::KIND,
    SortMail::KIND,
    ReadFacebookLead::KIND,
    ReadReport::KIND,
    ReadSms::KIND,
];

/// Applies one stored Clerk event to the mirror and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessClerkEvent {
    /// `deliveries.id`.
    pub delivery_id: i64,
}

impl Job for ProcessClerkEvent {
    const KIND: &'static str = "clerk.process_event";
}

/// Reads what came from one of a dealership's sources, and makes a lead of it or a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadInquiry {
    /// `deliveries.id`.
    pub delivery_id: i64,
}

impl Job for ReadInquiry {
    const KIND: &'static str = "inquiries.read";
    const QUEUE: &'static str = "inquiries";
}

/// Asks whether a form was filled in by a person, and reads it then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckForm {
    /// `deliveries.id`.
    pub delivery_id: i64,
}

impl Job for CheckForm {
    const KIND: &'static str = "inquiries.check_form";
    const QUEUE: &'static str = "inquiries";
    const BURIED_BY_WORKER: bool = true;
}

/// Asks the assistant what a mail is that rules cannot tell, and that is parked meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SortMail {
    /// `deliveries.id`.
    pub delivery_id: i64,
}

impl Job for SortMail {
    const KIND: &'static str = "inquiries.sort";
    /// With what people ask: customers must not wait for it.
    const QUEUE: &'static str = "assistant";
    const MAX_ATTEMPTS: i16 = 3;
    const BURIED_BY_WORKER: bool = true;
}

/// Fetches a lead that Facebook announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFacebookLead {
    /// `deliveries.id`.
    pub delivery_id: i64,
}

impl Job for ReadFacebookLead {
    const KIND: &'static str = "facebook.read_lead";
    const QUEUE: &'static str = "facebook";
    const BURIED_BY_WORKER: bool = true;
}

/// Makes tokens of the code that a login at Facebook ended with, and lists the pages that can be connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPages {
    /// `facebook_logins.id`.
    pub login_id: Uuid,
}

impl Job for ListPages {
    const KIND: &'static str = "facebook.list_pages";
    const QUEUE: &'static str = "facebook";
    /// Nobody waits longer in front of a screen, and the code is good for minutes.
    const MAX_ATTEMPTS: i16 = 5;
    const BURIED_BY_WORKER: bool = true;
}

/// Asks Facebook whether a token is that of the page that it was given for, and connects the page then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectPage {
    /// `lead_sources.id`.
    pub source_id: SourceId,
}

impl Job for ConnectPage {
    const KIND: &'static str = "facebook.connect_page";
    const QUEUE: &'static str = "facebook";
    const BURIED_BY_WORKER: bool = true;
}

/// Fetches leads of Facebook's that no webhook told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileFacebook {}

impl Job for ReconcileFacebook {
    const KIND: &'static str = "facebook.reconcile";
    const QUEUE: &'static str = "facebook";
}

/// Looks up what DNS says of the domain that the dealership's own mails come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckDomain {}

impl Job for CheckDomain {
    const KIND: &'static str = "sending.check_domain";
    const BURIED_BY_WORKER: bool = true;
}

/// Sends a mail of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendEmail {
    /// `outbox.id`.
    pub outbox_id: OutboxId,
}

impl Job for SendEmail {
    const KIND: &'static str = "outbox.send_email";
    const QUEUE: &'static str = "email";
    const BURIED_BY_WORKER: bool = true;
}

/// Sends a text message of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendSms {
    /// `outbox.id`.
    pub outbox_id: OutboxId,
}

impl Job for SendSms {
    const KIND: &'static str = "outbox.send_sms";
    const QUEUE: &'static str = "sms";
    const BURIED_BY_WORKER: bool = true;
}

/// Tells people of the dealership what has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyPeople {}

impl Job for NotifyPeople {
    const KIND: &'static str = "notifications.bundle";
}

/// Tells people of a lead that no person has answered in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchLead {
    pub lead_id: LeadId,
}

impl Job for WatchLead {
    const KIND: &'static str = "leads.watch";
    const QUEUE: &'static str = "deadlines";
}

/// Writes down what a provider reports of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadReport {
    /// `deliveries.id`.
    pub delivery_id: i64,
}

impl Job for ReadReport {
    const KIND: &'static str = "outbox.read_report";
    const QUEUE: &'static str = "inquiries";
}

/// Adds a customer's text message to their lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadSms {
    /// `deliveries.id`.
    pub delivery_id: i64,
}

impl Job for ReadSms {
    const KIND: &'static str = "inquiries.read_sms";
    const QUEUE: &'static str = "inquiries";
}

/// Has an assistant write an automatic answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteAnswer {
    pub lead_id: LeadId,
    /// 1 for the first answer of the lead.
    pub turn: i16,
}

impl Job for WriteAnswer {
    const KIND: &'static str = "answers.write";
    const QUEUE: &'static str = "answers";
    const BURIED_BY_WORKER: bool = true;
}

/// Answers with the template what nobody and nothing has answered in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerInTime {
    pub lead_id: LeadId,
    /// As of [`WriteAnswer`].
    pub turn: i16,
}

impl Job for AnswerInTime {
    const KIND: &'static str = "answers.in_time";
    /// Of its own: it must not wait for the assistant.
    const QUEUE: &'static str = "deadlines";
}

/// Has an assistant suggest something to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteSuggestion {
    pub lead_id: LeadId,
    /// 1 for the first suggestion of the lead.
    pub turn: i16,
}

impl Job for WriteSuggestion {
    const KIND: &'static str = "answers.suggest";
    /// Of its own: customers must not wait for what people ask.
    const QUEUE: &'static str = "assistant";
    const MAX_ATTEMPTS: i16 = 3;
    const BURIED_BY_WORKER: bool = true;
}

/// Compares what is known with what Clerk's Backend API says, and imports the difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileClerk {}

impl Job for ReconcileClerk {
    const KIND: &'static str = "clerk.reconcile";
    /// Of its own: only workers that have Clerk's secret key claim from it.
    const QUEUE: &'static str = "clerk";
}

/// Counts the leads that came in since they were last counted, so that a page of leads can tell a total without counting
/// all of them, and gives those that are older than their customers' records their customers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountLeads {}

impl Job for CountLeads {
    const KIND: &'static str = "leads.count";
}

/// Deletes what is over and was kept long enough: finished jobs and processed deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prune {}

impl Job for Prune {
    const KIND: &'static str = "prune";
}
