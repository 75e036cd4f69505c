use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use common::db::{self, DatabaseUrl};
use dev::{
    files,
    fingerprint::fingerprint,
    postgres::{Access, Account, Cluster, Durability, Places, Shutdown, end_leftover, find_or_install},
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::Outcome;

/// What differs from PostgreSQL's defaults: room for the data and the connections of the whole run, and log lines that
/// tell who sent a statement. Durability is as it comes: `fsync` and `synchronous_commit` are on.
const SETTINGS: [&str; 5] = [
    "shared_buffers = '1GB'",
    "max_connections = 200",
    "max_wal_size = '8GB'",
    "checkpoint_timeout = '30min'",
    "log_line_prefix = '@@%a@@%p@@ '",
];

/// A durable PostgreSQL of this run alone. Its data are on the disk of /var/tmp, and are removed at the end.
pub(crate) struct Postgres {
    cluster: Cluster,
    directory: PathBuf,
    pgbench: PathBuf,
}

impl Postgres {
    /// Starts an empty one. What an earlier run of this checkout left behind is ended and removed first.
    pub(crate) async fn start() -> Outcome<Self> {
        let directory =
            Path::new("/var/tmp").join(format!("norvalt-bench-{}", fingerprint(env!("CARGO_MANIFEST_DIR"))));
        let home = directory.join("postgres");
        end_leftover(&home).await?;
        files::remove(&directory)?;
        fs::create_dir_all(&directory)?;
        // For the account that runs the server; what is inside is its own.
        fs::set_permissions(&directory, Permissions::from_mode(0o755))?;
        let account = Account::for_postgres()?;
        let binaries = find_or_install(&Places::of_this_host(), &account, None, &|line| eprintln!("{line}")).await?;
        let pgbench = find_pgbench(&binaries.directory)?;
        let mut cluster = Cluster::new(binaries, account, home, Access::Socket, Durability::HostCrash);
        cluster.start().await?;
        let mut postgres = Self { cluster, directory, pgbench };
        for setting in SETTINGS {
            postgres.execute("postgres", &format!("ALTER SYSTEM SET {setting}")).await?;
        }
        postgres.cluster.stop(Shutdown::Fast).await?;
        postgres.cluster.start().await?;
        Ok(postgres)
    }

    /// Makes a database with the schema of this build.
    pub(crate) async fn create_database(&self, name: &str) -> Outcome<Database> {
        self.execute("postgres", &format!("CREATE DATABASE {name}")).await?;
        let url = self.cluster.url(name);
        db::migrate(&url.parse::<DatabaseUrl>()?).await?;
        Ok(Database { url, name: name.to_owned(), socket: self.home(), pgbench: self.pgbench.clone() })
    }

    /// Makes a database with nothing in it.
    pub(crate) async fn create_empty(&self, name: &str) -> Outcome<()> {
        self.execute("postgres", &format!("CREATE DATABASE {name}")).await
    }

    pub(crate) fn version(&self) -> &str {
        &self.cluster.binaries().version
    }

    /// Holds the socket and the log.
    pub(crate) fn home(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    pub(crate) async fn stop(mut self) -> Outcome<()> {
        self.cluster.stop(Shutdown::Immediate).await?;
        Ok(files::remove(&self.directory)?)
    }

    async fn execute(&self, database: &str, statement: &str) -> Outcome<()> {
        let mut connection = PgConnection::connect(&self.cluster.url(database)).await?;
        // Of names and numbers that stand in this crate.
        connection.execute(AssertSqlSafe(statement.to_owned())).await?;
        Ok(connection.close().await?)
    }
}

/// One database of it.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// Connects as the superuser.
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) socket: PathBuf,
    pub(crate) pgbench: PathBuf,
}

impl Database {
    /// Connects as the superuser, whom no policy binds.
    pub(crate) async fn connect(&self) -> Outcome<PgConnection> {
        Ok(PgConnection::connect(&self.url).await?)
    }

    /// For a process whose statements are to be read in the server's log.
    pub(crate) fn logged_url(&self) -> String {
        format!("{}&options[log_statement]=all", self.url)
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.socket.join("postgres.log")
    }
}

/// It comes with the server in Debian's and PostgreSQL's own packages, but not with every server.
fn find_pgbench(server: &Path) -> Outcome<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = std::iter::once(server.to_owned()).chain(env::split_paths(&path));
    places.find_map(|place| Some(place.join("pgbench")).filter(|program| program.is_file())).ok_or_else(|| {
        "there is no pgbench, neither beside the PostgreSQL server nor in PATH: install PostgreSQL with its additional \
         programs (Debian and Ubuntu: apt-get install postgresql; Red Hat and Fedora: postgresql-contrib; macOS: brew \
         install postgresql), and set PG_BIN_DIR to the directory that has it if there are several"
            .into()
    })
}
