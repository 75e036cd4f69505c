//! What customers and their mail servers do with a message, and whom that is told.

use axum::http::StatusCode;
use common::telemetry::error_chain;

use super::{ActiveFault, Channel, Fault, Message, Reply, compose, events::Event, server::Mailbox, twilio};

/// Twilio's code of a number that cannot be reached.
const UNREACHABLE: u32 = 30003;

/// What a report came to: the status of who was told, or why that is no success.
pub(super) type Outcome = Result<StatusCode, String>;

impl Mailbox {
    /// What follows by itself when a message was taken.
    pub(super) fn follow(&self, message: &Message, active: Option<ActiveFault>) {
        let (mailbox, message) = (self.clone(), message.clone());
        let fault = active.map(|active| active.fault);
        tokio::spawn(async move {
            // What these come to is in the message's history.
            let _ = match fault {
                Some(Fault::Bounce) => mailbox.bounce(&message).await,
                Some(Fault::Complain) => mailbox.complain(&message).await,
                _ if message.channel() == Channel::Sms => mailbox.deliver_sms(&message).await,
                _ => Ok(StatusCode::OK),
            };
        });
    }

    async fn deliver_sms(&self, message: &Message) -> Outcome {
        self.tell_status(message, "sent", None).await?;
        self.tell_status(message, "delivered", None).await
    }

    pub(super) async fn reply(&self, message: &Message, text: &str) -> Outcome {
        let reply = Reply { at: self.clock().now(), text: text.to_owned() };
        self.store().change(message.id, |message| message.replies.push(reply));
        match message.channel() {
            Channel::Email => {
                let mail = compose::reply(self.clock(), message, text);
                self.post_mail(message, "the customer's reply", message.answer_to(), mail).await
            }
            Channel::Sms => {
                let form = twilio::inbound(&self.account().sid, message, text);
                let url = self.api().map(|api| format!("{api}/webhooks/twilio/sms"));
                self.post_form(message, "the customer's reply", url.as_deref(), &form).await
            }
        }
    }

    /// Only providers tell of that: mail servers say nothing.
    pub(super) async fn deliver(&self, message: &Message) -> Outcome {
        match message.channel() {
            Channel::Email => match self.tell_event(message, "delivered", Event::Delivered).await {
                Some(outcome) => outcome,
                None => self.noted(message, "delivered", Err("a mail server does not tell".to_owned())),
            },
            Channel::Sms => self.tell_status(message, "delivered", None).await,
        }
    }

    pub(super) async fn bounce(&self, message: &Message) -> Outcome {
        if let Some(outcome) = self.tell_event(message, "bounced", Event::Bounced).await {
            return outcome;
        }
        match message.channel() {
            Channel::Email => {
                let mail = compose::bounce(self.clock(), message);
                self.post_mail(message, "bounced", message.report_to(), mail).await
            }
            Channel::Sms => self.tell_status(message, "undelivered", Some(UNREACHABLE)).await,
        }
    }

    pub(super) async fn complain(&self, message: &Message) -> Outcome {
        if let Some(outcome) = self.tell_event(message, "a complaint", Event::Complained).await {
            return outcome;
        }
        match message.channel() {
            Channel::Email => {
                let mail = compose::complaint(self.clock(), message);
                self.post_mail(message, "a complaint", message.report_to(), mail).await
            }
            Channel::Sms => self.reply(message, "STOP").await,
        }
    }

    /// As the provider reports it that took the mail, if it does.
    async fn tell_event(&self, message: &Message, what: &str, event: Event) -> Option<Outcome> {
        let report = self.reporters().report(message, event, self.clock().now())?;
        let Some(api) = self.api() else {
            return Some(self.noted(message, what, Err("nobody is told here".to_owned())));
        };
        let request = self.client().post(format!("{api}{}", report.path)).header("content-type", "application/json");
        let request = report.headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        Some(self.noted(message, what, outcome(request.body(report.body)).await))
    }

    async fn tell_status(&self, message: &Message, status: &str, error: Option<u32>) -> Outcome {
        let form = twilio::status(&self.account().sid, message, status, error);
        self.post_form(message, status, message.status_callback.as_deref(), &form).await
    }

    async fn post_mail(&self, message: &Message, what: &str, to: &str, mail: Vec<u8>) -> Outcome {
        let Some(api) = self.api() else { return self.noted(message, what, Err("nobody is told here".to_owned())) };
        let request = self.client().post(format!("{api}/webhooks/email/raw")).header("x-envelope-to", to);
        let request = request.header("content-type", "message/rfc822").bearer_auth(self.mail_secret()).body(mail);
        self.noted(message, what, outcome(request).await)
    }

    async fn post_form(&self, message: &Message, what: &str, url: Option<&str>, form: &twilio::Parameters) -> Outcome {
        let Some(url) = url else { return self.noted(message, what, Err("nobody is told here".to_owned())) };
        let signature = twilio::signature(&self.account().auth_token, url, form);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client().post(url).header("x-twilio-signature", signature);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        self.noted(message, what, outcome(request).await)
    }

    fn noted(&self, message: &Message, what: &str, outcome: Outcome) -> Outcome {
        let answer = match &outcome {
            Ok(status) => status.to_string(),
            Err(words) => words.clone(),
        };
        let line = (self.clock().now(), format!("{what}: {answer}"));
        (self.tell())(&line.1);
        self.store().change(message.id, |message| message.history.push(line));
        outcome
    }
}

async fn outcome(request: reqwest::RequestBuilder) -> Outcome {
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Ok(answer.status()),
        Ok(answer) => Err(answer.status().to_string()),
        Err(error) if error.is_connect() => Err("nobody listens there".to_owned()),
        Err(error) => Err(error_chain(&error.without_url())),
    }
}
