//! Whatever comes in, however it travels and whatever fails meanwhile: everything is accounted for, and each distinct inquiry
//! is there once.
//!
//! A few people ask a few things through all sources. What they send is repeated, reordered, sent at once and cut off; between
//! any two statements connections end; workers die; Facebook fails. `CASES=1000 cargo test whatever_happens_on_its_way` runs
//! more stories, `SEED=…` those of a run that failed.

mod chaos;
mod model;
mod wire;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use common::deliveries::{DeliveryFilter, replay};
use dev::stand_ins::graph::{Options, StandIn};
use futures::{StreamExt, TryStreamExt, stream};
use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use serde_json::Value;
use sqlx::{Executor, PgConnection};
use tests::{
    app::{INBOUND_DOMAIN, META_SECRET, Person, TestApp},
    chaos::{count_statements, doom, runner},
};
use tokio::{net::TcpListener, runtime::Runtime, time::timeout};
use uuid::Uuid;

use self::{
    chaos::{Troubles, blow, settle, troubles},
    model::{Known, Sending, Way, expected, sending},
    wire::{Addresses, Sender, Wire, fill_in},
};
use super::{key, source};

/// Far longer than any story.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Requests under way at a time.
const AT_ONCE: usize = 5;

#[derive(Debug, Clone)]
struct Story {
    sendings: Vec<Sending>,
    troubles: Troubles,
}

fn story() -> impl Strategy<Value = Story> {
    (vec(sending(), 1..12), troubles()).prop_map(|(sendings, troubles)| Story { sendings, troubles })
}

#[test]
fn every_inquiry_is_there_once_whatever_happens_on_its_way() {
    let (seed, mut runner) = runner(6, 30);
    let runtime = Runtime::new().expect("the system has threads to start with");
    let app = runtime.block_on(TestApp::start());
    runtime.block_on(async { count_statements(&mut app.connect().await).await });
    let number = Cell::new(0_u16);
    let outcome = runner.run(&story(), |story| {
        number.set(number.get().wrapping_add(1));
        let told = runtime.block_on(async { timeout(TIMEOUT, tell(&app, number.get(), &story)).await });
        told.unwrap_or_else(|_| Err(TestCaseError::fail("it takes too long")))
    });
    if let Err(failure) = outcome {
        panic!("SEED={seed}: {failure}");
    }
}

/// Has a story happen to a dealership of its own, and looks at what is left of it.
async fn tell(app: &TestApp, number: u16, story: &Story) -> Result<(), TestCaseError> {
    let mut conn = app.connect().await;
    doom(&mut conn, &[]).await;
    conn.execute("TRUNCATE clerk_objects, deliveries, dealerships, source_keys, jobs CASCADE")
        .await
        .expect("a superuser may");
    let kari = app.dealership(&format!("Bil {number}")).await.admin();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let facebook =
        StandIn::start(listener, Options { app_secret: META_SECRET.to_owned(), ..Options::in_memory() }).await;
    super::facebook::connect(&kari, &facebook).await.expect(200);
    let addresses = addresses(&kari, &facebook).await;
    let leads = fill_in(&facebook, &story.sendings);
    story.troubles.faults.iter().for_each(|fault| facebook.fail(*fault, 1));

    let mut journeys: Vec<_> = story
        .sendings
        .iter()
        .flat_map(|sending| sending.journeys.iter().map(move |journey| (sending, journey)))
        .map(|(sending, journey)| match journey.rubble {
            Some(length) => (journey, addresses.rubble(sending, length)),
            None => (journey, addresses.whole(sending, journey.is_varied(), &leads)),
        })
        .collect();
    journeys.sort_by_key(|(journey, _)| journey.departs);
    // Forms are counted by address, and many stories are told.
    let [high, low] = number.to_be_bytes();
    let sender = &Sender::new([127, 1, high, low].into(), &app.url);
    doom(&mut conn, &story.troubles.last_statements).await;
    let travelling = stream::iter(&journeys).map(Ok).try_for_each_concurrent(AT_ONCE, async |(journey, wire)| {
        for part in &journey.hang_ups {
            sender.hang_up(wire, *part).await;
        }
        sender.send(wire).await
    });
    let (travelled, ()) = tokio::join!(travelling, blow(app, &kari, &facebook, &story.troubles.blows));
    travelled?;
    settle(app, &kari, &facebook).await;
    let wires: BTreeSet<_> = journeys.iter().map(|(_, wire)| wire).collect();
    check_ledger(&mut conn, &kari, &addresses, &wires, leads_sent(story)).await?;
    let rows = rows(&mut conn).await;
    check_leads(&rows, &story.sendings)?;

    // Read once more from the beginning, long after, nothing changes.
    conn.execute("UPDATE inquiries SET received_at = received_at - interval '1 hour'").await.expect("ours");
    let mut tx = app.db.system().await.expect("the database is there");
    replay(&mut tx, &DeliveryFilter::default()).await.expect("it is there");
    tx.commit().await.expect("the database is there");
    settle(app, &kari, &facebook).await;
    prop_assert_eq!(&self::rows(&mut conn).await, &rows, "read once more");
    check_ledger(&mut conn, &kari, &addresses, &wires, leads_sent(story)).await
}

