use std::env;

use dev::{
    console::Console,
    postgres::{KeptCluster, Places},
};

use crate::{directory::DevDirectory, environment::Wishes, failure::Failure};

/// The person's database, or our own.
pub(crate) enum Database {
    Given(String),
    Kept(Box<KeptCluster>),
}

impl Database {
    pub(crate) async fn start(wishes: &Wishes, directory: &DevDirectory, console: &Console) -> Result<Self, Failure> {
        if let Some(url) = &wishes.database_url {
            let whence = if env::var_os("DATABASE_URL").is_some() { "the environment" } else { ".env" };
            console.say("dev", &format!("using the database of DATABASE_URL, which is set in {whence}; without it, there would be a private one"));
            return Ok(Self::Given(url.clone()));
        }
        let tell = |line: &str| console.say("dev", line);
        let cluster = KeptCluster::start(directory.path(), &Places::of_this_host(), &tell).await?;
        let (version, programs) = (&cluster.binaries().version, cluster.binaries().directory.display());
        console.say("dev", &format!("PostgreSQL {version} ({programs}) on port {}", cluster.port()));
        Ok(Self::Kept(Box::new(cluster)))
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Given(url) => url.clone(),
            Self::Kept(cluster) => cluster.url(),
        }
    }

    /// How a person gets in, unless it is a database of their own, whose URL holds a password of theirs.
    pub(crate) fn way_in(&self) -> Option<String> {
        let Self::Kept(cluster) = self else { return None };
        let path = env::var_os("PATH").unwrap_or_default();
        let in_path = env::split_paths(&path).any(|directory| directory.join("psql").is_file());
        let beside = cluster.binaries().directory.join("psql");
        // A server that was fetched through npm comes without it.
        Some(match (in_path, beside.is_file()) {
            (true, _) => format!("psql '{}'", cluster.url()),
            (false, true) => format!("{} '{}'", beside.display(), cluster.url()),
            (false, false) => cluster.url(),
        })
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> Failure {
        match self {
            Self::Given(_) => std::future::pending().await,
            Self::Kept(cluster) => {
                cluster.ended().await;
                Failure::DatabaseEnded(cluster.home().join("postgres.log").display().to_string())
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
