//! A whole API with a database of its own and a stand-in for Clerk, and the people who use it.

use chrono::{DateTime, Utc};
use common::{
    answers,
    clerk::{self, Change, Membership, Organization, PersonHint},
    clock::Clock,
    config::{ApiConfig, Settings},
    conversations::{self, Channel, Direction, NewMessage, SenderType},
    db::Db,
    ids::{ClerkOrgId, ClerkUserId, DealershipId, LeadId, UserId},
    input::{Email, Phone},
    leads::{self, Lead, LeadSource, LeadStatus},
    secrets::Secret,
};
use dev::stand_ins::clerk::{Options, SessionToken, StandIn, signed_headers};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    answer::Answer,
    cluster::{TestDatabase, database},
    signing::signing_key,
};

pub use common::leads::NewLead;

/// Signs the webhooks of the tests.
pub const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The secret that is being rotated out.
pub const OLD_WEBHOOK_SECRET: &str = "whsec_bm9ydmFsdC1vbGQtd2ViaG9vay1zZWNyZXQ=";
/// Seals secrets.
pub const SECRETS_KEYS: &str = "tests:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// Where mails are sent to.
pub const INBOUND_DOMAIN: &str = "inn.norvalt.example";
/// Of whoever hands mails over.
pub const MAIL_SECRET: &str = "a-mail-secret-of-tests";
/// Signs Twilio's webhooks.
pub const TWILIO_TOKEN: &str = "a-twilio-token-of-tests";
/// Signs Meta's webhooks.
pub const META_SECRET: &str = "a-meta-secret-of-tests";
/// The origin that the tests' tokens were issued for.
pub const FRONTEND: &str = "https://app.norvalt.example";

/// The API, served in this process on a port of its own.
pub struct TestApp {
    /// Its database, seen by the superuser.
    pub database_url: String,
    /// The doors to that database.
    pub db: Db,
    pub clerk: StandIn,
    pub url: String,
    http: Client,
    _database: Option<TestDatabase>,
    _stop: oneshot::Sender<()>,
    _server: JoinHandle<()>,
}

impl TestApp {
    /// Starts one on a fresh database.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts one on a fresh database with a changed configuration.
    pub async fn start_with(change: impl FnOnce(&mut ApiConfig)) -> Self {
        let database = database().await;
        let app = Self::start_on(&database.url, change).await;
        Self { _database: Some(database), ..app }
    }

    /// Starts one on a fresh database with a time of its own.
    pub async fn start_at(clock: Clock) -> Self {
        let database = database().await;
        let app = Self::launch(&database.url, clock, |_, _| {}).await;
        Self { _database: Some(database), ..app }
    }

    /// Starts one on this database.
    pub async fn start_on(database_url: &str, change: impl FnOnce(&mut ApiConfig)) -> Self {
        Self::launch(database_url, Clock::system(), |config, _| change(config)).await
    }

    /// Starts one on a fresh database to which providers report. It knows its address, which is part of what Twilio signs.
    pub async fn start_with_reports() -> Self {
        let database = database().await;
        let app = Self::launch(&database.url, Clock::system(), |config, url| {
            config.public_url = Some(url.to_owned());
            config.senders.reports.twilio_token = Some(Secret::new(TWILIO_TOKEN));
            config.senders.reports.resend_secrets = Some(WEBHOOK_SECRET.parse().expect("it is one"));
        })
        .await;
        Self { _database: Some(database), ..app }
    }

