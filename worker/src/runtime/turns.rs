use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::ids::DealershipId;
use tokio::{sync::oneshot, time::timeout};

/// Longer than most turns take, and less than anybody notices.
const PATIENCE: Duration = Duration::from_millis(100);

/// What the queues of this process share, and take turns at: so many at a time. Each queue has a line of its own, in which its jobs
/// wait for as long as it takes. Next is the line whose last turn is longest ago: a thousand jobs of one queue keep a job of a
/// queue that has few waiting for the end of one turn, and not for a thousand.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Mutex<Lines>>);

/// Where one waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Line {
    queue: &'static str,
    dealership: Option<DealershipId>,
}

#[derive(Debug)]
struct Lines {
    free: usize,
    /// A turn beside another one is only for whoever has waited for [`PATIENCE`].
    sparing: bool,
    /// How many there are.
    all: usize,
    /// As many as one dealership may have at a time: jobs of one that wait for each other leave a turn to the others.
    for_one: usize,
    of_dealership: HashMap<DealershipId, usize>,
    waiting: HashMap<Line, VecDeque<oneshot::Sender<Turn>>>,
    /// The number of each line's last turn.
    last: HashMap<Line, u64>,
    turns: u64,
}

/// Lasts until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    line: Line,
}

impl Line {
    pub(super) fn of(queue: &'static str) -> Self {
        Self { queue, dealership: None }
    }

    /// Each dealership has its own.
    pub(super) fn of_dealership(queue: &'static str, dealership: Option<DealershipId>) -> Self {
        Self { queue, dealership }
    }
}

impl Turns {
    /// So many at a time, and one at least.
    pub(super) fn at_once(turns: usize) -> Self {
        Self::new(turns, false)
    }

    /// The same, and one only as long as nobody has to wait for it: what takes turns leaves a processor to others as long as it is
    /// fast enough so.
    pub(super) fn one_by_one_or(turns: usize) -> Self {
        Self::new(turns, true)
    }

    fn new(turns: usize, sparing: bool) -> Self {
        let lines = Lines {
            free: turns.max(1),
            sparing,
            all: turns.max(1),
            for_one: turns.saturating_sub(1).max(1),
            of_dealership: HashMap::new(),
            waiting: HashMap::new(),
            last: HashMap::new(),
            turns: 0,
        };
        Self(Arc::new(Mutex::new(lines)))
    }

    /// Waits for a turn in this line.
    pub(super) async fn take(&self, line: Line) -> Turn {
        let mut given = {
            let mut lines = self.lock();
            // Nobody who could have it waits while one is to be had.
            if lines.is_one_to_be_had() && lines.may_have_one(line) {
                lines.free -= 1;
                lines.begin(line);
                return Turn { turns: self.clone(), line };
            }
            let (give, given) = oneshot::channel();
            lines.waiting.entry(line).or_default().push_back(give);
            given
        };
        // Once is enough: as long as somebody waits, turns are passed on, and there are no fewer beside each other.
        let given = if let Ok(given) = timeout(PATIENCE, &mut given).await {
            given
        } else {
            self.give_one_more();
            given.await
        };
        given.expect("lines end with the last turn")
    }

    /// Somebody has waited: whoever is next may have a turn beside the others.
    fn give_one_more(&self) {
        let next = {
            let mut lines = self.lock();
            let next = if lines.free > 0 { lines.next() } else { None };
            lines.free -= usize::from(next.is_some());
            next
        };
        self.give(next);
    }

    /// A turn is over: gives it to whoever is next.
    fn pass_on(&self, ended: Line) {
        let next = {
            let mut lines = self.lock();
            lines.end(ended);
            let next = lines.next();
            lines.free += usize::from(next.is_none());
            next
        };
        self.give(next);
    }

