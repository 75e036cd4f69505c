use std::{env, sync::Arc};

use crate::{
    Arguments, Clerk,
    database::{Claim, Database},
    directory::DevDirectory,
    environment::{self, Overrides},
    exports,
    failure::Failure,
    outside::{StandIns, Start},
    ports::Addresses,
    ready::wait_until_ready,
    screen::Screen,
    secrets::Secrets,
    signals::StopSignals,
    watch::Watch,
    workspace::{SOURCES, Workspace},
};
use dev::{
    changes::Changes,
    console::Console,
    files::During,
    postgres::KeptCluster,
    processes::{self, Ended, Processes},
    procfile::Entry,
};

/// Everything that is about to run has this in common.
struct System {
    console: Arc<Console>,
    workspace: Workspace,
    directory: DevDirectory,
    overrides: Overrides,
    /// In the mark of each database that is ours.
    owner: String,
    /// Whether the database may hold what is not ours.
    overwrite: bool,
    secrets: Secrets,
    clerk_port: u16,
}

/// Runs everything until the person or a failure ends it, and leaves nothing behind but data.
pub(crate) async fn run(arguments: &Arguments, console: &Arc<Console>) -> Result<(), Failure> {
    let workspace = Workspace::find()?;
    env::set_current_dir(workspace.root()).during("enter", workspace.root())?;
    let overrides = Overrides::read(arguments.clerk)?;
    let directory = DevDirectory::open(workspace.root(), arguments.data.as_deref())?;
    clear_up(&directory, arguments.reset, console).await?;
    overrides.report_ignored(console);
    let owner = overrides.owner(&directory)?;
    let overwrite = arguments.overwrite_database;
    Database::check_given(&overrides, &Claim { owner: &owner, overwrite }).await?;
    let secrets = Secrets::keep(&directory)?;
    let clerk_port = arguments.clerk_port;
    let system =
        System { console: Arc::clone(console), workspace, directory, overrides, owner, overwrite, secrets, clerk_port };
    // What changes while everything starts is followed as soon as that is done.
    let changes = arguments.watch.then(|| Changes::watch(system.workspace.root(), SOURCES)).transpose()?;
    system.workspace.build(console).await?;

    let mut stop = StopSignals::catch()?;
    let mut database = Database::start(&system.overrides, &system.directory, console).await?;
    let outcome = system.serve(&mut database, &mut stop, changes).await;
    database.stop(console).await.and(outcome)
}

/// Ends what an earlier run could not, and forgets what it kept if that is the wish.
async fn clear_up(directory: &DevDirectory, reset: bool, console: &Console) -> Result<(), Failure> {
    for name in processes::end_leftovers(&directory.join("processes")).await? {
        console.say("dev", &format!("ended {name}, which an earlier run left behind"));
    }
    if reset {
        console.say("dev", &format!("forgetting everything in {}", directory.path().display()));
        KeptCluster::end_leftover(directory.path()).await?;
        directory.clear()?;
    }
    Ok(())
}

impl System {
    /// Runs everything that needs the database, and drains it at the end, however that comes.
    async fn serve(
        &self,
        database: &mut Database,
        stop: &mut StopSignals,
        changes: Option<Changes>,
    ) -> Result<(), Failure> {
        let addresses = Addresses::choose(&self.overrides.addresses, &self.console)?;
        let stand_ins = StandIns::start(&Start {
            console: &self.console,
            directory: &self.directory,
            secrets: &self.secrets,
            api_port: addresses.port,
            clerk_port: (self.overrides.clerk == Clerk::StandIn).then_some(self.clerk_port),
            authorized_party: self.overrides.authorized_party.clone(),
        })
        .await?;
        database.claim(&Claim { owner: &self.owner, overwrite: self.overwrite }, stand_ins.clerk.as_ref()).await?;
        let environment = environment::for_processes(
            &self.overrides,
            &self.secrets,
            &database.url(),
            &addresses,
            &stand_ins,
            &self.workspace.binaries().to_string_lossy(),
        );
        exports::keep(&self.directory, &environment)?;
        let (console, record) = (Arc::clone(&self.console), self.directory.join("processes"));
        let mut processes = Processes::new(console, self.workspace.root(), environment, &record);
        let screen = Screen {
            console: &self.console,
            addresses: &addresses,
            stand_ins: &stand_ins,
            database: database.description(),
            has_admin_password: self.overrides.has_admin_password,
            watched: changes.is_some(),
        };
        let outcome = tokio::select! {
            failure = self.run_processes(&mut processes, &screen, changes) => failure,
            failure = database.ended() => Err(failure),
            () = stop.next() => Ok(()),
        };
        self.console.say("dev", "stopping; a second Ctrl-C does not wait for work under way");
        processes.drain(stop.next()).await;
        stand_ins.stop().await;
        exports::forget(&self.directory)?;
        outcome
    }

    /// The release step and the demo data, then all that the Procfile runs for good. Returns only with a failure.
    async fn run_processes(
        &self,
        processes: &mut Processes,
        screen: &Screen<'_>,
        changes: Option<Changes>,
    ) -> Result<(), Failure> {
        let mut entries = self.workspace.procfile()?;
        let release = entries.iter().position(|entry| entry.name == "release").ok_or(Failure::NoEntry("release"))?;
        let release = entries.remove(release);
        let seed = Entry { name: "seed".to_owned(), command: r#""$NORVALT_BIN/norvalt" seed"#.to_owned() };
        let remedy = self.overrides.remedy();
        finish(processes, &release).await?.map_err(|ended| Failure::NotMigrated { ended, remedy })?;
        // Nobody could sign in as the demo people with a real Clerk.
        if self.overrides.clerk == Clerk::StandIn {
            finish(processes, &seed).await?.map_err(Failure::Ended)?;
        }
        let started_from = self.workspace.fingerprints(&entries)?;
        for entry in &entries {
            processes.start(entry)?;
        }
        tokio::select! {
            ready = wait_until_ready(screen.addresses.port) => ready?,
            ended = processes.next_end() => return Err(Failure::Ended(ended)),
        }
        screen.stand_ins.connect_page(screen.addresses.port).await?;
        self.console.show(&screen.text());
        let Some(changes) = changes else { return Err(Failure::Ended(processes.next_end().await)) };
        let watch = Watch {
            console: &self.console,
            workspace: &self.workspace,
            processes,
            changes,
            release: &release,
            entries: &entries,
            started_from,
            port: screen.addresses.port,
            release_due: false,
            remedy,
        };
        watch.run().await
    }
}

/// Runs an entry that ends, while nothing else runs.
async fn finish(processes: &mut Processes, entry: &Entry) -> Result<Result<(), Ended>, Failure> {
    processes.start(entry)?;
    let ended = processes.next_end().await;
    Ok(if ended.status.is_some_and(|status| status.success()) { Ok(()) } else { Err(ended) })
}
