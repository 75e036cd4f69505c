use std::path::Path;

use dev::{
    console::Console,
    ownership::{self, NotOurs},
    postgres::{KeptCluster, Places},
    stand_ins::clerk::StandIn,
};

use crate::{
    directory::DevDirectory,
    environment::{Overrides, source},
    failure::Failure,
};

/// The person's database, or our own.
pub(crate) enum Database {
    Given(String),
    Kept(Box<KeptCluster>),
}

/// How to make sure that a database is ours before it is written into.
pub(crate) struct Claim<'a> {
    /// Who `cargo dev` is here, in the mark of each database that it made.
    pub(crate) owner: &'a str,
    /// Whether whatever is in the database may be overwritten.
    pub(crate) overwrite: bool,
}

impl Database {
    /// Refuses a database of the person's that is not ours, before anything is built or started.
    pub(crate) async fn check_given(overrides: &Overrides, claim: &Claim<'_>) -> Result<(), Failure> {
        match &overrides.database_url {
            Some(url) if !claim.overwrite => ownership::check(url, claim.owner).await.map_err(refused_given),
            _ => Ok(()),
        }
    }

    pub(crate) async fn start(
        overrides: &Overrides,
        directory: &DevDirectory,
        console: &Console,
    ) -> Result<Self, Failure> {
        if let Some(url) = &overrides.database_url {
            let source = source("DATABASE_URL");
            console.say("dev", &format!("using the database of DATABASE_URL, which is set in {source}"));
            return Ok(Self::Given(url.clone()));
        }
        let tell = |line: &str| console.say("dev", line);
        let name = overrides.private_database();
        let cluster = KeptCluster::start(directory.path(), name, &Places::of_this_host(), &tell).await?;
        let (version, programs) = (&cluster.binaries().version, cluster.binaries().directory.display());
        console.say("dev", &format!("PostgreSQL {version} ({programs}) on port {}", cluster.port()));
        Ok(Self::Kept(Box::new(cluster)))
    }

    /// Makes sure that this database is ours and marks it so, before anything else is written into it.
    pub(crate) async fn claim(&self, claim: &Claim<'_>, stand_in: Option<&StandIn>) -> Result<(), Failure> {
        let url = self.url();
        if !claim.overwrite {
            let mut ours = ownership::check(&url, claim.owner).await;
            if let (Ok(()), Some(stand_in)) = (&ours, stand_in) {
                ours = ownership::check_people(&url, &stand_in.instance()).await;
            }
            ours.map_err(|reason| self.refused(reason))?;
        }
        ownership::mark(&url, claim.owner).await.map_err(|error| self.refused(error.into()))
    }

    fn refused(&self, reason: NotOurs) -> Failure {
        match self {
            Self::Given(_) => refused_given(reason),
            Self::Kept(_) => Failure::PrivateDatabase(reason),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Given(url) => url.clone(),
            Self::Kept(cluster) => cluster.url(),
        }
    }

    /// What it is, for a person; never a password of theirs.
    pub(crate) fn description(&self) -> String {
        match self {
            Self::Given(_) => "yours, of DATABASE_URL".to_owned(),
            Self::Kept(cluster) => format!("PostgreSQL {} on port {}", cluster.binaries().version, cluster.port()),
        }
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> Failure {
        match self {
            Self::Given(_) => std::future::pending().await,
            Self::Kept(cluster) => {
                cluster.ended().await;
                Failure::DatabaseEnded(log(cluster.home()))
            }
        }
    }

    pub(crate) async fn stop(self, console: &Console) -> Result<(), Failure> {
        if let Self::Kept(cluster) = self {
            cluster.stop().await?;
            console.say("dev", "PostgreSQL stopped");
        }
        Ok(())
    }
}

fn refused_given(reason: NotOurs) -> Failure {
    Failure::GivenDatabase { reason, source_of_url: source("DATABASE_URL") }
}

fn log(home: &Path) -> String {
    home.join("postgres.log").display().to_string()
}