    fn give(&self, next: Option<(Line, oneshot::Sender<Turn>)>) {
        if let Some((line, next)) = next {
            // Whoever gives up at this moment drops it, and it is passed on again.
            let _ = next.send(Turn { turns: self.clone(), line });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        // Whole also after a panic: nothing in between can fail.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// The first who still waits and may have one, in the line whose last turn is longest ago.
    fn next(&mut self) -> Option<(Line, oneshot::Sender<Turn>)> {
        self.waiting.retain(|_, line| {
            while line.front().is_some_and(oneshot::Sender::is_closed) {
                line.pop_front();
            }
            !line.is_empty()
        });
        let could = self.waiting.keys().filter(|line| self.may_have_one(**line));
        let line = *could.min_by_key(|line| self.last.get(*line).copied().unwrap_or_default())?;
        self.begin(line);
        Some((line, self.waiting.get_mut(&line)?.pop_front()?))
    }

    fn is_one_to_be_had(&self) -> bool {
        if self.sparing { self.free == self.all } else { self.free > 0 }
    }

    fn may_have_one(&self, line: Line) -> bool {
        line.dealership.is_none_or(|id| self.of_dealership.get(&id).is_none_or(|has| *has < self.for_one))
    }

    fn begin(&mut self, line: Line) {
        self.turns += 1;
        self.last.insert(line, self.turns);
        if let Some(id) = line.dealership {
            *self.of_dealership.entry(id).or_default() += 1;
        }
    }

    fn end(&mut self, line: Line) {
        if let Some(id) = line.dealership
            && let Some(has) = self.of_dealership.get_mut(&id)
        {
            *has -= 1;
            if *has == 0 {
                self.of_dealership.remove(&id);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.pass_on(self.line);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures::{FutureExt, future::join_all};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn next_is_the_queue_whose_last_turn_is_longest_ago() {
        let turns = Turns::at_once(1);
        for queue in ["clerk", "answers", "email"] {
            turns.take(Line::of(queue)).await;
        }
        let held = turns.take(Line::of("answers")).await;
        let taken = RefCell::new(Vec::new());
        let waiting = ["answers", "answers", "email", "email", "clerk"].map(async |queue| {
            let turn = turns.take(Line::of(queue)).await;
            taken.borrow_mut().push(queue);
            drop(turn);
        });
        let mut waiting = Box::pin(join_all(waiting));
        assert!(waiting.as_mut().now_or_never().is_none(), "there is one at a time");
        drop(held);
        waiting.await;
        assert_eq!(*taken.borrow(), ["clerk", "email", "answers", "email", "answers"]);
        let _only = turns.take(Line::of("email")).await;
        assert!(turns.take(Line::of("email")).now_or_never().is_none(), "there is one, as before");
    }

    #[tokio::test]
    async fn a_turn_of_somebody_who_is_gone_is_anothers() {
        let turns = Turns::at_once(1);
        let held = turns.take(Line::of("email")).await;
        let [mut gave_up, mut given, mut next] =
            ["clerk", "answers", "email"].map(|queue| Box::pin(turns.take(Line::of(queue))));
        for waiting in [&mut gave_up, &mut given, &mut next] {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        drop(gave_up);
        drop(held);
        drop(given);
        assert!(next.now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_dealership_leaves_a_turn_to_the_others() {
        let turns = Turns::at_once(3);
        let [oslo, bergen] =
            ["org_oslo", "org_bergen"].map(|org| Some(DealershipId::of(&org.parse().expect("printable"))));
        let of = |dealership| Box::pin(turns.take(Line::of_dealership("email", dealership)));
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
    async fn a_turn_beside_another_one_is_for_those_who_have_waited() {
        let turns = Turns::one_by_one_or(2);
        let take = |queue| Box::pin(turns.take(Line::of(queue)));
        let first = take("email").now_or_never().expect("nobody has one");
        let mut second = take("answers");
        assert!(second.as_mut().now_or_never().is_none(), "one by one");
        let began = Instant::now();
        let second = second.await;
        assert!(began.elapsed() >= PATIENCE);
        let mut third = take("sms");
        assert!(timeout(3 * PATIENCE, &mut third).await.is_err(), "there are two");
        drop(first);
        let third = third.now_or_never().expect("it waits already");
        drop((second, third));
        assert!(take("email").now_or_never().is_some());
    }
}
