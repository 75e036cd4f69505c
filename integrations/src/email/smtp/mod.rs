//! Mail servers. <https://www.rfc-editor.org/rfc/rfc5321>

mod message;
mod reply;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use common::config::{SmtpSecurity, SmtpServer};
use futures::future::BoxFuture;
use lettre::{
    address::Envelope,
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailParameter},
        response::{Response, Severity},
    },
};
use reply::{Step, failure};
use tokio::time::{Instant, timeout};

use super::{Accepted, EmailSender, NoProvider, OutgoingEmail, SendError};

/// The longest that handing over one mail may take.
pub const TIME_LIMIT: Duration = READY.saturating_add(TAKE);
/// Until the server wants the mail itself.
const READY: Duration = Duration::from_secs(20);
/// Until the server has said whether it takes it.
const TAKE: Duration = Duration::from_secs(40);
/// For one address of the server.
const CONNECT: Duration = Duration::from_secs(8);
/// For saying goodbye, which is only polite.
const QUIT: Duration = Duration::from_secs(1);
/// What a server says that wants the mail itself.
const START_MAIL: u16 = 354;
/// Connections kept for the next mail, and how long.
const MAX_IDLE: usize = 4;
const IDLE: Duration = Duration::from_secs(30);

/// A mail server. Its own client, since the one that comes with lettre does not say how far a mail came.
pub struct Smtp {
    server: SmtpServer,
    tls: Option<TlsParameters>,
    hello: ClientId,
    /// Which of the server's addresses may be connected to.
    is_allowed: fn(IpAddr) -> bool,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl Smtp {
    /// Prepares for sending; nothing is connected yet. `hello` is the domain that we introduce ourselves by.
    pub fn new(mut server: SmtpServer, hello: &str) -> Result<Self, NoProvider> {
        let invalid = |error: idna::Errors| NoProvider::InvalidSetting(error.into());
        if !server.host.is_ascii() {
            server.host = idna::domain_to_ascii_strict(&server.host).map_err(invalid)?;
        }
        let tls = match server.security {
            SmtpSecurity::Plain => None,
            SmtpSecurity::Tls | SmtpSecurity::StartTls => {
                Some(TlsParameters::new(server.host.clone()).map_err(|error| NoProvider::NoClient(error.into()))?)
            }
        };
        let hello = idna::domain_to_ascii_strict(hello).map_err(invalid)?;
        Ok(Self { server, tls, hello: ClientId::Domain(hello), is_allowed: |_| true, idle: Mutex::default() })
    }

    /// Whether the server lets us in. Nothing is sent.
    pub async fn verify(&self) -> Result<(), SendError> {
        let connection = timeout(READY, self.connect()).await;
        let mut connection = connection.map_err(|late| SendError::Unreachable(Box::new(late)))??;
        let _ = timeout(QUIT, connection.quit()).await;
        Ok(())
    }

    /// Connects to no other addresses of the server.
    pub(super) fn only_at(self, is_allowed: fn(IpAddr) -> bool) -> Self {
        Self { is_allowed, ..self }
    }

    async fn deliver(&self, mail: &OutgoingEmail) -> Result<Accepted, SendError> {
        let message = message::compose(mail)?;
        let ready = timeout(READY, self.ready(message.envelope())).await;
        let mut connection = ready.map_err(|late| SendError::Unreachable(Box::new(late)))??;
        let content = message.formatted();
        let answer = timeout(TAKE, connection.message(&content)).await;
        let answer = answer.map_err(|late| SendError::InDoubt(Box::new(late)))?;
        let answer = answer.map_err(|error| failure(error, Step::Content))?;
        if answer.code().severity != Severity::PositiveCompletion {
            return Err(SendError::InDoubt("the server's answer means nothing".into()));
        }
        self.keep(connection);
        Ok(Accepted { provider_id: queued_as(&answer) })
    }

    /// A connection on which the server waits for the mail itself.
    async fn ready(&self, envelope: &Envelope) -> Result<AsyncSmtpConnection, SendError> {
        let mut connection = match self.kept().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let told = announce(&mut connection, envelope).await;
        if told.is_err() {
            let _ = timeout(QUIT, connection.abort()).await;
        }
        told.map(|()| connection)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let SmtpServer { security, login, .. } = &self.server;
        let addresses = self.addresses().await?;
        let at_once = self.tls.clone().filter(|_| *security == SmtpSecurity::Tls);
        let connection =
            AsyncSmtpConnection::connect_tokio1(addresses.as_slice(), Some(CONNECT), &self.hello, at_once, None);
        let at_connect = |error| failure(error, Step::Connect);
        let mut connection = connection.await.map_err(at_connect)?;
        if let Some(tls) = self.tls.clone().filter(|_| *security == SmtpSecurity::StartTls) {
            connection.starttls(tls, &self.hello).await.map_err(at_connect)?;
        }
        if let Some(login) = login {
            let credentials = Credentials::new(login.user.clone(), login.password.expose().to_owned());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(at_connect)?;
        }
        Ok(connection)
    }

    /// These are connected to as they are: a second look at the name could lead elsewhere.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, SendError> {
        let found = tokio::net::lookup_host((self.server.host.as_str(), self.server.port)).await;
        let found = found.map_err(|error| SendError::Unreachable(error.into()))?;
        let allowed: Vec<_> = found.filter(|address| (self.is_allowed)(address.ip())).collect();
        if allowed.is_empty() {
            return Err(SendError::misconfigured("the mail server's name leads to no public address"));
        }
        Ok(allowed)
    }

    /// The connection used last, if the server still answers on it.
    async fn kept(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let Idle { mut connection, since } = self.idle().pop()?;
            if since.elapsed() < IDLE && connection.test_connected().await {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle();
        idle.retain(|idle| idle.since.elapsed() < IDLE);
        if idle.len() < MAX_IDLE {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn announce(connection: &mut AsyncSmtpConnection, envelope: &Envelope) -> Result<(), SendError> {
    let mut parameters = vec![];
    if !envelope.from().into_iter().chain(envelope.to()).all(|address| address.to_string().is_ascii()) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(SendError::refused("the mail server takes only addresses in ASCII"));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let sender = Mail::new(envelope.from().cloned(), parameters);
    connection.command(sender).await.map_err(|error| failure(error, Step::Sender))?;
    for address in envelope.to() {
        let recipient = Rcpt::new(address.clone(), vec![]);
        connection.command(recipient).await.map_err(|error| failure(error, Step::Recipient))?;
    }
    let answer = connection.command(Data).await.map_err(|error| failure(error, Step::Recipient))?;
    if !answer.has_code(START_MAIL) {
        return Err(SendError::Unreachable("the server's answer to DATA means nothing".into()));
    }
    Ok(())
}

/// What the server says of a mail that it took: most name it by their queue's id.
fn queued_as(answer: &Response) -> Option<String> {
    let words = answer.first_line()?.split_whitespace().filter(|word| !word.contains('@'));
    let line: String = words.collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).take(100).collect();
    Some(line).filter(|line| !line.is_empty())
}

impl EmailSender for Smtp {
    fn send<'a>(&'a self, mail: &'a OutgoingEmail) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(self.deliver(mail))
    }

    fn provider(&self) -> &'static str {
        "smtp"
    }

    fn reports_delivery(&self) -> bool {
        false
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("server", &self.server).finish_non_exhaustive()
    }
}
