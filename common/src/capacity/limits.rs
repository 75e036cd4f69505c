use serde::Serialize;

use super::Numbers;

/// How long it is until something hurts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "left", content = "of")]
pub enum Left {
    Now,
    /// So many days, should it grow as it did.
    Days(f64),
    /// So many days at the very least.
    AtLeast(f64),
    /// It does not grow.
    Never,
    /// That cannot be told, and why.
    Unknown(&'static str),
}

/// Something that there is only so much of.
#[derive(Debug, Clone, Serialize)]
pub struct Limit {
    pub what: String,
    pub now: String,
    pub limit: String,
    /// The share that is used, where 1 hurts.
    pub used: f64,
    #[serde(flatten)]
    pub left: Left,
    pub remedy: String,
    pub page: &'static str,
}

/// How full a disk may be: what PostgreSQL does then needs room itself.
const FULL: f64 = 0.85;
/// Days of rows that a trend takes.
const TREND: f64 = 7.0;
/// Rows that are deleted by themselves after so many days: such a table stops growing.
const PRUNED: [(&str, f64); 2] = [("jobs", 7.0), ("deliveries", 90.0)];
/// With so many leads of one dealership the pages were measured: docs/performance.md.
const MEASURED_LEADS: f64 = 1_000_000.0;
/// What one PostgreSQL was measured with: docs/performance.md.
const MEASURED_DEALERSHIPS: f64 = 10_000.0;
/// PostgreSQL stops to take writes three million before.
const TRANSACTIONS: f64 = 2_147_483_648.0 - 3_000_000.0;
/// A job that waits for longer is noticed.
const SLOW_JOB: f64 = 10.0;
/// Fewer blocks from memory than this, and the disk decides how fast it is.
const HIT_RATIO: f64 = 0.99;
/// Share of dead rows that autovacuum lets come by itself.
const DEAD: f64 = 0.2;
/// Rows below which the share of dead ones says nothing.
const FEW: i64 = 10_000;
/// Blocks below which their share says nothing.
const FEW_BLOCKS: i64 = 100_000;

const NO_HISTORY: &str = "PostgreSQL keeps no history of it";
const TOO_YOUNG: &str = "needs 7 days of data";

/// All of them, what hurts first in front. `disk` is how much the disk holds, which PostgreSQL does not know.
pub fn limits(numbers: &Numbers, disk: Option<u64>) -> Vec<Limit> {
    let mut limits = vec![
        self::disk(numbers, disk),
        connections(numbers),
        transactions(numbers),
        dealerships(numbers),
        memory(numbers),
        queue(numbers),
    ];
    limits.extend(largest_dealership(numbers));
    limits.extend(dead_rows(numbers));
    limits.extend(archive(numbers));
    limits.sort_by(|a, b| urgency(a).0.total_cmp(&urgency(b).0).then(urgency(b).1.total_cmp(&urgency(a).1)));
    limits
}

/// What is known comes before what is not; of that, what is used most.
fn urgency(limit: &Limit) -> (f64, f64) {
    let days = match limit.left {
        Left::Now => -1.0,
        Left::Days(days) | Left::AtLeast(days) => days,
        Left::Unknown(_) => f64::MAX / 2.0,
        Left::Never => f64::MAX,
    };
    (days, limit.used)
}

/// When something that grows by so much a day will hurt.
fn grows(used: f64, rest: f64, a_day: f64) -> Left {
    match () {
        () if used >= 1.0 => Left::Now,
        () if a_day > 0.0 => Left::Days(rest / a_day),
        () => Left::Never,
    }
}

/// Bytes a day, and for how many days there is data.
fn growth(numbers: &Numbers) -> (f64, f64) {
    let mut a_day = 0.0;
    for table in &numbers.tables {
        let (Some(rows_a_day), Some(oldest)) = (table.rows_a_day, table.oldest_days) else { continue };
        let is_full = PRUNED.iter().any(|(name, days)| *name == table.name && oldest >= *days - 1.0);
        if table.rows > 0 && !is_full {
            a_day += rows_a_day * float(table.bytes) / float(table.rows);
        }
    }
    let oldest = numbers.tables.iter().filter_map(|table| table.oldest_days).fold(0.0, f64::max);
    (a_day, oldest)
}

fn disk(numbers: &Numbers, disk: Option<u64>) -> Limit {
    let (a_day, days) = growth(numbers);
    let size = float(numbers.server.database_bytes);
    #[expect(clippy::cast_precision_loss, reason = "a size to be shown")]
    let room = disk.map(|disk| disk as f64 * FULL);
    let used = room.map_or(0.0, |room| size / room);
    let left = match room {
        None => Left::Unknown("say how much it holds: --disk 200GB"),
        Some(_) if used < 1.0 && days < TREND => Left::Unknown(TOO_YOUNG),
        Some(room) => grows(used, room - size, a_day),
    };
    let trend = if days < TREND { String::new() } else { format!(", {} a day", bytes(a_day)) };
    let largest: Vec<_> =
        numbers.tables.iter().take(3).map(|table| format!("{} {}", table.name, bytes(float(table.bytes)))).collect();
    Limit {
        what: "disk".to_owned(),
        now: format!("{}{trend}", bytes(size)),
        limit: room.map_or_else(|| "?".to_owned(), |room| format!("{} (85 %)", bytes(room))),
        used,
        left,
        remedy: format!("a larger disk; largest: {}. The write-ahead log and backups come on top.", largest.join(", ")),
        page: "docs/operations/incidents.md",
    }
}

fn connections(numbers: &Numbers) -> Limit {
    let server = &numbers.server;
    let used = float(server.connections) / float(server.max_connections).max(1.0);
    Limit {
        what: "connections".to_owned(),
        now: server.connections.to_string(),
        limit: server.max_connections.to_string(),
        used,
        left: if used > 0.9 { Left::Now } else { Left::Unknown(NO_HISTORY) },
        remedy:
            "every API adds DATABASE_CONNECTIONS + 1, every worker WORKER_DATABASE_CONNECTIONS + 5; lower those, raise \
                 max_connections, or put PgBouncer in between"
                .to_owned(),
        page: "docs/scaling/capacity.md",
    }
}

fn transactions(numbers: &Numbers) -> Limit {
    let server = &numbers.server;
    let age = float(server.transaction_age);
    let a_day = float(server.transactions) / server.counted_days.max(0.01);
    let used = age / TRANSACTIONS;
    Limit {
        what: "transaction numbers".to_owned(),
        now: millions(age),
        limit: millions(TRANSACTIONS),
        used,
        left: match () {
            () if used > 0.5 => Left::Now,
            () if server.counted_days < 1.0 => Left::Unknown("needs a day of data"),
            // Only transactions that write take a number.
            () => Left::AtLeast((TRANSACTIONS - age) / a_day.max(1.0)),
        },
        remedy: "autovacuum keeps it below 200 million; if it grows beyond, something holds it back: a transaction, a replication \
                 slot, a prepared transaction"
            .to_owned(),
        page: "docs/scaling/capacity.md",
    }
}

fn dealerships(numbers: &Numbers) -> Limit {
    let table = numbers.tables.iter().find(|table| table.name == "dealerships");
    let count = table.map_or(0.0, |table| float(table.rows));
    let (a_day, oldest) = table.map_or((0.0, 0.0), |t| (t.rows_a_day.unwrap_or(0.0), t.oldest_days.unwrap_or(0.0)));
    let used = count / MEASURED_DEALERSHIPS;
    Limit {
        what: "dealerships".to_owned(),
        now: whole(count),
        limit: whole(MEASURED_DEALERSHIPS),
        used,
        left: if oldest < TREND && used < 1.0 {
            Left::Unknown(TOO_YOUNG)
        } else {
            grows(used, MEASURED_DEALERSHIPS - count, a_day)
        },
        remedy: "more were not measured on one PostgreSQL: move some to another server (norvalt dealership), or spread the tables"
            .to_owned(),
        page: "docs/operations/moving.md",
    }
}

fn largest_dealership(numbers: &Numbers) -> Option<Limit> {
    let largest = numbers.biggest.first()?;
    let used = float(largest.leads) / MEASURED_LEADS;
    let oldest = numbers.tables.iter().find(|table| table.name == "leads")?.oldest_days.unwrap_or(0.0);
    Some(Limit {
        what: "largest dealership".to_owned(),
        now: format!("{} leads", whole(float(largest.leads))),
        limit: whole(MEASURED_LEADS),
        used,
        left: if oldest < TREND && used < 1.0 {
            Left::Unknown(TOO_YOUNG)
        } else {
            grows(used, MEASURED_LEADS - float(largest.leads), largest.leads_a_day)
        },
        remedy: format!(
            "{}: with more leads, searches take longer than was measured; a server of its own",
            largest.name
        ),
        page: "docs/performance.md",
    })
}

fn memory(numbers: &Numbers) -> Limit {
    let server = &numbers.server;
    let asked = server.blocks_hit + server.blocks_read;
    let ratio = float(server.blocks_hit) / float(asked).max(1.0);
    let few = asked < FEW_BLOCKS;
    let used = if few { 0.0 } else { (1.0 - ratio) / (1.0 - HIT_RATIO) };
    Limit {
        what: "memory".to_owned(),
        now: if few { "hardly read".to_owned() } else { format!("{:.2} % cached", ratio * 100.0) },
        limit: "99 %".to_owned(),
        used,
        left: match () {
            () if few => Left::Unknown("needs a day of data"),
            () if used > 1.0 => Left::Now,
            () => Left::Unknown(NO_HISTORY),
        },
        remedy: format!(
            "more memory, and shared_buffers (now {}) of a quarter of it; indexes take {}",
            bytes(float(server.shared_buffers_bytes)),
            bytes(numbers.tables.iter().map(|table| float(table.index_bytes)).sum())
        ),
        page: "docs/scaling/capacity.md",
    }
}

fn queue(numbers: &Numbers) -> Limit {
    let queue = &numbers.queue;
    let p95 = queue.p95_seconds;
    let used = p95.unwrap_or(0.0).max(queue.oldest_seconds.unwrap_or(0.0)) / SLOW_JOB;
    Limit {
        what: "queue".to_owned(),
        now: p95.map_or_else(|| "no job today".to_owned(), |p95| format!("p95 {p95:.1} s")),
        limit: format!("{SLOW_JOB} s"),
        used,
        left: if used > 1.0 { Left::Now } else { Left::Unknown("as much as workers and providers take") },
        remedy: format!(
            "more workers: {} jobs in 24 h, {} in the busiest minute, {} wait, {} dead, {} slots",
            whole(float(queue.done)),
            queue.busiest_minute,
            queue.waiting,
            queue.dead,
            queue.slots
        ),
        page: "docs/operations/queue.md",
    }
}

/// The table that is worst off, if one is.
fn dead_rows(numbers: &Numbers) -> Option<Limit> {
    let share = |dead: i64, rows: i64| float(dead) / float(rows).max(1.0);
    let tables = numbers.tables.iter().filter(|table| table.rows + table.dead_rows >= FEW);
    let worst = tables.max_by(|a, b| share(a.dead_rows, a.rows).total_cmp(&share(b.dead_rows, b.rows)))?;
    let used = share(worst.dead_rows, worst.rows) / (2.0 * DEAD);
    let when = worst.last_autovacuum.map_or_else(|| "never".to_owned(), |at| at.format("%F %H:%M UTC").to_string());
    Some(Limit {
        what: "dead rows".to_owned(),
        now: format!("{:.0} % of {}", share(worst.dead_rows, worst.rows) * 100.0, worst.name),
        limit: format!("{:.0} %", 2.0 * DEAD * 100.0),
        used,
        left: if used > 1.0 { Left::Now } else { Left::Unknown("autovacuum takes them away") },
        remedy: format!(
            "last autovacuum {when}; if it does not keep up, look for transactions that stay open, and raise \
                         autovacuum_vacuum_cost_limit"
        ),
        page: "docs/scaling/capacity.md",
    })
}

/// How the log fares, where it is archived.
fn archive(numbers: &Numbers) -> Option<Limit> {
    let server = &numbers.server;
    let a_day = if server.wal_days < 1.0 { None } else { Some(server.wal_bytes / server.wal_days) };
    server.archives.then(|| Limit {
        what: "log archive".to_owned(),
        now: a_day.map_or_else(|| bytes(server.wal_bytes), |a_day| format!("{} a day", bytes(a_day))),
        limit: "?".to_owned(),
        used: f64::from(u8::from(server.archiving_fails)),
        left: if server.archiving_fails { Left::Now } else { Left::Unknown("the archive is not the database's") },
        remedy: "archiving that fails fills the disk with the log, and no moment since can be restored: see pg_stat_archiver".to_owned(),
        page: "docs/operations/backup.md",
    })
}

#[expect(clippy::cast_precision_loss, reason = "numbers to be shown")]
fn float(number: i64) -> f64 {
    number as f64
}

/// A size as people say it.
fn bytes(bytes: f64) -> String {
    let (mut size, mut unit) = (bytes.max(0.0), "B");
    for next in ["kB", "MB", "GB", "TB", "PB"] {
        if size < 1000.0 {
            break;
        }
        (size, unit) = (size / 1000.0, next);
    }
    if size < 10.0 && unit != "B" { format!("{size:.1} {unit}") } else { format!("{size:.0} {unit}") }
}

fn millions(number: f64) -> String {
    format!("{:.0} million", number / 1e6)
}

/// With a comma between thousands.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
