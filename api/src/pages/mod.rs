//! What customers of a dealership see: the hosted form, what follows it, and the form that a script draws on the
//! dealership's own pages. All of it is made from values: whoever calls knows the database.

mod assets;
mod closed;
mod embed;
mod facebook;
mod form;
mod language;
mod layout;
mod respond;
mod texts;
mod thanks;
mod unsubscribe;

pub use assets::{asset, embed_script};
pub use closed::{closed, crowded};
pub use embed::{EmbeddedForm, embed_line};
pub use facebook::{FacebookReturn, facebook_return};
pub use form::{FormNotice, FormPage};
pub use language::from_accept_language;
pub use respond::{ForPeople, page};
pub use thanks::thanks;
pub use unsubscribe::{unsubscribe, unsubscribed};
