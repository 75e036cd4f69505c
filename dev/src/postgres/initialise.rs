use std::{fs, path::Path};

use super::{Account, Binaries, Durability, PostgresError, binaries::program};
use crate::files::{self, During};

/// How the superuser `postgres` proves to be it.
pub(super) enum Authentication<'a> {
    /// Whoever can reach the socket is trusted.
    Trust,
    /// By this password.
    Password(&'a str),
}

/// Creates a cluster in `data` unless there is one. An attempt that was interrupted leaves nothing that looks like one.
pub(super) async fn initialise(
    binaries: &Binaries,
    account: &Account,
    data: &Path,
    authentication: Authentication<'_>,
    durability: Durability,
) -> Result<(), PostgresError> {
    if data.join("PG_VERSION").exists() {
        return Ok(());
    }
    let draft = data.with_extension("new");
    let password_file = data.with_extension("password");
    files::remove(&draft)?;
    let mut command = program(&binaries.directory.join("initdb"), account);
    command.arg("--pgdata").arg(&draft).args(["--username=postgres", "--encoding=UTF8", "--no-instructions"]);
    // Letters of every alphabet have an upper and a lower case (`ILIKE`), and sorting does not depend on the host.
    match binaries.major {
        ..=16 => command.args(["--locale=C", "--lc-ctype=C.UTF-8"]),
        _ => command.args(["--locale-provider=builtin", "--locale=C.UTF-8"]),
    };
    match authentication {
        Authentication::Trust => _ = command.arg("--auth=trust"),
        Authentication::Password(password) => {
            files::write_private(&password_file, password)?;
            account.own(&password_file)?;
            command.arg("--auth=scram-sha-256").arg("--pwfile").arg(&password_file);
        }
    }
    if durability != Durability::HostCrash {
        command.arg("--no-sync");
    }
    let outcome = command.output().await;
    files::remove(&password_file)?;
    let outcome = outcome.map_err(|source| PostgresError::Run { program: "initdb".to_owned(), source })?;
    if !outcome.status.success() {
        let output = String::from_utf8_lossy(&outcome.stderr).trim().to_owned();
        return Err(PostgresError::Failed { program: "initdb".to_owned(), status: outcome.status, output });
    }
    fs::rename(&draft, data).during("rename", &draft)?;
    Ok(())
}
