use std::{
    collections::{BTreeSet, HashMap},
    fmt::Display,
};

use super::env_file::EnvFile;

/// Reads settings by name and remembers every problem, so that all are reported at once.
#[derive(Debug, Default, Clone)]
pub struct Settings {
    values: HashMap<String, String>,
    /// Where in `.env` a value stands that is from there.
    lines: HashMap<String, usize>,
    asked: BTreeSet<&'static str>,
    problems: Vec<String>,
}

/// What is wrong with the configuration: one line for each variable, never with a value.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is not usable:\n{}\n(the README and .env.example describe every variable)", .0.join("\n"))]
pub struct ConfigError(Vec<String>);

impl ConfigError {
    /// The problems, one for each variable.
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

impl Settings {
    /// The environment of the process, over a `.env` file in the working directory or above it, if there is one.
    pub fn from_env() -> Self {
        let EnvFile { values, mut lines, problems } = EnvFile::find();
        let mut settings = Self { values, problems, ..Self::default() };
        for (name, value) in std::env::vars() {
            lines.remove(&name);
            settings.values.insert(name, value);
        }
        settings.lines = lines;
        settings
    }

    /// Settings from given values instead of the environment.
    pub fn from_values<N: Into<String>, V: Into<String>>(values: impl IntoIterator<Item = (N, V)>) -> Self {
        Self { values: values.into_iter().map(|(n, v)| (n.into(), v.into())).collect(), ..Self::default() }
    }

    /// A setting that may be absent. An empty value counts as absent.
    pub fn optional<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.asked.insert(name);
        let value = self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())?;
        match parse(value) {
            Ok(parsed) => Some(parsed),
            Err(problem) => {
                let place = self.lines.get(name).map(|line| format!(" (.env, line {line})")).unwrap_or_default();
                self.problems.push(format!("  {name}: {problem}{place}"));
                None
            }
        }
    }

    /// A setting without which nothing works; `remedy` says where to get it.
    pub fn required<T, E: Display>(
        &mut self,
        name: &'static str,
        remedy: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let problems = self.problems.len();
        let value = self.optional(name, parse);
        if value.is_none() && self.problems.len() == problems {
            self.problems.push(format!("  {name}: is not set; {remedy}"));
        }
        value
    }

    /// Reports a problem that no single value has.
    pub(super) fn report(&mut self, name: &'static str, problem: &str) {
        self.problems.push(format!("  {name}: {problem}"));
    }

    /// A whole number within bounds, with a default.
    pub fn number(&mut self, name: &'static str, default: u32, bounds: std::ops::RangeInclusive<u32>) -> u32 {
        let parse = |text: &str| match text.parse() {
            Ok(number) if bounds.contains(&number) => Ok(number),
            _ => Err(format!("must be a whole number from {} to {}", bounds.start(), bounds.end())),
        };
        self.optional(name, parse).unwrap_or(default)
    }

    /// Ends the reading: `value` if nothing was wrong.
    pub fn finish<T>(&mut self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(ConfigError(std::mem::take(&mut self.problems))),
        }
    }

    /// The names of all variables that have a value.
    pub fn set(&self) -> impl Iterator<Item = &str> {
        self.values.iter().filter(|(_, value)| !value.trim().is_empty()).map(|(name, _)| name.as_str())
    }

    /// The names of all variables that were asked for.
    pub fn asked(&self) -> impl Iterator<Item = &'static str> {
        self.asked.iter().copied()
    }
}
