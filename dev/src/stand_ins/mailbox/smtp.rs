//! The mail server. <https://www.rfc-editor.org/rfc/rfc5321>

use std::io;

use smtp_proto::{
    AUTH_PLAIN, EXT_8BIT_MIME, EXT_AUTH, EXT_ENHANCED_STATUS_CODES, EXT_PIPELINING, EXT_SIZE, EXT_SMTP_UTF8,
    EhloResponse, Error, Request,
    request::receiver::{DataReceiver, LineReceiver, RequestReceiver},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{ActiveFault, Fault, arrival, server::Mailbox};

const HOST: &str = "mailbox.test";
/// Bytes of the longest mail.
const SIZE_LIMIT: usize = 50 * 1024 * 1024;

/// Talks with everybody who connects, until it is dropped.
pub(super) async fn serve(listener: TcpListener, mailbox: Mailbox) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                // Whoever hangs up may do so at any time.
                sessions.spawn(Session::new(stream, mailbox.clone()).run());
            },
            Some(_) = sessions.join_next() => {}
        }
    }
}

struct Session {
    stream: TcpStream,
    mailbox: Mailbox,
    state: State,
    transaction: Option<Transaction>,
}

/// What is read next.
enum State {
    Command(RequestReceiver),
    /// What `AUTH PLAIN` did not say at once.
    Login(LineReceiver<()>),
    Mail(DataReceiver, Vec<u8>),
}

/// A mail on its way.
struct Transaction {
    from: String,
    to: Vec<String>,
    active: Option<ActiveFault>,
}

/// The connection is to be closed.
struct Closed;

impl From<io::Error> for Closed {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Session {
    fn new(stream: TcpStream, mailbox: Mailbox) -> Self {
        Self { stream, mailbox, state: State::commands(), transaction: None }
    }

    async fn run(mut self) {
        if self.mailbox.faults().next_if(|fault| fault == Fault::Down).is_some() {
            return;
        }
        let Closed = match self.talk().await {
            Ok(never) => match never {},
            Err(closed) => closed,
        };
    }

    async fn talk(&mut self) -> Result<std::convert::Infallible, Closed> {
        self.say(&format!("220 {HOST} ESMTP, for development")).await?;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let count = self.stream.read(&mut buffer).await?;
            if count == 0 {
                return Err(Closed);
            }
            let mut bytes = buffer[..count].iter();
            while !bytes.as_slice().is_empty() {
                self.take(&mut bytes).await?;
            }
        }
    }

    /// Reads on, to the end of a command or of a mail if it has come.
    async fn take(&mut self, bytes: &mut std::slice::Iter<'_, u8>) -> Result<(), Closed> {
        match &mut self.state {
            State::Command(receiver) => match receiver.ingest(bytes).map(Request::into_owned) {
                Ok(request) => self.obey(request).await,
                Err(Error::NeedsMoreData { .. }) => Ok(()),
                Err(Error::ResponseTooLong) => Err(Closed),
                Err(Error::UnknownCommand) => self.say("500 5.5.1 Unknown command").await,
                Err(_) => self.say("501 5.5.4 Syntax error").await,
            },
            State::Login(line) => {
                if line.ingest(bytes) {
                    self.state = State::commands();
                    self.say("235 2.7.0 Authentication succeeded").await?;
                }
                Ok(())
            }
            State::Mail(receiver, mail) => {
                let is_whole = receiver.ingest(bytes, mail);
                if mail.len() > SIZE_LIMIT {
                    return Err(Closed);
                }
                if is_whole { self.end_of_mail().await } else { Ok(()) }
            }
        }
    }

