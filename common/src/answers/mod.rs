//! The automatic answer to a new lead: what the assistant is given, what may leave of what it writes, and what is sent
//! when nothing may.

pub mod facts;
pub mod gate;
pub mod hand_over;
pub mod language;
pub mod prompt;
pub mod template;
mod words;
