use std::time::Duration;

use common::{
    db::TenantTx,
    deliveries::{Source, Status, take_own},
    inquiry::form,
    intake,
    jobs::CheckForm,
    lead_sources::{self, SourceSecret},
    secrets::Secret,
    telemetry::error_chain,
};
use integrations::turnstile::{Unavailable, Verdict};
use uuid::Uuid;

use super::read_inquiry::{set_aside, tell, to_job_error};
use crate::{JobContext, JobError, NetworkJob, Services};

/// What the check asks.
pub struct Question {
    secret: Secret,
    token: String,
}

impl NetworkJob for CheckForm {
    const TIMEOUT: Duration = Duration::from_secs(30);
    type Loaded = Option<Question>;
    /// Why a person has to decide, if one has to.
    type Answer = Option<String>;

    async fn load(&self, context: &JobContext, tx: &mut TenantTx) -> Result<Option<Self::Loaded>, JobError> {
        let delivery = take_own(tx, self.delivery_id).await.map_err(|error| to_job_error(error.into()))?;
        if delivery.status != Status::Pending {
            return Ok(None);
        }
        let settings = match delivery.source_id {
            Some(source) => lead_sources::settings(tx, source).await?,
            None => None,
        };
        // Whoever switched the check off meanwhile lets the form pass.
        let Some((settings, sealed)) = settings.and_then(|s| s.turnstile_secret.clone().map(|sealed| (s, sealed)))
        else {
            return Ok(Some(None));
        };
        let secret = SourceSecret::Turnstile.open(&context.keyring, tx.dealership(), settings.id, &sealed);
        let secret = secret.map_err(JobError::retry)?;
        let content_type = delivery.headers["content-type"].as_str().unwrap_or_default();
        let form = form::read(content_type, &delivery.body.unwrap_or_default().into());
        let token = form.ok().and_then(|form| form.turnstile_token).unwrap_or_default();
        Ok(Some(Some(Question { secret, token })))
    }

    async fn call(&self, loaded: &Self::Loaded, services: &Services) -> Result<Self::Answer, JobError> {
        let Some(Question { secret, token }) = loaded else { return Ok(None) };
        if token.is_empty() {
            return Ok(Some("may be a program's: the check for bots was not passed".to_owned()));
        }
        // The same for every attempt: a token can be asked about once.
        let key = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("form {}", self.delivery_id).as_bytes());
        Ok(match services.turnstile.verify(secret, token, None, &key.to_string()).await {
            Ok(Verdict { passed: true, .. }) => None,
            Ok(Verdict { .. }) => Some("may be a program's: the check for bots was not passed".to_owned()),
            Err(Unavailable::WrongSecret) => {
                Some("the form's secret for the check for bots is not the right one".to_owned())
            }
            Err(error) => {
                tracing::warn!(
                    delivery_id = self.delivery_id,
                    error = error_chain(&error),
                    "the check for bots is away"
                );
                Some("the check for bots could not be asked".to_owned())
            }
        })
    }

    async fn save(&self, doubt: Self::Answer, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        match doubt {
            None => {
                let settled =
                    intake::process(tx, self.delivery_id, context.has_assistant()).await.map_err(to_job_error)?;
                tell(self.delivery_id, context, settled);
            }
            Some(reason) => set_aside(tx, context, Source::Form, self.delivery_id, &reason).await?,
        }
        Ok(())
    }

    async fn dead(&self, _: &str, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        set_aside(tx, context, Source::Form, self.delivery_id, "the check for bots could not be asked").await
    }
}
