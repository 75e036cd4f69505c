//! Where a story happens: a dealership with its customers, and all through whom its messages go.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use common::{clock::Clock, ids::DealershipId, outbox};
use dev::stand_ins::{
    assistant,
    clerk::signed_headers,
    mailbox::{ActiveFault, Fault, Message, Provider, StandIn, signature},
};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::json;
use sqlx::PgConnection;
use tests::{
    answer::Answer,
    app::{INBOUND_DOMAIN, MAIL_SECRET, Person, TWILIO_TOKEN, TestApp, WEBHOOK_SECRET},
    assistant::answering_through,
    chaos::{cut_off, expire_leases},
    drain::Worker,
    mailbox::{mailbox, sending_through},
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::story::{Step, Story};

/// What has to do with messages. The rest comes again and again.
const KINDS: &str = "kind IN ('inquiries.read', 'inquiries.read_sms', 'answers.write', 'answers.in_time', 'outbox.send_email', \
                     'outbox.send_sms', 'outbox.read_report', 'notifications.bundle')";

pub(super) struct Stage<'a> {
    app: &'a TestApp,
    kari: Person<'a>,
    dealership: DealershipId,
    pub(super) mailbox: StandIn,
    assistant: assistant::StandIn,
    settings: Vec<(&'static str, String)>,
    worker: Option<Worker>,
    customers: Client,
    conn: PgConnection,
}

impl<'a> Stage<'a> {
    /// `number` tells stories apart.
    pub(super) async fn set(app: &'a TestApp, number: u16, through: &[(&'static str, &str)], story: &Story) -> Self {
        let oslo = app.dealership(&format!("Bil {number}")).await;
        let kari = oslo.admin();
        let mode = if story.drafts { "draft" } else { "on" };
        let settings = json!({ "mode": mode, "turns": story.turns });
        let patch = kari.request(Method::PATCH, "/api/v1/dealership/answers").json(&settings);
        Answer::of(patch).await.expect(200);
        let mailbox = mailbox(app).await;
        let assistant = tests::assistant::assistant(Duration::from_millis(30)).await;
        let mut settings = sending_through(&mailbox);
        settings.extend(answering_through(&assistant));
        settings.push(("PUBLIC_URL", app.url.clone()));
        settings.push(("EMAIL_API_URL", mailbox.url()));
        settings.extend(through.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let worker = Some(Worker::start(app, &settings));
        // Forms are counted by address, and many stories are told.
        let [high, low] = number.to_be_bytes();
        let from: IpAddr = [127, 1, high, low].into();
        let customers = Client::builder().no_proxy().local_address(from).build().expect("nothing is to be refused");
        let conn = app.connect().await;
        let dealership = oslo.id;
        Self { app, kari, dealership, mailbox, assistant, settings, worker, customers, conn }
    }

    pub(super) async fn perform(&mut self, step: Step) {
        match step {
            Step::FillIn(customer) => self.fill_in(customer).await,
            Step::WriteMail(customer) => self.write_mail(customer).await,
            Step::Answer { customer, sms } => self.answer(customer, sms).await,
            Step::SendDraft(customer) => {
                let Some(lead) = self.lead(customer).await else { return };
                let draft = format!("/api/v1/leads/{lead}/draft");
                let text = json!({ "message_content": "Hei! Ja, den er ledig." });
                self.insist(|| self.kari.request(Method::POST, &draft).json(&text), &[201, 404, 409]).await;
            }
            Step::SendAgain(customer) => self.send_again(customer).await,
            Step::Reply(nth) => self.reply(nth, "Takk! Når kan jeg komme?").await,
            Step::Start(nth) => self.reply(nth, "START").await,
            Step::Bounce(nth) => self.hear_of(nth, async |mailbox, message| mailbox.bounce(&message).await).await,
            Step::Complain(nth) => self.hear_of(nth, async |mailbox, message| mailbox.complain(&message).await).await,
            Step::Report(nth, told) => self.report(nth, told).await,
            Step::ActiveFault(fault) => self.mailbox.set_fault(ActiveFault { seconds: 1, ..fault.times(1) }),
            Step::Slow => self.mailbox.set_fault(ActiveFault { seconds: 1, ..Fault::Slow.times(1) }),
            Step::Assistant(fault) => self.assistant.set_fault(fault.times(1)),
            Step::Hasten => _ = self.hasten().await,
            Step::KillWorker => {
                self.kill_worker().await;
                self.worker = Some(Worker::start(self.app, &self.settings));
            }
            Step::CutOffWorker => cut_off(&mut self.conn, "norvalt worker").await,
            Step::CutOffApi => cut_off(&mut self.conn, "norvalt api").await,
        }
    }

    /// Asks until there is an answer; it is one of these.
    async fn insist(&self, request: impl Fn() -> RequestBuilder, expected: &[u16]) {
        for _ in 0..100 {
            match request().send().await.map(|answer| answer.status().as_u16()) {
                Ok(status) if expected.contains(&status) => return,
                Err(_) | Ok(503) => sleep(Duration::from_millis(20)).await,
                Ok(status) => panic!("{status} to {:?}", request().build()),
            }
        }
        panic!("no answer to {:?}", request().build());
    }

    async fn fill_in(&self, customer: usize) {
        let url = format!("{}/webhooks/form/{}", self.app.url, self.dealership);
        let form = json!({ "name": format!("Kunde {customer}"), "email": address(customer), "phone": number(customer),
            "message": "Hei! Er bilen fortsatt ledig? Jeg lurer på hva den koster." });
        self.insist(|| self.customers.post(&url).json(&form), &[200]).await;
    }

    async fn write_mail(&self, customer: usize) {
        let sources = self.kari.get("/api/v1/lead-sources").await;
        let sources = sources.json.as_array().cloned().unwrap_or_default();
        let Some(source) = sources.iter().find(|source| source["kind"] == "email") else { return };
        let to = format!("{}@{INBOUND_DOMAIN}", source["key"].as_str().unwrap_or_default());
        let mail = format!(
            "From: Kunde <{}>\r\nTo: salg@bil.example\r\nSubject: Bil\r\nMessage-ID: <{}@kunde.example>\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\nHei! Jeg lurer på om dere har flere bilder av bilen.\r\n",
            address(customer),
            Uuid::new_v4()
        );
        let request = || {
            let request = self.app.request(Method::POST, "/webhooks/email/raw").bearer_auth(MAIL_SECRET);
            request.header("content-type", "message/rfc822").header("x-envelope-to", &to).body(mail.clone())
        };
        self.insist(request, &[200]).await;
    }

    async fn answer(&mut self, customer: usize, sms: bool) {
        let Some(lead) = self.lead(customer).await else { return };
        let channel = if sms { "sms" } else { "email" };
        let body = json!({ "lead_id": lead, "message_content": "Hei! Ja, den er ledig.", "channel": channel });
        self.insist(|| self.kari.request(Method::POST, "/api/v1/conversations").json(&body), &[201]).await;
    }

    async fn send_again(&mut self, customer: usize) {
        let Some(lead) = self.lead(customer).await else { return };
        let last: Option<Uuid> =
            sqlx::query_scalar("SELECT message_id FROM outbox WHERE lead_id = $1 ORDER BY created_at DESC LIMIT 1")
                .bind(lead)
                .fetch_optional(&mut self.conn)
                .await
                .expect("a valid statement");
        let Some(message) = last else { return };
        let again = format!("/api/v1/conversations/{message}/send-again");
        self.insist(|| self.kari.request(Method::POST, &again), &[200, 404, 409]).await;
    }

    async fn lead(&mut self, customer: usize) -> Option<Uuid> {
        sqlx::query_scalar("SELECT id FROM leads WHERE customer_email = $1 LIMIT 1")
            .bind(address(customer))
            .fetch_optional(&mut self.conn)
            .await
            .expect("a valid statement")
    }

    fn nth(&self, nth: usize) -> Option<Message> {
        let messages = self.mailbox.messages();
        messages.get(nth.checked_rem(messages.len())?).cloned()
    }

    /// Something is told of a message, or not, should the API be away just then.
    async fn hear_of<T>(&self, nth: usize, tell: impl AsyncFnOnce(&StandIn, Message) -> T) {
        if let Some(message) = self.nth(nth) {
            tell(&self.mailbox, message).await;
        }
    }

    async fn reply(&self, nth: usize, text: &str) {
        self.hear_of(nth, async |mailbox, message| mailbox.reply_as_customer(&message, text).await).await;
    }

    async fn report(&self, nth: usize, told: &str) {
        let Some(message) = self.nth(nth) else { return };
        match message.provider {
            Provider::Twilio => {
                let url = message.status_callback.clone().expect("it is to be reported");
                let fields = [("MessageSid", message.provider_id.as_str()), ("MessageStatus", told)];
                let form: BTreeMap<_, _> = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
                let signed = signature(TWILIO_TOKEN, &url, &form);
                let body = format!("MessageSid={}&MessageStatus={told}", message.provider_id);
                let request = || {
                    let request = self.customers.post(&url).header("x-twilio-signature", &signed);
                    request.header("content-type", "application/x-www-form-urlencoded").body(body.clone())
                };
                self.insist(request, &[200]).await;
            }
            Provider::Resend => {
                let told = if told == "undelivered" { "bounced" } else { told };
                let Some(id) = outbox_id(&message) else { return };
                let data = json!({ "tags": { "norvalt": outbox::tag(self.dealership, id.into()) }, "bounce": { "type": "Transient" } });
                let body = json!({ "type": format!("email.{told}"), "data": data }).to_string();
                let signed = signed_headers(WEBHOOK_SECRET, "msg_1", Clock::system().now(), body.as_bytes());
                let signed = signed.expect("the secret is valid");
                let request = || {
                    let request = self.app.request(Method::POST, "/webhooks/resend/events").body(body.clone());
                    signed.iter().fold(request, |request, (name, value)| request.header(*name, value))
                };
                self.insist(request, &[200]).await;
            }
            // Mail servers say nothing but that a mail came back.
            _ if told == "undelivered" => _ = self.mailbox.bounce(&message).await,
            _ => {}
        }
    }

    async fn kill_worker(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.kill().await;
        }
        expire_leases(&mut self.conn).await;
    }

    /// All is well again: a worker does what is left, and nothing more comes of it.
    ///
    /// # Panics
    /// When it takes longer than any of it should.
    pub(super) async fn settle(&mut self) {
        self.mailbox.end_faults();
        self.assistant.end_faults();
        self.kill_worker().await;
        self.worker = Some(Worker::start(self.app, &self.settings));
        let deadline = Instant::now() + Duration::from_secs(40);
        let mut quiet = 0;
        // Twilio's reports follow what is sent.
        while quiet < 5 {
            quiet = if self.hasten().await == 0 { quiet + 1 } else { 0 };
            assert!(Instant::now() < deadline, "jobs do not end: {}", self.unfinished().await);
            sleep(Duration::from_millis(20)).await;
        }
        if let Some(worker) = self.worker.take() {
            worker.stop().await;
        }
    }

    /// Lets the time of jobs come that are tried again later, and returns how many are not at their end.
    async fn hasten(&mut self) -> i64 {
        let hasten = format!(
            "WITH due AS (
               UPDATE jobs SET run_at = now() WHERE state IN ('retryable', 'scheduled') AND run_at > now() AND {KINDS}
               RETURNING pg_notify('norvalt_jobs', 'intervention'))
             SELECT count(*) + 0 * (SELECT count(*) FROM due) FROM jobs
             WHERE state IN ('available', 'running', 'retryable', 'scheduled') AND {KINDS}"
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(hasten)).fetch_one(&mut self.conn).await.expect("jobs can be counted")
    }

    async fn unfinished(&mut self) -> String {
        let unfinished =
            "SELECT coalesce(string_agg(concat_ws(' ', id, kind, state, attempts, run_at, errors -> -1), '; '), '')
                          FROM jobs WHERE state NOT IN ('done', 'cancelled', 'dead')";
        sqlx::query_scalar(unfinished).fetch_one(&mut self.conn).await.expect("jobs can be read")
    }
}

fn address(customer: usize) -> String {
    format!("kunde{customer}@kunde.example")
}

fn number(customer: usize) -> String {
    format!("+4791234{customer:03}")
}

/// Of which row of the outbox a message is a copy.
pub(super) fn outbox_id(message: &Message) -> Option<Uuid> {
    match &message.status_callback {
        Some(callback) => outbox::read_tag(callback.split_once("tag=")?.1).map(|(_, id)| id.into()),
        None => Uuid::try_parse(message.message_id.as_deref()?.split('@').next()?).ok(),
    }
}
