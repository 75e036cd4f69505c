//! A dealership to which things happen, as its people, its customers, workers and operators have them happen.

use std::time::Duration;

use common::{
    answers::{self, Means},
    clerk::{self, Change, receive},
    clock::Clock,
    conversations::Channel,
    deliveries, lead_sources, leads, notifications,
    outbox::{self, SuppressionReason, Way},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tests::{
    answer::Answer,
    app::{Dealership, INBOUND_DOMAIN, MAIL_SECRET, Person, TestApp, new_lead, phone},
    clerk_events,
    drain::Worker,
    jobs::JobTable,
    mailbox::{mailbox, sending_through},
};
use uuid::Uuid;

use super::{
    super::stage::fill_in,
    step::{Step, What},
};

const CUSTOMERS: u8 = 5;
const ODD: &str = "tab\there, \"quotes\", \\backslash\\, line\nbreak, æøå 日本 🚗 {},(NULL)";

pub(super) struct Life<'a> {
    app: &'a TestApp,
    oslo: Dealership<'a>,
    kari: Person<'a>,
    conn: PgConnection,
    tables: String,
}

impl<'a> Life<'a> {
    pub(super) async fn new(app: &'a TestApp, name: &str) -> Self {
        let oslo = app.known_dealership(name);
        let mut conn = app.connect().await;
        let mut tx = app.db.system().await.expect("the database is there");
        let moved = common::moving::tables(&mut tx).await.expect("a valid statement");
        drop(tx);
        let has = |name: &str| {
            let whose = match name {
                "dealerships" => "id = $1",
                "jobs" => "for_dealership = $1",
                "clerk_objects" => "org_id = (SELECT clerk_org_id FROM dealerships WHERE id = $1)",
                "delivery_repetitions" => "delivery_id IN (SELECT id FROM deliveries WHERE dealership_id = $1)",
                _ => "dealership_id = $1",
            };
            format!("SELECT '{name}' WHERE EXISTS (SELECT FROM {name} WHERE {whose})")
        };
        let tables: Vec<_> = moved.iter().map(|table| has(&table.name)).collect();
        conn.execute("SET lock_timeout = '30s'").await.expect("a setting");
        Self { app, kari: oslo.admin(), oslo, conn, tables: tables.join(" UNION ALL ") }
    }

    /// The tables in which it has something now.
    pub(super) async fn tables(&mut self) -> Vec<String> {
        let select = sqlx::query_scalar(AssertSqlSafe(self.tables.clone())).bind(self.oslo.id);
        select.fetch_all(&mut self.conn).await.expect("a valid statement")
    }

    pub(super) async fn perform(&mut self, Step { what, n }: Step) {
        match what {
            What::Lead | What::Car | What::Rule | What::Source => self.create(what, n).await,
            What::Message | What::Text | What::Progress | What::Erasure | What::Suggestion => {
                self.attend(what, n).await;
            }
            What::Form | What::Robot | What::Mail | What::Decision => self.come_in(what, n).await,
            What::Merge | What::Unmerge | What::Split => self.sort_out(what, n).await,
            What::NewKey | What::Turnstile | What::Page => self.change_source(what, n).await,
            What::MailAccount | What::TextAccount => self.change_account(what, n).await,
            What::Hours | What::Preferences => self.change_settings(what, n).await,
            What::Suppression | What::Answer | What::Notice | What::Sending => self.send(what, n).await,
            What::Renaming | What::Colleague | What::Departure => self.hear_of_people(what, n).await,
            What::Pruning | What::Counting | What::Failure | What::Work => self.look_after(what, n).await,
        }
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.kari.request(method, &format!("/api/v1/{path}"));
        answered(request.header("idempotency-key", Uuid::new_v4().to_string()).json(body)).await
    }

    /// One of what there is.
    async fn pick(&mut self, ids: &'static str, n: u8) -> Option<String> {
        let all: Vec<String> =
            sqlx::query_scalar(ids).bind(self.oslo.id).fetch_all(&mut self.conn).await.expect("a valid statement");
        let place = usize::from(n).checked_rem(all.len())?;
        all.into_iter().nth(place)
    }

    async fn lead(&mut self, n: u8) -> Option<String> {
        self.pick("SELECT id::text FROM leads WHERE dealership_id = $1 ORDER BY created_at, id", n).await
    }

