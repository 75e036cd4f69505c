//! Meta's Graph API: leads, forms and pages. <https://developers.facebook.com/docs/graph-api>

mod error;
mod list;

use std::time::Duration;

use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use common::{
    hex,
    inquiry::facebook::{Lead, Questions},
    secrets::Secret,
};
use reqwest::{Client, Method, Url};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub use error::{GraphError, ReconnectReason};
pub use list::LeadPage;
use list::List;

use crate::http;

/// The version that we know.
pub const DEFAULT_URL: &str = "https://graph.facebook.com/v26.0";
/// Bytes of an answer: a hundred leads with long answers are less.
const MAX_ANSWER: usize = 4 << 20;
/// Objects asked for at once.
const PAGE_SIZE: &str = "100";
/// What we ask of a lead. <https://developers.facebook.com/docs/marketing-api/reference/user-lead-gen-info>
const LEAD_FIELDS: &str = "id,created_time,ad_id,ad_name,adset_id,adset_name,campaign_id,campaign_name,form_id,field_data,\
     is_organic,platform,custom_disclaimer_responses,vehicle,retailer_item_id";

/// How to reach Graph, and as whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// With the version, such as [`DEFAULT_URL`].
    pub url: String,
    pub app_id: String,
    pub app_secret: Secret,
    /// For one request, with its answer.
    pub time_limit: Duration,
}

impl Settings {
    pub fn new(app_id: impl Into<String>, app_secret: Secret) -> Self {
        Self { url: DEFAULT_URL.to_owned(), app_id: app_id.into(), app_secret, time_limit: http::TIME_LIMIT }
    }
}

/// A client of the Graph API, as one app.
#[derive(Debug, Clone)]
pub struct Graph {
    http: Client,
    url: Url,
    app_id: String,
    app_secret: Secret,
}

/// A page that somebody administers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub id: String,
    pub name: String,
    /// Does not expire by time while the user's grant stands.
    pub access_token: Secret,
}

/// A form of a page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Form {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    /// `ACTIVE`, `ARCHIVED`, `DELETED` or `DRAFT`.
    #[serde(default)]
    pub status: Option<String>,
    /// Meta's own count of its leads.
    #[serde(default)]
    pub leads_count: Option<u64>,
}

/// What somebody who logged in lets us do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserToken {
    pub token: Secret,
    /// None where Meta does not say.
    pub expires_in: Option<Duration>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct PageAnswer {
    id: String,
    #[serde(default)]
    name: String,
    access_token: String,
}

#[derive(Deserialize)]
struct QuestionsAnswer {
    #[serde(default)]
    questions: Vec<Value>,
}

#[derive(Deserialize)]
struct Subscription {
    id: String,
    #[serde(default)]
    subscribed_fields: Vec<String>,
}

#[derive(Deserialize)]
struct Permission {
    permission: String,
    status: String,
}

#[derive(Deserialize)]
struct Owner {
    id: String,
}

#[derive(Deserialize)]
struct Success {
    success: bool,
}

impl Graph {
    /// Prepares for asking; nothing is sent yet.
    pub fn new(settings: &Settings) -> Result<Self, GraphError> {
        let url = Url::parse(&settings.url).ok().filter(|url| !url.cannot_be_a_base()).ok_or(GraphError::InvalidUrl)?;
        Ok(Self {
            http: http::client(settings.time_limit)?,
            url,
            app_id: settings.app_id.clone(),
            app_secret: settings.app_secret.clone(),
        })
    }

    /// <https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving>
    pub async fn lead(&self, page_token: &Secret, id: &str) -> Result<Lead, GraphError> {
        self.get(page_token, &[id], &[("fields", LEAD_FIELDS)]).await
    }

    pub async fn form_questions(&self, page_token: &Secret, form_id: &str) -> Result<Questions, GraphError> {
        let query = [("fields", "questions{key,label,type,options}")];
        let answer: QuestionsAnswer = self.get(page_token, &[form_id], &query).await?;
        Ok(Questions::from_list(&answer.questions))
    }

    /// All forms of a page, also those that are no longer in use.
    pub async fn forms(&self, page_token: &Secret, page_id: &str) -> Result<Vec<Form>, GraphError> {
        self.all(page_token, &[page_id, "leadgen_forms"], "id,name,status,leads_count").await
    }

    /// A page of the leads of a form that came after a time; `cursor` is the last page's [`LeadPage::next`].
    pub async fn leads_since(
        &self,
        page_token: &Secret,
        form_id: &str,
        since: DateTime<Utc>,
        cursor: Option<&str>,
    ) -> Result<LeadPage, GraphError> {
        let after =
            json!([{ "field": "time_created", "operator": "GREATER_THAN", "value": since.timestamp() }]).to_string();
        let mut query = vec![("fields", LEAD_FIELDS), ("filtering", after.as_str()), ("limit", PAGE_SIZE)];
        query.extend(cursor.map(|cursor| ("after", cursor)));
        let list: List = self.get(page_token, &[form_id, "leads"], &query).await?;
        list.leads(&self.url)
    }

    /// The id of the page whose token this is. Of somebody else's token it is their id.
    pub async fn page_of(&self, page_token: &Secret) -> Result<String, GraphError> {
        let owner: Owner = self.get(page_token, &["me"], &[("fields", "id")]).await?;
        Ok(owner.id)
    }

