//! The readers together: invented mails of every sort, what providers post, and anything at all.

mod properties;
mod providers;
mod samples;

use super::OwnAddresses;

/// The dealership that the samples are for.
fn own() -> OwnAddresses {
    OwnAddresses { addresses: Vec::new(), domains: vec!["bilhuset.example".into(), "inn.norvalt.example".into()] }
}
