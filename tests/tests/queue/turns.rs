//! Dealerships are served in turn.

use std::collections::{BTreeMap, BTreeSet};

use common::{clerk, ids::DealershipId, queue::NewJob};
use tests::clerk_events;
use uuid::Uuid;

use super::{Errand, Queue, ids};

fn dealership(number: u128) -> DealershipId {
    Uuid::from_u128(number).into()
}

impl Queue {
    async fn add_for(&mut self, owner: Option<DealershipId>, priority: i16) -> i64 {
        self.add_with(&NewJob { dealership: owner, priority, ..NewJob::now(&Errand { number: 1 }) }).await
    }

    /// Many jobs at once, for the dealership with the number 1.
    async fn flood(&mut self, jobs: i64) {
        let flood = "
            INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts, for_dealership)
            SELECT 'default', 'test.errand', '{\"number\": 1}', 1, 'available', 3, '00000000-0000-0000-0000-000000000001'
            FROM generate_series(1, $1)";
        self.table.change(flood, jobs).await;
    }

    /// Takes turns with claims of `limit` jobs, and returns for each claim how many jobs each owner got.
    async fn rounds(&mut self, limit: usize, claims: usize) -> Vec<BTreeMap<Option<DealershipId>, usize>> {
        let mut rounds = Vec::new();
        let mut after = None;
        for _ in 0..claims {
            let claim = self.claim_after(limit, after).await;
            assert!(claim.jobs.len() <= limit);
            let mut round = BTreeMap::new();
            for job in &claim.jobs {
                *round.entry(job.dealership).or_default() += 1;
            }
            after = claim.jobs.last().map_or(after, |job| job.dealership);
            rounds.push(round);
        }
        rounds
    }
}

#[tokio::test]
async fn many_jobs_of_one_dealership_do_not_keep_anothers_waiting() {
    let mut queue = Queue::start().await;
    queue.flood(20_000).await;
    let mut late = BTreeSet::new();
    for _ in 0..10 {
        late.insert(queue.add_for(Some(dealership(2)), 0).await);
    }
    let nobodys = queue.add_for(None, 0).await;
    late.insert(nobodys);
    let (mut claimed, mut after) = (BTreeSet::new(), None);
    for _ in 0..2 {
        let claim = queue.claim_after(26, after).await;
        after = claim.jobs.last().and_then(|job| job.dealership);
        claimed.extend(ids(&claim.jobs));
    }
    assert!(claimed.is_superset(&late), "{late:?} were to be among {claimed:?}");
    // What the others do not need is not kept from the one that has many.
    let claim = queue.claim_after(26, after).await;
    assert_eq!((claim.jobs.len(), claim.more), (26, true));
}

#[tokio::test]
async fn whoever_waits_is_served_within_a_round_of_all() {
    for (dealerships, limit) in [(1, 3), (2, 1), (5, 2), (5, 5), (7, 3), (5, 12)] {
        let mut queue = Queue::start().await;
        // The first has three jobs, the next four, and so on; nobody's are the last.
        let mut waiting = BTreeMap::new();
        for number in 1..=dealerships {
            let owner = (number < dealerships).then(|| dealership(number));
            let jobs = usize::try_from(number).expect("it is small") + 2;
            for _ in 0..jobs {
                queue.add_for(owner, 0).await;
            }
            waiting.insert(owner, jobs);
        }
        let all = waiting.values().sum::<usize>();
        let round = waiting.len().div_ceil(limit);
        let mut served = waiting.keys().map(|&owner| (owner, 0)).collect::<BTreeMap<_, usize>>();
        for (claim, jobs) in queue.rounds(limit, all).await.iter().enumerate() {
            for (owner, left) in waiting.iter_mut().filter(|(_, left)| **left > 0) {
                if let Some(count) = jobs.get(owner) {
                    *left -= count;
                    served.insert(*owner, claim + 1);
                }
                let since = claim + 1 - served[owner];
                assert!(since <= round, "{owner:?} of {dealerships} waited for {since} claims of {limit}");
            }
        }
        assert!(waiting.values().all(|left| *left == 0), "{waiting:?} were never claimed");
    }
}

