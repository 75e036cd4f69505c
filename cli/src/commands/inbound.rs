use common::{
    config::CliConfig,
    db::Db,
    inquiry::email::Provider,
    intake::{PostedMail, receive_mail},
};
use tokio::io::AsyncReadExt;

use crate::CommandError;

/// The largest mail, in bytes, as at the API.
const MAIL: u64 = 50 * 1024 * 1024;

/// What came in elsewhere and is handed over here.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Take a mail from standard input, for the recipients of its envelope.
    ///
    /// For a mail server's pipe, such as Postfix's: argv=norvalt inbound email --to ${recipient}. Whatever fails exits with
    /// 75, on which mail servers keep the mail and try again.
    Email {
        /// A recipient of the envelope; may be given several times.
        #[arg(long, required = true)]
        to: Vec<String>,
    },
}

pub(crate) async fn run(config: &CliConfig, Args { command: Command::Email { to } }: Args) -> Result<(), CommandError> {
    let mut message = Vec::new();
    tokio::io::stdin().take(MAIL + 1).read_to_end(&mut message).await?;
    if u64::try_from(message.len())? > MAIL {
        return Err(format!("the mail is larger than the {} MB that are taken", MAIL / (1024 * 1024)).into());
    }
    let to = to.join(",");
    let read = Provider::Raw.read("message/rfc822", &to, &message);
    let db = Db::new(&config.database_url, 1, "norvalt inbound");
    let mut tx = db.system().await?;
    let mail = PostedMail { provider: Provider::Raw, content_type: "message/rfc822", envelope_to: &to, body: &message };
    let is_new = receive_mail(&mut tx, &mail, read, config.inbound_domain.as_deref()).await?.is_new;
    tx.commit().await?;
    db.close().await;
    println!("{}", if is_new { "received" } else { "received before" });
    Ok(())
}
