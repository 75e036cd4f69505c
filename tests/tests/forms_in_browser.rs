//! What customers see, in a real browser: the hosted form with and without script, and the embedded one on a page of
//! another origin. `SCREENSHOTS=directory cargo test forms_in_browser` writes down how each looks.

mod embedded;
mod hosted;
mod look;
mod stage;
