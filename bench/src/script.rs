use std::fmt::{Display, Write};

use crate::record::Statement;

/// A script for pgbench and the values of its variables.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(crate) text: String,
    pub(crate) variables: Vec<(String, String)>,
}

/// What stands for a value of the recorded request: a value, and SQL with variables of pgbench.
pub(crate) type Substitute<'a> = (&'a str, &'a str);

const RETURNED: &str = " \\gset returned_";
/// In the SQL of a substitute: the recorded value.
pub(crate) const ITSELF: &str = "{value}";

impl Script {
    /// Sends these statements in this order, with as many round trips as the program needed: what came as one message is
    /// one pipeline here. Values are parameters as they were there, those of `substitutes` change.
    pub(crate) fn of(statements: &[Statement], substitutes: &[Substitute<'_>]) -> Self {
        let mut script = Self::default();
        for (index, statement) in statements.iter().enumerate() {
            script.push(index, statement, substitutes);
        }
        script
    }

    /// Runs this before each transaction.
    pub(crate) fn preceded_by(mut self, prologue: &str) -> Self {
        self.text.insert_str(0, prologue);
        self
    }

    pub(crate) fn with(mut self, name: &str, value: &dyn Display) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    fn push(&mut self, index: usize, statement: &Statement, substitutes: &[Substitute<'_>]) {
        if statement.parameters.is_empty() {
            let parts = statement.sql.split(';').map(str::trim).filter(|part| !part.is_empty());
            // What is prepared in the same message is executed in it.
            let (prepare, parts): (Vec<&str>, Vec<&str>) = parts.partition(|part| part.starts_with("PREPARE "));
            let here = prepare.first().and_then(|part| part.split_once(" AS ")).map(|(_, sql)| sql);
            let prepared = statement.prepared.as_deref().or(here);
            let parts: Vec<String> = parts
                .into_iter()
                .map(|part| match (prepared, part.strip_prefix("EXECUTE ")) {
                    (Some(prepared), Some(call)) => self.inline(index, prepared, &arguments(call), substitutes),
                    _ => setting(part, substitutes),
                })
                .collect();
            if let [only] = &parts[..] {
                let _ = writeln!(self.text, "{only};");
            } else {
                let _ = writeln!(self.text, "\\startpipeline\n{};\n\\endpipeline", parts.join(";\n"));
            }
            return;
        }
        let sql = self.inline(index, &statement.sql, &statement.parameters, substitutes);
        // What later statements refer to: the first row that is written.
        let is_first = sql.trim_end().ends_with("RETURNING id") && !self.text.contains(RETURNED);
        let end = if is_first { RETURNED } else { ";" };
        let _ = writeln!(self.text, "{sql}{end}");
    }

    /// With a variable in the place of each parameter.
    fn inline(
        &mut self,
        index: usize,
        sql: &str,
        parameters: &[Option<String>],
        substitutes: &[Substitute<'_>],
    ) -> String {
        let mut sql = sql.to_owned();
        // From the last to the first, so that $1 is not taken for the beginning of $12.
        for (number, value) in parameters.iter().enumerate().rev() {
            let placeholder = format!("${}", number + 1);
            let substitute = match value {
                None => "NULL".to_owned(),
                Some(value) => {
                    let known = substitutes.iter().find(|(known, _)| known == value);
                    let fixed = format!("s{index}_{}", number + 1);
                    if known.is_none_or(|(_, sql)| sql.contains(ITSELF)) {
                        self.variables.push((fixed.clone(), value.clone()));
                    }
                    known.map_or(format!(":{fixed}"), |(_, sql)| sql.replace(ITSELF, &format!(":{fixed}")))
                }
            };
            sql = sql.replace(&placeholder, &substitute);
        }
        sql
    }
}

/// The values of `name('a', 'b')`, none of which has a quote in it.
fn arguments(call: &str) -> Vec<Option<String>> {
    call.split('\'').skip(1).step_by(2).map(|value| Some(value.to_owned())).collect()
}

/// A statement without parameters. What is set to a value that changes is set by a function, which takes parameters.
fn setting(statement: &str, substitutes: &[Substitute<'_>]) -> String {
    if statement.starts_with("NOTIFY ") {
        // What follows a colon would be a variable, in quotes too.
        return statement.replace(':', " ");
    }
    let assignment = statement.strip_prefix("SET LOCAL ").and_then(|assignment| assignment.split_once(" = "));
    let changing = assignment.and_then(|(name, value)| {
        let value = value.trim_matches('\'');
        substitutes.iter().find(|(known, _)| *known == value).map(|(_, sql)| (name, sql))
    });
    changing.map_or_else(|| statement.to_owned(), |(name, sql)| format!("SELECT set_config('{name}', {sql}, true)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_parameters_stay_what_they_were() {
        let statement = |sql: &str, parameters: &[Option<&str>]| Statement {
            backend: 1,
            sql: sql.to_owned(),
            parameters: parameters.iter().map(|value| value.map(str::to_owned)).collect(),
            prepared: Some("-- b\nSELECT $2, $1".to_owned()),
        };
        let statements = [
            statement("BEGIN; SET LOCAL ROLE x; SET LOCAL app.who = 'user_1'", &[]),
            statement("-- a\nSELECT $1::text, $2, $1", &[Some("user_1"), None]),
            statement("INSERT INTO t VALUES ($1) RETURNING id", &[Some("fixed")]),
            statement("COMMIT; EXECUTE e('user_1', 'else')", &[]),
            statement("COMMIT", &[]),
            statement("NOTIFY jobs, 'queues:default'", &[]),
        ];
        let script = Script::of(&statements, &[("user_1", ":user")]);
        let expected = "\\startpipeline\nBEGIN;\nSET LOCAL ROLE x;\nSELECT set_config('app.who', :user, true);\n\\endpipeline\n-- a\nSELECT :user::text, NULL, :user;\n\
                        INSERT INTO t VALUES (:s2_1) RETURNING id \\gset returned_\n\\startpipeline\nCOMMIT;\n-- b\nSELECT :s3_2, :user;\n\\endpipeline\nCOMMIT;\n\
                        NOTIFY jobs, 'queues default';\n";
        assert_eq!(script.text, expected);
        let variables = [("s2_1", "fixed"), ("s3_2", "else")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(script.variables, variables);
    }
}
