use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Uri},
};
use common::inquiry::email::{Kind, OwnAddresses, classify, plus_token, portal::SenderRules, read_raw};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::*;

const MAIL: &str = "From: \"Bilhuset AS\" <svar@norvalt.test>\r\nTo: Kari <kari@example.no>\r\n\
                    Reply-To: tesla-oslo+Ab12@inn.test\r\nSubject: =?utf-8?Q?Din_foresp=C3=B8rsel?=\r\n\
                    Message-ID: <m1@norvalt.test>\r\nReferences: <m0@norvalt.test>\r\n\
                    Content-Type: text/plain; charset=utf-8\r\n\r\nHei Kari!\r\n";

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("there is a port")
}

async fn mailbox(options: Options) -> StandIn {
    StandIn::start(listener().await, listener().await, options).await
}

/// Somebody who sends mail.
struct Client(TcpStream);

impl Client {
    async fn connect(mailbox: &StandIn) -> Self {
        let address = mailbox.smtp_url().trim_start_matches("smtp+plain://");
        Self(TcpStream::connect(address).await.expect("it listens"))
    }

    /// Sends this, and reads until the answer's last line has come, or nothing if the connection is closed first.
    async fn says(&mut self, text: &str) -> Option<String> {
        self.0.write_all(text.as_bytes()).await.ok()?;
        self.hears().await
    }

    async fn hears(&mut self) -> Option<String> {
        let mut answer = String::new();
        while !(answer.ends_with("\r\n") && is_last(answer.lines().last().unwrap_or_default())) {
            let mut bytes = [0; 1024];
            let reading = timeout(Duration::from_secs(20), self.0.read(&mut bytes));
            let count = reading.await.expect("it answers").ok().filter(|count| *count > 0)?;
            answer += std::str::from_utf8(&bytes[..count]).expect("ASCII");
        }
        Some(answer)
    }

    /// All up to the mail itself; the answers, as far as they come.
    async fn begins(&mut self) -> Vec<Option<String>> {
        let mut answers = vec![self.hears().await];
        for line in ["EHLO x\r\n", "MAIL FROM:<svar@norvalt.test>\r\n", "RCPT TO:<kari@example.no>\r\n", "DATA\r\n"] {
            answers.push(self.says(line).await);
        }
        answers
    }
}

fn is_last(line: &str) -> bool {
    line.as_bytes().get(3) == Some(&b' ')
}

async fn sends(mailbox: &StandIn, mail: &str) -> Option<String> {
    let mut client = Client::connect(mailbox).await;
    client.begins().await;
    client.says(&format!("{mail}\r\n.\r\n")).await
}

#[tokio::test]
async fn a_mail_is_taken_with_its_dots_and_copies_are_counted() {
    let mailbox = mailbox(Options::in_memory()).await;
    let mut client = Client::connect(&mailbox).await;
    client.hears().await;
    let greeting = client.says("EHLO x\r\n").await.expect("an answer");
    for word in ["250", "AUTH PLAIN", "SMTPUTF8", "8BITMIME", "SIZE", "PIPELINING"] {
        assert!(greeting.contains(word), "{word}: {greeting}");
    }
    for (line, code) in [
        ("AUTH PLAIN AGEAYg==\r\n", "235"),
        ("AUTH PLAIN\r\n", "334"),
        ("AGEAYg==\r\n", "235"),
        ("DATA\r\n", "503"),
        ("FLY\r\n", "500"),
        ("NOOP\r\n", "250"),
        ("MAIL FROM:<a@b.no>\r\n", "250"),
        ("RSET\r\n", "250"),
        ("RCPT TO:<a@b.no>\r\n", "503"),
    ] {
        let answer = client.says(line).await.expect("an answer");
        assert!(answer.starts_with(code), "{line}: {answer}");
    }
    for _ in 0..2 {
        client.says("MAIL FROM:<svar@norvalt.test> SMTPUTF8 BODY=8BITMIME SIZE=300\r\n").await;
        client.says("RCPT TO:<kari@example.no>\r\n").await;
        client.says("DATA\r\n").await;
        let answer = client.says(&format!("{MAIL}..\r\n..x\r\n.\r\n")).await.expect("an answer");
        assert!(answer.starts_with("250"), "{answer}");
    }
    assert!(client.says("QUIT\r\n").await.is_some_and(|answer| answer.starts_with("221")));

    let [first, second] = mailbox.messages().try_into().expect("two");
    assert_eq!((first.copy, second.copy), (1, 2));
    assert_eq!(first.text.trim_end(), "Hei Kari!\r\n.\r\n.x");
    assert_eq!(first.subject.as_deref(), Some("Din forespørsel"));
    assert_eq!((first.from_name.as_deref(), first.from.as_str()), (Some("Bilhuset AS"), "svar@norvalt.test"));
    assert_eq!((first.to.clone(), first.html.clone()), (vec!["kari@example.no".to_owned()], None));
    assert_eq!(first.return_path.as_deref(), Some("svar@norvalt.test"));
    assert_eq!(first.header("message-id"), Some("<m1@norvalt.test>"));
}

