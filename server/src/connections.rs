//! Which connections there are, and which one gives way to a new one.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{HangUp, Limits};

/// Of the connections of one client, the part that may be without a complete head yet.
const UNASKED: usize = 4;

/// All connections. When there is no room for another one, that gives way which has waited for its first head for longest,
/// or else the one that has been idle for longest: whoever asks at once is served, however many others say nothing.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: Limits,
    registry: Mutex<Registry>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Registry {
    next: u64,
    open: HashMap<u64, Entry>,
    clients: HashMap<IpAddr, Client>,
    /// Those without a first request, by age.
    unasked: BTreeSet<u64>,
    /// Those between two requests, by when they became idle.
    idle: BTreeSet<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Client {
    open: usize,
    unasked: BTreeSet<u64>,
}

#[derive(Debug)]
struct Entry {
    client: IpAddr,
    state: State,
    hang_up: HangUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unasked,
    Busy,
    /// Since a number that counts upwards.
    Idle(u64),
}

/// A connection that is registered until this is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    connections: Arc<Connections>,
    id: u64,
    pub(crate) hang_up: HangUp,
}

impl Connections {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, registry: Mutex::default(), ended: Notify::new() })
    }

    /// Makes room for a connection of this client, if it can be had.
    pub(crate) fn register(self: &Arc<Self>, client: IpAddr) -> Option<Registered> {
        let mut registry = self.lock();
        if let Some(limit) = self.limits.per_client {
            let (open, unasked, oldest) = registry.clients.get(&client).map_or((0, 0, None), |of_client| {
                (of_client.open, of_client.unasked.len(), of_client.unasked.first().copied())
            });
            if open >= limit || unasked >= (limit / UNASKED).max(1) {
                registry.evict(oldest?);
            }
        }
        if registry.open.len() >= self.limits.connections {
            let oldest = registry.unasked.first().copied().or_else(|| registry.idle.first().map(|(_, id)| *id));
            registry.evict(oldest?);
        }
        let (id, hang_up) = (registry.number(), HangUp::default());
        registry.open.insert(id, Entry { client, state: State::Unasked, hang_up: hang_up.clone() });
        registry.unasked.insert(id);
        let of_client = registry.clients.entry(client).or_default();
        of_client.open += 1;
        of_client.unasked.insert(id);
        Some(Registered { connections: self.clone(), id, hang_up })
    }

    /// Whether less than half of what there may be is left.
    pub(crate) fn are_few_left(&self) -> bool {
        self.lock().open.len() > self.limits.connections / 2
    }

    /// Waits until there is none.
    pub(crate) async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.lock().open.is_empty() {
                return;
            }
            ended.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn evict(&mut self, id: u64) {
        if let Some(entry) = self.remove(id) {
            entry.hang_up.now();
        }
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        self.enter(id, State::Busy);
        let entry = self.open.remove(&id)?;
        if let Some(of_client) = self.clients.get_mut(&entry.client) {
            of_client.open -= 1;
            if of_client.open == 0 {
                self.clients.remove(&entry.client);
            }
        }
        Some(entry)
    }

    fn enter(&mut self, id: u64, state: State) {
        let Some(entry) = self.open.get_mut(&id) else { return };
        match std::mem::replace(&mut entry.state, state) {
            State::Unasked => {
                self.unasked.remove(&id);
                if let Some(of_client) = self.clients.get_mut(&entry.client) {
                    of_client.unasked.remove(&id);
                }
            }
            State::Idle(since) => {
                self.idle.remove(&(since, id));
            }
            State::Busy => {}
        }
        if let State::Idle(since) = state {
            self.idle.insert((since, id));
        }
    }
}

impl Registered {
    /// A request's head is complete.
    pub(crate) fn asked(&self) {
        self.connections.lock().enter(self.id, State::Busy);
    }

    /// Whether there has been a request.
    pub(crate) fn has_asked(&self) -> bool {
        let registry = self.connections.lock();
        registry.open.get(&self.id).is_some_and(|entry| entry.state != State::Unasked)
    }

    /// The whole answer was handed over.
    pub(crate) fn answered(&self) {
        let mut registry = self.connections.lock();
        let since = registry.number();
        registry.enter(self.id, State::Idle(since));
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
        self.connections.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use super::{Connections, Registered};
    use crate::{Limits, network};

    fn connections(connections: usize, per_client: Option<usize>) -> std::sync::Arc<Connections> {
        let time = Duration::from_secs(1);
        Connections::new(Limits { connections, per_client, first_head: time, next_head: time, stall: time })
    }

    fn client(n: u8) -> IpAddr {
        [203, 0, 113, n].into()
    }

    fn is_open(registered: &Registered) -> bool {
        registered.connections.lock().open.contains_key(&registered.id)
    }

    #[test]
    fn whoever_says_nothing_gives_way_and_whoever_asks_does_not() {
        let all = connections(3, None);
        let asking = all.register(client(1)).expect("there is room");
        asking.asked();
        let (silent, later) = (all.register(client(1)).expect("room"), all.register(client(2)).expect("room"));
        let third = all.register(client(3)).expect("the silent one gives way");
        assert!(is_open(&asking) && !is_open(&silent) && is_open(&later));
        later.asked();
        third.asked();
        assert!(all.register(client(4)).is_none(), "everybody is being served");
        later.answered();
        let fourth = all.register(client(4)).expect("the idle one gives way");
        assert!(!is_open(&later) && all.are_few_left());
        drop((asking, silent, later, third, fourth));
        let registry = all.lock();
        assert!(registry.open.is_empty() && registry.clients.is_empty());
        assert!(registry.unasked.is_empty() && registry.idle.is_empty());
    }

    #[test]
    fn one_client_takes_up_only_its_part() {
        let all = connections(100, Some(8));
        let first: Vec<_> = (0..2).map(|_| all.register(client(1)).expect("room")).collect();
        let more: Vec<_> = (0..2).map(|_| all.register(client(1)).expect("its own give way")).collect();
        assert!(!first.iter().any(is_open) && more.iter().all(is_open));
        let busy: Vec<_> = (0..6)
            .map(|_| {
                let registered = all.register(client(1)).expect("its own give way");
                registered.asked();
                registered
            })
            .collect();
        assert!(busy.iter().all(is_open));
        assert!(all.register(client(2)).is_some());
    }

    #[test]
    fn a_customer_of_a_network_is_one_client() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:203.0.113.7"), of("203.0.113.7"));
        assert_ne!(of("203.0.113.7"), of("203.0.113.8"));
    }
}
