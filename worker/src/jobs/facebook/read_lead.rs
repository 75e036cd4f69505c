use std::time::Duration;

use common::{
    db::TenantTx,
    deliveries::{Source, Status, settle_own, take_own},
    ids::SourceId,
    inquiry::{
        NewInquiry,
        facebook::{ChangeKind, Leadgen, read_webhook},
    },
    intake,
    jobs::ReadFacebookLead,
    lead_sources::{self, SourceSecret},
    secrets::Secret,
};
use integrations::facebook::GraphError;

use crate::{
    JobContext, JobError, NetworkJob, Services,
    jobs::intake::read_inquiry::{set_aside, tell, to_job_error},
};

/// How long to wait when Meta says that it is too much, and not until when.
pub(super) const THROTTLED: Duration = Duration::from_mins(10);

/// The lead to fetch, and with what.
pub struct Wanted {
    source: SourceId,
    lead: Leadgen,
    token: Secret,
}

pub enum Said {
    Lead(Box<NewInquiry>),
    /// The page has to be connected again.
    Broken(SourceId, String),
    /// Why a person has to look at it.
    Refused(String),
}

impl NetworkJob for ReadFacebookLead {
    const TIMEOUT: Duration = Duration::from_mins(1);
    type Loaded = Wanted;
    type Answer = Said;

    async fn load(&self, context: &JobContext, tx: &mut TenantTx) -> Result<Option<Wanted>, JobError> {
        let id = self.delivery_id;
        let delivery = take_own(tx, id).await.map_err(|error| to_job_error(error.into()))?;
        if delivery.status != Status::Pending {
            return Ok(None);
        }
        let settings = match delivery.source_id {
            Some(source) => lead_sources::settings(tx, source).await?,
            None => None,
        };
        let park = match &settings {
            None => Some("its page is not connected any more"),
            Some(settings) if !settings.enabled => Some("its source is switched off"),
            Some(settings) if settings.is_broken => Some("its page has to be connected again"),
            Some(settings) if settings.page_token.is_none() => Some("its page has no token; connect it again"),
            Some(_) => None,
        };
        if let Some(reason) = park {
            set_aside(tx, context, Source::Facebook, id, reason).await?;
            return Ok(None);
        }
        let (Some(settings), Some(lead)) = (settings, leadgen(&delivery.body.unwrap_or_default())) else {
            settle_own(tx, id, Status::Dead, "it does not say which lead", &[]).await?;
            context.count(Source::Facebook, Status::Dead);
            return Ok(None);
        };
        let Some(sealed) = &settings.page_token else { return Ok(None) };
        let token = SourceSecret::PageToken.open(&context.keyring, tx.dealership(), settings.id, sealed);
        Ok(Some(Wanted { source: settings.id, lead, token: token.map_err(JobError::retry)? }))
    }

    async fn call(&self, wanted: &Wanted, services: &Services) -> Result<Said, JobError> {
        let Some(graph) = &services.graph else {
            return Err(no_app());
        };
        let Wanted { source, lead, token } = wanted;
        let found = match graph.lead(token, &lead.leadgen_id).await {
            Ok(found) => found,
            Err(GraphError::Throttled { retry_after, .. }) => {
                return Err(JobError::later(retry_after.unwrap_or(THROTTLED), "Meta says that it is too much"));
            }
            Err(error) if error.is_temporary() => return Err(JobError::retry(error)),
            Err(error @ GraphError::Reconnect { .. }) => return Ok(Said::Broken(*source, error.to_string())),
            Err(error) => return Ok(Said::Refused(error.to_string())),
        };
        // Only labels are missing without them.
        let questions = match found.form_id.as_ref().or(lead.form_id.as_ref()) {
            Some(form) => graph.form_questions(token, form).await.ok(),
            None => None,
        };
        Ok(Said::Lead(Box::new(NewInquiry {
            inquiry: found.inquiry(questions.as_ref()),
            key: Some(format!("facebook {}", lead.leadgen_id)),
            ..NewInquiry::default()
        })))
    }

    async fn save(&self, said: Said, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        let id = self.delivery_id;
        match said {
            Said::Lead(asked) => {
                let read = intake::process_fetched(tx, id, *asked).await;
                tell(id, context, read.map_err(to_job_error)?);
            }
            Said::Broken(source, reason) => {
                if lead_sources::mark_broken(tx, source, &reason).await? {
                    tracing::error!(%source, reason, "a page of Facebook has to be connected again; its leads wait");
                }
                set_aside(tx, context, Source::Facebook, id, "its page has to be connected again").await?;
            }
            Said::Refused(reason) => set_aside(tx, context, Source::Facebook, id, &reason).await?,
        }
        Ok(())
    }

    async fn dead(&self, _: &str, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        set_aside(tx, context, Source::Facebook, self.delivery_id, "Facebook could not be asked").await
    }
}

pub(super) fn no_app() -> JobError {
    JobError::later(THROTTLED, "this worker has no app at Meta; set FACEBOOK_APP_ID")
}

/// Of the one change that was stored.
fn leadgen(body: &[u8]) -> Option<Leadgen> {
    let change = read_webhook(body).ok()?.into_iter().next()?;
    match change.kind {
        ChangeKind::Leadgen(lead) => Some(lead),
        _ => None,
    }
}