#[tokio::test]
async fn an_empty_mail_and_one_that_begins_with_a_dot_end() {
    let mailbox = mailbox(Options::in_memory()).await;
    assert!(sends(&mailbox, "..x: 1\r\n").await.is_some());
    let mut client = Client::connect(&mailbox).await;
    client.begins().await;
    assert!(client.says(".\r\n").await.is_some_and(|answer| answer.starts_with("250")));
    assert!(mailbox.messages()[0].raw.starts_with(".x: 1"), "{:?}", mailbox.messages()[0].raw);
}

#[tokio::test]
async fn faults_are_as_they_are_counted() {
    let mailbox = mailbox(Options::in_memory()).await;
    mailbox.set_fault(Fault::Down.times(1));
    assert_eq!(Client::connect(&mailbox).await.hears().await, None);

    mailbox.set_fault(Fault::Busy.times(1));
    let answers = Client::connect(&mailbox).await.begins().await;
    assert!(answers[2].as_ref().is_some_and(|answer| answer.starts_with("451")), "{answers:?}");

    mailbox.set_fault(Fault::Refuse.times(1));
    let answers = Client::connect(&mailbox).await.begins().await;
    assert!(answers[3].as_ref().is_some_and(|answer| answer.starts_with("550")), "{answers:?}");
    assert!(answers[4].as_ref().is_some_and(|answer| answer.starts_with("554")), "{answers:?}");
    assert!(mailbox.messages().is_empty());

    mailbox.set_fault(Fault::CutAfterData.times(1));
    assert_eq!(sends(&mailbox, MAIL).await, None);
    assert_eq!(mailbox.messages().len(), 1, "it was taken nevertheless");

    mailbox.set_fault(Fault::Down.until_told_otherwise());
    for _ in 0..3 {
        assert_eq!(sends(&mailbox, MAIL).await, None);
    }
    mailbox.end_faults();
    assert!(sends(&mailbox, MAIL).await.is_some());
    assert_eq!(mailbox.messages().len(), 2);
}

