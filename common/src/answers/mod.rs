//! The automatic answer to a new lead: what the assistant is given, what may leave of what it writes, and what is sent
//! when nothing may. How one comes about is in `write`; what is suggested to people, in `suggest`.

mod context;
pub mod facts;
pub mod gate;
pub mod hand_over;
pub mod language;
pub mod prompt;
mod settings;
mod spending;
mod store;
mod suggest;
mod suggestion;
pub mod template;
mod words;
mod write;

pub use settings::{AnswerMode, AnswerSettings, AnswerSettingsPatch, settings, update as update_settings};
pub use spending::NotAsked;
pub(crate) use spending::may_ask;
pub use store::{Answer, AnswerAuthor, AnswerState, of_lead, request};
pub(crate) use store::{give_way, note_sent, take_draft};
pub use suggest::{SuggestionRequest, finish_suggestion, give_up_suggestion, prepare_suggestion};
pub use suggestion::{Hint, SuggestError, Suggestion, SuggestionKey, SuggestionState, of_lead as suggestions, suggest};
pub use write::{AnswerError, AnswerRequest, AssistantReply, Means, answer_without, customer_wrote, finish, prepare};
