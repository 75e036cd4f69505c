//! Asking Clerk itself. <https://clerk.com/docs/reference/backend-api>

use std::{collections::BTreeSet, time::Duration};

use reqwest::{Client, Response, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    change::Change,
    event,
    read::{Unreadable, read},
};
use crate::{
    config::ClerkBackend,
    ids::{ClerkInstanceId, ClerkOrgId, ClerkUserId},
    secrets::Secret,
};

/// The version of Clerk's API that we understand. <https://clerk.com/docs/guides/development/upgrading/versioning>
const VERSION: &str = "2025-04-10";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// How often one request is made before its failure counts.
const ATTEMPTS: u32 = 5;
/// Between the first two attempts; twice as long each time after that, unless Clerk says how long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest that Clerk may make us wait.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
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
    /// The key's, if Clerk says.
    pub(super) instance: Option<ClerkInstanceId>,
}

/// Everything of one kind that an instance has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Listing {
    Organizations,
    /// Of whomever and wherever.
    Memberships,
    /// Members or not.
    Users,
}

/// An object of Clerk's, or why it cannot be read.
pub(super) type Object = Result<Change, Unreadable>;

/// What a walk through a listing has not reached yet.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    clerk: &'a BackendApi,
    listing: Listing,
    offset: Option<usize>,
    earlier: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct InstanceData {
    id: ClerkInstanceId,
}

/// <https://www.rfc-editor.org/rfc/rfc7517>
#[derive(Deserialize)]
struct PublicKeys {
    keys: Vec<PublicKey>,
}

#[derive(Deserialize)]
struct PublicKey {
    kid: String,
}

/// Why Clerk did not say.
#[derive(Debug, thiserror::Error)]
pub enum BackendApiError {
    #[error("cannot reach Clerk; check CLERK_API_URL and the network")]
    Unreachable(#[from] reqwest::Error),
    /// The key is none of Clerk's.
    #[error("Clerk refuses the key; check CLERK_SECRET_KEY")]
    WrongKey,
    #[error("Clerk answered {0}")]
    Refused(StatusCode),
    /// Page after page, and nothing new on them.
    #[error("a listing of Clerk's does not end")]
    Endless,
    /// An answer that does not have the shape we know.
    #[error("Clerk's answer cannot be read")]
    Unreadable(#[from] Unreadable),
}

impl BackendApi {
    /// Prepares for asking; nothing is sent yet.
    pub(super) fn new(clerk: &ClerkBackend) -> Result<Self, BackendApiError> {
        let http = Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        Ok(Self { http, url: clerk.url.clone(), key: clerk.secret_key.clone(), instance: None })
    }

    /// Which instance the key is of, if Clerk says.
    pub fn instance(&self) -> Option<&ClerkInstanceId> {
        self.instance.as_ref()
    }

    /// Nothing where there is no such route, or an answer of another shape.
    /// <https://clerk.com/docs/reference/backend/instance/get>
    pub(super) async fn ask_instance(&self) -> Result<Option<ClerkInstanceId>, BackendApiError> {
        let answer = self.get("/v1/instance").await?;
        Ok(answer.and_then(|data| serde_json::from_str::<InstanceData>(&data).ok()).map(|instance| instance.id))
    }

    /// The ids of the keys that the instance signs session tokens with, or nothing where there is no such route, or an answer of
    /// another shape. <https://clerk.com/docs/reference/backend-api/tag/jwks/get/jwks>
    pub async fn public_keys(&self) -> Result<Option<BTreeSet<String>>, BackendApiError> {
        let answer = self.get("/v1/jwks").await?;
        let set = answer.and_then(|data| read::<PublicKeys>(&data).ok());
        Ok(set.map(|set| set.keys.into_iter().map(|key| key.kid).collect()))
    }

    /// An organization as Clerk knows it now, or nothing.
    pub(super) async fn organization(&self, id: &ClerkOrgId) -> Result<Option<Object>, BackendApiError> {
        let answer = self.get(&format!("/v1/organizations/{}", in_path(id.as_str()))).await?;
        Ok(answer.map(|data| event::organization(&data, 0)))
    }

    /// A person as Clerk knows them now, or nothing.
    pub async fn user(&self, id: &ClerkUserId) -> Result<Option<Object>, BackendApiError> {
        let answer = self.get(&format!("/v1/users/{}", in_path(id.as_str()))).await?;
        Ok(answer.map(|data| event::user(&data, 0)))
    }

    /// Where a person is a member now. Empty for somebody whom Clerk does not know.
    pub async fn memberships_of(&self, id: &ClerkUserId) -> Result<Vec<Object>, BackendApiError> {
        let (mut memberships, mut texts) = (Vec::new(), BTreeSet::new());
        loop {
            let (id, offset) = (in_path(id.as_str()), memberships.len());
            let path = format!("/v1/users/{id}/organization_memberships?limit={PAGE_SIZE}&offset={offset}");
            let Some(page) = self.get(&path).await? else { return Ok(memberships) };
            let page: Page = read(&page)?;
            memberships.extend(page.data.iter().map(|membership| event::membership(membership.get(), 0)));
            if page.data.len() < PAGE_SIZE {
                return Ok(memberships);
            }
            continues(&mut texts, &page.data)?;
        }
    }

    /// Begins to walk through everything of one kind.
    pub(super) fn walk(&self, listing: Listing) -> Walk<'_> {
        Walk { clerk: self, listing, offset: Some(0), earlier: BTreeSet::new() }
    }

    /// GET, with nothing for 404. Tries again what may pass: after as long as Clerk says, where it does.
    async fn get(&self, path: &str) -> Result<Option<String>, BackendApiError> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let (error, wait) = match self.attempt(path).await {
                Ok(answer) => match answer.status() {
                    StatusCode::NOT_FOUND => return Ok(None),
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(BackendApiError::WrongKey),
                    status if status.is_success() => match answer.text().await {
                        Ok(text) => return Ok(Some(text)),
                        Err(error) => (error.into(), None),
                    },
                    status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                        (BackendApiError::Refused(status), retry_after(&answer))
                    }
                    status => return Err(BackendApiError::Refused(status)),
                },
                Err(error) => (error.into(), None),
            };
            if attempt == ATTEMPTS {
                return Err(error);
            }
            tokio::time::sleep(wait.unwrap_or(pause).min(LONGEST_PAUSE)).await;
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    async fn attempt(&self, path: &str) -> reqwest::Result<Response> {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(self.key.expose());
        request.header("Clerk-API-Version", VERSION).send().await
    }
}

