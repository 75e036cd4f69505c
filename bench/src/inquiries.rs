//! Inquiries as they come from outside, and whom they are for.

use std::{fmt::Write, sync::Arc};

use serde_json::json;
use sqlx::{Executor, FromRow, PgConnection};
use uuid::Uuid;

use crate::{Outcome, load::Requests, random::Random};

/// What whoever passes mails on shows.
pub(crate) const MAIL_SECRET: &str = "bench-0123456789abcdef0123456789abcdef";
pub(crate) const DOMAIN: &str = "inn.bench.example";

/// A source of a dealership's leads.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Source {
    pub(crate) key: String,
    pub(crate) dealership: Uuid,
    pub(crate) id: Uuid,
}

/// As a table too, since pgbench draws from it. So many forms that none reaches its limit.
const SOURCES: &str = "
    CREATE SCHEMA IF NOT EXISTS bench;
    DROP TABLE IF EXISTS bench.sources;
    CREATE TABLE bench.sources AS
      SELECT row_number() OVER (PARTITION BY kind ORDER BY random()) AS n, kind, md5(kind || d.id || copy) AS key,
             d.id AS dealership, md5('source' || kind || d.id || copy)::uuid AS source
      FROM dealerships d, (VALUES ('form', 200), ('email', 1)) AS k (kind, copies), generate_series(1, copies) copy
      WHERE clerk_org_id LIKE 'org_bench_%';
    ALTER TABLE bench.sources ADD PRIMARY KEY (kind, n);
    INSERT INTO lead_sources (id, dealership_id, kind, name, key)
    SELECT source, dealership, kind, 'Nettside', key FROM bench.sources ON CONFLICT DO NOTHING;
    INSERT INTO source_keys (kind, key, dealership_id, source_id)
    SELECT kind, key, dealership, source FROM bench.sources ON CONFLICT DO NOTHING;
    ANALYZE bench.sources, lead_sources, source_keys";

/// Writes sources down for all dealerships, and returns those of one kind.
pub(crate) async fn sources(connection: &mut PgConnection, kind: &str) -> Outcome<Arc<Vec<Source>>> {
    connection.execute(SOURCES).await?;
    let sources = sqlx::query_as("SELECT key, dealership, source AS id FROM bench.sources WHERE kind = $1").bind(kind);
    Ok(Arc::new(sources.fetch_all(connection).await?))
}

/// What they come as.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    Website,
    /// Of about so many bytes.
    Mail(usize),
}

/// The inquiries of one connection, each of somebody else.
pub(crate) struct Inquiries {
    form: Form,
    sources: Arc<Vec<Source>>,
    random: Random,
    text: String,
    /// What the last one was sent to, and a word that no other one has.
    pub(crate) last: Option<(Source, String)>,
}

impl Inquiries {
    /// For so many connections.
    pub(crate) fn on(connections: usize, form: Form, sources: &Arc<Vec<Source>>) -> Vec<Self> {
        // Nobody writes twice.
        let first = dev::random::bytes::<4>().iter().fold(0_usize, |n, byte| n << 8 | usize::from(*byte));
        let one = |seed| Self {
            form,
            sources: Arc::clone(sources),
            random: Random::new(seed),
            text: String::new(),
            last: None,
        };
        (first..first + connections).map(one).collect()
    }
}

impl Requests for Inquiries {
    fn next(&mut self) -> Outcome<&[u8]> {
        let word = format!("{:016x}", self.random.next());
        let source = self.random.pick(&self.sources).clone();
        let key = &source.key;
        self.text.clear();
        match self.form {
            Form::Website => {
                let body = website(&word);
                // From anywhere: who sends too many is made to wait.
                let [_, a, b, c, ..] = self.random.next().to_be_bytes();
                write!(
                    self.text,
                    "POST /webhooks/form/{key} HTTP/1.1\r\nHost: bench\r\nX-Forwarded-For: 10.{a}.{b}.{c}\r\n\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )?;
            }
            Form::Mail(bytes) => {
                let mail = mail(&word, bytes);
                write!(
                    self.text,
                    "POST /webhooks/email/raw HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {MAIL_SECRET}\r\n\
                     Content-Type: message/rfc822\r\nX-Envelope-To: {key}@{DOMAIN}\r\nContent-Length: {}\r\n\r\n{mail}",
                    mail.len()
                )?;
            }
        }
        self.last = Some((source, word));
        Ok(self.text.as_bytes())
    }

    fn check(&self, status: u16, body: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(body);
        if status == 200 && text.contains(r#""status":"received""#) { Ok(()) } else { Err(format!("{status} {text}")) }
    }
}

fn website(word: &str) -> String {
    json!({
        "name": "Bjørn Håkonsen", "email": format!("kunde.{word}@example.no"), "vehicle_interest": "Tesla Model Y Long Range",
        "message": "Hei! Jeg lurer på om dere har denne på lager, og om jeg kan prøvekjøre den i morgen. Mvh",
        "source_url": "https://www.bilhuset.example/modeller/model-y", "utm_source": "google", "utm_campaign": "elbil",
    })
    .to_string()
}

/// Somebody asks, below a long history of what was written before.
pub(crate) fn mail(word: &str, bytes: usize) -> String {
    let mut mail = format!(
        "From: =?utf-8?q?Bj=C3=B8rn_H=C3=A5konsen?= <kunde.{word}@example.no>\r\nTo: salg@bilhuset.example\r\n\
         Subject: Tesla Model Y\r\nMessage-ID: <{word}@example.no>\r\nDate: Sun, 29 Nov 2026 22:41:00 +0100\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         Hei! Jeg lurer på om dere har denne på lager, og om jeg kan prøvekjøre den i morgen.\r\nMvh Bjørn, tlf. 912 34 567\r\n\r\n"
    );
    let mut line = 0;
    while mail.len() < bytes {
        line += 1;
        let _ =
            write!(mail, "> Linje {line} av det som ble skrevet før, om utstyr, farger og når bilen kan hentes.\r\n");
    }
    mail
}
