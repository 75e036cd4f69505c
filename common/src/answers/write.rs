//! How an automatic answer comes about: what is asked, and what becomes of what comes back. Whoever answers first has
//! answered: a person, the assistant, or the template when time is over.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::{
    context::{Context, context, vehicles},
    facts::{Facts, VehicleFacts},
    gate::{Draft, Refused},
    hand_over,
    settings::{AnswerMode, AnswerSettings, settings},
    spending::with_mails,
    store::{self, AnswerAuthor, AnswerKey, AnswerState, Noted, Saying, Settled},
    template::{self, Occasion, Values, greeting},
};
use crate::{
    conversations::{Channel, Direction, NewMessage, SenderType, WriteError},
    db::{self, TenantTx},
    ids::LeadId,
    leads::{self, LockedLead},
    notifications::Event,
    outbox,
    vehicles::VehicleStatus,
};

/// How long the assistant has, from when the customer wrote. The rest of the 90 seconds is for sending the template.
const ASSISTANT_TIME: TimeDelta = TimeDelta::seconds(60);
/// Automatic messages that one address gets in a day.
const MAX_TO_SAME: i64 = 3;

/// What there is to answer with.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    pub email: bool,
    pub sms: bool,
    /// The assistant's model, if there is an assistant.
    pub model: Option<&'a str>,
}

/// What the assistant is to be asked.
#[derive(Debug, Clone)]
pub struct AnswerRequest {
    pub facts: Facts,
    /// When the template answers.
    pub due_at: DateTime<Utc>,
}

/// What came of asking the assistant, and what is to be thought of it.
#[derive(Debug)]
pub enum AssistantReply<Verdict = Result<Draft, Refused>> {
    /// It wrote, and that was judged.
    Written {
        text: String,
        model: String,
        tokens: (i64, i64),
        verdict: Verdict,
    },
    Nothing {
        reason: String,
    },
}

/// Why an answer was not written down.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Db(#[from] db::Error),
}

/// Begins an answer. `None` where the assistant is not needed: the answer is there, or there is to be none, or the template
/// has answered.
pub async fn prepare(
    tx: &mut TenantTx,
    lead: LeadId,
    turn: i16,
    means: Means<'_>,
) -> Result<Option<AnswerRequest>, AnswerError> {
    let Some(mut work) = Work::begin(tx, lead, turn, means).await? else { return Ok(None) };
    let facts = work.facts().await?;
    let written = facts.customer.message.as_deref().unwrap_or_default();
    if let Some(reason) = hand_over::needs_human(written) {
        work.hand_over(&facts, told(reason), Noted::default()).await?;
        return Ok(None);
    }
    if means.model.is_none() || work.is_due || !work.has_tokens().await? {
        work.use_template(&facts, Noted::default()).await?;
        return Ok(None);
    }
    let given = serde_json::to_value(&facts).unwrap_or_default();
    store::note_given(work.tx, work.key, &given, work.due_at).await?;
    Ok(Some(AnswerRequest { facts, due_at: work.due_at }))
}

/// Ends an answer with what came back, unless it has ended otherwise meanwhile.
pub async fn finish(
    tx: &mut TenantTx,
    lead: LeadId,
    turn: i16,
    means: Means<'_>,
    facts: &Facts,
    came_back: AssistantReply,
) -> Result<(), AnswerError> {
    let Some(work) = Work::begin(tx, lead, turn, means).await? else { return Ok(()) };
    match came_back {
        AssistantReply::Nothing { reason } => {
            work.use_template(facts, Noted { verdict: Some(&reason), ..Noted::default() }).await
        }
        AssistantReply::Written { text, model, tokens, verdict } => {
            let told = verdict.as_ref().map_or_else(Refused::code, |_| "sendable");
            let noted = Noted { came_back: Some(&text), verdict: Some(told), model: Some(&model), tokens };
            match verdict {
                Ok(draft) => work.use_draft(&draft, noted).await,
                Err(Refused::NeedsHuman(reason)) => work.hand_over(facts, &reason, noted).await,
                Err(Refused::Bad(_)) => work.use_template(facts, noted).await,
            }
        }
    }
}

/// Answers with the template what has not been answered otherwise, and notes why the assistant has not.
pub async fn answer_without(
    tx: &mut TenantTx,
    lead: LeadId,
    turn: i16,
    means: Means<'_>,
    why: &str,
) -> Result<(), AnswerError> {
    let Some(mut work) = Work::begin(tx, lead, turn, means).await? else { return Ok(()) };
    let facts = work.facts().await?;
    work.use_template(&facts, Noted { verdict: Some(why), ..Noted::default() }).await
}