    /// Lets Meta tell our webhook of the page's leads from now on.
    pub async fn subscribe(&self, page_token: &Secret, page_id: &str) -> Result<(), GraphError> {
        let url = self.address(&[page_id, "subscribed_apps"], &[("subscribed_fields", "leadgen")]);
        let answer: Success = self.ask(Method::POST, url, Some(page_token)).await?;
        if answer.success { Ok(()) } else { Err(GraphError::Unreadable) }
    }

    /// Whether Meta tells our webhook of the page's leads.
    pub async fn is_subscribed(&self, page_token: &Secret, page_id: &str) -> Result<bool, GraphError> {
        let apps: Vec<Subscription> =
            self.all(page_token, &[page_id, "subscribed_apps"], "id,subscribed_fields").await?;
        let is_ours = |app: &Subscription| app.id == self.app_id;
        Ok(apps.iter().any(|app| is_ours(app) && app.subscribed_fields.iter().any(|field| field == "leadgen")))
    }

    /// A token of an hour for the code that a login ended with, which is good once. `redirect_uri` is the one that the login
    /// began with. <https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow#confirm>
    pub async fn exchange_code(&self, code: &Secret, redirect_uri: &str) -> Result<Secret, GraphError> {
        let answer = self.token(&[("redirect_uri", redirect_uri), ("code", code.expose())]).await?;
        Ok(Secret::new(answer.access_token))
    }

    /// A token of sixty days for one of an hour: the tokens of pages that are got with it do not expire by time.
    /// <https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived>
    pub async fn long_lived(&self, user_token: &Secret) -> Result<UserToken, GraphError> {
        let query = [("grant_type", "fb_exchange_token"), ("fb_exchange_token", user_token.expose())];
        let long = self.token(&query).await?;
        let expires_in = long.expires_in.map(Duration::from_secs);
        Ok(UserToken { token: Secret::new(long.access_token), expires_in })
    }

    /// What the user has let us do. <https://developers.facebook.com/docs/graph-api/reference/user/permissions>
    pub async fn granted(&self, user_token: &Secret) -> Result<Vec<String>, GraphError> {
        let all: Vec<Permission> = self.all(user_token, &["me", "permissions"], "permission,status").await?;
        Ok(all.into_iter().filter(|one| one.status == "granted").map(|one| one.permission).collect())
    }

    /// The pages whose leads the user may let us read.
    pub async fn pages(&self, user_token: &Secret) -> Result<Vec<Page>, GraphError> {
        let pages: Vec<PageAnswer> = self.all(user_token, &["me", "accounts"], "id,name,access_token").await?;
        let page =
            |page: PageAnswer| Page { id: page.id, name: page.name, access_token: Secret::new(page.access_token) };
        Ok(pages.into_iter().map(page).collect())
    }

    async fn token(&self, query: &[(&str, &str)]) -> Result<TokenAnswer, GraphError> {
        let app = [("client_id", self.app_id.as_str()), ("client_secret", self.app_secret.expose())];
        let url = self.address(&["oauth", "access_token"], &[&app[..], query].concat());
        self.ask(Method::GET, url, None).await
    }

    /// Everything that a list has, page after page.
    async fn all<T: DeserializeOwned>(
        &self,
        token: &Secret,
        path: &[&str],
        fields: &str,
    ) -> Result<Vec<T>, GraphError> {
        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        for _ in 0..list::MAX_PAGES {
            let mut query = vec![("fields", fields), ("limit", PAGE_SIZE)];
            query.extend(cursor.as_deref().map(|cursor| ("after", cursor)));
            let list: List = self.get(token, path, &query).await?;
            cursor = list.next(&self.url)?;
            all.extend(list.objects().flatten());
            if cursor.is_none() {
                return Ok(all);
            }
        }
        Err(GraphError::Unreadable)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        token: &Secret,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, GraphError> {
        self.ask(Method::GET, self.address(path, query), Some(token)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        mut url: Url,
        token: Option<&Secret>,
    ) -> Result<T, GraphError> {
        if let Some(token) = token {
            url.query_pairs_mut().append_pair("appsecret_proof", &self.proof(token));
        }
        let request = self.http.request(method, url);
        // In the header rather than in the address, which proxies log.
        let request = match token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let answer = request.send().await.map_err(http::NoAnswer::from)?;
        let (status, wait) = (answer.status(), error::wait(&answer));
        let body = http::body(answer, MAX_ANSWER).await?;
        match error::in_answer(status, &body, wait) {
            Some(error) => Err(error),
            None => serde_json::from_slice(&body).map_err(|_| GraphError::Unreadable),
        }
    }

    /// Shows that the token is used by who knows the app's secret.
    /// <https://developers.facebook.com/docs/graph-api/guides/secure-requests>
    fn proof(&self, token: &Secret) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.app_secret.expose().as_bytes());
        let tag = hmac::sign(&key, token.expose().as_bytes());
        hex(tag.as_ref())
    }

    fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        let mut segments = url.path_segments_mut().expect("it was checked to be a base");
        segments.pop_if_empty().extend(path);
        drop(segments);
        url.query_pairs_mut().extend_pairs(query);
        url
    }
}
