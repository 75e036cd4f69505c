//! Reading what strangers send: every field's problem is found in one pass, none hides another.

mod email;
mod fields;
mod json;
mod origin;
mod phone;
mod values;

pub use email::Email;
pub use fields::{FieldError, Fields, FromFields, Invalid, Patch};
pub use json::{JsonText, json_object, json_objects};
pub use origin::{is_origin, is_script, link, origin_of, origins, web_page};
pub use phone::Phone;
pub use values::{boolean, instant, integer, integer_text, parsed, text, uuid};