/// Why a person has to answer, for people of the dealership.
fn told(reason: hand_over::Reason) -> &'static str {
    match reason {
        hand_over::Reason::Legal => "the customer speaks of lawyers, authorities or the law",
        hand_over::Reason::Privacy => "the customer asks about what is kept of them",
        hand_over::Reason::Anger => "the customer is angry",
        hand_over::Reason::Complaint => "the customer complains",
        hand_over::Reason::Warranty => "the customer speaks of a fault of a car",
        hand_over::Reason::Cancellation => "the customer wants to cancel",
        hand_over::Reason::CallMe => "the customer asks to be called",
        hand_over::Reason::PriceNegotiation => "the customer negotiates the price",
    }
}

/// An answer that is to be given, and that nobody else gives before the transaction ends.
struct Work<'t> {
    tx: &'t mut TenantTx,
    means: Means<'t>,
    key: AnswerKey,
    lead: LockedLead,
    context: Context,
    settings: AnswerSettings,
    due_at: DateTime<Utc>,
    is_due: bool,
}

impl<'t> Work<'t> {
    /// `None` if it was given, or there is to be none.
    async fn begin(
        tx: &'t mut TenantTx,
        lead_id: LeadId,
        turn: i16,
        means: Means<'t>,
    ) -> Result<Option<Self>, AnswerError> {
        let Some(lead) = leads::lock(tx, lead_id).await? else { return Ok(None) };
        let key = AnswerKey { lead: lead_id, turn };
        let begun = store::lock(tx, key).await?;
        // Most are looked at once more when their time is over, and were given long before.
        if begun.as_ref().is_some_and(|answer| answer.state != AnswerState::Waiting) {
            return Ok(None);
        }
        let (context, settings) = (context(tx, key).await?, settings(tx).await?);
        let answer = match begun {
            Some(answer) => answer,
            None => store::begin(tx, key, context.received_at + ASSISTANT_TIME).await?,
        };
        let work = Self { tx, means, key, lead, context, settings, due_at: answer.due_at, is_due: answer.is_due };
        match work.refusal() {
            Some(reason) => {
                work.skip(reason).await?;
                Ok(None)
            }
            None => Ok(Some(work)),
        }
    }

