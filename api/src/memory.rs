//! Memory for what one client can make the process keep: bodies that are arriving, and answers that are not yet taken.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use common::ids::ClerkUserId;
use server::HangUp;

use crate::client::Client;

/// Who takes up memory, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A person with a valid session token.
    Person(ClerkUserId),
    /// Whoever calls from an address.
    Address(Client),
}

/// So many bytes in the process, and so many for each owner. When they are used up, what has been there for longest gives
/// way: a client that delays holds nobody up, and whoever sends and takes at once is done before.
#[derive(Debug, Clone)]
pub(crate) struct FairMemory(Arc<Mutex<Ledger>>);

#[derive(Debug)]
struct Ledger {
    limit: usize,
    share: usize,
    used: usize,
    next: u64,
    /// In the order in which they came.
    held: BTreeMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    owner: Owner,
    bytes: usize,
    /// Tells it to give way, if it can.
    evict: Option<HangUp>,
}

/// Memory that is taken up until this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    memory: FairMemory,
    id: u64,
}

/// Why there is no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The owner has used up their share.
    Share,
    /// All owners together have used up everything.
    Everything,
}

impl FairMemory {
    /// `limit` bytes for all, of which one owner may have `share`.
    pub(crate) fn new(limit: usize, share: usize) -> Self {
        Self(Arc::new(Mutex::new(Ledger { limit, share, used: 0, next: 0, held: BTreeMap::new() })))
    }

    /// Nothing yet, for this owner. With `evict` it gives way when it is told so.
    pub(crate) fn reserve(&self, owner: Owner, evict: Option<HangUp>) -> Reservation {
        let mut ledger = self.lock();
        let id = ledger.next;
        ledger.next += 1;
        ledger.held.insert(id, Held { owner, bytes: 0, evict });
        Reservation { memory: self.clone(), id }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn grow(&mut self, id: u64, bytes: usize) -> Result<(), Full> {
        // It may have given way a moment ago.
        let Some(owner) = self.held.get(&id).map(|held| held.owner.clone()) else { return Err(Full::Share) };
        loop {
            let own: usize = self.held.values().filter(|held| held.owner == owner).map(|held| held.bytes).sum();
            let full = if own + bytes > self.share {
                Full::Share
            } else if self.used + bytes > self.limit {
                Full::Everything
            } else {
                break;
            };
            let gives_way = |held: &Held| held.evict.is_some() && (full == Full::Everything || held.owner == owner);
            let oldest = self.held.iter().find(|(other, held)| gives_way(held) && (held.bytes > 0 || **other == id));
            match oldest.map(|(other, _)| *other) {
                Some(other) if other != id => self.evict(other),
                _ => return Err(full),
            }
        }
        if let Some(held) = self.held.get_mut(&id) {
            held.bytes += bytes;
            self.used += bytes;
        }
        Ok(())
    }

    fn evict(&mut self, id: u64) {
        if let Some(evict) = self.remove(id).and_then(|held| held.evict) {
            evict.now();
        }
    }

    fn remove(&mut self, id: u64) -> Option<Held> {
        let held = self.held.remove(&id)?;
        self.used -= held.bytes;
        Some(held)
    }
}

impl Reservation {
    /// Takes so many bytes more.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        self.memory.lock().grow(self.id, bytes)
    }

    /// Takes so many bytes, whatever it took before.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<(), Full> {
        let mut ledger = self.memory.lock();
        let before = ledger.held.get(&self.id).map_or(0, |held| held.bytes);
        if bytes > before {
            return ledger.grow(self.id, bytes - before);
        }
        if let Some(held) = ledger.held.get_mut(&self.id) {
            held.bytes = bytes;
            ledger.used -= before - bytes;
        }
        Ok(())
    }

    /// From now on it gives way when it is told so, or never.
    pub(crate) fn set_evict(&mut self, evict: Option<HangUp>) {
        if let Some(held) = self.memory.lock().held.get_mut(&self.id) {
            held.evict = evict;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use server::HangUp;

    use super::{FairMemory, Full, Owner, Reservation};

    fn nothing(memory: &FairMemory, person: &str) -> Reservation {
        memory.reserve(Owner::Person(person.parse().expect("printable")), Some(HangUp::default()))
    }

    fn of(memory: &FairMemory, person: &str, bytes: usize) -> Reservation {
        let mut reservation = nothing(memory, person);
        reservation.grow(bytes).expect("there is room, or somebody gives way");
        reservation
    }

    fn is_there(reservation: &Reservation) -> bool {
        reservation.memory.lock().held.contains_key(&reservation.id)
    }

    #[test]
    fn within_a_share_the_oldest_gives_way() {
        let memory = FairMemory::new(100, 10);
        let (mut first, mut second) = (of(&memory, "user_1", 5), of(&memory, "user_1", 5));
        let other = of(&memory, "user_2", 10);
        let mut third = of(&memory, "user_1", 5);
        assert!(!is_there(&first) && is_there(&second));
        // The oldest that is left is the one that wants more.
        assert_eq!(second.grow(1), Err(Full::Share));
        assert_eq!(first.grow(1), Err(Full::Share), "what gave way is over");
        third.resize(1).expect("less");
        second.resize(9).expect("there is room now");
        assert_eq!(memory.lock().used, 20);
        drop((first, second, third, other));
        assert_eq!(memory.lock().used, 0);
    }

    #[test]
    fn what_must_not_give_way_does_not() {
        let memory = FairMemory::new(20, 10);
        let mut whole = of(&memory, "user_1", 10);
        whole.set_evict(None);
        let slow = of(&memory, "user_2", 10);
        let mut third = of(&memory, "user_3", 10);
        assert!(is_there(&whole) && !is_there(&slow));
        third.set_evict(None);
        assert_eq!(nothing(&memory, "user_4").grow(1), Err(Full::Everything));
        assert_eq!(nothing(&memory, "user_1").grow(1), Err(Full::Share));
    }
}