/// What the API was told.
struct Told {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

/// An API that takes everything.
async fn api() -> (String, mpsc::UnboundedReceiver<Told>) {
    let (tell, told) = mpsc::unbounded_channel();
    let take = async |State(tell): State<mpsc::UnboundedSender<Told>>, uri: Uri, headers: HeaderMap, body: Bytes| {
        tell.send(Told { uri, headers, body }).expect("the test listens");
    };
    let listener = listener().await;
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(axum::serve(listener, Router::new().fallback(take).with_state(tell)).into_future());
    (url, told)
}

fn read(told: &Told) -> common::inquiry::email::Mail {
    assert_eq!(told.uri.path(), "/webhooks/email/raw");
    let to = told.headers["x-envelope-to"].to_str().expect("ASCII").to_owned();
    let recipient = plus_token(&to).expect("an address");
    assert_eq!((recipient.key.as_str(), recipient.token.as_deref()), ("tesla-oslo", Some("Ab12")));
    read_raw(&told.body, &[to]).expect("a mail").mail
}

#[tokio::test]
async fn the_api_can_read_replies_and_reports() {
    let (url, mut told) = api().await;
    let options = Options { api: Some(url), mail_secret: "hemmelig".to_owned(), ..Options::in_memory() };
    let mailbox = mailbox(options).await;
    sends(&mailbox, MAIL).await.expect("an answer");
    let message = mailbox.wait_for(|message| message.message_id.as_deref() == Some("m1@norvalt.test")).await;

    mailbox.reply_as_customer(&message, "Ja, jeg kommer på søndag!").await.expect("it is taken");
    let reply = told.recv().await.expect("it was told");
    assert_eq!(reply.headers["authorization"], "Bearer hemmelig");
    let mail = read(&reply);
    assert_eq!(classify(&mail, &OwnAddresses::default(), &SenderRules::default()), Kind::Inquiry);
    assert_eq!(mail.in_reply_to, ["m1@norvalt.test"]);
    assert_eq!(mail.references, ["m0@norvalt.test", "m1@norvalt.test"]);
    assert_eq!(mail.subject.as_deref(), Some("Re: Din forespørsel"));
    assert_eq!(mail.from.map(|from| from.address).as_deref(), Some("kari@example.no"));
    assert!(mail.text.starts_with("Ja, jeg kommer på søndag!"), "{}", mail.text);

    mailbox.bounce(&message).await.expect("it is taken");
    let mail = read(&told.recv().await.expect("it was told"));
    assert_eq!(classify(&mail, &OwnAddresses::default(), &SenderRules::default()), Kind::Bounce);
    let report = mail.report.expect("it is one");
    assert_eq!(report.original_message_id.as_deref(), Some("m1@norvalt.test"));
    assert_eq!(report.recipient.as_deref(), Some("kari@example.no"));
    assert_eq!((report.action.as_deref(), report.status.as_deref()), (Some("failed"), Some("5.1.1")));

    mailbox.complain(&message).await.expect("it is taken");
    let mail = read(&told.recv().await.expect("it was told"));
    assert_eq!(classify(&mail, &OwnAddresses::default(), &SenderRules::default()), Kind::Complaint);
    let report = mail.report.expect("it is one");
    assert_eq!(report.original_message_id.as_deref(), Some("m1@norvalt.test"));
    assert_eq!((report.recipient.as_deref(), report.feedback.as_deref()), (Some("kari@example.no"), Some("abuse")));

    mailbox.set_fault(Fault::Bounce.times(1));
    sends(&mailbox, MAIL).await.expect("an answer");
    let mail = read(&told.recv().await.expect("it was told"));
    assert_eq!(classify(&mail, &OwnAddresses::default(), &SenderRules::default()), Kind::Bounce);
}

#[test]
fn a_form_is_signed_as_twilio_documents() {
    // The example of https://www.twilio.com/docs/usage/security#validating-requests
    let form = [
        ("Digits", "1234"),
        ("To", "+18005551212"),
        ("From", "+14158675310"),
        ("Caller", "+14158675310"),
        ("CallSid", "CA1234567890ABCDE"),
    ];
    let form: BTreeMap<_, _> = form.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let url = "https://example.com/myapp.php?foo=1&bar=2";
    assert_eq!(signature("12345", url, &form), "L/OH5YylLD5NRKLltdqwSvS0BnU=");
}

#[tokio::test]
async fn a_text_message_is_taken_and_its_delivery_told() {
    let (url, mut told) = api().await;
    let mailbox = mailbox(Options { api: Some(url.clone()), ..Options::in_memory() }).await;
    let Account { sid, auth_token } = mailbox.account();
    let address = format!("{}/2010-04-01/Accounts/{sid}/Messages.json", mailbox.url());
    let callback = format!("{url}/webhooks/twilio/events?id=1");
    let form = |to: &str| {
        let pairs = [("To", to), ("From", "+4759440000"), ("Body", "Hei på deg"), ("StatusCallback", &callback)];
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    };
    let post = |body: String, token: &str| {
        let request = reqwest::Client::new().post(&address).basic_auth(sid, Some(token)).body(body);
        request.header("content-type", "application/x-www-form-urlencoded").send()
    };
    for (to, token, status, code) in [
        ("+4791234567", "wrong", 401, 20003),
        ("91234567", auth_token.as_str(), 400, 21211),
        ("", auth_token, 400, 21604),
    ] {
        let answer = post(form(to), token).await.expect("an answer");
        assert_eq!(answer.status(), status);
        let refusal: serde_json::Value = answer.json().await.expect("JSON");
        assert_eq!(refusal["code"], code);
    }
    mailbox.set_fault(Fault::Busy.times(1).with_seconds(7));
    let answer = post(form("+4791234567"), auth_token).await.expect("an answer");
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"7".parse().expect("a value")));
    for fault in [Fault::Down, Fault::CutAfterData] {
        mailbox.set_fault(fault.times(1));
        let error = post(form("+4791234567"), auth_token).await.expect_err("the connection is closed");
        assert!(!error.is_connect() && !error.is_timeout(), "{fault:?}: {error:?}");
    }
    assert_eq!(mailbox.messages().len(), 1, "the last one was taken nevertheless");
    let taken = post(form("+4791234567"), auth_token).await.expect("an answer");
    let resource: serde_json::Value = taken.json().await.expect("JSON");
    assert_eq!((resource["status"].as_str(), resource["sid"].as_str().map(str::len)), (Some("queued"), Some(34)));

    for status in ["sent", "delivered", "sent", "delivered"] {
        let told = told.recv().await.expect("it was told");
        let form: BTreeMap<String, String> = form_urlencoded::parse(&told.body).into_owned().collect();
        assert!(["sent", "delivered"].contains(&form["MessageStatus"].as_str()), "{status}: {form:?}");
        assert_eq!(told.headers["x-twilio-signature"], signature(auth_token, &callback, &form));
    }
    let message = mailbox.messages().pop().expect("it came");
    mailbox.reply_as_customer(&message, "stopp").await.expect("it is taken");
    let told = told.recv().await.expect("it was told");
    let form: BTreeMap<String, String> = form_urlencoded::parse(&told.body).into_owned().collect();
    assert_eq!((form["From"].as_str(), form["Body"].as_str()), ("+4791234567", "stopp"));
    let address = format!("{url}/webhooks/twilio/sms");
    assert_eq!(told.headers["x-twilio-signature"], signature(auth_token, &address, &form));
}