    async fn obey(&mut self, request: Request<String>) -> Result<(), Closed> {
        match request {
            Request::Ehlo { .. } => self.greet().await,
            Request::Helo { .. } => self.say(&format!("250 {HOST}")).await,
            Request::Auth { mechanism: AUTH_PLAIN, initial_response } if initial_response.is_empty() => {
                self.state = State::Login(LineReceiver::default());
                self.say("334 ").await
            }
            Request::Auth { mechanism: AUTH_PLAIN, .. } => self.say("235 2.7.0 Authentication succeeded").await,
            Request::Auth { .. } => self.say("504 5.5.4 Only PLAIN").await,
            Request::Mail { from } => self.begin(from.address).await,
            Request::Rcpt { to } => self.add_recipient(to.address).await,
            Request::Data => self.data().await,
            Request::Rset => {
                self.transaction = None;
                self.say("250 2.0.0 Ok").await
            }
            Request::Noop { .. } => self.say("250 2.0.0 Ok").await,
            Request::Quit => {
                self.say("221 2.0.0 Bye").await?;
                Err(Closed)
            }
            _ => self.say("502 5.5.1 Not here").await,
        }
    }

    async fn greet(&mut self) -> Result<(), Closed> {
        self.transaction = None;
        let mut response = EhloResponse::new(HOST);
        response.capabilities =
            EXT_8BIT_MIME | EXT_AUTH | EXT_ENHANCED_STATUS_CODES | EXT_PIPELINING | EXT_SIZE | EXT_SMTP_UTF8;
        response.auth_mechanisms = AUTH_PLAIN;
        response.size = SIZE_LIMIT;
        let mut text = Vec::new();
        response.write(&mut text)?;
        Ok(self.stream.write_all(&text).await?)
    }

    async fn begin(&mut self, from: String) -> Result<(), Closed> {
        if self.transaction.is_some() {
            return self.say("503 5.5.1 A mail is on its way already").await;
        }
        let active = self.mailbox.faults().next();
        match active.map(|active| active.fault) {
            Some(Fault::Down) => return Err(Closed),
            Some(Fault::Busy) => return self.say("451 4.3.2 Busy, try again later").await,
            Some(Fault::Slow) => tokio::time::sleep(active.unwrap_or(Fault::Slow.times(1)).duration()).await,
            _ => {}
        }
        self.transaction = Some(Transaction { from, to: Vec::new(), active });
        self.say("250 2.1.0 Ok").await
    }

    async fn add_recipient(&mut self, to: String) -> Result<(), Closed> {
        match &mut self.transaction {
            None => self.say("503 5.5.1 MAIL first").await,
            Some(Transaction { active: Some(ActiveFault { fault: Fault::Refuse, .. }), .. }) => {
                self.say("550 5.1.1 No such person here").await
            }
            Some(transaction) => {
                transaction.to.push(to);
                self.say("250 2.1.5 Ok").await
            }
        }
    }

    async fn data(&mut self) -> Result<(), Closed> {
        match &self.transaction {
            Some(transaction) if !transaction.to.is_empty() => {
                self.state = State::mail();
                self.say("354 End with a dot on a line of its own").await
            }
            Some(_) => self.say("554 5.5.1 No valid recipients").await,
            None => self.say("503 5.5.1 MAIL first").await,
        }
    }

    async fn end_of_mail(&mut self) -> Result<(), Closed> {
        let State::Mail(_, mail) = std::mem::replace(&mut self.state, State::commands()) else { return Err(Closed) };
        let Some(Transaction { from, to, active }) = self.transaction.take() else { return Err(Closed) };
        let mail = mail.get(BEFORE.len()..).unwrap_or_default();
        let message = self.mailbox.take(arrival::mail(self.mailbox.clock(), &from, to, mail), active);
        if active.is_some_and(|active| active.fault == Fault::CutAfterData) {
            return Err(Closed);
        }
        self.say(&format!("250 2.0.0 Ok: queued as {}", message.provider_id)).await
    }

    async fn say(&mut self, line: &str) -> Result<(), Closed> {
        Ok(self.stream.write_all(format!("{line}\r\n").as_bytes()).await?)
    }
}

/// What the receiver must have seen for a dot to begin a line.
const BEFORE: &[u8] = b"\r\n";

impl State {
    fn commands() -> Self {
        Self::Command(RequestReceiver::default())
    }

    fn mail() -> Self {
        let (mut receiver, mut mail) = (DataReceiver::new(), Vec::new());
        receiver.ingest(&mut BEFORE.iter(), &mut mail);
        Self::Mail(receiver, mail)
    }
}
