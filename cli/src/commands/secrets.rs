use std::collections::BTreeMap;

use common::{
    config::CliConfig,
    db::Db,
    secrets::{KeyId, Keyring, dealerships_to_reseal, keys_in_use, reseal},
};
use serde::Serialize;
use serde_json::json;

use crate::{CommandError, table::show};

/// Look at the keys that secrets of dealerships are sealed with, and change them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
#[expect(clippy::doc_markdown, reason = "the text is shown on a terminal")]
enum Command {
    /// List the keys of SECRETS_KEYS and those that secrets are sealed with, and say which can be taken away.
    Keys,
    /// Seal every secret with the first key of SECRETS_KEYS. Interrupted, it is simply run again.
    Reseal,
}

pub(crate) async fn run(config: &CliConfig, args: Args) -> Result<(), CommandError> {
    let db = Db::new(&config.database_url, 1, "norvalt secrets");
    match args.command {
        Command::Keys => keys(&db, &config.keyring, args.json).await?,
        Command::Reseal => reseal_all(&db, &config.keyring, args.json).await?,
    }
    db.close().await;
    Ok(())
}

/// A key, of this host or of a secret.
#[derive(Debug, Serialize)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secrets: i64,
    pub(super) state: KeyState,
}

/// What a key is to this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeyState {
    Seals,
    /// Secrets are still sealed with it.
    Needed,
    Unused,
    /// Secrets are sealed with it, and do not open here.
    Missing,
}

impl KeyState {
    fn told(self) -> &'static str {
        match self {
            Self::Seals => "seals",
            Self::Needed => "opens; norvalt secrets reseal",
            Self::Unused => "can be taken away",
            Self::Missing => "missing here",
        }
    }
}

/// The keys of this host in their order, and those that it lacks.
pub(super) fn known(keyring: &Keyring, mut in_use: BTreeMap<KeyId, i64>) -> Vec<Key> {
    let own = keyring.ids().enumerate().map(|(position, id)| {
        let secrets = in_use.remove(id).unwrap_or_default();
        let state = match (position, secrets) {
            (0, _) => KeyState::Seals,
            (_, 0) => KeyState::Unused,
            _ => KeyState::Needed,
        };
        Key { id: id.to_string(), secrets, state }
    });
    let mut keys: Vec<_> = own.collect();
    keys.extend(in_use.into_iter().map(|(id, secrets)| Key { id: id.to_string(), secrets, state: KeyState::Missing }));
    keys
}

async fn keys(db: &Db, keyring: &Keyring, json: bool) -> Result<(), CommandError> {
    let keys = known(keyring, keys_in_use(&mut db.system().await?).await?);
    let rows = keys.iter().map(|key| [key.id.clone(), key.secrets.to_string(), key.state.told().to_owned()]);
    show(json, &keys, ["key", "secrets", "state"], rows)
}

async fn reseal_all(db: &Db, keyring: &Keyring, json: bool) -> Result<(), CommandError> {
    let (mut after, mut secrets, mut unopened) = (None, 0, 0);
    loop {
        let dealerships = dealerships_to_reseal(&mut db.system().await?, keyring, after).await?;
        let Some(last) = dealerships.last() else { break };
        after = Some(*last);
        for dealership in dealerships {
            let mut tx = db.tenant(dealership).await?;
            let resealed = reseal(&mut tx, keyring).await?;
            tx.commit().await?;
            secrets += resealed.secrets;
            unopened += resealed.unopened.len();
            for error in resealed.unopened {
                eprintln!("norvalt: dealership {dealership}: {error}");
            }
        }
    }
    if json {
        println!("{}", json!({ "resealed": secrets, "unopened": unopened }));
    } else {
        println!(
            "{secrets} secrets are sealed with the first key now; norvalt secrets keys shows which others are in use."
        );
    }
    if unopened > 0 {
        return Err(format!("secrets that do not open, and were left as they are: {unopened}").into());
    }
    Ok(())
}