    async fn create(&mut self, what: What, n: u8) {
        let (path, body) = match what {
            What::Lead => (
                "leads",
                json!({ "customer_name": ODD, "customer_email": address(n), "initial_message": ODD, "source_metadata": { "n": n, "null": null },
                        "customer_phone": n.is_multiple_of(2).then(|| number(n)) }),
            ),
            What::Car => {
                ("vehicles", json!({ "make": "VW", "model": ODD, "year": 2020, "price": u32::from(n) * 1000 }))
            }
            What::Rule => (
                "automation-rules",
                json!({ "name": ODD, "trigger_type": "no_response", "trigger_conditions": { "n": n }, "actions": [{ "do": ODD }] }),
            ),
            _ => (
                "lead-sources",
                json!({ "kind": if n.is_multiple_of(2) { "form" } else { "email" }, "name": format!("Kampanje {n}") }),
            ),
        };
        self.ask(Method::POST, path, &body).await;
    }

    async fn attend(&mut self, what: What, n: u8) {
        let Some(lead) = self.lead(n).await else { return };
        let path = format!("leads/{lead}");
        match what {
            What::Progress => {
                let status = ["new", "contacted", "qualified", "won", "lost"][usize::from(n % 5)];
                let change = json!({ "status": status, "lead_score": n % 100, "assigned_to": n.is_multiple_of(2).then_some(self.kari.id) });
                self.ask(Method::PATCH, &path, &change).await;
            }
            What::Erasure => _ = self.ask(Method::DELETE, &path, &json!(null)).await,
            What::Suggestion => _ = self.ask(Method::POST, &format!("{path}/suggestions"), &json!(null)).await,
            _ => {
                let channel = if what == What::Text { "sms" } else { "email" };
                let message = json!({ "lead_id": lead, "message_content": format!("{n} {ODD}"), "channel": channel });
                self.ask(Method::POST, "conversations", &message).await;
            }
        }
    }

    async fn come_in(&mut self, what: What, n: u8) {
        let form = format!("/webhooks/form/{}", self.oslo.id);
        match what {
            What::Form => {
                let nonce = (!n.is_multiple_of(3)).then(|| format!("nonce {}", n % 4));
                let inquiry = json!({ "email": address(n), "message": format!("Hei {}", n % 8), "_nonce": nonce });
                answered(fill_in(self.app, &form).json(&inquiry)).await;
            }
            What::Robot => {
                let robot = json!({ "email": address(n), "message": format!("Hei {n}"), "_gotcha": "x" });
                answered(fill_in(self.app, &form).json(&robot)).await;
            }
            What::Mail => {
                let keys = "SELECT k.key FROM source_keys k WHERE k.kind = 'email' AND k.dealership_id = $1 ORDER BY 1";
                let Some(key) = self.pick(keys, n).await else { return };
                let mail = format!(
                    "From: Kunde <{}>\r\nSubject: Bil\r\nMessage-ID: <{n}@kunde.example>\r\n\r\nHei! Er den ledig? {n}\r\n",
                    address(n)
                );
                let request = self.app.request(Method::POST, "/webhooks/email/raw").bearer_auth(MAIL_SECRET);
                let request = request.header("content-type", "message/rfc822");
                answered(request.header("x-envelope-to", format!("{key}@{INBOUND_DOMAIN}")).body(mail)).await;
            }
            _ => {
                let parked =
                    "SELECT id::text FROM deliveries WHERE dealership_id = $1 AND status = 'parked' ORDER BY id";
                let Some(parked) = self.pick(parked, n).await else { return };
                let decision = if n.is_multiple_of(2) { "accept" } else { "reject" };
                self.ask(Method::POST, &format!("inbound/{parked}/{decision}"), &json!(null)).await;
            }
        }
    }

    async fn sort_out(&mut self, what: What, n: u8) {
        let all =
            "SELECT id::text FROM customers WHERE dealership_id = $1 AND merged_into IS NULL ORDER BY created_at, id";
        let merged = "SELECT id::text FROM customers WHERE dealership_id = $1 AND merged_into IS NOT NULL ORDER BY created_at, id";
        match what {
            What::Merge => {
                let (Some(one), Some(other)) = (self.pick(all, n).await, self.pick(all, n.wrapping_add(1)).await)
                else {
                    return;
                };
                let merge = json!({ "customer_id": other, "dry_run": false });
                self.ask(Method::POST, &format!("customers/{one}/merge"), &merge).await;
            }
            What::Unmerge => {
                let Some(one) = self.pick(merged, n).await else { return };
                self.ask(Method::POST, &format!("customers/{one}/unmerge"), &json!(null)).await;
            }
            _ => {
                let identity = "SELECT concat_ws(' ', customer_id, kind, value) FROM customer_identities WHERE dealership_id = $1 ORDER BY 1";
                let Some(identity) = self.pick(identity, n).await else { return };
                let [customer, kind, value] = identity.splitn(3, ' ').collect::<Vec<_>>()[..] else { return };
                let part = json!({ "identities": [{ "kind": kind, "value": value }] });
                self.ask(Method::POST, &format!("customers/{customer}/split"), &part).await;
            }
        }
    }

