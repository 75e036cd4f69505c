//! Tables for people, JSON for programs.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::CommandError;

/// Prints a table, or the values themselves.
pub(crate) fn show<const N: usize>(
    json: bool,
    values: &impl Serialize,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Result<(), CommandError> {
    if json {
        println!("{}", serde_json::to_string_pretty(values)?);
        return Ok(());
    }
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let widths: Vec<_> = (0..N).map(|n| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0)).collect();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        println!("{}", cells.join("  ").trim_end());
    }
    if rows.len() == 1 {
        println!("(none)");
    }
    Ok(())
}

/// Says what was done to how many `things`, or prints their ids.
pub(crate) fn report(json: bool, thing: &str, done: &str, ids: &[i64]) -> Result<(), CommandError> {
    match ids {
        ids if json => println!("{}", serde_json::to_string(ids)?),
        [] => println!("nothing to do"),
        [id] => println!("{thing} {id} {done}"),
        ids => println!("{} {thing}s {done}", ids.len()),
    }
    Ok(())
}

/// A time to the second.
pub(crate) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
