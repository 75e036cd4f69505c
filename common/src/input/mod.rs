//! Reading what strangers send: every field's problem is found in one pass, none hides another.

mod email;
mod fields;
mod phone;
mod values;

pub use email::Email;
pub use fields::{FieldError, Fields, FromFields, Invalid, Patch};
pub use phone::Phone;
pub use values::{boolean, instant, integer, integer_text, json_object, json_objects, parsed, text, uuid};
