use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::ids::DealershipId;
use tokio::{sync::oneshot, time::timeout};

/// Longer than most jobs have a permit, and less than anybody notices.
const ONE_MORE_AFTER: Duration = Duration::from_millis(100);
/// Flows that are remembered. Those whose last permit is longest ago are forgotten first, and come first anyway.
const MAX_FLOWS: usize = 4_096;

/// Permits for what the queues of this process share: so many at a time. Whoever finds none free waits for as long as it takes.
/// Next is the flow whose last permit is longest ago: a thousand jobs of one queue keep a job of a queue that has few waiting for
/// the end of one of them, and not for a thousand.
#[derive(Debug, Clone)]
pub(super) struct Permits(Arc<Mutex<State>>);

/// Jobs that wait for each other, as in fair queueing: those of a queue, or of one dealership in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    queue: &'static str,
    dealership: Option<DealershipId>,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// A permit beside another one is only for whoever has waited for [`ONE_MORE_AFTER`].
    sparing: bool,
    /// How many there are.
    all: usize,
    /// As many as one dealership may have at a time: jobs of one that wait for each other leave a permit to the others.
    for_one: usize,
    of_dealership: HashMap<DealershipId, usize>,
    waiting: HashMap<Flow, VecDeque<oneshot::Sender<Permit>>>,
    /// The number of each flow's last permit.
    last: HashMap<Flow, u64>,
    given: u64,
}

/// Lasts until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Permits,
    flow: Flow,
}

impl Flow {
    pub(super) fn of(queue: &'static str) -> Self {
        Self { queue, dealership: None }
    }

    /// Each dealership has its own.
    pub(super) fn of_dealership(queue: &'static str, dealership: Option<DealershipId>) -> Self {
        Self { queue, dealership }
    }
}

impl Permits {
    /// So many at a time, and one at least.
    pub(super) fn at_once(permits: usize) -> Self {
        Self::new(permits, false)
    }

    /// The same, and one only as long as nobody has to wait for it: what goes one by one leaves a processor to others as long as
    /// it is fast enough so.
    pub(super) fn one_by_one_or(permits: usize) -> Self {
        Self::new(permits, true)
    }

