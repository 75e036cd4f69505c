use common::{
    clerk::{OwnInstance, own_instance, set_instance},
    config::CliConfig,
    db::Db,
    ids::ClerkInstanceId,
};

use crate::{CommandError, table::time};

/// Show which Clerk instance this database belongs to, or set it.
///
/// It is learnt from CLERK_INSTANCE_ID or from the first signed webhook that names one. Events and secret keys of another
/// instance are refused. To set it also confirms a key that has nothing in common with the database.
#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "the text is shown on a terminal")]
pub(crate) struct Args {
    /// The instance, such as ins_2g7np7Hrk0SN6kj5EDMLDaKNL0S
    #[arg(long, value_name = "INSTANCE", value_parser = instance)]
    set: Option<ClerkInstanceId>,
}

fn instance(text: &str) -> Result<ClerkInstanceId, &'static str> {
    match text.parse() {
        Ok(id) if text.starts_with("ins_") => Ok(id),
        _ => Err("must be the id of a Clerk instance, ins_…"),
    }
}

pub(crate) async fn run(config: &CliConfig, args: &Args) -> Result<(), CommandError> {
    let db = Db::new(&config.database_url, 1, "norvalt instance");
    let mut tx = db.system().await?;
    if let Some(id) = &args.set {
        set_instance(&mut tx, id).await?;
    }
    match own_instance(&mut tx).await? {
        Some(OwnInstance { id, learnt_from, learnt_at }) => {
            println!("{id} (according to the {learnt_from}, since {})", time(learnt_at));
        }
        None => println!("not known yet; the first webhook says it, or norvalt instance --set"),
    }
    tx.commit().await?;
    db.close().await;
    Ok(())
}
