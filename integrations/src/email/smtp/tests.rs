use std::{net::SocketAddr, sync::Arc};

use mail_parser::MessageParser;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use uuid::Uuid;

use super::{super::Mailbox, *};

/// Answers to what matters here; everything else is fine.
#[derive(Debug, Clone, Copy)]
struct Script {
    greeting: &'static str,
    mail: &'static str,
    rcpt: &'static str,
    data: &'static str,
    /// To the mail itself; empty: the connection is cut.
    content: &'static str,
}

const WILLING: Script = Script {
    greeting: "220 mail.example ESMTP",
    mail: "250 2.1.0 Ok",
    rcpt: "250 2.1.5 Ok",
    data: "354 End data with <CR><LF>.<CR><LF>",
    content: "250 2.0.0 Ok: queued as 4F1A2B",
};

/// A server that keeps to the script, and what it was told: a line for each command, the mail as one.
async fn serve(script: Script) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (told, hears) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(converse(client, script, told.clone()));
        }
    });
    (address, hears)
}

async fn converse(client: TcpStream, script: Script, told: mpsc::UnboundedSender<String>) -> Option<()> {
    let mut client = BufReader::new(client);
    say(&mut client, script.greeting).await?;
    loop {
        let command = line(&mut client).await?;
        told.send(command.clone()).ok()?;
        let answer = match command.get(..4)? {
            "EHLO" => "250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN",
            "AUTH" if command == "AUTH PLAIN AG5vcnZhbHQAd3Jvbmc=" => "535 5.7.8 authentication failed",
            "AUTH" => "235 2.7.0 welcome",
            "MAIL" => script.mail,
            "RCPT" => script.rcpt,
            "DATA" => script.data,
            _ => "250 Ok",
        };
        say(&mut client, answer).await?;
        if answer.starts_with("354") {
            told.send(content(&mut client).await?).ok()?;
            if script.content.is_empty() {
                return None;
            }
            say(&mut client, script.content).await?;
        }
    }
}

async fn say(client: &mut BufReader<TcpStream>, answer: &str) -> Option<()> {
    client.write_all(format!("{answer}\r\n").as_bytes()).await.ok()
}

async fn line(client: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let length = client.read_line(&mut line).await.ok()?;
    (length > 0).then(|| line.trim_end().to_owned())
}

async fn content(client: &mut BufReader<TcpStream>) -> Option<String> {
    let mut content = String::new();
    while !content.ends_with("\r\n.\r\n") {
        if client.read_line(&mut content).await.ok()? == 0 {
            return None;
        }
    }
    Some(content.trim_end_matches(".\r\n").to_owned())
}

fn server(address: SocketAddr) -> SmtpServer {
    format!("smtp+plain://{address}").parse().expect("an address")
}

fn client(address: SocketAddr) -> Smtp {
    Smtp::new(server(address), "norvalt.no").expect("a client")
}

fn mail() -> OutgoingEmail {
    OutgoingEmail {
        id: Uuid::from_u128(7),
        tag: "m.7".into(),
        message_id: "0190-7@svar.norvalt.no".into(),
        from: Mailbox { name: Some("Åses \"Bil\", Bø AS".into()), address: "svar@blåbær.no".into() },
        to: Mailbox { name: Some("Kåre Ødegård".into()), address: "kari@example.no".into() },
        reply_to: Some(Mailbox { name: None, address: "lead+abc@inbound.norvalt.no".into() }),
        subject: "Prøvekjøring av ærlig bil – på lørdag? 🚗".into(),
        text: "Hei Kåre!\n\n.Punktum først på linja.\nÆØÅ æøå – hilsen oss\n".into(),
        html: "<p>Hei <b>Kåre</b>!</p>".into(),
        in_reply_to: Some("first@example.no".into()),
        references: (0..30)
            .map(|n| format!("{n}-{}@example.no", "x".repeat(40)))
            .chain(["last@example.no".into()])
            .collect(),
        automatic: true,
        unsubscribe: Some("https://api.norvalt.no/unsubscribe/abc".into()),
    }
}