    fn new(permits: usize, sparing: bool) -> Self {
        let state = State {
            free: permits.max(1),
            sparing,
            all: permits.max(1),
            for_one: permits.saturating_sub(1).max(1),
            of_dealership: HashMap::new(),
            waiting: HashMap::new(),
            last: HashMap::new(),
            given: 0,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits for a permit for a job of this flow.
    pub(super) async fn acquire(&self, flow: Flow) -> Permit {
        let mut given = {
            let mut state = self.lock();
            // Nobody who could have it waits while one is to be had.
            if state.is_one_to_be_had() && state.may_have_one(flow) {
                state.free -= 1;
                state.begin(flow);
                return Permit { permits: self.clone(), flow };
            }
            let (give, given) = oneshot::channel();
            state.waiting.entry(flow).or_default().push_back(give);
            given
        };
        loop {
            if let Ok(given) = timeout(ONE_MORE_AFTER, &mut given).await {
                return given.expect("the state ends with the last permit");
            }
            // It may be another's who is next.
            self.give_one_more();
        }
    }

    /// Somebody has waited: whoever is next may have a permit beside the others.
    fn give_one_more(&self) {
        let next = {
            let mut state = self.lock();
            let next = if state.free > 0 { state.next() } else { None };
            state.free -= usize::from(next.is_some());
            next
        };
        self.give(next);
    }

    /// A permit is back: gives it to whoever is next.
    fn pass_on(&self, ended: Flow) {
        let next = {
            let mut state = self.lock();
            state.end(ended);
            let next = state.next();
            state.free += usize::from(next.is_none());
            next
        };
        self.give(next);
    }

    fn give(&self, next: Option<(Flow, oneshot::Sender<Permit>)>) {
        if let Some((flow, next)) = next {
            // Whoever gives up at this moment drops it, and it is passed on again.
            let _ = next.send(Permit { permits: self.clone(), flow });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole also after a panic: nothing in between can fail.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first who still waits and may have one, in the flow whose last permit is longest ago.
    fn next(&mut self) -> Option<(Flow, oneshot::Sender<Permit>)> {
        self.waiting.retain(|_, flow| {
            while flow.front().is_some_and(oneshot::Sender::is_closed) {
                flow.pop_front();
            }
            !flow.is_empty()
        });
        let could = self.waiting.keys().filter(|flow| self.may_have_one(**flow));
        let flow = *could.min_by_key(|flow| self.last.get(*flow).copied().unwrap_or_default())?;
        self.begin(flow);
        Some((flow, self.waiting.get_mut(&flow)?.pop_front()?))
    }

    fn is_one_to_be_had(&self) -> bool {
        if self.sparing { self.free == self.all } else { self.free > 0 }
    }

    fn may_have_one(&self, flow: Flow) -> bool {
        flow.dealership.is_none_or(|id| self.of_dealership.get(&id).is_none_or(|has| *has < self.for_one))
    }

    fn begin(&mut self, flow: Flow) {
        self.given += 1;
        self.last.insert(flow, self.given);
        if self.last.len() > MAX_FLOWS {
            let newest = self.given - MAX_FLOWS as u64 / 2;
            self.last.retain(|_, given| *given > newest);
        }
        if let Some(id) = flow.dealership {
            *self.of_dealership.entry(id).or_default() += 1;
        }
    }

    fn end(&mut self, flow: Flow) {
        if let Some(id) = flow.dealership
            && let Some(has) = self.of_dealership.get_mut(&id)
        {
            *has -= 1;
            if *has == 0 {
                self.of_dealership.remove(&id);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.pass_on(self.flow);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures::{FutureExt, future::join_all};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn next_is_the_queue_whose_last_permit_is_longest_ago() {
        let permits = Permits::at_once(1);
        for queue in ["clerk", "answers", "email"] {
            permits.acquire(Flow::of(queue)).await;
        }
        let held = permits.acquire(Flow::of("answers")).await;
        let taken = RefCell::new(Vec::new());
        let waiting = ["answers", "answers", "email", "email", "clerk"].map(async |queue| {
            let permit = permits.acquire(Flow::of(queue)).await;
            taken.borrow_mut().push(queue);
            drop(permit);
        });
        let mut waiting = Box::pin(join_all(waiting));
        assert!(waiting.as_mut().now_or_never().is_none(), "there is one at a time");
        drop(held);
        waiting.await;
        assert_eq!(*taken.borrow(), ["clerk", "email", "answers", "email", "answers"]);
        let _only = permits.acquire(Flow::of("email")).await;
        assert!(permits.acquire(Flow::of("email")).now_or_never().is_none(), "there is one, as before");
    }

    #[tokio::test]
    async fn a_permit_of_somebody_who_is_gone_is_anothers() {
        let permits = Permits::at_once(1);
        let held = permits.acquire(Flow::of("email")).await;
        let [mut gave_up, mut given, mut next] =
            ["clerk", "answers", "email"].map(|queue| Box::pin(permits.acquire(Flow::of(queue))));
        for waiting in [&mut gave_up, &mut given, &mut next] {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        drop(gave_up);
        drop(held);
        drop(given);
        assert!(next.now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_dealership_leaves_a_permit_to_the_others() {
        let permits = Permits::at_once(3);
        let [oslo, bergen] =
            ["org_oslo", "org_bergen"].map(|org| Some(DealershipId::of(&org.parse().expect("printable"))));
        let of = |dealership| Box::pin(permits.acquire(Flow::of_dealership("email", dealership)));
        let held = [of(oslo).await, of(oslo).await];
        let mut third = of(oslo);
        assert!(third.as_mut().now_or_never().is_none(), "two of three are its own");
        let other = of(bergen).now_or_never().expect("one is free");
        let mut waiting = [of(bergen), of(oslo)];
        assert!(waiting.iter_mut().all(|waiting| waiting.as_mut().now_or_never().is_none()), "none is free");
        drop(other);
        let [next, _last] = waiting;
        let _other = next.now_or_never().expect("there is one that it may have");
        assert!(third.as_mut().now_or_never().is_none());
        drop(held);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_permit_beside_another_one_is_for_those_who_have_waited() {
        let permits = Permits::one_by_one_or(2);
        let take = |queue| Box::pin(permits.acquire(Flow::of(queue)));
        let first = take("email").now_or_never().expect("nobody has one");
        let mut second = take("answers");
        assert!(second.as_mut().now_or_never().is_none(), "one by one");
        let began = Instant::now();
        let second = second.await;
        assert!(began.elapsed() >= ONE_MORE_AFTER);
        let mut third = take("sms");
        assert!(timeout(3 * ONE_MORE_AFTER, &mut third).await.is_err(), "there are two");
        drop(first);
        let third = third.now_or_never().expect("it waits already");
        drop((second, third));
        assert!(take("email").now_or_never().is_some());
    }

    #[tokio::test]
    async fn whoever_waits_has_one_that_is_free_though_another_came_first() {
        let permits = Permits::one_by_one_or(3);
        let acquire = |queue| Box::pin(permits.acquire(Flow::of(queue)));
        let _held = acquire("email").now_or_never().expect("nobody has one");
        let (waiting, other) = (acquire("email"), acquire("answers"));
        // The flow that has had none is first, whoever's time is over.
        let both = timeout(10 * ONE_MORE_AFTER, async { tokio::join!(waiting, other) });
        assert!(both.await.is_ok(), "there are three");
    }

    #[tokio::test]
    async fn flows_of_long_ago_are_forgotten() {
        let permits = Permits::at_once(1);
        for number in 0..3 * MAX_FLOWS {
            let org = format!("org_{number}").parse().expect("printable");
            permits.acquire(Flow::of_dealership("email", Some(DealershipId::of(&org)))).await;
        }
        assert!(permits.lock().last.len() <= MAX_FLOWS);
    }
}