    async fn launch(database_url: &str, clock: Clock, change: impl FnOnce(&mut ApiConfig, &str)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let clerk = StandIn::start(listener, Options::in_memory(signing_key())).await.expect("it keeps no file");
        let settings = [
            ("DATABASE_URL", database_url.to_owned()),
            ("DATABASE_CONNECTIONS", "8".to_owned()),
            ("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsubG9jYWxob3N0JA==".to_owned()),
            ("CLERK_JWKS_URL", clerk.jwks_url()),
            ("CLERK_WEBHOOK_SECRET", format!("{WEBHOOK_SECRET},{OLD_WEBHOOK_SECRET}")),
            ("CLERK_AUTHORIZED_PARTIES", FRONTEND.to_owned()),
            ("SECRETS_KEYS", SECRETS_KEYS.to_owned()),
            ("PUBLIC_URL", "https://api.norvalt.example".to_owned()),
            ("INBOUND_DOMAIN", INBOUND_DOMAIN.to_owned()),
            ("INBOUND_MAIL_SECRETS", MAIL_SECRET.to_owned()),
            ("MAILGUN_SIGNING_KEY", MAIL_SECRET.to_owned()),
            ("POSTMARK_INBOUND_LOGIN", format!("norvalt:{MAIL_SECRET}")),
            ("FACEBOOK_APP_ID", "1234567890123456".to_owned()),
            ("FACEBOOK_APP_SECRETS", META_SECRET.to_owned()),
            ("FACEBOOK_VERIFY_TOKEN", "verify-me-please".to_owned()),
            ("ASSISTANT", "anthropic".to_owned()),
            ("DRAIN_SECONDS", "0".to_owned()),
            ("CORS_ORIGINS", format!("{FRONTEND},https://*.vercel.app")),
        ];
        let mut config = ApiConfig::read(&mut Settings::from_values(settings)).expect("the settings above are valid");
        // Tests refuse more than a client would cause.
        config.clients.anonymous_burst = 10_000;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        change(&mut config, &url);
        let db = Db::new(&config.database_url, 4, "tests");
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let stop = async { _ = stopped.await };
            api::serve(config, listener, clock, stop).await.expect("the API serves");
        });
        let app = Self {
            database_url: database_url.to_owned(),
            db,
            clerk,
            url,
            http: Client::new(),
            _database: None,
            _stop: stop,
            _server: server,
        };
        // Waits in the listener's queue until the start-up checks are done.
        app.get("/health").await.expect(200);
        app
    }

    /// A dealership of this name with an administrator, provisioned as from Clerk's events.
    pub async fn dealership(&self, name: &str) -> Dealership<'_> {
        let dealership = self.known_dealership(name);
        dealership.member("admin", "org:admin").await;
        dealership
    }

    /// A dealership of this name, which was provisioned through another process perhaps.
    pub fn known_dealership(&self, name: &str) -> Dealership<'_> {
        let slug: String = name.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
        let org: ClerkOrgId = format!("org_{}", slug.replace(|c: char| !c.is_ascii(), "x")).parse().expect("printable");
        Dealership { app: self, id: DealershipId::of(&org), org, name: name.to_owned() }
    }

    /// A request without a token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// GET with any token.
    pub async fn get_with(&self, token: &str, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).bearer_auth(token)).await
    }

    /// GET without a token.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// Delivers a webhook as Svix would.
    pub async fn deliver(&self, svix_id: &str, body: &Value) -> Answer {
        self.deliver_signed(WEBHOOK_SECRET, svix_id, 0, body.to_string().into()).await
    }

    /// Delivers any bytes, signed with this secret `age` seconds ago.
    pub async fn deliver_signed(&self, secret: &str, svix_id: &str, age: i64, body: Vec<u8>) -> Answer {
        let signed_at = Clock::system().now() - chrono::TimeDelta::seconds(age);
        let mut request = self.request(Method::POST, "/webhooks/clerk").header("content-type", "application/json");
        for (name, value) in signed_headers(secret, svix_id, signed_at, &body).expect("the secret is valid") {
            request = request.header(name, value);
        }
        Answer::of(request.body(body)).await
    }

    /// Applies what Clerk could have said, without the detour of an event.
    pub async fn change(&self, change: Change) {
        let mut tx = self.db.system().await.expect("the database is there");
        clerk::apply(&mut tx, change).await.expect("a valid change");
        tx.commit().await.expect("the database is there");
    }

    /// Connects to the database as its superuser, whom no policy binds.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.database_url).await.expect("the database is there")
    }

    /// A single number from the database, seen by its superuser.
    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut conn = self.connect().await;
        sqlx::query_scalar(sql).fetch_one(&mut conn).await.expect("a valid statement")
    }
}

/// A dealership of a test.
pub struct Dealership<'a> {
    app: &'a TestApp,
    pub id: DealershipId,
    pub org: ClerkOrgId,
    pub name: String,
}

