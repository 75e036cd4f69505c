//! One command a file.

pub(crate) mod migrate;
pub(crate) mod seed;
