//! How inquiries are sent: as their sources do, again and again until there is an answer.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use dev::stand_ins::graph::{NewLead, StandIn, signature};
use proptest::test_runner::TestCaseError;
use reqwest::{Client, Method, Url, redirect::Policy};
use serde_json::{Value, json};
use tests::app::{MAIL_SECRET, META_SECRET};
use tokio::{io::AsyncWriteExt, net::TcpSocket, time::sleep};

use super::model::{Question, Sending, Way};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wire {
    pub(super) path: String,
    headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    expected: u16,
}

impl Wire {
    /// Whether it is more than rubble.
    pub(super) fn is_readable(&self) -> bool {
        self.body.contains("kj")
    }
}

/// Where a dealership's sources are.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) form: String,
    pub(super) mail: String,
    pub(super) adf: String,
    pub(super) page: String,
}

/// The leads at Facebook, by what makes each of them another one.
pub(super) type AdLeads = BTreeMap<String, String>;

/// The prolog of a document, which is none without what follows.
const PROLOG: &str = "<?ADF VERSION=\"1.0\"?><?xml version=\"1.0\" encoding=\"utf-8\"?><adf>";

impl Addresses {
    /// The request that a source makes, or a variation by which nothing becomes another inquiry.
    pub(super) fn whole(&self, sending: &Sending, varied: bool, leads: &AdLeads) -> Wire {
        match sending.way {
            Way::Form { as_json } => self.form(sending, as_json, varied),
            Way::Mail => self.mail(&mail(sending), varied),
            Way::Portal => self.mail(&portal_mail(sending), varied),
            Way::Adf { with_ids } => {
                let prospects = sending.questions.iter().zip(sending.ids());
                let prospects =
                    prospects.map(|(question, id)| prospect(question, sending.way, with_ids.then_some(&id), varied));
                self.adf(format!("{PROLOG}{}</adf>", prospects.collect::<String>()))
            }
            Way::Facebook => self.facebook(&sending.ids(), leads),
        }
    }

    /// What is left of it when it was cut off before anything in it can be read. What is signed cannot be cut off.
    pub(super) fn rubble(&self, sending: &Sending, length: u8) -> Wire {
        let length = usize::from(length);
        match sending.way {
            Way::Form { .. } | Way::Facebook => {
                let whole = self.form(sending, true, false);
                Wire { body: whole.body[..8 + length].to_owned(), expected: 400, ..whole }
            }
            Way::Mail | Way::Portal => self.mail(&"From:"[..=length % 4], false),
            Way::Adf { .. } => self.adf(PROLOG[..30 + length].to_owned()),
        }
    }

    fn form(&self, sending: &Sending, as_json: bool, varied: bool) -> Wire {
        let question = &sending.questions[0];
        let nonce = (question.copy > 0).then(|| sending.ids()[0].clone());
        // Somebody types on after it was sent.
        let more = if varied { ", eller senere" } else { "" };
        let more = nonce.as_ref().map(|nonce| format!(" ({nonce}){more}")).unwrap_or_default();
        let fields = [
            ("name", Some(question.name.to_owned())),
            ("email", question.email.map(str::to_owned)),
            ("phone", question.phone.map(str::to_owned)),
            ("message", Some(question.text(sending.way) + &more)),
            ("_nonce", nonce),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        if as_json {
            let body = Value::Object(fields.map(|(name, value)| (name.to_owned(), value.into())).collect());
            let headers = vec![("content-type", "application/json".to_owned())];
            return Wire { path: self.form.clone(), headers, body: body.to_string(), expected: 200 };
        }
        let url = Url::parse_with_params("http://x/", fields).expect("a URL");
        let headers = vec![
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("accept", "text/html,*/*".to_owned()),
        ];
        let body = url.query().unwrap_or_default().to_owned();
        Wire { path: self.form.clone(), headers, body, expected: 303 }
    }

    fn mail(&self, message: &str, varied: bool) -> Wire {
        let to = if varied { self.mail.to_uppercase() } else { self.mail.clone() };
        let headers = vec![
            ("content-type", "message/rfc822".to_owned()),
            ("authorization", format!("Bearer {MAIL_SECRET}")),
            ("x-envelope-to", to),
        ];
        Wire { path: "/webhooks/email/raw".to_owned(), headers, body: message.to_owned(), expected: 200 }
    }

    fn adf(&self, body: String) -> Wire {
        let headers = vec![("content-type", "application/x-adf+xml".to_owned())];
        Wire { path: self.adf.clone(), headers, body, expected: 200 }
    }

    fn facebook(&self, ids: &[String], leads: &AdLeads) -> Wire {
        let entries = ids.iter().map(|id| {
            let value = json!({ "leadgen_id": leads[id], "page_id": self.page, "created_time": 1_796_000_000 });
            json!({ "id": self.page, "time": 1_796_000_001, "changes": [{ "field": "leadgen", "value": value }] })
        });
        let body = json!({ "object": "page", "entry": entries.collect::<Vec<_>>() }).to_string();
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-hub-signature-256", signature(META_SECRET, body.as_bytes())),
        ];
        Wire { path: "/webhooks/facebook".to_owned(), headers, body, expected: 200 }
    }
}

