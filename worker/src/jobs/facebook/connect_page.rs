use std::time::Duration;

use common::{
    db::TenantTx,
    jobs::ConnectPage,
    lead_sources::{self, KeyTaken, SourceSecret},
    secrets::Secret,
};
use integrations::facebook::GraphError;

use super::read_lead::{THROTTLED, no_app};
use crate::{JobContext, JobError, NetworkJob, Services};

/// A page, and the token that is said to be its.
pub struct Claim {
    page: String,
    token: Secret,
}

pub enum Said {
    Confirmed {
        page: String,
    },
    /// Why not, for the dealership.
    Refused(String),
}

impl NetworkJob for ConnectPage {
    const TIMEOUT: Duration = Duration::from_mins(1);
    type Loaded = Claim;
    type Answer = Said;

    async fn load(&self, context: &JobContext, tx: &mut TenantTx) -> Result<Option<Claim>, JobError> {
        let Some(settings) = lead_sources::settings(tx, self.source_id).await? else { return Ok(None) };
        let Some(sealed) = &settings.page_token else { return Ok(None) };
        let token = SourceSecret::PageToken.open(&context.keyring, tx.dealership(), settings.id, sealed);
        Ok(Some(Claim { page: settings.key, token: token.map_err(JobError::retry)? }))
    }

    async fn call(&self, Claim { page, token }: &Claim, services: &Services) -> Result<Said, JobError> {
        let Some(graph) = &services.graph else { return Err(no_app()) };
        let asked = async {
            if graph.page_of(token).await? != *page {
                return Ok(Said::Refused("the token is not that of this page".to_owned()));
            }
            graph.subscribe(token, page).await?;
            Ok(Said::Confirmed { page: page.clone() })
        };
        match asked.await {
            Ok(said) => Ok(said),
            Err(GraphError::Throttled { retry_after, .. }) => {
                Err(JobError::later(retry_after.unwrap_or(THROTTLED), "Meta says that it is too much"))
            }
            Err(error) if error.is_temporary() => Err(JobError::retry(error)),
            Err(error) => Ok(Said::Refused(error.to_string())),
        }
    }

    async fn save(&self, said: Said, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        let source = self.source_id;
        match said {
            Said::Confirmed { page } => match lead_sources::confirm_page(tx, source, &page).await {
                Ok(true) => tracing::info!(%source, "a page of Facebook is connected"),
                Ok(false) => tracing::warn!(%source, "a page of Facebook is connected to another dealership"),
                Err(KeyTaken::Db(error)) => return Err(error.into()),
                Err(error @ KeyTaken::Taken) => return Err(JobError::retry(error)),
            },
            Said::Refused(reason) => {
                tracing::warn!(%source, reason, "Facebook does not confirm a page's token");
                lead_sources::mark_broken(tx, source, &reason).await?;
            }
        }
        Ok(())
    }

    async fn dead(&self, _: &str, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        lead_sources::mark_broken(
            tx,
            self.source_id,
            "Facebook could not be asked about the token; connect the page again",
        )
        .await?;
        Ok(())
    }
}
