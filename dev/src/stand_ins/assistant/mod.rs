//! A stand-in for the assistants that write answers: Anthropic's Messages API and chat completions as `OpenAI` and local
//! servers have them. It writes in the schema that it is given, from the facts in the user's message.

mod anthropic;
mod faults;
mod openai;
mod server;
mod sorting;
mod suggestion;
#[cfg(test)]
mod tests;
mod writer;

pub use faults::{ActiveFault, Fault};
pub use server::{Options, StandIn};