impl<'a> Dealership<'a> {
    pub fn admin(&self) -> Person<'a> {
        self.person("admin")
    }

    /// Somebody of this nickname joins with a Clerk role.
    pub async fn member(&self, nickname: &str, role: &str) -> Person<'a> {
        let person = self.person(nickname);
        self.join(&person, role).await;
        person
    }

    /// Somebody joins with a Clerk role.
    pub async fn join(&self, person: &Person<'_>, role: &str) {
        let nickname = person.user.as_str().rsplit('_').next().expect("rsplit yields at least one part");
        let membership = Change::Membership {
            id: format!("orgmem_{}_{}", self.org, person.user).parse().expect("printable"),
            version: 1,
            seen: 0,
            membership: Membership { org: self.org.clone(), user: person.user.clone(), role: role.to_owned() },
            organization: (1, Organization { name: Some(self.name.clone()) }),
            hint: PersonHint {
                name: Some(format!("{nickname} of {}", self.name)),
                email: Some(format!("{nickname}@example.no")),
            },
        };
        self.app.change(membership).await;
    }

    /// Somebody of this nickname, member or not.
    pub fn person(&self, nickname: &str) -> Person<'a> {
        let user: ClerkUserId = format!("user_{}_{nickname}", self.org).parse().expect("printable");
        Person { app: self.app, id: UserId::of(self.id, &user), user, org: Some(self.org.clone()) }
    }

    /// The dealership answers a lead.
    pub async fn answer(&self, lead: LeadId, message: &str, created_at: Option<DateTime<Utc>>) {
        let new = NewMessage {
            lead_id: lead,
            channel: Channel::Email,
            direction: Direction::Outbound,
            sender: "Kari".to_owned(),
            sender_user_id: None,
            sender_clerk_user_id: None,
            impersonator: None,
            sender_type: SenderType::Human,
            message_content: message.to_owned(),
            message_metadata: json!({}),
            created_at,
        };
        let mut tx = self.app.db.tenant(self.id).await.expect("the database is there");
        conversations::create(&mut tx, &new).await.expect("a valid message").expect("the lead is there");
        tx.commit().await.expect("the database is there");
    }

    /// Somebody who has nothing to do with this dealership.
    pub fn stranger(&self, user: &str, org: &str) -> Person<'a> {
        let (user, org): (ClerkUserId, ClerkOrgId) =
            (user.parse().expect("printable"), org.parse().expect("printable"));
        Person { app: self.app, id: UserId::of(DealershipId::of(&org), &user), user, org: Some(org) }
    }

    /// A lead of this customer.
    pub async fn lead(&self, customer: &str) -> Lead {
        self.lead_with(NewLead { customer_name: Some(customer.to_owned()), ..new_lead() }).await
    }

    /// A lead like this that has just come in, and is to be answered automatically.
    pub async fn inquiry(&self, new: NewLead) -> Lead {
        let mut tx = self.app.db.tenant(self.id).await.expect("the database is there");
        let lead = leads::create(&mut tx, &new).await.expect("a valid lead");
        answers::request(&mut tx, lead.id, 1).await.expect("the database is there");
        tx.commit().await.expect("the database is there");
        lead
    }

    /// A lead like this.
    pub async fn lead_with(&self, new: NewLead) -> Lead {
        let mut tx = self.app.db.tenant(self.id).await.expect("the database is there");
        let lead = leads::create(&mut tx, &new).await.expect("a valid lead");
        tx.commit().await.expect("the database is there");
        lead
    }
}

/// A lead of which nothing much is known.
pub fn new_lead() -> NewLead {
    NewLead {
        id: None,
        source: LeadSource::Website,
        source_url: None,
        source_metadata: json!({}).into(),
        status: LeadStatus::New,
        assigned_to: None,
        customer_name: None,
        customer_email: Some(email("kunde@example.no")),
        customer_phone: None,
        vehicle_interest: None,
        initial_message: None,
        lead_score: 50,
        created_at: None,
    }
}

/// An address that is one.
pub fn email(address: &str) -> Email {
    address.parse().expect("a valid address")
}

/// A number that is one.
pub fn phone(number: &str) -> Phone {
    number.parse().expect("a valid number")
}

/// Somebody with a Clerk account.
#[derive(Clone)]
pub struct Person<'a> {
    app: &'a TestApp,
    /// Their membership, should they have one.
    pub id: UserId,
    pub user: ClerkUserId,
    org: Option<ClerkOrgId>,
}

impl Person<'_> {
    /// The same person without an active organization.
    #[must_use]
    pub fn without_organization(self) -> Self {
        Self { org: None, ..self }
    }

    /// What their session tokens are made of.
    pub fn session(&self) -> SessionToken {
        let token = SessionToken::for_user(self.user.as_str()).authorized_party(FRONTEND);
        match &self.org {
            Some(org) => token.organization(org.as_str(), "slug", "org:admin"),
            None => token,
        }
    }

    /// A valid session token.
    pub fn token(&self) -> String {
        self.session().mint(&self.app.clerk.key())
    }

    /// GET as this person.
    pub async fn get(&self, path: &str) -> Answer {
        self.app.get_with(&self.token(), path).await
    }

    /// Any request as this person.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.app.request(method, path).bearer_auth(self.token())
    }
}
