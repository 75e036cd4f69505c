//! How events travel: late, twice, out of order, several at once, and to processes that die with them.

use std::{
    collections::BTreeMap,
    fmt::Write,
    pin::Pin,
    task::{Context, Poll},
};

use common::{
    clerk::{Receipt, process, receive},
    db::Db,
    deliveries::{self, DeliveryFilter},
};
use futures::future::join_all;
use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use tests::clerk_events::delivery;

/// How one event of the history travels.
#[derive(Debug, Clone)]
pub(super) struct Journey {
    /// Decides when it arrives, compared with others.
    arrives: u16,
    /// Whether it arrives a second time under a new id, and when.
    again: Option<u16>,
    /// After how many steps the processes die that have to do with it, one after another, until one does not.
    deaths: Vec<u8>,
    /// Whether it arrives at all, where some may not: in percent.
    luck: u8,
}

pub(super) fn journey() -> impl Strategy<Value = Journey> {
    let again = prop_oneof![3 => Just(None), 1 => any::<u16>().prop_map(Some)];
    // All it takes is four to some twenty steps.
    let deaths = prop_oneof![3 => Just(vec![]), 2 => vec(0..24_u8, 1..4)];
    (any::<u16>(), again, deaths, 0..100_u8).prop_map(|(arrives, again, deaths, luck)| Journey {
        arrives,
        again,
        deaths,
        luck,
    })
}

#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) svix_id: String,
    pub(super) event: Value,
    deaths: Vec<u8>,
}

/// All arrivals in their order, without those that are lost: so many in a hundred.
pub(super) fn arrivals(prefix: &str, events: &[Value], journeys: &[Journey], lost: u8) -> Vec<Arrival> {
    let mut arrivals = BTreeMap::new();
    for (n, (event, journey)) in events.iter().zip(journeys.iter().cycle()).enumerate() {
        if journey.luck < lost {
            continue;
        }
        let arrival =
            |again, deaths| Arrival { svix_id: format!("msg_{prefix}{n}{again}"), event: event.clone(), deaths };
        arrivals.insert((journey.arrives, n, 0), arrival("", journey.deaths.clone()));
        if let Some(again) = journey.again {
            arrivals.insert((again, n, 1), arrival("again", Vec::new()));
        }
    }
    arrivals.into_values().collect()
}

/// As a person would tell it.
pub(super) fn timeline(arrivals: &[Arrival]) -> String {
    let mut told = String::new();
    for Arrival { svix_id, event, deaths } in arrivals {
        let data = &event["data"];
        let text = |pointer| data.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let at = data["updated_at"].as_i64().unwrap_or_default() - 1_700_000_000_000;
        let about =
            [text("/id"), text("/name"), text("/role"), text("/organization/id"), text("/public_user_data/user_id")];
        let about: Vec<_> = about.into_iter().filter(|text| !text.is_empty()).collect();
        let _ = write!(
            told,
            "\n{svix_id:16} {} {} as of {at}",
            event["type"].as_str().unwrap_or_default(),
            about.join(" ")
        );
        if data["banned"] == true {
            told.push_str(", banned");
        }
        if !deaths.is_empty() {
            let _ = write!(told, "; processes die after {deaths:?} steps");
        }
    }
    told
}

/// Something that is dropped after so many steps, as when its process is killed: between any two statements.
struct Mortal<F> {
    life: F,
    steps: u8,
}

impl<F: Future + Unpin> Future for Mortal<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(left) = self.steps.checked_sub(1) else { return Poll::Ready(None) };
        self.steps = left;
        Pin::new(&mut self.life).poll(context).map(Some)
    }
}

/// Has all of them arrive, a few at the same time.
pub(super) async fn travel(db: &Db, arrivals: &[Arrival]) {
    for together in arrivals.chunks(3) {
        join_all(together.iter().map(|arrival| arrive(db, arrival))).await;
    }
}

async fn arrive(db: &Db, Arrival { svix_id, event, deaths }: &Arrival) {
    let body = event.to_string();
    let delivery = delivery(svix_id, &body);
    // Whoever dies has not acknowledged it, so Svix sends it once more.
    for &steps in deaths {
        Mortal { life: Box::pin(receive(db, None, &delivery)), steps }.await;
    }
    let delivery_id = match receive(db, None, &delivery).await.expect("the database is there") {
        Receipt::Accepted { delivery_id, .. } => delivery_id,
        Receipt::Duplicate => known(db, svix_id).await,
        other => panic!("{other:?} to {event}"),
    };
    for &steps in deaths {
        Mortal { life: Box::pin(work(db, delivery_id)), steps }.await;
    }
    work(db, delivery_id).await;
}

async fn known(db: &Db, svix_id: &str) -> i64 {
    let mut tx = db.system().await.expect("the database is there");
    let all = DeliveryFilter::default();
    let found = deliveries::list(&mut tx, &all, 10).await.expect("it answers");
    found.iter().find(|delivery| delivery.external_id == svix_id).expect("it is one of the latest").id
}

/// What a worker does with it, again if another one was in the way.
async fn work(db: &Db, delivery_id: i64) {
    loop {
        let mut tx = db.system().await.expect("the database is there");
        match process(&mut tx, delivery_id).await {
            Ok(_) => return tx.commit().await.expect("the database is there"),
            Err(error) => assert!(error.to_string().contains("refused"), "{error}"),
        }
    }
}