/// Makes sure that a full page has something on it that no earlier one had.
fn continues(earlier: &mut BTreeSet<String>, page: &[Box<RawValue>]) -> Result<(), BackendApiError> {
    let before = earlier.len();
    earlier.extend(page.iter().map(|object| object.get().to_owned()));
    if earlier.len() > before { Ok(()) } else { Err(BackendApiError::Endless) }
}

/// Seconds, as Clerk has it.
fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// An id as a segment of a path. Clerk's consist of letters, digits and underscores, and need no escape; others must not
/// lead elsewhere.
fn in_path(id: &str) -> String {
    let escaped = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    id.bytes().map(escaped).collect()
}

impl Walk<'_> {
    /// The next page, or nothing at the end. An object may be on two of them.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Object>>, BackendApiError> {
        let Some(offset) = self.offset else { return Ok(None) };
        let path = format!("{}?limit={PAGE_SIZE}&offset={offset}", self.listing.path());
        let page = self.clerk.get(&path).await?.ok_or(BackendApiError::Refused(StatusCode::NOT_FOUND))?;
        let page: Vec<Box<RawValue>> = match self.listing {
            // The one listing without a count around it.
            Listing::Users => read(&page)?,
            Listing::Organizations | Listing::Memberships => read::<Page>(&page)?.data,
        };
        self.offset = (page.len() >= PAGE_SIZE).then_some(offset + PAGE_SIZE - OVERLAP);
        if self.offset.is_some() {
            continues(&mut self.earlier, &page)?;
        }
        Ok(Some(page.iter().map(|object| self.listing.read(object.get())).collect()))
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

    /// What it lists, for people.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Organizations => "organizations",
            Self::Memberships => "memberships",
            Self::Users => "people",
        }
    }

    fn read(self, object: &str) -> Object {
        match self {
            Self::Organizations => event::organization(object, 0),
            Self::Memberships => event::membership(object, 0),
            Self::Users => event::user(object, 0),
        }
    }
}
