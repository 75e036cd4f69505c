//! Inquiries from outside: how fast they are taken and read, and what they may cost.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::PgConnection;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};
use uuid::Uuid;

use super::{requests::whole_transaction, turns::Turns};
use crate::{
    Outcome,
    context::Bench,
    http::Connection,
    inquiries::{DOMAIN, Form, Inquiries, MAIL_SECRET, Source, sources},
    load::{self, Requests, Until},
    process_stat::{Used, resident_megabytes},
    record::{Mark, Statement},
    report::{Row, Target},
    script::{ITSELF, Script},
};

/// A mail as it often is.
const MAIL: usize = 50_000;
/// A mail of the backlog.
const SHORT_MAIL: usize = 3_000;
const BACKLOG: usize = 10_000;
const DRAIN_TIMEOUT: Duration = Duration::from_mins(5);
/// Clients that send a long mail slowly.
const SLOW: usize = 64;
const LONG_MAIL: usize = 30 * 1024 * 1024;
/// How long each takes for it.
const SLOWLY: Duration = Duration::from_secs(10);

/// Until what is given back is given back.
const MOMENT: Duration = Duration::from_secs(2);

/// Draws another source each time.
const DRAW: &str = "\\set n random(1, :sources)
SELECT key, dealership, source FROM bench.sources WHERE kind = :kind AND n = :n \\gset
\\set unique random(1, 9000000000000000000)
";

pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let mut connection = bench.database.connect().await?;
    for (form, kind, name, target) in [
        (Form::Website, "form", "form of a web site taken, a lead", 0.6),
        (Form::Mail(MAIL), "email", "mail of 50 kB accepted", 0.5),
    ] {
        let sources = sources(&mut connection, kind).await?;
        let script = script(bench, &mut connection, form, kind, &sources).await?;
        let (api, address, _) = bench.launcher().api_with(&bench.database.url, &SETTINGS).await?;
        let requests = |count| Inquiries::on(count, form, &sources);
        let turns = Turns::take(bench, api.pid(), address, requests, &script).await?;
        bench.report.add(turns.row(name, target));
        api.stop().await?;
    }
    backlog(bench, &mut connection).await?;
    slow_clients(bench, &mut connection).await
}

/// No limit but those for each client and form, which many of them do not reach.
const SETTINGS: [(&str, &str); 4] = [
    ("TRUSTED_PROXIES", "1"),
    ("INBOUND_QUOTA_MIB", "1000000"),
    ("INBOUND_DOMAIN", DOMAIN),
    ("INBOUND_MAIL_SECRETS", MAIL_SECRET),
];

/// What the program sends for one inquiry, as a script.
async fn script(
    bench: &Bench,
    connection: &mut PgConnection,
    form: Form,
    kind: &str,
    sources: &Arc<Vec<Source>>,
) -> Outcome<Script> {
    // From here on ids are no other value of a statement, too.
    let sequence =
        "SELECT setval(pg_get_serial_sequence('deliveries', 'id'), 10000000 + coalesce(max(id), 0)) FROM deliveries";
    sqlx::query(sequence).execute(&mut *connection).await?;
    let (api, address, _) = bench.launcher().api_with(&bench.database.logged_url(), &SETTINGS).await?;
    let mut http = Connection::open(address).await?;
    let mut inquiries = Inquiries::on(1, form, sources).remove(0);
    let mut mark = Mark::here(&bench.database.log())?;
    // What a connection asks once, it has asked by then.
    for _ in 0..50 {
        sleep(Duration::from_millis(10)).await;
        mark = Mark::here(&bench.database.log())?;
        let answer = http.exchange(inquiries.next()?).await?;
        inquiries.check(answer.status, answer.body)?;
    }
    let statements = whole_transaction(&mark, "norvalt api").await?;
    api.stop().await?;
    let (Source { key, dealership, id: source }, word) = inquiries.last.ok_or("an inquiry was sent")?;
    let delivery: i64 = sqlx::query_scalar("SELECT max(id) FROM deliveries").fetch_one(connection).await?;
    let (dealership, source, delivery) = (dealership.to_string(), source.to_string(), delivery.to_string());
    let known =
        [(key.as_str(), ":key"), (&dealership, ":dealership"), (&source, ":source"), (&delivery, ":returned_id")];
    let others = differing(&statements, &word, &known);
    let others = others.iter().map(|(value, sql)| (value.as_str(), sql.as_str()));
    let substitutes: Vec<_> = known.into_iter().chain(others).collect();
    let script = Script::of(&statements, &substitutes).preceded_by(DRAW);
    Ok(script.with("kind", &kind).with("sources", &sources.len()))
}

