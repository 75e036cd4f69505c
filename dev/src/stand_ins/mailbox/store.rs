use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Message;

/// The oldest go when more came.
const LIMIT: usize = 10_000;

/// What came, oldest first.
pub(super) struct Store {
    messages: Mutex<Vec<Message>>,
    /// How often something changed.
    changes: watch::Sender<u64>,
}

impl Store {
    pub(super) fn new() -> Self {
        Self { messages: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// Numbers it and counts the copies.
    pub(super) fn add(&self, mut message: Message) -> Message {
        let mut messages = self.messages();
        message.id = messages.last().map_or(1, |last| last.id + 1);
        message.copy = 1 + messages.iter().filter(|earlier| message.is_same_to_the_customer(earlier)).count();
        messages.push(message.clone());
        let excess = messages.len().saturating_sub(LIMIT);
        messages.drain(..excess);
        drop(messages);
        self.changed();
        message
    }

    pub(super) fn all(&self) -> Vec<Message> {
        self.messages().clone()
    }

    pub(super) fn find(&self, is_it: impl Fn(&Message) -> bool) -> Option<Message> {
        self.messages().iter().find(|message| is_it(message)).cloned()
    }

    pub(super) fn change(&self, id: u64, change: impl FnOnce(&mut Message)) {
        if let Some(message) = self.messages().iter_mut().find(|message| message.id == id) {
            change(message);
        }
        self.changed();
    }

    pub(super) fn clear(&self) {
        self.messages().clear();
        self.changed();
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How often something changed.
    pub(super) fn count(&self) -> u64 {
        *self.changes.borrow()
    }

    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn messages(&self) -> MutexGuard<'_, Vec<Message>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