    async fn change_source(&mut self, what: What, n: u8) {
        if what == What::Page {
            let page = json!({ "page_id": format!("77{}", n % 3), "page_name": ODD, "page_token": "EAABhunter2" });
            let page = self.ask(Method::POST, "lead-sources/facebook/connect", &page).await.expect(200);
            let mut tx = self.app.db.tenant(self.oslo.id).await.expect("the database is there");
            let source = page["id"].as_str().expect("an id").parse().expect("a UUID");
            lead_sources::confirm_page(&mut tx, source, page["key"].as_str().expect("a key"))
                .await
                .expect("nobody has it");
            let listed: Vec<_> = (0..n % 3).map(|n| (n.to_string(), Clock::system().now())).collect();
            lead_sources::count_facebook_leads(&mut tx, source, &listed).await.expect("it is there");
            tx.commit().await.expect("the database is there");
            // Facebook is not here.
            let given_up = "UPDATE jobs SET state = 'dead', finished_at = now() WHERE kind = 'facebook.connect_page' AND state <> 'dead'";
            self.conn.execute(given_up).await.expect("a superuser may");
            return;
        }
        let Some(form) = self
            .pick("SELECT id::text FROM lead_sources WHERE dealership_id = $1 AND kind = 'form' ORDER BY id", n)
            .await
        else {
            return;
        };
        if what == What::NewKey {
            self.ask(Method::POST, &format!("lead-sources/{form}/rotate-key"), &json!({ "keep_days": n % 8 })).await;
        } else {
            let secret = json!({ "turnstile_site_key": "site", "turnstile_secret": "hunter2" });
            self.ask(Method::PATCH, &format!("lead-sources/{form}"), &secret).await;
            // Nobody is asked to show that they are no program: none of our customers could.
            let off = "UPDATE lead_sources SET turnstile_site_key = NULL WHERE dealership_id = $1";
            sqlx::query(off).bind(self.oslo.id).execute(&mut self.conn).await.expect("a superuser may");
        }
    }

    async fn change_account(&mut self, what: What, n: u8) {
        let (channel, account) = if what == What::MailAccount {
            ("email", json!({ "provider": "resend", "from": "salg@nord.example", "api_key": "re_hunter2" }))
        } else {
            let sid = format!("AC{:032}", 1);
            ("sms", json!({ "provider": "twilio", "from": number(200), "account_sid": sid, "auth_token": "hunter2" }))
        };
        let method = if n.is_multiple_of(3) { Method::DELETE } else { Method::PUT };
        self.ask(method, &format!("dealership/sending/{channel}"), &account).await;
    }

    async fn change_settings(&mut self, what: What, n: u8) {
        if what == What::Hours {
            let hours = json!({ "wednesday": [{ "from": "09:00", "to": "17:00" }] });
            let settings = json!({ "mode": if n.is_multiple_of(2) { "on" } else { "draft" }, "tone": ODD, "closed_days": ["2026-12-24"],
                "opening_times": (!n.is_multiple_of(3)).then_some(hours) });
            self.ask(Method::PATCH, "dealership/answers", &settings).await;
            self.ask(Method::PATCH, "dealership", &json!({ "sla_minutes": 1 + u16::from(n), "address": ODD })).await;
        } else {
            let quiet = json!({ "sms": n.is_multiple_of(2), "quiet_hours": { "from": "21:00", "to": "07:00" } });
            let change = json!({ "phone": number(201), "notification_preferences": quiet });
            self.ask(Method::PATCH, "me", &change).await;
        }
    }

