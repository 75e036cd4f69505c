use std::{fmt::Display, str::FromStr};

use common::{
    clerk::{self, BackendApi, Change, Membership, Organization, Outcome, PersonHint},
    clock::Clock,
    config::CliConfig,
    db::Db,
    ids::{ClerkMembershipId, ClerkOrgId, ClerkUserId},
    input::Email,
};

use crate::CommandError;

#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "the text is shown on a terminal")]
pub(crate) struct Args {
    /// The person, such as user_2h8op3Isl1QR7tKu5FGNfaLKEoU
    #[arg(value_parser = id::<ClerkUserId>("user_"))]
    user: ClerkUserId,
    /// By hand: the organization, such as org_2g7np7Hrk0SN6kj5EDMLDaKNL0S
    #[arg(long, requires = "membership", value_parser = id::<ClerkOrgId>("org_"))]
    org: Option<ClerkOrgId>,
    /// By hand: the membership, such as orgmem_2g7np7Hrk0SN6kj5EDMLDaKNL0S
    #[arg(long, requires = "org", value_parser = id::<ClerkMembershipId>("orgmem_"))]
    membership: Option<ClerkMembershipId>,
    /// By hand: the dealership's name
    #[arg(long, requires = "org", value_parser = name)]
    org_name: Option<String>,
    /// By hand: the person's name
    #[arg(long, requires = "org", value_parser = name)]
    name: Option<String>,
    /// By hand: the person's e-mail address
    #[arg(long, requires = "org", value_parser = email)]
    email: Option<String>,
    /// By hand: the role in Clerk
    #[arg(long, requires = "org", default_value = "org:member", value_parser = ROLES)]
    role: String,
}

/// The roles that mean something here; all others of Clerk are sales representatives, as members are.
const ROLES: [&str; 4] = ["org:admin", "org:owner", "org:manager", "org:member"];

/// Reads an id of one kind, and takes no other for it.
fn id<Id: FromStr<Err: Display>>(prefix: &'static str) -> impl Fn(&str) -> Result<Id, String> + Clone {
    move |text| {
        let id = text.parse().map_err(|error: Id::Err| error.to_string())?;
        let key = text.strip_prefix(prefix).filter(|key| !key.is_empty());
        let plain = |key: &str| key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if key.is_some_and(plain) { Ok(id) } else { Err(format!("must be {prefix} followed by letters, digits and _")) }
    }
}

fn email(text: &str) -> Result<String, &'static str> {
    let email = text.parse::<Email>();
    email.map(|email| email.as_str().to_owned()).map_err(|_| "must be an e-mail address, such as kari@example.no")
}

fn name(text: &str) -> Result<String, &'static str> {
    let name = text.trim();
    let fits = !name.is_empty() && name.chars().count() <= 255 && !name.chars().any(char::is_control);
    if fits { Ok(name.to_owned()) } else { Err("must be 1 to 255 printable characters") }
}

pub(crate) async fn run(config: &CliConfig, args: Args) -> Result<(), CommandError> {
    let db = Db::new(&config.database_url, 1, "norvalt sync-user");
    let changes = match (&args.org, &config.clerk) {
        (Some(_), _) => by_hand(args),
        (None, Some(clerk)) => from_clerk(&BackendApi::verified(&db, clerk).await?, &args.user).await?,
        (None, None) => return Err("set CLERK_SECRET_KEY to ask Clerk, or give --org and --membership".into()),
    };
    let mut tx = db.system().await?;
    let mut report = Vec::new();
    for change in changes {
        let what = describe(&change);
        let outcome = match clerk::apply(&mut tx, change).await?.outcome {
            Outcome::Applied => "done",
            Outcome::Stale => "nothing new",
            Outcome::Tombstoned => "refused, because Clerk has deleted it",
        };
        report.push(format!("{what}: {outcome}"));
    }
    tx.commit().await?;
    db.close().await;
    for line in report {
        println!("{line}");
    }
    Ok(())
}

async fn from_clerk(clerk: &BackendApi, user: &ClerkUserId) -> Result<Vec<Change>, CommandError> {
    let now = Clock::system().now().timestamp_millis();
    let person = clerk.user(user).await?.ok_or_else(|| format!("Clerk knows no {user}"))?;
    let mut changes = vec![person];
    changes.extend(clerk.memberships_of(user).await?);
    let unreadable = |_| "Clerk's answer has an object that cannot be read; norvalt sync --dry-run says which".into();
    changes.into_iter().map(|object| object.map(|change| change.seen_at(now)).map_err(unreadable)).collect()
}

/// Version 0 yields to anything that Clerk says itself.
fn by_hand(args: Args) -> Vec<Change> {
    let Args { user, org, membership, org_name, name, email, role } = args;
    let membership = org.zip(membership).map(|(org, id)| Change::Membership {
        id,
        version: 0,
        seen: 0,
        membership: Membership { org, user, role },
        organization: (0, Organization { name: org_name }),
        hint: PersonHint { name, email },
    });
    membership.into_iter().collect()
}

fn describe(change: &Change) -> String {
    match change {
        Change::User { id, .. } => format!("{id}"),
        Change::Membership { membership, .. } => {
            format!("{} in {} as {}", membership.user, membership.org, membership.role)
        }
        _ => String::new(),
    }
}