/// What is another value in each inquiry, and an expression of SQL that makes another one of the recorded value.
fn differing(statements: &[Statement], word: &str, known: &[(&str, &str)]) -> Vec<(String, String)> {
    let values = statements.iter().flat_map(|statement| {
        statement.parameters.iter().flatten().enumerate().map(move |(index, value)| (statement, index, value))
    });
    let of = |(statement, index, value): (&Statement, usize, &String)| {
        if known.iter().any(|(known, _)| known == value) {
            return None;
        }
        let is = |name: &str| statement.sql.starts_with(name);
        let sql = if is("-- intake::lock") {
            "ARRAY[:unique::bigint]".to_owned()
        } else if is("-- deliveries::store") && index == 1 {
            "('bench ' || :unique)".to_owned()
        } else if value.parse::<Uuid>().is_ok() {
            format!("md5(:unique || {ITSELF}::text)::uuid")
        } else if value.starts_with("\\x") && value.len() == 66 {
            // A hash of 32 bytes.
            "sha256(int8send(:unique::bigint))".to_owned()
        } else if value.contains(word) {
            format!("replace({ITSELF}::text, '{word}', to_hex(:unique::bigint))")
        } else {
            return None;
        };
        Some((value.clone(), sql))
    };
    values.filter_map(of).collect()
}

