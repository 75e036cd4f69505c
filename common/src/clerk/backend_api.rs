//! Asking Clerk itself. <https://clerk.com/docs/reference/backend-api>

use std::time::Duration;

use reqwest::{Client, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{change::Change, event};
use crate::{ids::ClerkUserId, secret::Secret};

/// The version of Clerk's API that we understand. <https://clerk.com/docs/guides/development/upgrading/versioning>
const VERSION: &str = "2025-04-10";
const TIMEOUT: Duration = Duration::from_secs(15);
/// How often to try again when Clerk asks to slow down.
const PATIENCE: u32 = 5;
/// Memberships asked for at once; the most that Clerk allows.
const PAGE_SIZE: usize = 500;

/// Clerk's Backend API, with the secret key of one instance.
#[derive(Debug, Clone)]
pub struct BackendApi {
    http: Client,
    url: String,
    key: Secret,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
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
    /// Another refusal.
    #[error("Clerk answered {0}")]
    Refused(StatusCode),
    /// An answer that does not have the shape we know.
    #[error("Clerk's answer cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

impl BackendApi {
    /// Prepares for asking; nothing is sent yet.
    pub fn new(url: &str, key: Secret) -> Result<Self, BackendApiError> {
        Ok(Self { http: Client::builder().timeout(TIMEOUT).build()?, url: url.to_owned(), key })
    }

    /// A person as Clerk knows them now, or nothing.
    pub async fn user(&self, id: &ClerkUserId) -> Result<Option<Change>, BackendApiError> {
        match self.get(&format!("/v1/users/{id}")).await? {
            Some(data) => Ok(Some(event::user(&data, 0)?)),
            None => Ok(None),
        }
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
