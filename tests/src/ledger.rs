//! Keeps count, inside the database, of every effect that was committed: what the tables show in the end could have been
//! written twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use crate::load::Record;

/// Each webhook leaves one entry of each kind: that its event was processed, that its dealership was written, and that
/// its job is done. An entry is there exactly if the transaction was committed that caused it.
const KEEP: &str = "
    CREATE TABLE ledger (what text NOT NULL, number integer NOT NULL);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
    BEGIN
      INSERT INTO ledger SELECT TG_ARGV[0], right(CASE TG_TABLE_NAME
        WHEN 'jobs' THEN (SELECT external_id FROM deliveries WHERE id = (to_jsonb(NEW) #>> '{payload,delivery_id}')::bigint)
        WHEN 'dealerships' THEN to_jsonb(NEW) ->> 'clerk_org_id'
        ELSE to_jsonb(NEW) ->> 'external_id' END, 8)::integer;
      RETURN NULL;
    END $$;
    CREATE TRIGGER ledger AFTER UPDATE ON deliveries
      FOR EACH ROW WHEN (NEW.source = 'clerk' AND NEW.status = 'processed') EXECUTE FUNCTION note('processed');
    CREATE TRIGGER ledger AFTER INSERT OR UPDATE ON dealerships
      FOR EACH ROW WHEN (NEW.clerk_org_id ~ '^org_[0-9]{8}$') EXECUTE FUNCTION note('effect');
    CREATE TRIGGER ledger AFTER UPDATE ON jobs
      FOR EACH ROW WHEN (NEW.kind = 'clerk.process_event' AND NEW.state = 'done') EXECUTE FUNCTION note('done');";

/// How long to wait for an answer that takes a moment.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

const KINDS: [&str; 3] = ["processed", "effect", "done"];

/// What is still to be done for the webhooks up to number `$1`.
const OUTSTANDING: &str = "
    SELECT $1::bigint + 1 - count(*) FROM ledger WHERE what = 'done' AND number <= $1";

/// Jobs and events that are not at their end.
const UNFINISHED: &str = "
    SELECT (SELECT count(*) FROM jobs WHERE kind = 'clerk.process_event' AND state <> 'done')
         + (SELECT count(*) FROM deliveries WHERE source = 'clerk' AND (status <> 'processed' OR outcome <> 'applied'))";

/// The ledger of a test's database.
#[derive(Debug)]
pub struct Ledger {
    url: String,
}

/// What was promised, and what was kept.
#[derive(Debug, Default)]
pub struct Tally {
    /// What the senders saw.
    pub record: Record,
    /// Webhooks with each of their effects.
    pub whole: usize,
    /// Acknowledged webhooks without one of their effects.
    pub lost: BTreeSet<u32>,
    /// Webhooks with one of their effects more than once.
    pub doubled: BTreeSet<u32>,
    /// Effects that nobody caused, and jobs and events that are not at their end.
    pub strange: i64,
}

impl Ledger {
    /// The one that was opened in the database with this superuser's URL, or in the one that it was copied from.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned() }
    }

    /// Opens one in the database with this superuser's URL.
    pub async fn open(url: &str) -> Self {
        let mut conn = PgConnection::connect(url).await.expect("the database is there");
        sqlx::raw_sql(KEEP).execute(&mut conn).await.expect("a superuser may");
        Self::at(url)
    }

    /// Whether everything has its effect up to webhook `number`. A database that is away, or hangs, has not answered yet.
    pub async fn is_settled(&self, number: u32) -> bool {
        let answer = async {
            let mut conn = PgConnection::connect(&self.url).await?;
            let outstanding: i64 = sqlx::query_scalar(OUTSTANDING).bind(i64::from(number)).fetch_one(&mut conn).await?;
            conn.close().await?;
            Ok::<_, sqlx::Error>(outstanding == 0)
        };
        matches!(timeout(ANSWER_TIMEOUT, answer).await, Ok(Ok(true)))
    }

    /// Compares what was acknowledged with what was done.
    pub async fn compare(&self, record: Record) -> Tally {
        let mut conn = PgConnection::connect(&self.url).await.expect("the database is there");
        let counts: Vec<(i32, String, i64)> = sqlx::query_as("SELECT number, what, count(*) FROM ledger GROUP BY 1, 2")
            .fetch_all(&mut conn)
            .await
            .expect("ours");
        let unfinished: i64 = sqlx::query_scalar(UNFINISHED).fetch_one(&mut conn).await.expect("a valid statement");
        let mut entries: BTreeMap<u32, BTreeMap<String, i64>> = BTreeMap::new();
        for (number, what, count) in counts {
            entries.entry(number.unsigned_abs()).or_default().insert(what, count);
        }
        let acknowledged: BTreeSet<_> = record.acknowledged.iter().copied().collect();
        let is_whole =
            |number: &u32| entries.get(number).is_some_and(|kinds| KINDS.iter().all(|kind| kinds.contains_key(*kind)));
        let nobody_caused = entries.keys().filter(|number| !acknowledged.contains(number)).count();
        let doubled = entries.iter().filter(|(_, kinds)| kinds.values().any(|count| *count > 1));
        Tally {
            whole: acknowledged.iter().filter(|number| is_whole(number)).count(),
            lost: acknowledged.iter().copied().filter(|number| !is_whole(number)).collect(),
            doubled: doubled.map(|(number, _)| *number).collect(),
            strange: unfinished + i64::try_from(nobody_caused).expect("fewer than that"),
            record,
        }
    }
}

impl Tally {
    /// Checks that each acknowledged webhook has exactly its one effect and that there is nothing else; and that what
    /// was refused was refused for a reason that passes.
    ///
    /// # Panics
    /// When it is not so.
    #[track_caller]
    pub fn expect_exactly_once(&self) {
        assert!(self.lost.is_empty() && self.doubled.is_empty() && self.strange == 0, "{self}");
        assert!(!self.record.acknowledged.is_empty(), "there was no load");
        assert!(self.record.refused.keys().all(|why| why == "503" || why == "no answer"), "{self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record: Record { acknowledged, refused }, whole, lost, doubled, strange } = self;
        writeln!(f, "{:<24}{}", "acknowledged", acknowledged.len())?;
        for (why, count) in refused {
            writeln!(f, "{:<24}{count}", format!("refused, {why}"))?;
        }
        writeln!(f, "{:<24}{whole}", "effects")?;
        writeln!(f, "{:<24}{} {lost:?}", "lost", lost.len())?;
        writeln!(f, "{:<24}{} {doubled:?}", "doubled", doubled.len())?;
        write!(f, "{:<24}{strange}", "unaccounted for")
    }
}
