use std::time::Duration;

use chrono::{DateTime, Utc};
use common::{
    db::TenantTx,
    jobs::CheckDomain,
    sending_accounts::{self, DomainRecord, SendingDomain},
};

use crate::{JobContext, JobError, NetworkJob, Services};

/// Whose domain is looked up, of which state of the account.
pub struct DomainCheck {
    domain: SendingDomain,
    updated_at: DateTime<Utc>,
}

pub struct Found {
    records: Vec<DomainRecord>,
    updated_at: DateTime<Utc>,
}

impl NetworkJob for CheckDomain {
    const TIMEOUT: Duration = Duration::from_mins(1);
    type Loaded = DomainCheck;
    type Answer = Found;

    async fn load(&self, _: &JobContext, tx: &mut TenantTx) -> Result<Option<DomainCheck>, JobError> {
        let found = sending_accounts::domain_to_check(tx).await?;
        Ok(found.map(|(domain, updated_at)| DomainCheck { domain, updated_at }))
    }

    async fn call(
        &self,
        DomainCheck { domain, updated_at }: &DomainCheck,
        services: &Services,
    ) -> Result<Found, JobError> {
        let mut answers = Vec::new();
        for question in domain.questions() {
            let records = services.dns.records(&question.name, question.record_type()).await;
            answers.push((question, records.map_err(JobError::retry)?));
        }
        Ok(Found { records: domain.judge(&answers), updated_at: *updated_at })
    }

    async fn save(
        &self,
        Found { records, updated_at }: Found,
        _: &JobContext,
        tx: &mut TenantTx,
    ) -> Result<(), JobError> {
        let passed = sending_accounts::save_domain(tx, updated_at, &records).await?;
        tracing::info!(passed, "looked up the domain that a dealership's mails come from");
        Ok(())
    }

    async fn dead(&self, _: &str, _: &JobContext, _: &mut TenantTx) -> Result<(), JobError> {
        Ok(())
    }
}