async fn addresses(kari: &Person<'_>, facebook: &StandIn) -> Addresses {
    let (form, mail, adf) = (source(kari, "form").await, source(kari, "email").await, source(kari, "adf").await);
    Addresses {
        form: format!("/webhooks/form/{}", key(&form)),
        mail: format!("{}@{INBOUND_DOMAIN}", key(&mail)),
        adf: format!("/webhooks/adf/{}", key(&adf)),
        page: facebook.with(|state| state.pages[0].id.clone()),
    }
}

fn leads_sent(story: &Story) -> i64 {
    let sendings = story.sendings.iter().filter(|sending| sending.way == Way::Facebook);
    let ids: BTreeSet<_> = sendings.flat_map(Sending::ids).collect();
    i64::try_from(ids.len()).expect("fewer")
}

/// A lead, or a message of it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
struct Row {
    lead: Uuid,
    message: Option<Uuid>,
    email: Option<String>,
    phone: Option<String>,
    text: Option<String>,
}

impl Row {
    fn known(&self) -> Known {
        Known::new(self.email.as_deref(), self.phone.as_deref(), self.text.as_deref().unwrap_or_default())
    }
}

async fn rows(conn: &mut PgConnection) -> Vec<Row> {
    sqlx::query_as(
        "SELECT id AS lead, NULL::uuid AS message, customer_email AS email, customer_phone AS phone, initial_message AS text
         FROM leads
         UNION ALL
         SELECT lead_id, id, message_metadata ->> 'email', message_metadata ->> 'phone', message_content FROM conversations
         ORDER BY lead, message NULLS FIRST",
    )
    .fetch_all(conn)
    .await
    .expect("a valid statement")
}

/// Each distinct inquiry is one lead or one message of a lead of whoever asks, and nobody has two leads.
fn check_leads(rows: &[Row], sendings: &[Sending]) -> Result<(), TestCaseError> {
    let mut counts: BTreeMap<Known, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(row.known()).or_default() += 1;
    }
    prop_assert_eq!(&counts, &expected(sendings), "of {:#?}", rows);
    let leads: BTreeMap<Uuid, Known> =
        rows.iter().filter(|row| row.message.is_none()).map(|row| (row.lead, row.known())).collect();
    for row in rows {
        prop_assert_eq!(row.known().circle(), leads[&row.lead].circle(), "{:?} is of somebody else's lead", row);
    }
    for (id, lead) in &leads {
        let twice = leads.iter().any(|(other, known)| other != id && known.meets(lead));
        prop_assert!(!twice, "two leads of one person: {:#?}", rows);
    }
    Ok(())
}

const STATES: [&str; 6] = ["processed", "ignored", "parked", "quarantined", "dead", "pending"];

/// Received is the sum of the states, for each source, in what the dealership is shown and in the table; everything that the
/// sources tell apart was received once.
async fn check_ledger(
    conn: &mut PgConnection,
    kari: &Person<'_>,
    addresses: &Addresses,
    wires: &BTreeSet<&Wire>,
    ad_leads: i64,
) -> Result<(), TestCaseError> {
    let table: Vec<(bool, String, String, i64)> = sqlx::query_as(
        "SELECT dealership_id IS NOT NULL, source, status, count(*) FROM deliveries GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    )
    .fetch_all(&mut *conn)
    .await
    .expect("a valid statement");
    let ledger = kari.get("/api/v1/inbound/ledger").await.expect(200);
    let count = |row: &Value, column: &str| row[column].as_i64().expect("a count");
    let mut shown: BTreeMap<(String, &str), i64> = BTreeMap::new();
    for row in ledger.as_array().expect("rows") {
        let sum: i64 = STATES.into_iter().map(|state| count(row, state)).sum();
        prop_assert_eq!(count(row, "received"), sum, "{:#}", ledger);
        prop_assert_eq!((count(row, "pending"), count(row, "parked")), (0, 0), "{:#}", ledger);
        for state in STATES.into_iter().filter(|state| count(row, state) > 0) {
            // One for each day.
            *shown.entry((row["source"].as_str().expect("a source").to_owned(), state)).or_default() +=
                count(row, state);
        }
    }
    let stored: Vec<_> =
        table.iter().filter(|row| row.0).map(|(_, source, state, n)| ((&**source, &**state), *n)).collect();
    let shown: Vec<_> = shown.iter().map(|((source, state), n)| ((&**source, *state), *n)).collect();
    prop_assert_eq!(BTreeMap::from_iter(stored.clone()), BTreeMap::from_iter(shown), "{:#}", ledger);

    let of_nobody: i64 = table.iter().filter(|row| !row.0).map(|row| row.3).sum();
    let sent = |path: &str, readable: bool| {
        let of_kind = wires.iter().filter(|wire| wire.path == path && wire.is_readable() == readable);
        i64::try_from(of_kind.map(|wire| &wire.body).collect::<BTreeSet<_>>().len()).expect("fewer")
    };
    let mail = "/webhooks/email/raw";
    let mut wanted = BTreeMap::from([
        (("adf", "dead"), sent(&addresses.adf, false)),
        (("adf", "processed"), sent(&addresses.adf, true)),
        (("email", "processed"), sent(mail, true)),
        (("facebook", "processed"), ad_leads),
    ]);
    wanted.retain(|_, n| *n > 0);
    let mut stored = BTreeMap::from_iter(stored);
    // Without a nonce each attempt may have been received.
    stored.remove(&("form", "processed"));
    prop_assert_eq!((stored, of_nobody), (wanted, sent(mail, false)));
    Ok(())
}
