use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::{
    clock::Clock,
    db::Db,
    intake::announce_facebook_leads,
    jobs::ReconcileFacebook,
    lead_sources::{self, ConnectedPage, LeadCount, SourceSecret},
    secrets::{Keyring, Secret},
    telemetry::error_chain,
};
use integrations::facebook::{Graph, GraphError};

use crate::{IdempotentJob, JobContext, JobError, Services};

/// How far back to look: seven whole days and what is over, and longer than Meta tries to deliver a webhook, which is 36 hours.
const WINDOW: TimeDelta = TimeDelta::days(8);

impl IdempotentJob for ReconcileFacebook {
    const TIMEOUT: Duration = Duration::from_hours(1);

    async fn perform(self, context: &JobContext, db: &Db, services: &Services) -> Result<(), JobError> {
        let Some(graph) = &services.graph else { return Err(JobError::retry("FACEBOOK_APP_ID is not set")) };
        let pages = lead_sources::connected_pages(&mut db.system().await?).await?;
        for page in pages {
            // What is wrong with one page says nothing of the others.
            if let Err(error) = compare(db, graph, &context.keyring, &page).await {
                tracing::warn!(source = %page.id, error, "a page of Facebook could not be compared");
            }
        }
        Ok(())
    }
}

/// Fetches what webhooks have missed, and says how many leads Meta and we know of.
async fn compare(db: &Db, graph: &Graph, keyring: &Keyring, page: &ConnectedPage) -> Result<(), String> {
    let token = SourceSecret::PageToken.open(keyring, page.dealership, page.id, &page.token);
    let token = token.map_err(|error| error.to_string())?;
    let (listed, found) = match walk(db, graph, page, &token).await {
        Ok(listed) => listed,
        Err(Stopped::Graph(error @ GraphError::Reconnect { .. })) => {
            let mut tx = db.tenant(page.dealership).await.map_err(|error| error_chain(&error))?;
            let marked = lead_sources::mark_broken(&mut tx, page.id, &error.to_string()).await;
            marked.map_err(|error| error_chain(&error))?;
            tx.commit().await.map_err(|error| error_chain(&error))?;
            return Err(error.to_string());
        }
        Err(Stopped::Graph(error)) => return Err(error.to_string()),
        Err(Stopped::Db(error)) => return Err(error_chain(&error)),
    };
    let theirs = listed.len();
    note(db, page, &listed).await.map_err(|error| error_chain(&error))?;
    if found > 0 {
        tracing::warn!(source = %page.id, theirs, found, "fetched leads of Facebook's that no webhook had told of");
    } else {
        tracing::info!(source = %page.id, theirs, "Facebook has no lead of these days that is not here");
    }
    Ok(())
}

/// Writes down how many of the leads are here, and says on which days some are not.
async fn note(db: &Db, page: &ConnectedPage, listed: &[Listed]) -> common::db::Result<()> {
    let mut tx = db.tenant(page.dealership).await?;
    let different = lead_sources::count_facebook_leads(&mut tx, page.id, listed).await?;
    tx.commit().await?;
    for LeadCount { day, meta_leads, our_leads } in different {
        tracing::warn!(
            source = %page.id, %day, meta_leads, our_leads,
            "Meta lists leads that are not leads here; see norvalt deliveries list --source facebook --status parked"
        );
    }
    Ok(())
}

/// A lead that Meta lists, and when it came.
type Listed = (String, DateTime<Utc>);

/// Why a comparison ended before its end.
enum Stopped {
    Graph(GraphError),
    Db(common::db::Error),
}

impl From<GraphError> for Stopped {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}

impl From<common::db::Error> for Stopped {
    fn from(error: common::db::Error) -> Self {
        Self::Db(error)
    }
}

/// What Meta lists, and how many of it were new here.
async fn walk(db: &Db, graph: &Graph, page: &ConnectedPage, token: &Secret) -> Result<(Vec<Listed>, usize), Stopped> {
    let now = Clock::system().now().with_timezone(&Utc);
    let (mut theirs, mut found) = (Vec::new(), 0);
    for form in graph.forms(token, &page.page_id).await? {
        let mut cursor: Option<String> = None;
        loop {
            let listed = graph.leads_since(token, &form.id, now - WINDOW, cursor.as_deref()).await?;
            let ids: Vec<String> = listed.leads.iter().map(|lead| lead.id.clone()).collect();
            theirs.extend(listed.leads.iter().map(|lead| (lead.id.clone(), lead.created_time.unwrap_or(now))));
            found += announce_facebook_leads(db, page, &form.id, &ids).await?;
            match listed.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
    }
    Ok((theirs, found))
}
