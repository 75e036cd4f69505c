use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::{
    Access, Account, Binaries, Cluster, Durability, Places, PostgresError, Shutdown,
    cluster::{data_major, end_leftover},
    find_or_install,
};
use crate::{files, random};

/// Above the ports of everyday services and below those that systems hand out by themselves.
const FIRST_PORT: u16 = 15432;

/// The development cluster: its data, its port and its password stay from one run to the next.
pub struct KeptCluster {
    cluster: Cluster,
    database: &'static str,
    port: u16,
    home: PathBuf,
}

impl KeptCluster {
    /// Starts the cluster that is kept in `directory`, which the user who runs PostgreSQL must be able to enter.
    /// Creates it and the database, a plain name, when they do not exist; gets a server when there is none; ends one that
    /// a killed run left behind.
    pub async fn start(
        directory: &Path,
        database: &'static str,
        places: &Places,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Self, PostgresError> {
        let home = home(directory);
        let account = Account::for_postgres()?;
        let binaries = find_or_install(places, &account, data_major(&home)?, tell).await?;
        // Before the port is chosen: a leftover server would hold it.
        end_leftover(&home).await?;
        let password = files::read_or_create(&directory.join("postgres.password"), random::password)?;
        let port = keep_port(&directory.join("postgres.port"))?;
        let access = Access::Tcp { port, password };
        let mut cluster = Cluster::new(binaries, account, home.clone(), access, Durability::HostCrash);
        cluster.start().await?;
        create_database(&cluster, database).await?;
        Ok(Self { cluster, database, port, home })
    }

    /// Ends the server that a killed run left behind in `directory`, if there is one.
    pub async fn end_leftover(directory: &Path) -> Result<(), PostgresError> {
        end_leftover(&home(directory)).await
    }

    /// The URL of the database. It holds the superuser's password.
    pub fn url(&self) -> String {
        self.cluster.url(self.database)
    }

    /// The port at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn binaries(&self) -> &Binaries {
        self.cluster.binaries()
    }

    /// Where data and log are.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Waits until the server ends by itself, which it should not.
    pub async fn ended(&mut self) {
        let _ = self.cluster.ended().await;
    }

    /// Ends the server and waits until everything is on disk.
    pub async fn stop(mut self) -> Result<(), PostgresError> {
        self.cluster.stop(Shutdown::Fast).await
    }
}

fn home(directory: &Path) -> PathBuf {
    directory.join("postgres")
}

/// The port of the last run if it is still free, so that a connection string that somebody noted stays valid.
fn keep_port(path: &Path) -> Result<u16, PostgresError> {
    let kept = files::read(path)?.and_then(|text| text.trim().parse().ok());
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = kept.into_iter().chain(FIRST_PORT..=u16::MAX).find(free).unwrap_or(FIRST_PORT);
    if kept != Some(port) {
        files::write_private(path, &port.to_string())?;
    }
    Ok(port)
}

async fn create_database(cluster: &Cluster, name: &str) -> Result<(), PostgresError> {
    let mut connection = PgConnection::connect(&cluster.url("postgres")).await?;
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(&mut connection)
        .await?;
    if !exists {
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
    }
    Ok(connection.close().await?)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::{fs::PermissionsExt, process::CommandExt},
        process::{Child, Command, Stdio},
    };

    use super::*;

    /// Clears up when the test is over, however it ends: its standard input is at its end then.
    const CLEAR_UP: &str = r#"cat; pid=$(head -n 1 "$0/postgres/data/postmaster.pid")
        while kill -QUIT "$pid"; do sleep 0.1; done; rm -rf "$0""#;

    fn clear_up_later(directory: &Path) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", CLEAR_UP]).arg(directory).process_group(0);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        child.expect("there is a shell")
    }

    async fn start(directory: &Path) -> KeptCluster {
        let places = Places::of_this_host();
        KeptCluster::start(directory, "norvalt", &places, &|line| println!("{line}"))
            .await
            .expect("a server can be had here")
    }

    #[tokio::test]
    async fn data_port_and_password_outlive_a_killed_run() {
        // Where the user who runs the server can go, also when this is root.
        let directory = Path::new("/tmp").join(format!("norvalt-kept-{}", std::process::id()));
        let mut clear_up = clear_up_later(&directory);
        fs::create_dir(&directory).expect("nobody else makes this directory");
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).expect("it is ours");

        let first = start(&directory).await;
        let mut connection = PgConnection::connect(&first.url()).await.expect("it is ready");
        sqlx::query("CREATE TABLE kept ()").execute(&mut connection).await.expect("the superuser may");
        let url = first.url();
        // As if this process had been killed: nobody stops the server.
        std::mem::forget(first);

        let second = start(&directory).await;
        assert_eq!(second.url(), url);
        let mut connection = PgConnection::connect(&url).await.expect("it is ready");
        sqlx::query("SELECT FROM kept").execute(&mut connection).await.expect("the table was committed");
        let stranger = PgConnection::connect(&url.replace("//postgres:", "//postgres:x")).await;
        assert!(matches!(stranger, Err(sqlx::Error::Database(_))), "the password counts");
        second.stop().await.expect("it runs");
        drop(clear_up.stdin.take());
        clear_up.wait().expect("it was started");
    }
}
