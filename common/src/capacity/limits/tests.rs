use chrono::DateTime;

use super::*;
use crate::capacity::{Biggest, QueueNumbers, ServerNumbers, TableNumbers};

fn numbers() -> Numbers {
    let server = ServerNumbers {
        version: "17.6".to_owned(),
        at: DateTime::UNIX_EPOCH,
        database_bytes: 10_000_000_000,
        shared_buffers_bytes: 134_217_728,
        connections: 40,
        max_connections: 97,
        transaction_age: 50_000_000,
        counted_days: 30.0,
        transactions: 300_000_000,
        blocks_hit: 999_000_000,
        blocks_read: 1_000_000,
        wal_days: 30.0,
        wal_bytes: 3e11,
        archives: true,
        archiving_fails: false,
    };
    let table = |name: &str, rows, bytes, rows_a_day, oldest_days| TableNumbers {
        name: name.to_owned(),
        rows,
        bytes,
        rows_a_day: Some(rows_a_day),
        oldest_days: Some(oldest_days),
        ..TableNumbers::default()
    };
    let tables = vec![
        table("leads", 4_000_000, 8_000_000_000, 10_000.0, 400.0),
        table("jobs", 1_000_000, 1_000_000_000, 140_000.0, 7.0),
        table("dealerships", 2_000, 1_000_000, 5.0, 400.0),
    ];
    let biggest =
        vec![Biggest { id: uuid::Uuid::nil().into(), name: "Bil Nord".to_owned(), leads: 600_000, leads_a_day: 100.0 }];
    Numbers { server, tables, queue: QueueNumbers::default(), biggest }
}

fn left(limits: &[Limit], what: &str) -> Left {
    limits.iter().find(|limit| limit.what == what).expect("it is looked at").left.clone()
}

#[test]
fn what_hurts_first_comes_first() {
    let limits = limits(&numbers(), Some(20_000_000_000));
    // 7 GB are left, and leads take 20 MB a day; jobs are deleted as fast as they come.
    assert!(matches!(left(&limits, "disk"), Left::Days(days) if (349.0..350.0).contains(&days)));
    assert_eq!(left(&limits, "largest dealership"), Left::Days(4000.0));
    assert_eq!(left(&limits, "dealerships"), Left::Days(1600.0));
    assert!(matches!(left(&limits, "transaction numbers"), Left::AtLeast(days) if (200.0..220.0).contains(&days)));
    let order: Vec<_> = limits.iter().map(|limit| limit.what.as_str()).collect();
    assert_eq!(order[..4], ["transaction numbers", "disk", "dealerships", "largest dealership"]);
    assert_eq!(order[4], "connections", "of what has no time, what is used most");
}

#[test]
fn what_is_full_is_said_now() {
    let mut full = numbers();
    full.server.connections = 96;
    full.server.blocks_read = 90_000_000;
    full.server.archiving_fails = true;
    full.queue.p95_seconds = Some(31.0);
    full.tables[0].dead_rows = 3_000_000;
    let limits = limits(&full, Some(9_000_000_000));
    for what in ["connections", "memory", "log archive", "queue", "dead rows", "disk"] {
        assert_eq!(left(&limits, what), Left::Now, "{what}");
    }
}

#[test]
fn what_cannot_be_known_is_not_made_up() {
    let mut young = numbers();
    young.tables.iter_mut().for_each(|table| table.oldest_days = Some(2.0));
    young.server.counted_days = 0.2;
    assert_eq!(left(&limits(&young, Some(20_000_000_000)), "disk"), Left::Unknown(TOO_YOUNG));
    assert_eq!(left(&limits(&young, None), "dealerships"), Left::Unknown(TOO_YOUNG));
    assert!(matches!(left(&limits(&young, None), "transaction numbers"), Left::Unknown(_)));
    assert!(matches!(left(&limits(&numbers(), None), "disk"), Left::Unknown(why) if why.contains("--disk")));
}

#[test]
fn numbers_are_shown_as_people_read_them() {
    assert_eq!([0.0, 999.0, 1500.0, 2e7, 3.2e12].map(bytes), ["0 B", "999 B", "1.5 kB", "20 MB", "3.2 TB"]);
    assert_eq!([1.0, 999.0, 1000.0, 1_234_567.0].map(whole), ["1", "999", "1,000", "1,234,567"]);
}
