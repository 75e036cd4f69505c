//! What the program really sends: one request's or one job's statements, read from the server's own log, so that what
//! PostgreSQL is measured with cannot differ from what the program does.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::Outcome;

/// A statement, as the server received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Which backend received it.
    pub(crate) backend: u32,
    pub(crate) sql: String,
    /// In text form; nothing where NULL was sent.
    pub(crate) parameters: Vec<Option<String>>,
    /// What it EXECUTEs, if it does, as it was prepared.
    pub(crate) prepared: Option<String>,
}

/// A place in the server's log from which on it is read.
pub(crate) struct Mark {
    log: PathBuf,
    length: u64,
}

impl Mark {
    pub(crate) fn here(log: &Path) -> Outcome<Self> {
        Ok(Self { log: log.to_owned(), length: log.metadata()?.len() })
    }

    /// What connections of this application sent since.
    pub(crate) fn statements(&self, application: &str) -> Outcome<Vec<Statement>> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.length))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok(parse(&text, application))
    }
}

/// Reads lines such as `@@norvalt api@@4711@@ LOG:  execute sqlx_s_1: SELECT …`, whose continuations begin with a tab.
fn parse(log: &str, application: &str) -> Vec<Statement> {
    let text = log.replace("\n\t", "\n");
    let mut statements: Vec<Statement> = Vec::new();
    for entry in text.split("@@").collect::<Vec<_>>().windows(3) {
        let [name, pid, message] = entry else { continue };
        let Ok(backend) = pid.parse() else { continue };
        if *name != application {
            continue;
        }
        let message = message.trim();
        if let Some(sql) = message.strip_prefix("LOG:  statement: ") {
            statements.push(Statement { backend, sql: sql.to_owned(), parameters: Vec::new(), prepared: None });
        } else if let Some((_, sql)) = message.strip_prefix("LOG:  execute ").and_then(|text| text.split_once(": ")) {
            statements.push(Statement { backend, sql: sql.to_owned(), parameters: Vec::new(), prepared: None });
        } else if let Some(values) = message.strip_prefix("DETAIL:  parameters: ")
            && let Some(last) = statements.iter_mut().rfind(|statement| statement.backend == backend)
        {
            last.parameters = parameters(values);
        } else if let Some(prepared) = message.strip_prefix("DETAIL:  prepare: ")
            && let Some(last) = statements.iter_mut().rfind(|statement| statement.backend == backend)
        {
            // The whole message is told in which it was prepared.
            let sql = prepared.split_once(" AS ").and_then(|(_, rest)| rest.split(';').next());
            last.prepared = sql.map(str::to_owned);
        }
    }
    statements
}

/// `$1 = 'it''s', $2 = NULL`
fn parameters(mut text: &str) -> Vec<Option<String>> {
    let mut values = Vec::new();
    while let Some((_, value)) = text.split_once(" = ") {
        if let Some(rest) = value.strip_prefix("NULL") {
            values.push(None);
            text = rest;
            continue;
        }
        let quoted = value.strip_prefix('\'').unwrap_or(value);
        let mut end = 0;
        while let Some(quote) = quoted[end..].find('\'') {
            end += quote;
            if !quoted[end + 1..].starts_with('\'') {
                break;
            }
            end += 2;
        }
        values.push(Some(quoted[..end].replace("''", "'")));
        text = &quoted[end..];
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_read_from_the_servers_log() {
        let log = "@@norvalt api@@7@@ LOG:  statement: BEGIN; SET LOCAL ROLE x\n\
                   @@norvalt api@@7@@ DETAIL:  prepare: BEGIN; PREPARE e (text) AS -- a\n\tSELECT $1; EXECUTE e('x');\n\
                   @@other@@8@@ LOG:  statement: SELECT 1\n\
                   @@norvalt api@@7@@ LOG:  execute sqlx_s_1: -- db::enter\n\t  SELECT $1,\n\t $2, $3\n\
                   @@norvalt api@@7@@ DETAIL:  parameters: $1 = 'it''s = ''', $2 = NULL, $3 = '{\"a\": 1}'\n";
        let statements = parse(log, "norvalt api");
        assert_eq!(statements.len(), 2);
        assert_eq!(statements[0].sql, "BEGIN; SET LOCAL ROLE x");
        assert_eq!(statements[0].prepared.as_deref(), Some("-- a\nSELECT $1"));
        assert_eq!(statements[1].sql, "-- db::enter\n  SELECT $1,\n $2, $3");
        let expected = [Some("it's = '".to_owned()), None, Some("{\"a\": 1}".to_owned())];
        assert_eq!(statements[1].parameters, expected);
    }
}