    /// What workers do, as far as the database knows of it.
    async fn send(&mut self, what: What, n: u8) {
        let queued = self
            .pick(
                "SELECT id::text FROM outbox WHERE dealership_id = $1 AND status = 'queued' ORDER BY created_at, id",
                n,
            )
            .await;
        let lead = self.lead(n).await;
        let mut tx = self.app.db.tenant(self.oslo.id).await.expect("the database is there");
        match what {
            What::Suppression => {
                let reason = [SuppressionReason::OptOut, SuppressionReason::Bounce][usize::from(n % 2)];
                outbox::suppress(&mut tx, Channel::Sms, &number(n), reason).await.expect("the database is there");
            }
            What::Answer => {
                tx.commit().await.expect("the database is there");
                let new = tests::app::NewLead { customer_phone: Some(phone(&number(n))), ..new_lead() };
                let lead = self.oslo.inquiry(new).await.id;
                tx = self.app.db.tenant(self.oslo.id).await.expect("the database is there");
                let means = Means { email: n.is_multiple_of(2), sms: true, model: None };
                answers::prepare(&mut tx, lead, 1, means).await.expect("the database is there");
            }
            What::Notice => {
                if let Some(lead) = lead {
                    let lead = lead.parse().expect("a UUID");
                    notifications::tell_if_unanswered(&mut tx, lead).await.expect("the database is there");
                }
                if n.is_multiple_of(2) {
                    notifications::bundle(&mut tx).await.expect("the database is there");
                }
            }
            _ => {
                let Some(queued) = queued else { return };
                let id = queued.parse::<Uuid>().expect("a UUID").into();
                let way = Way { domain: "norvalt.example", is_idempotent: n.is_multiple_of(2) };
                if outbox::take(&mut tx, id, way).await.expect("it is there").is_some() {
                    match n % 4 {
                        0 => outbox::mark_accepted(&mut tx, id, "smtp", Some("250 ok"), true).await,
                        1 => outbox::mark_in_doubt(&mut tx, id, "smtp", "cut").await,
                        2 => outbox::mark_not_taken(&mut tx, id, Duration::from_mins(1), "away").await,
                        // Its worker died.
                        _ => Ok(()),
                    }
                    .expect("it is there");
                }
            }
        }
        tx.commit().await.expect("the database is there");
    }

    async fn hear_of_people(&mut self, what: What, n: u8) {
        let colleague = self.oslo.person(&format!("kollega{}", n % 3));
        match what {
            What::Renaming => {
                let (org, name) = (self.oslo.org.as_str(), format!("Tesla Oslo {}", n % 4));
                let event = clerk_events::organization("organization.updated", org, &name, i64::from(n)).to_string();
                let svix_id = format!("msg_{}", Uuid::new_v4());
                receive(&self.app.db, None, &clerk_events::delivery(&svix_id, &event)).await.expect("it is there");
                if n.is_multiple_of(2) {
                    let id: i64 = sqlx::query_scalar("SELECT id FROM deliveries WHERE external_id = $1")
                        .bind(&svix_id)
                        .fetch_one(&mut self.conn)
                        .await
                        .expect("it is stored");
                    let mut tx = self.app.db.system().await.expect("the database is there");
                    clerk::process(&mut tx, id).await.expect("it can be processed");
                    tx.commit().await.expect("the database is there");
                }
            }
            What::Colleague => self.oslo.join(&colleague, "org:member").await,
            _ => {
                // What ends has begun: of an end alone nobody knows where it was.
                self.oslo.join(&colleague, "org:member").await;
                let id = format!("orgmem_{}_{}", self.oslo.org, colleague.user).parse().expect("printable");
                self.app.change(Change::MembershipDeleted { id, user: Some(colleague.user.clone()) }).await;
            }
        }
    }

    /// What goes on by itself.
    async fn look_after(&mut self, what: What, n: u8) {
        match what {
            What::Pruning => _ = deliveries::prune(&self.app.db, Duration::ZERO).await.expect("it is there"),
            What::Counting => _ = leads::count(&self.app.db).await.expect("it is there"),
            What::Failure => {
                let state = if n.is_multiple_of(2) { "dead" } else { "retryable" };
                let fail = format!(
                    "UPDATE jobs SET state = '{state}', attempts = 3, errors = '[{{\"error\": \"it failed\"}}]', run_at = now() + interval '1 day',
                            finished_at = CASE WHEN '{state}' = 'dead' THEN now() END
                     WHERE id = (SELECT id FROM jobs WHERE for_dealership = '{}' AND state = 'available' ORDER BY id DESC LIMIT 1)",
                    self.oslo.id
                );
                self.conn.execute(AssertSqlSafe(fail)).await.expect("a superuser may");
            }
            _ => {
                let mailbox = mailbox(self.app).await;
                let worker = Worker::start(self.app, &sending_through(&mailbox));
                let read = "SELECT count(*) = $1 FROM jobs WHERE kind IN ('inquiries.read', 'clerk.process_event', 'outbox.send_email')
                              AND state IN ('available', 'running')";
                JobTable::at(&self.app.database_url).await.wait_until(read, 0).await;
                worker.stop().await;
            }
        }
    }
}

/// Not everything that is asked for can be, but all of it is answered.
async fn answered(request: RequestBuilder) -> Answer {
    let answer = Answer::of(request).await;
    assert!(answer.status.as_u16() < 500 && answer.status != 401, "{}: {:#}", answer.status, answer.json);
    answer
}

fn address(n: u8) -> String {
    format!("kunde{}@kunde.example", n % CUSTOMERS)
}

fn number(n: u8) -> String {
    format!("+4791234{n:03}")
}