async fn outcome(script: Script) -> Result<Accepted, SendError> {
    let (address, _hears) = serve(script).await;
    client(address).send(&mail()).await
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written() {
    let (address, mut hears) = serve(WILLING).await;
    let accepted = client(address).send(&mail()).await.expect("the server is willing");
    assert_eq!(accepted.provider_id.as_deref(), Some("2.0.0 Ok: queued as 4F1A2B"));
    for expected in ["EHLO norvalt.no", "MAIL FROM:<svar@xn--blbr-roah.no>", "RCPT TO:<kari@example.no>", "DATA"] {
        assert_eq!(hears.recv().await.as_deref(), Some(expected));
    }
    let raw = hears.recv().await.expect("the mail");
    assert!(raw.is_ascii() && raw.lines().all(|line| line.len() <= 78), "{raw}");
    let raw = raw.replace("\r\n..", "\r\n.");
    let read = MessageParser::default().parse(&raw).expect("a mail");
    let from = read.from().and_then(|from| from.first()).expect("a sender");
    assert_eq!((from.name(), from.address()), (Some("Åses \"Bil\", Bø AS"), Some("svar@xn--blbr-roah.no")));
    let to = read.to().and_then(|to| to.first()).expect("a recipient");
    assert_eq!((to.name(), to.address()), (Some("Kåre Ødegård"), Some("kari@example.no")));
    let reply_to = read.reply_to().and_then(|to| to.first()).expect("where answers go");
    assert_eq!(reply_to.address(), Some("lead+abc@inbound.norvalt.no"));
    assert_eq!(read.subject(), Some("Prøvekjøring av ærlig bil – på lørdag? 🚗"));
    assert_eq!(read.body_text(0).expect("text").replace("\r\n", "\n"), mail().text);
    assert_eq!(read.body_html(0).expect("HTML").trim_end(), mail().html);
    assert_eq!(read.message_id(), Some("0190-7@svar.norvalt.no"));
    assert_eq!(read.in_reply_to().as_text(), Some("first@example.no"));
    let references: Vec<String> =
        read.references().as_text_list().expect("several").iter().map(ToString::to_string).collect();
    assert_eq!(references, mail().references);
    for (name, value) in [
        ("Auto-Submitted", "auto-replied"),
        ("X-Auto-Response-Suppress", "All"),
        ("List-Unsubscribe", "<https://api.norvalt.no/unsubscribe/abc>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ] {
        assert_eq!(read.header_raw(name).map(str::trim), Some(value), "{name}");
    }
    assert!(read.date().is_some());
}

#[tokio::test]
async fn nothing_in_a_mail_adds_a_header() {
    let evil = "x\r\nBcc: all@example.no\r\n\r\nbody";
    let (address, mut hears) = serve(WILLING).await;
    let mut mail = mail();
    mail.subject = evil.into();
    mail.message_id = evil.into();
    mail.in_reply_to = Some(evil.into());
    mail.references = vec![evil.into()];
    mail.unsubscribe = Some(evil.into());
    mail.to.name = Some(evil.into());
    mail.from.name = Some(('\0'..='\u{9f}').collect());
    client(address).send(&mail).await.expect("the server is willing");
    let mut raw = String::new();
    while !raw.contains("Subject:") {
        raw = hears.recv().await.expect("the mail");
    }
    let read = MessageParser::default().parse(&raw).expect("a mail");
    assert!(read.bcc().is_none(), "{raw}");
    assert_eq!(read.body_html(0).expect("HTML").trim_end(), mail.html);
    mail.to.address = "kari@example.no>\r\nRCPT TO:<all@example.no".into();
    assert!(matches!(client(address).send(&mail).await, Err(SendError::Refused(_))));
}

#[tokio::test]
async fn what_a_server_says_tells_what_to_do() {
    for (script, expected) in [
        (Script { rcpt: "450 4.2.0 greylisted", ..WILLING }, r#"Busy { after: 60s, reason: "4.2.0 greylisted" }"#),
        (Script { content: "452 4.3.1 disk full", ..WILLING }, r#"Busy { after: 60s, reason: "4.3.1 disk full" }"#),
        (Script { greeting: "421 too busy", ..WILLING }, r#"Busy { after: 60s, reason: "too busy" }"#),
        (Script { rcpt: "550 5.1.1 <kari@example.no>: unknown", ..WILLING }, r#"Refused("550 5.1.1 <…>: unknown")"#),
        (Script { rcpt: "554 5.7.1 spam", ..WILLING }, r#"Refused("554 5.7.1 spam")"#),
        (Script { data: "554 no valid recipients", ..WILLING }, r#"Refused("554 no valid recipients")"#),
        (Script { content: "554 5.6.0 content", ..WILLING }, r#"Refused("554 5.6.0 content")"#),
        (Script { mail: "552 too large", ..WILLING }, r#"Refused("552 too large")"#),
        (Script { mail: "553 not your address", ..WILLING }, r#"Misconfigured("553 not your address")"#),
        (Script { rcpt: "530 log in first", ..WILLING }, r#"Misconfigured("530 log in first")"#),
        (Script { greeting: "554 not from you", ..WILLING }, r#"Misconfigured("554 not from you")"#),
        (Script { greeting: "gibberish", ..WILLING }, "Unreachable("),
        (Script { data: "250 what?", ..WILLING }, "Unreachable("),
        (Script { content: "", ..WILLING }, "InDoubt("),
        (Script { content: "gibberish", ..WILLING }, "InDoubt("),
        (Script { content: "354 more", ..WILLING }, "InDoubt("),
    ] {
        let found = format!("{:?}", outcome(script).await.expect_err("it is not accepted"));
        assert!(found.starts_with(expected), "{script:?}: {found}");
        assert!(!found.contains("kari@"), "{found}");
    }
}

#[tokio::test]
async fn who_is_not_there_has_taken_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    assert!(matches!(client(address).send(&mail()).await, Err(SendError::Unreachable(_))));
    let nowhere = SmtpServer { host: "mail.invalid".into(), ..server(address) };
    let nowhere = Smtp::new(nowhere, "norvalt.no").expect("a client");
    assert!(matches!(nowhere.send(&mail()).await, Err(SendError::Unreachable(_))));
    // Speaks no TLS.
    let (address, _hears) = serve(WILLING).await;
    let tls = Smtp::new(SmtpServer { security: SmtpSecurity::Tls, ..server(address) }, "norvalt.no").expect("a client");
    assert!(matches!(tls.send(&mail()).await, Err(SendError::Unreachable(_))));
}

#[tokio::test]
async fn without_encryption_nothing_is_told() {
    let (address, mut hears) = serve(WILLING).await;
    let server: SmtpServer = format!("smtp://norvalt:hunter2hunter2@{address}").parse().expect("an address");
    let result = Smtp::new(server, "norvalt.no").expect("a client").send(&mail()).await;
    assert!(matches!(result, Err(SendError::Misconfigured(_))), "{result:?}");
    while let Ok(told) = hears.try_recv() {
        assert!(told.starts_with("EHLO") || told == "QUIT", "{told}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_a_matter_for_people() {
    let (address, _hears) = serve(WILLING).await;
    let with = |password: &str| {
        let server = format!("smtp+plain://norvalt:{password}@{address}").parse().expect("an address");
        Smtp::new(server, "norvalt.no").expect("a client")
    };
    assert!(with("right").send(&mail()).await.is_ok());
    assert!(with("right").verify().await.is_ok());
    assert!(matches!(with("wrong").verify().await, Err(SendError::Misconfigured(_))));
    let wrong = with("wrong").send(&mail()).await;
    assert!(matches!(&wrong, Err(SendError::Misconfigured(why)) if why.starts_with("535")), "{wrong:?}");
    assert!(!format!("{:?}", with("wrong")).contains("wrong"));
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (address, mut hears) = serve(WILLING).await;
    let smtp = Arc::new(client(address));
    for _ in 0..3 {
        smtp.send(&mail()).await.expect("the server is willing");
    }
    let mut greetings = 0;
    while let Ok(told) = hears.try_recv() {
        greetings += usize::from(told.starts_with("EHLO"));
    }
    assert_eq!(greetings, 1);
}
