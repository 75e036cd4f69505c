//! Automatic answers, and what the assistant is asked for.

mod answer_in_time;
pub(super) mod asking;
mod watch_lead;
mod write_answer;
mod write_suggestion;