/// Has people fill in the forms at Facebook.
pub(super) fn fill_in(facebook: &StandIn, sendings: &[Sending]) -> AdLeads {
    let mut leads = AdLeads::new();
    for sending in sendings.iter().filter(|sending| sending.way == Way::Facebook) {
        for (question, id) in sending.questions.iter().zip(sending.ids()) {
            let fields = [
                ("full_name", Some(question.name.to_owned())),
                ("email", question.email.map(str::to_owned)),
                ("phone_number", question.phone.map(str::to_owned)),
                ("melding", Some(question.text(sending.way))),
            ];
            let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
            let new = NewLead { form: None, fields: fields.collect() };
            leads.entry(id).or_insert_with(|| facebook.add_lead(&new).expect("there is a form"));
        }
    }
    leads
}

fn mail(sending: &Sending) -> String {
    let (question, id) = (&sending.questions[0], &sending.ids()[0]);
    format!(
        "From: Kunde <{}>\r\nTo: salg@bil.example\r\nSubject: Bil\r\nMessage-ID: <{id}>\r\n\
         Date: Mon, 30 Nov 2026 09:00:00 +0100\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{}.\r\n",
        question.email.unwrap_or_default(),
        question.text(sending.way)
    )
}

fn portal_mail(sending: &Sending) -> String {
    let (question, id) = (&sending.questions[0], &sending.ids()[0]);
    let line =
        |label: &str, value: Option<&str>| value.map(|value| format!("{label}: {value}\r\n")).unwrap_or_default();
    format!(
        "From: FINN <noreply@finn.example>\r\nTo: salg@bil.example\r\nSubject: Foresporsel\r\nMessage-ID: <{id}@finn.example>\r\n\
         Auto-Submitted: auto-generated\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nNavn: {}\r\n{}{}Melding: {}\r\n",
        question.name,
        line("E-post", question.email),
        line("Telefon", question.phone),
        question.text(sending.way)
    )
}

fn prospect(question: &Question, way: Way, id: Option<&String>, varied: bool) -> String {
    let more = if varied && id.is_some() { ", eller senere" } else { "" };
    let element =
        |name: &str, value: Option<&str>| value.map(|value| format!("<{name}>{value}</{name}>")).unwrap_or_default();
    format!(
        "<prospect>{}<vehicle interest=\"buy\"><make>Volvo</make><model>EX30</model></vehicle><customer><contact>\
         <name part=\"full\">{}</name>{}{}</contact><comments>{}{more}</comments></customer></prospect>",
        id.map(|id| format!("<id source=\"portal\">{id}</id>")).unwrap_or_default(),
        question.name,
        element("email", question.email),
        element("phone", question.phone),
        question.text(way)
    )
}

/// Somebody with an address of their own, who sends.
#[derive(Debug)]
pub(super) struct Sender {
    client: Client,
    from: IpAddr,
    api: SocketAddr,
}

impl Sender {
    pub(super) fn new(from: IpAddr, api: &str) -> Self {
        let client = Client::builder().no_proxy().redirect(Policy::none()).local_address(from).build();
        let api = api.strip_prefix("http://").and_then(|address| address.parse().ok());
        Self { client: client.expect("nothing is to be refused"), from, api: api.expect("an address") }
    }

    /// Sends until there is an answer. Whatever comes in is taken, or is not taken for a while.
    pub(super) async fn send(&self, wire: &Wire) -> Result<(), TestCaseError> {
        loop {
            let url = format!("http://{}{}", self.api, wire.path);
            let request = self.client.request(Method::POST, url).body(wire.body.clone());
            let request = wire.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
            match request.send().await.map(|answer| answer.status().as_u16()) {
                Ok(status) if status == wire.expected => return Ok(()),
                Err(_) | Ok(503) => sleep(Duration::from_millis(20)).await,
                Ok(status) => return Err(TestCaseError::fail(format!("{status} to {wire:?}"))),
            }
        }
    }

    /// Hangs up after a part of the request, in 256ths, whatever comes of it.
    pub(super) async fn hang_up(&self, wire: &Wire, part: u8) {
        let mut text = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", wire.path, wire.body.len());
        for (name, value) in &wire.headers {
            write!(text, "{name}: {value}\r\n").expect("a String takes everything");
        }
        let text = format!("{text}\r\n{}", wire.body);
        let length = text.len() * (usize::from(part) + 1) / 256;
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.bind((self.from, 0).into()).expect("an address of this machine");
        let mut stream = socket.connect(self.api).await.expect("it listens");
        if stream.write_all(&text.as_bytes()[..length]).await.is_ok() && part > 200 {
            sleep(Duration::from_millis(u64::from(part % 7))).await;
        }
    }
}
