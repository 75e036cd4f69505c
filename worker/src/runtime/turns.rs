use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// What the queues of this process share, and take turns at: so many at a time. Each queue has a line of its own, in which its jobs
/// wait for as long as it takes. Next is the queue whose last turn is longest ago: a thousand jobs of one queue keep a job of a
/// queue that has few waiting for the end of one turn, and not for a thousand.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    free: usize,
    waiting: HashMap<&'static str, VecDeque<oneshot::Sender<Turn>>>,
    /// The number of each queue's last turn.
    last: HashMap<&'static str, u64>,
    turns: u64,
}

/// Lasts until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Turns);

impl Turns {
    /// So many at a time, and one at least.
    pub(super) fn at_once(turns: usize) -> Self {
        let (waiting, last, turns, free) = (HashMap::new(), HashMap::new(), 0, turns.max(1));
        Self(Arc::new(Mutex::new(Lines { free, waiting, last, turns })))
    }

    /// Waits for a turn of this queue.
    pub(super) async fn take(&self, queue: &'static str) -> Turn {
        let given = {
            let mut lines = self.lock();
            // Nobody waits while one is free.
            if lines.free > 0 {
                lines.free -= 1;
                lines.count(queue);
                return Turn(self.clone());
            }
            let (give, given) = oneshot::channel();
            lines.waiting.entry(queue).or_default().push_back(give);
            given
        };
        given.await.expect("lines end with the last turn")
    }

    /// A turn is over: gives it to whoever is next.
    fn pass_on(&self) {
        let next = {
            let mut lines = self.lock();
            let next = lines.next();
            lines.free += usize::from(next.is_none());
            next
        };
        if let Some(next) = next {
            // Whoever gives up at this moment drops it, and it is passed on again.
            let _ = next.send(Turn(self.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        // Whole also after a panic: nothing in between can fail.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// The first who still waits, of the queue whose last turn is longest ago.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        self.waiting.retain(|_, line| {
            while line.front().is_some_and(oneshot::Sender::is_closed) {
                line.pop_front();
            }
            !line.is_empty()
        });
        let queue = *self.waiting.keys().min_by_key(|queue| self.last.get(*queue).copied().unwrap_or_default())?;
        self.count(queue);
        self.waiting.get_mut(queue)?.pop_front()
    }

    fn count(&mut self, queue: &'static str) {
        self.turns += 1;
        self.last.insert(queue, self.turns);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures::{FutureExt, future::join_all};

    use super::*;

    #[tokio::test]
    async fn next_is_the_queue_whose_last_turn_is_longest_ago() {
        let turns = Turns::at_once(1);
        for queue in ["clerk", "answers", "email"] {
            turns.take(queue).await;
        }
        let held = turns.take("answers").await;
        let taken = RefCell::new(Vec::new());
        let waiting = ["answers", "answers", "email", "email", "clerk"].map(async |queue| {
            let turn = turns.take(queue).await;
            taken.borrow_mut().push(queue);
            drop(turn);
        });
        let mut waiting = Box::pin(join_all(waiting));
        assert!(waiting.as_mut().now_or_never().is_none(), "there is one at a time");
        drop(held);
        waiting.await;
        assert_eq!(*taken.borrow(), ["clerk", "email", "answers", "email", "answers"]);
        let _only = turns.take("email").await;
        assert!(turns.take("email").now_or_never().is_none(), "there is one, as before");
    }

    #[tokio::test]
    async fn a_turn_of_somebody_who_is_gone_is_anothers() {
        let turns = Turns::at_once(1);
        let held = turns.take("email").await;
        let [mut gave_up, mut given, mut next] = ["clerk", "answers", "email"].map(|queue| Box::pin(turns.take(queue)));
        for waiting in [&mut gave_up, &mut given, &mut next] {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        drop(gave_up);
        drop(held);
        drop(given);
        assert!(next.now_or_never().is_some());
    }
}