#[tokio::test]
async fn the_page_shows_what_came_and_loads_nothing_from_elsewhere() {
    let mailbox = mailbox(Options::in_memory()).await;
    let html = MAIL.replace("text/plain", "text/html").replace("Hei Kari!", "<p>Hei \"Kari\"</p><script>x()</script>");
    sends(&mailbox, &html).await.expect("an answer");
    let get = async |path: &str| {
        let answer = reqwest::get(format!("{}{path}", mailbox.url())).await.expect("an answer");
        let policy = answer.headers()["content-security-policy"].to_str().expect("ASCII").to_owned();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        answer.text().await.expect("text")
    };
    let page = get("/messages/1").await;
    assert!(page.contains("Din forespørsel") && page.contains("&lt;p&gt;Hei &quot;Kari&quot;"), "{page}");
    assert!(page.contains("sandbox=\"allow-same-origin") && !page.contains("allow-scripts"), "{page}");
    assert!(get("/messages/1?view=headers").await.contains("<dt>Message-ID</dt>"));
    let switch = reqwest::Client::new().post(format!("{}/faults", mailbox.url()));
    let answer = switch.body(r#"{"fault": "busy", "count": 2}"#).send().await.expect("an answer");
    assert!(answer.status().is_success());
    assert!(get("/").await.contains("Providers fail"));
}

#[tokio::test]
async fn the_others_take_mails_too() {
    let mailbox = mailbox(Options::in_memory()).await;
    let post = async |path: &str, key: &str, body: serde_json::Value| {
        let request = reqwest::Client::new().post(format!("{}{path}", mailbox.url())).bearer_auth("key");
        let request = request.header("x-postmark-server-token", "key").header("idempotency-key", key).json(&body);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let sendgrid = serde_json::json!({
        "personalizations": [{ "to": [{ "email": "kari@example.no" }] }], "from": { "email": "svar@norvalt.test", "name": "Bø" },
        "reply_to": { "email": "a+b@inn.test" }, "subject": "Bil", "headers": { "Message-ID": "<1@norvalt.test>" },
        "content": [{ "type": "text/plain", "value": "Hei" }, { "type": "text/html", "value": "<p>Hei</p>" }],
    });
    let resend = serde_json::json!({
        "from": "\"Bø\" <svar@norvalt.test>", "to": ["Kari <kari@example.no>"], "reply_to": "a+b@inn.test", "subject": "Bil",
        "text": "Hei", "html": "<p>Hei</p>", "headers": { "Message-ID": "<2@norvalt.test>" },
    });
    let postmark = serde_json::json!({
        "From": "\"Bø\" <svar@norvalt.test>", "To": "kari@example.no", "ReplyTo": "a+b@inn.test", "Subject": "Bil",
        "TextBody": "Hei", "HtmlBody": "<p>Hei</p>", "Headers": [{ "Name": "Message-ID", "Value": "<3@norvalt.test>" }],
    });
    assert_eq!(post("/v3/mail/send", "", sendgrid).await.0, 202);
    let first = post("/emails", "k", resend.clone()).await;
    assert_eq!((first.0, post("/emails", "k", resend).await), (200, first), "a mail is taken once");
    assert_eq!(post("/emails", "k", serde_json::json!({})).await.0, 409);
    assert_eq!(post("/email", "", postmark.clone()).await.0, 200);
    let messages = mailbox.messages();
    assert_eq!(messages.len(), 3);
    for (message, id) in messages.iter().zip(["1@norvalt.test", "2@norvalt.test", "3@norvalt.test"]) {
        let read =
            (message.from_name.as_deref(), message.answer_to(), message.message_id.as_deref(), message.text.as_str());
        assert_eq!(read, (Some("Bø"), "a+b@inn.test", Some(id), "Hei"), "{message:?}");
        assert_eq!(
            (message.to.as_slice(), message.html.as_deref()),
            (&["kari@example.no".to_owned()][..], Some("<p>Hei</p>"))
        );
    }
    mailbox.set_fault(Fault::Busy.times(1));
    assert_eq!(post("/email", "", postmark.clone()).await.0, 429);
    mailbox.set_fault(Fault::Refuse.times(1));
    assert_eq!(post("/email", "", postmark).await.0, 422);
}
