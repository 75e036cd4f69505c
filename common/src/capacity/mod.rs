//! What hurts first, and when: from the database's own numbers. No history is kept besides the rows themselves, so what has none says
//! so.

mod limits;
mod numbers;

pub use limits::{Left, Limit, limits};
pub use numbers::{Biggest, Numbers, QueueNumbers, ServerNumbers, TableNumbers, numbers};
