//! How much of the sending of mails dealerships' own accounts may take up: a server that hangs must not keep the mails of others
//! waiting, whoever's it is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::ids::DealershipId;
use tokio::time::Instant;

/// A server that takes longer for a mail is slow.
const SLOW: Duration = Duration::from_secs(5);
/// How soon somebody who was turned away may ask again, and how late at most.
const SOON: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_mins(5);
/// As long as a mail takes at least.
const QUICK: Duration = Duration::from_millis(200);

/// The slots of the queue of mails, as far as own accounts use them.
#[derive(Debug)]
pub(crate) struct OwnSlots {
    slots: usize,
    accounts: Mutex<HashMap<DealershipId, Account>>,
}

/// What goes on through one dealership's account.
#[derive(Debug, Default)]
struct Account {
    /// Since when each mail is being handed over.
    running: Vec<Instant>,
    /// How long the last one took.
    lasted: Duration,
    /// How many were turned away since nothing was going on.
    waiting: u32,
}

impl Account {
    fn is_slow(&self, now: Instant) -> bool {
        self.lasted > SLOW || self.longest(now) > SLOW
    }

    fn longest(&self, now: Instant) -> Duration {
        self.running.iter().map(|since| now.duration_since(*since)).max().unwrap_or_default()
    }

    /// When one more that is turned away should ask again: after those that were turned away before it.
    fn turn(&self, limit: usize, now: Instant) -> Duration {
        let each = self.longest(now).max(self.lasted).max(QUICK) / u32::try_from(limit).unwrap_or(u32::MAX).max(1);
        each.saturating_mul(self.waiting).clamp(SOON, LATE)
    }
}

/// A mail is being handed over to an own account. Ends with the value.
#[derive(Debug)]
pub(crate) struct OwnSlot {
    slots: Arc<OwnSlots>,
    dealership: DealershipId,
    since: Instant,
}

impl OwnSlots {
    /// Of a queue with so many.
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, accounts: Mutex::default() }
    }

    /// A slot for one more mail of a dealership's, or after how long to ask again. One dealership gets a quarter of the slots, and
    /// a twentieth while its server is slow; all that are slow together a quarter, and all together three.
    pub(crate) fn take(self: &Arc<Self>, dealership: DealershipId) -> Result<OwnSlot, Duration> {
        let since = Instant::now();
        self.begin(dealership, since).map(|()| OwnSlot { slots: Arc::clone(self), dealership, since })
    }

    fn begin(&self, dealership: DealershipId, now: Instant) -> Result<(), Duration> {
        let part = |of: usize| (self.slots / of).max(1);
        let mut accounts = self.lock();
        let running = |account: &Account| account.running.len();
        let all: usize = accounts.values().map(running).sum();
        let slow: usize = accounts.values().filter(|account| account.is_slow(now)).map(running).sum();
        let account = accounts.entry(dealership).or_default();
        let limit = if account.is_slow(now) { part(20) } else { part(4) };
        let is_full = account.running.len() >= limit
            || all >= (self.slots - self.slots / 4).max(1)
            || (account.is_slow(now) && slow >= part(4));
        if is_full {
            account.waiting = account.waiting.saturating_add(1);
            return Err(account.turn(limit, now));
        }
        if account.running.is_empty() {
            account.waiting = 0;
        }
        account.running.push(now);
        Ok(())
    }

    fn end(&self, dealership: DealershipId, since: Instant, now: Instant) {
        let mut accounts = self.lock();
        let Some(account) = accounts.get_mut(&dealership) else { return };
        if let Some(place) = account.running.iter().position(|one| *one == since) {
            account.running.swap_remove(place);
        }
        account.lasted = now.duration_since(since);
        // What is slow is remembered, so that it does not begin with many again.
        accounts.retain(|_, account| !account.running.is_empty() || account.is_slow(now));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DealershipId, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OwnSlot {
    fn drop(&mut self) {
        self.slots.end(self.dealership, self.since, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn dealership(number: u128) -> DealershipId {
        Uuid::from_u128(number).into()
    }

    /// How many it gets, and how long the next one is to wait.
    fn all_of(slots: &OwnSlots, number: u128, now: Instant) -> (usize, Duration) {
        let mut taken = 0;
        loop {
            match slots.begin(dealership(number), now) {
                Ok(()) => taken += 1,
                Err(wait) => return (taken, wait),
            }
        }
    }

    fn end_all(slots: &OwnSlots, number: u128, (count, since): (usize, Instant), now: Instant) {
        for _ in 0..count {
            slots.end(dealership(number), since, now);
        }
    }

    #[test]
    fn a_server_that_hangs_keeps_few_slots_and_others_send() {
        let (slots, start) = (OwnSlots::new(40), Instant::now());
        assert_eq!(all_of(&slots, 1, start).0, 10);
        assert_eq!(all_of(&slots, 2, start).0, 10, "another's mails go out");
        end_all(&slots, 2, (10, start), start + QUICK);
        let later = start + Duration::from_secs(30);
        assert_eq!(all_of(&slots, 1, later).0, 0, "it hangs");
        end_all(&slots, 1, (10, start), later);
        let (count, wait) = all_of(&slots, 1, later);
        assert_eq!(count, 2, "it is known to be slow");
        assert!(wait >= Duration::from_secs(15), "{wait:?}");
        // Not even together do the slow ones keep out others.
        let last = later + Duration::from_secs(30);
        for number in 3..20 {
            slots.begin(dealership(number), later).expect("nobody knows yet that it is slow");
        }
        for number in 3..20 {
            slots.end(dealership(number), later, last);
        }
        let slow: usize = (3..20).map(|number| all_of(&slots, number, last).0).sum();
        assert_eq!(count + slow, 10);
        assert_eq!(all_of(&slots, 99, last).0, 10);
    }

    #[test]
    fn three_quarters_are_for_own_accounts_and_whoever_waits_asks_in_turn() {
        let (slots, now) = (OwnSlots::new(8), Instant::now());
        let taken: Vec<_> = (0..9).map(|number| all_of(&slots, number, now).0).collect();
        assert_eq!(taken.iter().sum::<usize>(), 6);
        let waits: Vec<_> = (0..200).filter_map(|_| slots.begin(dealership(0), now).err()).collect();
        assert!(waits[0] < waits[150] && waits.iter().all(|wait| (SOON..=LATE).contains(wait)), "{waits:?}");
        for (number, count) in (0..).zip(taken) {
            end_all(&slots, number, (count, now), now + QUICK);
        }
        assert!(slots.lock().values().all(|account| account.running.is_empty()));
        let one = Arc::new(OwnSlots::new(1));
        let slot = one.take(dealership(1)).expect("it is free");
        one.take(dealership(2)).expect_err("it is taken");
        drop(slot);
        one.take(dealership(2)).expect("it is free again");
    }
}
