//! One file for each thing that is measured.

pub(crate) mod attack;
mod batches;
pub(crate) mod ceiling;
pub(crate) mod footprint;
pub(crate) mod growth;
mod inbox;
pub(crate) mod intake;
pub(crate) mod jobs;
pub(crate) mod latency;
pub(crate) mod load;
pub(crate) mod requests;
pub(crate) mod sending;
mod turns;
