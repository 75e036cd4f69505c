use std::time::Duration;

use common::{
    db::TenantTx,
    jobs::ListPages,
    lead_sources::{self, ConnectError, Outcome, Page, Step},
};
use integrations::facebook::{self, Graph, GraphError};

use super::read_lead::{THROTTLED, no_app};
use crate::{JobContext, JobError, NetworkJob, Services};

/// Without these no lead of a page can be read.
const NEEDED: [&str; 3] = ["pages_show_list", "pages_manage_metadata", "leads_retrieval"];

/// What is to be asked, and where the person came back to.
pub struct Asking {
    step: Step,
    redirect_uri: String,
}

impl NetworkJob for ListPages {
    const TIMEOUT: Duration = Duration::from_mins(1);
    type Loaded = Asking;
    type Answer = Outcome;

    async fn load(&self, context: &JobContext, tx: &mut TenantTx) -> Result<Option<Asking>, JobError> {
        let step = lead_sources::load_login(tx, &context.keyring, self.login_id).await.map_err(to_job_error)?;
        let Some(step) = step else { return Ok(None) };
        let Some(public_url) = &context.public_url else {
            return Err(JobError::later(
                THROTTLED,
                "this worker does not know where people come back to; set PUBLIC_URL",
            ));
        };
        Ok(Some(Asking { step, redirect_uri: lead_sources::redirect_uri(public_url) }))
    }

    async fn call(&self, asking: &Asking, services: &Services) -> Result<Outcome, JobError> {
        let Some(graph) = &services.graph else { return Err(no_app()) };
        let answer = match &asking.step {
            Step::Exchange(code) => graph.exchange_code(code, &asking.redirect_uri).await.map(Outcome::Token),
            Step::List(token) => list(graph, token).await,
        };
        match answer {
            Ok(outcome) => Ok(outcome),
            Err(GraphError::Throttled { retry_after, .. }) => {
                Err(JobError::later(retry_after.unwrap_or(THROTTLED), "Meta says that it is too much"))
            }
            Err(error) if error.is_temporary() => Err(JobError::retry(error)),
            Err(error) => Ok(Outcome::Failed(format!("{error}; log in to Facebook again"))),
        }
    }

    async fn save(&self, outcome: Outcome, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        match &outcome {
            Outcome::Token(_) => {}
            Outcome::Pages(pages) => tracing::info!(pages = pages.len(), "somebody can choose pages of Facebook"),
            Outcome::Failed(reason) => tracing::warn!(reason, "a login at Facebook came to nothing"),
        }
        lead_sources::save_login(tx, &context.keyring, self.login_id, &outcome).await.map_err(to_job_error)
    }

    async fn dead(&self, _: &str, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        let reason = "Facebook could not be asked; log in to Facebook again later";
        Ok(lead_sources::fail_login(tx, self.login_id, reason).await?)
    }
}

/// The user's pages, with tokens that last. All of it may be asked again.
async fn list(graph: &Graph, token: &common::secrets::Secret) -> Result<Outcome, GraphError> {
    let token = graph.long_lived(token).await?.token;
    let granted = graph.granted(&token).await?;
    let missing: Vec<_> = NEEDED.into_iter().filter(|needed| !granted.iter().any(|one| one == needed)).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Ok(Outcome::Failed(format!(
            "you have not allowed all that it takes ({missing}); log in to Facebook again and leave everything switched on"
        )));
    }
    let pages = graph.pages(&token).await?;
    if pages.is_empty() {
        let reason = "you have chosen no page, or administer none; log in to Facebook again as somebody who does";
        return Ok(Outcome::Failed(reason.to_owned()));
    }
    let page = |page: facebook::Page| Page { id: page.id, name: page.name, token: page.access_token };
    Ok(Outcome::Pages(pages.into_iter().map(page).collect()))
}

fn to_job_error(error: ConnectError) -> JobError {
    match error {
        ConnectError::Db(error) => error.into(),
        error @ (ConnectError::NoKey(_) | ConnectError::Open(_)) => JobError::retry(error),
    }
}
