//! Tables for people, JSON for programs.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::CommandError;

/// Room for the last column, at least. With less, it gets lines of its own.
const MIN_WIDTH: usize = 40;
const INDENT: usize = 4;

/// Prints a table, or the values themselves. On a terminal the last column, which may be long, is wrapped; elsewhere each
/// row is one line, for `grep` and `awk`.
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
    let rows = rows.map(|row| row.map(|cell| one_line(&cell)));
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    for line in layout(&rows, terminal_width()) {
        println!("{line}");
    }
    if rows.len() == 1 {
        println!("(none)");
    }
    Ok(())
}

/// Control characters of an error must not move the cursor.
fn one_line(cell: &str) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    cell.chars().map(blank).collect()
}

/// How many columns the terminal has, if output goes to one.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// Lines of a text that stands beside something as wide as `before`, each with room on the terminal, if output goes to one.
pub(crate) fn beside(before: usize, text: &str) -> Vec<String> {
    beside_on(terminal_width(), before, text)
}

fn beside_on(terminal: Option<usize>, before: usize, text: &str) -> Vec<String> {
    match terminal {
        Some(terminal) if terminal >= before + MIN_WIDTH => {
            text.lines().flat_map(|line| wrap(line, terminal - before)).collect()
        }
        _ => text.lines().map(str::to_owned).collect(),
    }
}

fn layout<const N: usize>(rows: &[[String; N]], terminal: Option<usize>) -> Vec<String> {
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    let before: usize = widths[..N - 1].iter().map(|width| width + 2).sum();
    let fits = terminal.is_none_or(|terminal| before + widths[N - 1] <= terminal);
    let mut lines = Vec::new();
    for row in rows {
        let cells = row[..N - 1].iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        let first: String = cells.collect();
        let last = &row[N - 1];
        match terminal {
            Some(terminal) if !fits && terminal < before + MIN_WIDTH => {
                lines.push(first.trim_end().to_owned());
                let wrapped = wrap(last, terminal.saturating_sub(INDENT).max(MIN_WIDTH));
                lines.extend(wrapped.iter().map(|line| format!("{:INDENT$}{line}", "")));
            }
            Some(terminal) if !fits => {
                let mut wrapped = wrap(last, terminal - before).into_iter();
                lines.push(format!("{first}{}", wrapped.next().unwrap_or_default()).trim_end().to_owned());
                lines.extend(wrapped.map(|line| format!("{:before$}{line}", "")));
            }
            _ => lines.push(format!("{first}{last}").trim_end().to_owned()),
        }
    }
    lines
}

/// Breaks a text into lines of at most so many characters, between words where it can.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line: Vec<char> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut word: Vec<char> = word.chars().collect();
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(line.drain(..).collect());
        }
        while word.len() > width {
            lines.push(word.drain(..width).collect());
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.append(&mut word);
    }
    if !line.is_empty() {
        lines.push(line.into_iter().collect());
    }
    lines
}

/// Says what was done to one or several things, or prints their ids.
pub(crate) fn report(json: bool, [one, several]: [&str; 2], done: &str, ids: &[i64]) -> Result<(), CommandError> {
    match ids {
        ids if json => println!("{}", serde_json::to_string(ids)?),
        [] => println!("nothing to do"),
        [id] => println!("{one} {id} {done}"),
        ids => println!("{} {several} {done}", ids.len()),
    }
    Ok(())
}

/// A time to the second.
pub(crate) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<[String; 2]> {
        let long = format!("cannot reach {} since the printer is on fire", "x".repeat(60));
        vec![["id".to_owned(), "last error".to_owned()], ["1".to_owned(), long]]
    }

    #[test]
    fn whoever_reads_a_pipe_gets_one_line_for_each_row() {
        let lines = layout(&rows(), None);
        assert!(lines.len() == 2 && lines[1].ends_with("the printer is on fire"), "{lines:?}");
    }

    #[test]
    fn a_terminal_shows_the_end_of_an_error_too() {
        for terminal in [44, 50, 80, 100, 300] {
            let lines = layout(&rows(), Some(terminal));
            assert!(lines.iter().all(|line| line.chars().count() <= terminal), "{terminal}: {lines:?}");
            let words: Vec<_> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
            assert!(words.ends_with(&["printer", "is", "on", "fire"]), "{terminal}: {lines:?}");
        }
    }

    #[test]
    fn what_stands_beside_something_has_room() {
        let text = "one line\nanother one that is much longer than what the terminal has room for beside the rest";
        let lines = beside_on(Some(60), 15, text);
        assert!(lines.len() == 3 && lines.iter().all(|line| line.len() <= 45), "{lines:?}");
        assert_eq!(beside_on(None, 15, text).len(), 2);
    }

    #[test]
    fn an_error_does_not_move_the_cursor() {
        assert_eq!(one_line("a\n\u{1b}[2Jb"), "a  [2Jb");
    }
}
