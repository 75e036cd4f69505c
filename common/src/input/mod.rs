//! Reading what strangers send: every field's problem is found in one pass, none hides another.

mod fields;
mod values;

pub use fields::{FieldError, Fields, FromFields, Invalid, Patch};
pub use values::{Email, Phone, boolean, digits, instant, integer, json_object, json_objects, text, uuid};
