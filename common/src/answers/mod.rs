//! The automatic answer to a new lead: what the assistant is given, what may leave of what it writes, and what is sent
//! when nothing may. How one comes about is in `write`.

mod context;
pub mod facts;
pub mod gate;
pub mod hand_over;
pub mod language;
pub mod prompt;
mod settings;
mod store;
pub mod template;
mod words;
mod write;

pub use settings::{AnswerMode, AnswerSettings, AnswerSettingsPatch, settings, update as update_settings};
pub use store::{Answer, AnswerAuthor, AnswerState, of_lead, request};
pub(crate) use store::{give_way, note_sent, take_draft};
pub use write::{AnswerError, Asked, CameBack, Means, answer_without, customer_wrote, finish, prepare};