    /// Why there is to be no answer.
    fn refusal(&self) -> Option<&'static str> {
        let own = self.context.customer_email.as_deref();
        Some(match self.channel() {
            _ if self.settings.mode == AnswerMode::Off => "automatic answers are switched off",
            _ if self.context.human_answered => "a person answered first",
            _ if self.context.is_old => "what the customer wrote is older than a day",
            _ if own.is_some_and(|own| own.eq_ignore_ascii_case(&self.context.dealership_email)) => {
                "the address is the dealership's own"
            }
            _ if self.context.to_same >= MAX_TO_SAME => "the address had three automatic messages within a day",
            _ if self.context.usage.answers >= i64::from(self.settings.daily_cap) => {
                "the dealership's limit of automatic answers for a day is reached"
            }
            None => "nothing can be sent to the customer: there is no address, or no provider for it",
            Some(_) => return None,
        })
    }

    fn channel(&self) -> Option<Channel> {
        self.context.channel(self.means.email, self.means.sms)
    }

    /// Whether the assistant may cost the dealership more.
    async fn has_tokens(&mut self) -> Result<bool, AnswerError> {
        let usage = with_mails(self.tx, self.context.usage).await?;
        Ok(self.settings.allows_tokens(usage))
    }

    async fn facts(&mut self) -> Result<Facts, AnswerError> {
        let vehicles = vehicles(self.tx, self.key.lead).await?;
        Ok(self.context.facts(&self.settings, vehicles))
    }

    async fn skip(self, reason: &str) -> Result<(), AnswerError> {
        let (state, noted) = (AnswerState::Skipped, Noted::default());
        let settled = Settled { state, noted, said: None, reason: Some(reason), message: None };
        store::settle(self.tx, self.key, &settled).await?;
        Ok(())
    }

    async fn use_draft(self, draft: &Draft, noted: Noted<'_>) -> Result<(), AnswerError> {
        let reasons = &draft.score_reasons;
        leads::score_automatically(self.tx, self.key.lead, draft.score.into(), reasons).await?;
        let hello = greeting(draft.language, self.context.first_name().as_deref());
        let text = format!("{hello}\n\n{}", draft.reply);
        let said = Saying { text: &text, language: draft.language, author: AnswerAuthor::Assistant };
        self.say(said, None, noted).await
    }

    async fn use_template(self, facts: &Facts, noted: Noted<'_>) -> Result<(), AnswerError> {
        let is_there = facts.vehicles.first().is_some_and(|vehicle| vehicle.status == VehicleStatus::Available);
        let occasion = if is_there { Occasion::Vehicle } else { Occasion::Receipt };
        self.say_template(facts, occasion, None, noted).await
    }

    async fn hand_over(self, facts: &Facts, reason: &str, noted: Noted<'_>) -> Result<(), AnswerError> {
        leads::need_human(self.tx, self.key.lead, reason, Event::NeedsHuman).await?;
        self.say_template(facts, Occasion::Person, Some(reason), noted).await
    }

    async fn say_template(
        self,
        facts: &Facts,
        occasion: Occasion,
        reason: Option<&str>,
        noted: Noted<'_>,
    ) -> Result<(), AnswerError> {
        let text = self.template(facts, occasion);
        let said = Saying { text: &text, language: facts.language, author: AnswerAuthor::Template };
        self.say(said, reason, noted).await
    }

    /// When somebody is there again. What a person is to send is not sent when it was written.
    fn back(&self, facts: &Facts) -> Option<String> {
        let opening = facts.dealership.opening.as_ref().filter(|_| self.settings.mode == AnswerMode::On)?;
        let now = self.context.local_now;
        opening.opens_next(now).map(|opens| template::back(facts.language, now, opens))
    }

    fn template(&self, facts: &Facts, occasion: Occasion) -> String {
        let values = Values {
            customer: facts.customer.first_name.clone().unwrap_or_default(),
            dealership: facts.dealership.name.clone(),
            vehicle: facts.vehicles.first().map(VehicleFacts::name).unwrap_or_default(),
            phone: facts.dealership.phone.clone().unwrap_or_default(),
            back: self.back(facts).unwrap_or_default(),
        };
        let own = self.settings.template(facts.language);
        template::text(occasion, facts.language, own.as_deref(), &values)
    }

    async fn say(self, said: Saying<'_>, reason: Option<&str>, noted: Noted<'_>) -> Result<(), AnswerError> {
        let channel = self.channel().filter(|_| self.settings.mode == AnswerMode::On);
        let message = match channel.map(|channel| self.message(channel, said)) {
            Some(new) => Some(outbox::send(self.tx, &self.lead, &new, true).await?.id),
            None => None,
        };
        let state = if message.is_some() { AnswerState::Answered } else { AnswerState::Drafted };
        let settled = Settled { state, noted, said: Some(said), reason, message };
        store::settle(self.tx, self.key, &settled).await?;
        Ok(())
    }

    fn message(&self, channel: Channel, said: Saying<'_>) -> NewMessage {
        NewMessage {
            lead_id: self.key.lead,
            channel,
            direction: Direction::Outbound,
            sender: self.context.dealership.clone(),
            sender_user_id: None,
            sender_clerk_user_id: None,
            impersonator: None,
            sender_type: SenderType::Ai,
            message_content: said.text.to_owned(),
            message_metadata: json!({ "language": said.language.as_str(), "author": said.author.as_str() }),
            created_at: None,
        }
    }
}

/// A customer has written to a lead that is there: the next automatic answer is due, or a person takes over.
pub async fn customer_wrote(tx: &mut TenantTx, lead: LeadId) -> Result<(), AnswerError> {
    let (answered, by_human): (i16, bool) = sqlx::query_as(
        "-- answers::customer_wrote
         SELECT (SELECT count(*) FROM answers
                 WHERE lead_id = $1 AND dealership_id = $2 AND kind = 'answer' AND state = 'answered')::smallint,
                EXISTS (SELECT FROM conversations WHERE lead_id = $1 AND dealership_id = $2 AND direction = 'outbound'
                        AND sender_type = 'human')",
    )
    .bind(lead)
    .bind(tx.dealership())
    .fetch_one(tx.conn())
    .await
    .map_err(db::Error::from)?;
    if answered > 0 && !by_human && answered < settings(tx).await?.turns {
        store::request(tx, lead, answered + 1).await?;
    } else if answered > 0 || by_human {
        leads::need_human(tx, lead, "the customer has written again", Event::CustomerReplied).await?;
    }
    Ok(())
}