/// Mails that came while no worker ran: none is lost, and reading them takes little.
async fn backlog(bench: &mut Bench, connection: &mut PgConnection) -> Outcome<()> {
    let sources = sources(connection, "email").await?;
    let (api, address, _) = bench.launcher().api_with(&bench.database.url, &SETTINGS).await?;
    let count = "SELECT count(*) FROM deliveries WHERE source = 'email' AND status = 'pending'";
    // Those of the part before are not counted.
    sqlx::query(
        "UPDATE deliveries SET status = 'ignored', outcome = 'bench' WHERE status = 'pending' AND source = 'email'",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM jobs WHERE state IN ('available', 'scheduled')").execute(&mut *connection).await?;
    let leads = "SELECT count(*) FROM leads WHERE source = 'email' AND created_at > now() - interval '10 minutes'";
    let before: i64 = sqlx::query_scalar(leads).fetch_one(&mut *connection).await?;
    let connections = bench.options.connections;
    let until = Until::Requests(BACKLOG / connections);
    let taken = load::run(address, Inquiries::on(connections, Form::Mail(SHORT_MAIL), &sources), until).await?;
    api.stop().await?;
    let expected = i64::try_from(taken.answers)?;

    let home = bench.postgres.home();
    let worker = bench.launcher().worker(&bench.database.url, connections)?;
    let (begin, used) = (Instant::now(), Used::now(Some(worker.pid()), &home));
    while sqlx::query_scalar::<_, i64>(count).fetch_one(&mut *connection).await? > 0 {
        if begin.elapsed() > DRAIN_TIMEOUT {
            return Err(format!("not all of {expected} mails were read within {DRAIN_TIMEOUT:?}").into());
        }
        sleep(Duration::from_millis(50)).await;
    }
    let (took, used) = (begin.elapsed().as_secs_f64(), Used::now(Some(worker.pid()), &home).since(used));
    worker.stop().await?;
    let after: i64 = sqlx::query_scalar(leads).fetch_one(&mut *connection).await?;
    let lost = expected - (after - before);
    let note = format!("of {expected} accepted while no worker ran, at {:.0}/s", taken.per_second);
    let row = Row::measured("mails that did not become a lead", lost as f64, "", Target::AtMost(0.0), note);
    bench.report.add(row.unless(taken.error));
    let note = format!(
        "with their leads, in {took:.1} s at {:.0}/s on all processors; PostgreSQL {:.0} µs for each",
        expected as f64 / took,
        used.postgres * 1e6 / expected as f64
    );
    let rate = expected as f64 / used.program;
    bench.report.add(Row::measured(
        "mails read by one processor of a worker",
        rate,
        "/s",
        Target::AtLeast(500.0),
        note,
    ));
    Ok(())
}

/// What the API needs for long mails that arrive slowly, many at once.
async fn slow_clients(bench: &mut Bench, connection: &mut PgConnection) -> Outcome<()> {
    let sources = sources(connection, "email").await?;
    let key = sources.first().ok_or("there are addresses")?.key.clone();
    let (api, address, _) = bench.launcher().api_with(&bench.database.url, &SETTINGS).await?;
    let mut clients = JoinSet::new();
    for _ in 0..SLOW {
        clients.spawn(send_slowly(address, key.clone()));
    }
    let resident = || resident_megabytes(api.pid()).unwrap_or(f64::NAN);
    let (mut sending, mut storing) = (0.0_f64, 0.0_f64);
    let mut answers = Vec::new();
    let begin = Instant::now();
    while !clients.is_empty() {
        let most = if begin.elapsed() < SLOWLY { &mut sending } else { &mut storing };
        *most = most.max(resident());
        sleep(Duration::from_millis(20)).await;
        while let Some(done) = clients.try_join_next() {
            answers.push(done??);
        }
    }
    sleep(MOMENT).await;
    let after = resident();
    api.stop().await?;
    let taken = answers.iter().filter(|status| **status == 200).count();
    let told = answers.iter().find(|status| ![200, 503].contains(*status)).map(|status| format!("a {status}"));
    let row = |name: &str, value: f64, most: f64, note: String| {
        Row::measured(name, value, " MB", Target::AtMost(most), note).unless(told.clone())
    };
    let note = format!("resident, the most seen until {SLOWLY:.0?} have passed");
    bench.report.add(row("memory of the API while 64 clients send 30 MB mails slowly", sending, 60.0, note));
    let note = format!("{taken} of {SLOW} were taken, the others are to come again (503)");
    bench.report.add(row("the same while they are stored one after the other", storing, 150.0, note));
    let note = format!("{MOMENT:.0?} after the last one");
    bench.report.add(row("the same when they are stored", after, 80.0, note));
    Ok(())
}

/// Sends a long mail piece by piece, and returns the status of the answer.
async fn send_slowly(address: SocketAddr, key: String) -> Outcome<u16> {
    const PIECES: usize = 100;
    let (mut reading, mut writing) = TcpStream::connect(address).await?.into_split();
    let head = format!(
        "POST /webhooks/email/raw HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {MAIL_SECRET}\r\n\
         Content-Type: message/rfc822\r\nX-Envelope-To: {key}@{DOMAIN}\r\nContent-Length: {LONG_MAIL}\r\n\r\n"
    );
    let answer = tokio::spawn(async move {
        let mut answer = [0; 12];
        reading.read_exact(&mut answer).await.map(|_| answer)
    });
    writing.write_all(head.as_bytes()).await?;
    let first = crate::inquiries::mail(&format!("{:016x}", u64::from_be_bytes(dev::random::bytes())), 2_000);
    let mut sent = first.len();
    writing.write_all(first.as_bytes()).await?;
    let piece = vec![b'a'; LONG_MAIL / PIECES];
    while sent < LONG_MAIL {
        let next = piece.len().min(LONG_MAIL - sent);
        // Who was told to come again is not listened to any more.
        if writing.write_all(&piece[..next]).await.is_err() {
            break;
        }
        sent += next;
        sleep(SLOWLY / u32::try_from(PIECES)?).await;
    }
    let answer = answer.await??;
    Ok(str::from_utf8(&answer[9..])?.parse()?)
}