#[tokio::test]
async fn all_get_the_same_number() {
    let mut queue = Queue::start().await;
    queue.flood(1_000).await;
    for _ in 0..20 {
        queue.add_for(Some(dealership(2)), 0).await;
        queue.add_for(Some(dealership(3)), 0).await;
    }
    let wanted: BTreeMap<_, _> = [1, 2, 3].into_iter().map(|number| (Some(dealership(number)), 5)).collect();
    assert_eq!(queue.rounds(15, 4).await, [wanted.clone(), wanted.clone(), wanted.clone(), wanted]);
}

#[tokio::test]
async fn priority_is_among_the_jobs_of_one_dealership() {
    let mut queue = Queue::start().await;
    let (one, two) = (Some(dealership(1)), Some(dealership(2)));
    let idle = queue.add_for(one, 1).await;
    let plain = queue.add_for(one, 0).await;
    let urgent = queue.add_for(one, -1).await;
    let others = queue.add_for(two, 5).await;
    let claim = queue.claim_after(2, None).await;
    assert_eq!((ids(&claim.jobs), claim.more), (vec![urgent, others], true));
    let claim = queue.claim_after(2, claim.jobs[1].dealership).await;
    assert_eq!((ids(&claim.jobs), claim.more), (vec![plain, idle], true));
    let claim = queue.claim_after(2, claim.jobs[1].dealership).await;
    assert_eq!((ids(&claim.jobs), claim.more), (vec![], false));
}

#[tokio::test]
async fn a_claim_says_whether_there_may_be_more() {
    let mut queue = Queue::start().await;
    queue.flood(3).await;
    queue.add_for(Some(dealership(2)), 0).await;
    // Half of ten for each, and nobody had that many.
    let claim = queue.claim_after(10, None).await;
    assert_eq!((claim.jobs.len(), claim.more), (4, false));
    queue.flood(8).await;
    queue.add_for(Some(dealership(2)), 0).await;
    let claim = queue.claim_after(10, None).await;
    assert_eq!((claim.jobs.len(), claim.more), (6, true));
    let claim = queue.claim_after(10, None).await;
    assert_eq!((claim.jobs.len(), claim.more), (3, false));
}

#[tokio::test]
async fn a_burst_into_an_empty_table_is_not_read_through() {
    let mut queue = Queue::start().await;
    queue.table.change("ALTER TABLE jobs SET (autovacuum_enabled = off)", 0).await;
    queue.table.change("ANALYZE jobs", 0).await;
    let seen = queue.sequential_scans().await;
    // The plan is remembered from when reading the empty table was cheapest.
    for _ in 0..10 {
        assert_eq!(queue.claim(10).await.len(), 0);
        assert_eq!(queue.reap().await + queue.promote().await, 0);
    }
    queue.flood(2_000).await;
    for _ in 0..10 {
        assert_eq!(queue.claim(10).await.len(), 10);
        assert_eq!(queue.reap().await + queue.promote().await, 0);
    }
    assert_eq!(queue.sequential_scans().await, seen);
}

#[tokio::test]
async fn a_clerk_event_waits_for_the_turn_of_the_dealership_that_it_names() {
    let mut queue = Queue::start().await;
    let organization = clerk_events::organization("organization.created", "org_1", "Tesla Oslo", 1_000).to_string();
    let person = clerk_events::user("user.created", "user_1", "Kari", None, false, 1_000).to_string();
    for (id, event) in [("msg_1", &organization), ("msg_2", &person)] {
        clerk::receive(&queue.db, None, &clerk_events::delivery(id, event)).await.expect("the database is there");
    }
    let oslo = DealershipId::of(&"org_1".parse().expect("printable"));
    let owners: Vec<_> = queue.claim(10).await.iter().map(|job| job.dealership).collect();
    assert_eq!(owners, [Some(oslo), None]);
}
