//! How fast messages go out through a mail server.

use std::time::{Duration, Instant};

use dev::stand_ins::mailbox;
use tokio::{net::TcpListener, time::sleep};

use crate::{
    Outcome,
    context::Bench,
    load::{self, Until},
    process_stat::Used,
    report::{Row, Target},
    traffic::Path,
};

const MESSAGES: usize = 3_000;
const LIMIT: Duration = Duration::from_mins(2);

/// Messages that wait, and then one worker.
pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let mut connection = bench.database.connect().await?;
    let (api, address, _) = bench.launcher().api(&bench.database.url).await?;
    let connections = bench.options.connections;
    let until = Until::Requests(MESSAGES.div_ceil(connections));
    let written = load::run(address, bench.traffic(Path::Reply, connections), until).await?;
    api.stop().await?;

    let listener = || TcpListener::bind("127.0.0.1:0");
    let mailbox = mailbox::StandIn::start(listener().await?, listener().await?, mailbox::Options::in_memory()).await;
    let settings = [
        ("EMAIL_PROVIDER", "smtp"),
        ("EMAIL_FROM", "svar@bench.example"),
        ("SMTP_URL", mailbox.smtp_url()),
        ("SENDING_PER_MINUTE", "0"),
    ];
    let home = bench.postgres.home();
    let worker = bench.launcher().worker_with(&bench.database.url, 10, &settings)?;
    let (begin, used) = (Instant::now(), Used::now(Some(worker.pid()), &home));
    let waiting = "SELECT count(*) FROM outbox WHERE status IN ('queued', 'sending')";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut connection).await? > 0 {
        if begin.elapsed() > LIMIT {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    let used = Used::now(Some(worker.pid()), &home).since(used);
    worker.stop().await?;
    let (sent, seconds): (i64, f64) = sqlx::query_as(
        "SELECT count(*), extract(epoch FROM max(sent_at) - min(sent_at))::float8 FROM outbox WHERE sent_at IS NOT NULL",
    )
    .fetch_one(&mut connection)
    .await?;
    let arrived = mailbox.messages().len();
    mailbox.stop().await;
    let note = format!(
        "{sent} of {} written, {arrived} arrived; processor time of one: worker {:.0} µs, PostgreSQL {:.0} µs; \
         the mail server runs beside them",
        written.answers,
        used.program * 1e6 / sent as f64,
        used.postgres * 1e6 / sent as f64
    );
    let error = written.error.or_else(|| {
        // People are told of some by mail, too.
        let all = usize::try_from(sent).is_ok_and(|sent| sent >= written.answers && sent == arrived);
        (!all).then(|| "not all arrived".to_owned())
    });
    let row = Row::measured(
        "mails sent by one worker through SMTP",
        sent as f64 / seconds,
        "/s",
        Target::AtLeast(100.0),
        note,
    );
    bench.report.add(row.unless(error));
    Ok(())
}
