use common::{
    capacity::{Left, Limit, Numbers, limits, numbers},
    config::CliConfig,
    db::Db,
};

use crate::{
    CommandError,
    table::{beside, show, time},
};

/// Reports that are made from the database's own numbers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say what hurts first and when, should all grow as it did in the last seven days, and what to do about it.
    ///
    /// Reads only, also on a standby. Takes seconds: of large tables it looks at a part.
    Capacity {
        /// How much the database's disk holds, such as 200GB: PostgreSQL does not know.
        #[arg(long, value_parser = size)]
        disk: Option<u64>,
    },
}

pub(crate) async fn run(config: &CliConfig, args: Args) -> Result<(), CommandError> {
    let Command::Capacity { disk } = args.command;
    let db = Db::new(&config.database_url, 1, "norvalt report");
    let numbers = numbers(&mut db.snapshot().await?).await?;
    let limits = limits(&numbers, disk);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "limits": limits, "numbers": numbers }))?);
    } else {
        print(&numbers, &limits)?;
    }
    db.close().await;
    Ok(())
}

fn print(numbers: &Numbers, limits: &[Limit]) -> Result<(), CommandError> {
    println!("PostgreSQL {}, {}\n", numbers.server.version, time(numbers.server.at));
    let rows = limits.iter().map(|limit| {
        let text = format!("{}. {}", limit.remedy.trim_end_matches('.'), limit.page);
        [limit.what.clone(), limit.now.clone(), limit.limit.clone(), left(&limit.left), text]
    });
    show(false, &(), ["what", "now", "limit", "left", "what to do, and where to read of it"], rows)?;
    if !numbers.biggest.is_empty() {
        println!();
        let rows = numbers.biggest.iter();
        let rows = rows.map(|b| [b.leads.to_string(), format!("{:.1}", b.leads_a_day), b.name.clone()]);
        show(false, &(), ["leads", "a day", "largest dealerships"], rows)?;
    }
    let reasons: Vec<_> = limits.iter().filter_map(reason).collect();
    if !reasons.is_empty() {
        println!("\n{}", beside(0, &format!("Not known when: {}.", reasons.join("; "))).join("\n"));
    }
    Ok(())
}

/// For people: how long it is.
fn left(left: &Left) -> String {
    match left {
        Left::Now => "NOW".to_owned(),
        Left::Days(days) => duration(*days),
        Left::AtLeast(days) => format!("over {}", duration(*days)),
        Left::Never => "does not grow".to_owned(),
        Left::Unknown(_) => "?".to_owned(),
    }
}

fn reason(limit: &Limit) -> Option<String> {
    match limit.left {
        Left::Unknown(why) => Some(format!("{} ({why})", limit.what)),
        _ => None,
    }
}

fn duration(days: f64) -> String {
    match days {
        days if days < 1.0 => "a day".to_owned(),
        days if days < 60.0 => format!("{days:.0} days"),
        days if days < 730.0 => format!("{:.0} months", days / 30.4),
        days if days < 36_500.0 => format!("{:.0} years", days / 365.0),
        _ => "100 years".to_owned(),
    }
}

/// A size such as `200GB` or `1.5 TB`.
fn size(text: &str) -> Result<u64, &'static str> {
    const WRONG: &str = "not a size such as 200GB or 1.5TB";
    let text = text.trim();
    let digits = text.find(|c: char| c != '.' && !c.is_ascii_digit()).ok_or(WRONG)?;
    let number: f64 = text[..digits].parse().map_err(|_| WRONG)?;
    let unit = match text[digits..].trim().to_ascii_uppercase().as_str() {
        "MB" => 1e6,
        "GB" | "G" => 1e9,
        "GIB" => 1_073_741_824.0,
        "TB" | "T" => 1e12,
        "TIB" => 1_099_511_627_776.0,
        _ => return Err(WRONG),
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a size")]
    Some(number * unit).filter(|size| (1.0..1e18).contains(size)).map(|size| size as u64).ok_or(WRONG)
}
