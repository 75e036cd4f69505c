use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use super::{Account, PostgresError, account::is_root};

/// The first major version that the migrations are written for.
pub const OLDEST_MAJOR: u32 = 15;

/// The directory of one PostgreSQL server's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// Holds `initdb` and `postgres`.
    pub directory: PathBuf,
    /// As the server tells it, such as `17.2`.
    pub version: String,
    /// The part of the version that decides whether data can be read.
    pub major: u32,
}

/// Where to look for server programs.
#[derive(Debug, Clone)]
pub struct Places {
    /// The person's own choice, `PG_BIN_DIR`: nothing else is looked at then.
    pub chosen: Option<PathBuf>,
    /// The directories of `PATH`.
    pub path: Vec<PathBuf>,
    /// What stands before the well-known places; `/` outside tests.
    pub root: PathBuf,
    /// Where a server fetched through npm is kept.
    pub cache: PathBuf,
}

/// Directories with one PostgreSQL version each: the parent, how a version's directory starts, where the programs are.
const WELL_KNOWN: &[(&str, &str, &str)] = &[
    ("usr/lib/postgresql", "", "bin"),                      // Debian, Ubuntu
    ("usr/libexec", "postgresql", ""),                      // Alpine
    ("usr", "pgsql-", "bin"),                               // Red Hat and Fedora, from PostgreSQL's own repository
    ("opt/homebrew/opt", "postgresql", "bin"),              // Homebrew on Apple silicon
    ("usr/local/opt", "postgresql", "bin"),                 // Homebrew on Intel
    ("home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"), // Homebrew on Linux
    ("Applications/Postgres.app/Contents/Versions", "", "bin"),
];

impl Places {
    /// The places of this host, as this process' environment has them.
    pub fn of_this_host() -> Self {
        Self {
            chosen: env::var_os("PG_BIN_DIR").and_then(|choice| std::path::absolute(choice).ok()),
            path: env::split_paths(&env::var_os("PATH").unwrap_or_default()).filter(|dir| dir.is_absolute()).collect(),
            root: PathBuf::from("/"),
            cache: cache_directory(),
        }
    }

    /// Every server there is, the best one last: the newest, and of two alike the one found first.
    pub async fn servers(&self, account: &Account) -> Result<Vec<Binaries>, PostgresError> {
        if let Some(directory) = &self.chosen {
            let unusable = |problem| PostgresError::UnusableChoice { directory: directory.clone(), problem };
            let server = probe(directory, account).await.map_err(unusable)?;
            if server.major < OLDEST_MAJOR {
                return Err(unusable(format!("PostgreSQL {} is older than {OLDEST_MAJOR}", server.version)));
            }
            return Ok(vec![server]);
        }
        let mut servers = Vec::new();
        for directory in self.directories() {
            servers.extend(probe(&directory, account).await.ok());
        }
        servers.reverse();
        servers.sort_by_key(|server| server.major);
        Ok(servers)
    }

    fn directories(&self) -> Vec<PathBuf> {
        let mut directories = self.path.clone();
        for (parent, prefix, below) in WELL_KNOWN {
            let entries = fs::read_dir(self.root.join(parent)).into_iter().flatten().flatten();
            let versions = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
            directories.extend(versions.map(|version| version.path().join(below)));
        }
        directories.push(super::install::npm_directory(&self.cache));
        directories
    }
}

/// Asks the server in a directory for its version, as the user who will run it: a program that this user cannot reach
/// is as good as none.
pub(super) async fn probe(directory: &Path, account: &Account) -> Result<Binaries, String> {
    for program in ["initdb", "postgres"] {
        if !directory.join(program).is_file() {
            return Err(format!("there is no program {program} in it"));
        }
    }
    let mut command = program(&directory.join("postgres"), account);
    let answer = command.arg("--version").output().await.map_err(|error| format!("postgres cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let version = text.split_whitespace().nth(2).filter(|_| answer.status.success());
    let major = version.and_then(major);
    match (version, major) {
        (Some(version), Some(major)) => {
            Ok(Binaries { directory: directory.to_owned(), version: version.to_owned(), major })
        }
        _ => Err(format!("postgres --version does not work: {}", String::from_utf8_lossy(&answer.stderr).trim())),
    }
}

/// One of PostgreSQL's programs in a small, fixed environment: neither the person's locale nor their `PG…` variables
/// may change what it does.
pub fn program(path: &Path, account: &Account) -> Command {
    let mut command = Command::new(path);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC");
    // The person's working directory may be closed to the account.
    command.current_dir("/").stdin(Stdio::null());
    account.apply(&mut command);
    command
}

/// `17.2` is 17, and so is `17beta1`.
fn major(version: &str) -> Option<u32> {
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

/// Root's own cache would be closed to the user that the server runs as.
fn cache_directory() -> PathBuf {
    let chosen = || env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|cache| cache.is_absolute());
    let usual = || env::home_dir().map(|home| home.join(".cache"));
    let of_user = if is_root() { None } else { chosen().or_else(usual) };
    of_user.unwrap_or_else(|| PathBuf::from("/var/cache")).join("norvalt-dev")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn reads_the_major_version() {
        assert_eq!(["17.2", "18beta1", "15", "devel"].map(major), [Some(17), Some(18), Some(15), None]);
    }

    /// A directory with a pretended server below a place that every user can reach.
    fn pretend(root: &Path, directory: &str, version: &str) -> PathBuf {
        let directory = root.join(directory);
        fs::create_dir_all(&directory).expect("the temporary directory is writable");
        for program in ["initdb", "postgres"] {
            let path = directory.join(program);
            fs::write(&path, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).expect("writable");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        directory
    }

    #[tokio::test]
    async fn the_newest_server_of_all_places_wins() {
        let root = env::temp_dir().join(format!("norvalt-places-{}", std::process::id()));
        let in_path = pretend(&root, "bin", "16.1");
        pretend(&root, "usr/lib/postgresql/13/bin", "13.9 (Debian 13.9-1)");
        let newest = pretend(&root, "usr/libexec/postgresql17", "17.2");
        let places =
            Places { chosen: None, path: vec![in_path.clone()], root: root.clone(), cache: root.join("cache") };
        let account = Account::for_postgres().expect("this host has somebody to run PostgreSQL");

        let servers = places.servers(&account).await.expect("nothing was chosen");
        assert_eq!(servers.iter().map(|s| s.major).collect::<Vec<_>>(), [13, 16, 17]);
        assert_eq!(servers.last().map(|s| &s.directory), Some(&newest));

        let chosen = Places { chosen: Some(in_path), ..places.clone() }.servers(&account).await.expect("it is usable");
        assert_eq!(chosen.iter().map(|s| s.version.as_str()).collect::<Vec<_>>(), ["16.1"]);

        let mistaken = Places { chosen: Some(root.clone()), ..places };
        let error = mistaken.servers(&account).await.expect_err("there are no programs in it").to_string();
        assert!(error.starts_with("PG_BIN_DIR is /") && error.ends_with("there is no program initdb in it"), "{error}");
        fs::remove_dir_all(root).expect("it is ours");
    }
}
