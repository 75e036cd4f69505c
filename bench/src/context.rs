use std::sync::Arc;

use dev::stand_ins::clerk::{SigningKey, StandIn};

use crate::{
    binaries::Binaries,
    data::Samples,
    options::Options,
    postgres::{Database, Postgres},
    processes::Launcher,
    report::Report,
    traffic::{Path, Tokens, Traffic},
};

/// What the parts share.
pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) postgres: Postgres,
    pub(crate) database: Database,
    pub(crate) samples: Arc<Samples>,
    pub(crate) report: Report,
    pub(crate) binaries: Binaries,
    pub(crate) clerk: StandIn,
}

impl Bench {
    pub(crate) fn launcher(&self) -> Launcher<'_> {
        Launcher { binaries: &self.binaries, clerk: &self.clerk, options: &self.options }
    }

    /// Requests for so many connections, with tokens that were just issued.
    pub(crate) fn traffic(&self, path: Path, connections: usize) -> Vec<Traffic> {
        self.traffic_among(path, connections, &self.samples)
    }

    pub(crate) fn traffic_among(&self, path: Path, connections: usize, samples: &Arc<Samples>) -> Vec<Traffic> {
        let tokens = Tokens::mint(samples, &self.clerk.key());
        let one = |seed| Traffic::new(path, Arc::clone(samples), tokens.clone(), seed);
        // Ids of deliveries follow from the seed and must not come twice.
        let first = usize::try_from(dev::random::bytes::<4>().iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)));
        let first = first.unwrap_or_default();
        (first..first + connections).map(one).collect()
    }

    /// Signs tokens that the API accepts.
    pub(crate) fn key(&self) -> Arc<SigningKey> {
        self.clerk.key()
    }

    /// Where results and whatever is worth keeping between runs are.
    pub(crate) fn results(&self) -> std::path::PathBuf {
        self.binaries.results()
    }
}
