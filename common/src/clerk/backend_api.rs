//! Asking Clerk itself. <https://clerk.com/docs/reference/backend-api>

use std::time::Duration;

use reqwest::{Client, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{change::Change, event};
use crate::{
    config::ClerkBackend,
    ids::{ClerkInstanceId, ClerkOrgId, ClerkUserId},
    secret::Secret,
};

/// The version of Clerk's API that we understand. <https://clerk.com/docs/guides/development/upgrading/versioning>
const VERSION: &str = "2025-04-10";
const TIMEOUT: Duration = Duration::from_secs(15);
/// How often to try again when Clerk asks to slow down.
const PATIENCE: u32 = 5;
/// Objects asked for at once; the most that Clerk allows.
const PAGE_SIZE: usize = 500;
/// How many objects of one page are asked for again with the next: as many may vanish meanwhile without another being
/// passed over.
const OVERLAP: usize = 50;

/// Clerk's Backend API, with the secret key of one instance.
#[derive(Debug, Clone)]
pub struct BackendApi {
    http: Client,
    url: String,
    key: Secret,
}

/// Everything of one kind that an instance has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Organizations.
    Organizations,
    /// Memberships, of whomever and wherever.
    Memberships,
    /// People, members or not.
    Users,
}

/// What a walk through a listing has not reached yet.
#[derive(Debug)]
pub struct Walk<'a> {
    clerk: &'a BackendApi,
    listing: Listing,
    offset: Option<usize>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct InstanceData {
    id: ClerkInstanceId,
}

/// Why Clerk did not say.
#[derive(Debug, thiserror::Error)]
pub enum BackendApiError {
    /// No answer.
    #[error("cannot reach Clerk; check CLERK_API_URL and the network")]
    Unreachable(#[from] reqwest::Error),
    /// The key is not one of this instance.
    #[error("Clerk refuses the key; check CLERK_SECRET_KEY")]
    WrongKey,
    /// The key is one of another instance.
    #[error("CLERK_SECRET_KEY is of the Clerk instance {theirs}, but CLERK_INSTANCE_ID is {ours}")]
    WrongInstance {
        /// As configured.
        ours: ClerkInstanceId,
        /// As Clerk says.
        theirs: ClerkInstanceId,
    },
    /// Another refusal.
    #[error("Clerk answered {0}")]
    Refused(StatusCode),
    /// An answer that does not have the shape we know.
    #[error("Clerk's answer cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

impl BackendApi {
    /// Prepares for asking; nothing is sent yet.
    pub fn new(clerk: &ClerkBackend) -> Result<Self, BackendApiError> {
        let http = Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { http, url: clerk.url.clone(), key: clerk.secret_key.clone() })
    }

    /// Prepares for asking, and makes sure that the key is of the instance that is configured, if one is.
    pub async fn of(clerk: &ClerkBackend) -> Result<Self, BackendApiError> {
        let api = Self::new(clerk)?;
        if let Some(ours) = &clerk.instance {
            let theirs = api.instance().await?;
            if theirs != *ours {
                return Err(BackendApiError::WrongInstance { ours: ours.clone(), theirs });
            }
        }
        Ok(api)
    }

    /// Which instance the key is of.
    pub async fn instance(&self) -> Result<ClerkInstanceId, BackendApiError> {
        let answer = self.get("/v1/instance").await?.ok_or(BackendApiError::Refused(StatusCode::NOT_FOUND))?;
        Ok(serde_json::from_str::<InstanceData>(&answer)?.id)
    }

    /// An organization as Clerk knows it now, or nothing.
    pub async fn organization(&self, id: &ClerkOrgId) -> Result<Option<Change>, BackendApiError> {
        let answer = self.get(&format!("/v1/organizations/{id}")).await?;
        Ok(answer.map(|data| event::organization(&data, 0)).transpose()?)
    }

    /// A person as Clerk knows them now, or nothing.
    pub async fn user(&self, id: &ClerkUserId) -> Result<Option<Change>, BackendApiError> {
        let answer = self.get(&format!("/v1/users/{id}")).await?;
        Ok(answer.map(|data| event::user(&data, 0)).transpose()?)
    }

    /// Where a person is a member now. Empty for somebody whom Clerk does not know.
    pub async fn memberships_of(&self, id: &ClerkUserId) -> Result<Vec<Change>, BackendApiError> {
        let mut memberships = Vec::new();
        loop {
            let offset = memberships.len();
            let path = format!("/v1/users/{id}/organization_memberships?limit={PAGE_SIZE}&offset={offset}");
            let Some(page) = self.get(&path).await? else { return Ok(memberships) };
            let page: Page = serde_json::from_str(&page)?;
            for membership in &page.data {
                memberships.push(event::membership(membership.get(), 0)?);
            }
            if page.data.len() < PAGE_SIZE {
                return Ok(memberships);
            }
        }
    }

    /// Begins to walk through everything of one kind.
    pub fn walk(&self, listing: Listing) -> Walk<'_> {
        Walk { clerk: self, listing, offset: Some(0) }
    }

    /// GET, with nothing for 404. Waits as long as Clerk asks when it is asked too often.
    async fn get(&self, path: &str) -> Result<Option<String>, BackendApiError> {
        for _ in 0..PATIENCE {
            let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(self.key.expose());
            let answer = request.header("Clerk-API-Version", VERSION).send().await?;
            match answer.status() {
                StatusCode::NOT_FOUND => return Ok(None),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(BackendApiError::WrongKey),
                StatusCode::TOO_MANY_REQUESTS => {
                    let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                    tokio::time::sleep(Duration::from_secs(wait.unwrap_or(1).min(60))).await;
                }
                status if status.is_success() => return Ok(Some(answer.text().await?)),
                status => return Err(BackendApiError::Refused(status)),
            }
        }
        Err(BackendApiError::Refused(StatusCode::TOO_MANY_REQUESTS))
    }
}

impl Walk<'_> {
    /// The next page, or nothing at the end. An object may be on two of them.
    pub async fn next(&mut self) -> Result<Option<Vec<Change>>, BackendApiError> {
        let Some(offset) = self.offset else { return Ok(None) };
        let path = format!("{}?limit={PAGE_SIZE}&offset={offset}", self.listing.path());
        let page = self.clerk.get(&path).await?.ok_or(BackendApiError::Refused(StatusCode::NOT_FOUND))?;
        let page: Vec<Box<RawValue>> = match self.listing {
            // The one listing without a count around it.
            Listing::Users => serde_json::from_str(&page)?,
            Listing::Organizations | Listing::Memberships => serde_json::from_str::<Page>(&page)?.data,
        };
        self.offset = (page.len() >= PAGE_SIZE).then_some(offset + PAGE_SIZE - OVERLAP);
        Ok(Some(page.iter().map(|object| self.listing.read(object.get())).collect::<Result<_, _>>()?))
    }
}

impl Listing {
    fn path(self) -> &'static str {
        match self {
            Self::Organizations => "/v1/organizations",
            Self::Memberships => "/v1/organization_memberships",
            Self::Users => "/v1/users",
        }
    }

    fn read(self, object: &str) -> serde_json::Result<Change> {
        match self {
            Self::Organizations => event::organization(object, 0),
            Self::Memberships => event::membership(object, 0),
            Self::Users => event::user(object, 0),
        }
    }
}
