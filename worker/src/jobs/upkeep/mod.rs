//! What is done from time to time, whatever happens.

mod count_leads;
mod prune;
