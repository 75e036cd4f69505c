use std::{fmt, fs, path::Path};

use serde::Serialize;

use crate::Outcome;

/// What a value must be.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
        }
    }
}

/// One target and what became of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Nothing where it was not measured.
    pub(crate) value: Option<f64>,
    pub(crate) unit: &'static str,
    pub(crate) target: Target,
    pub(crate) met: bool,
    /// The numbers behind it, and why it was missed.
    pub(crate) note: String,
}

impl Row {
    pub(crate) fn measured(name: &str, value: f64, unit: &'static str, target: Target, note: String) -> Self {
        Self { name: name.to_owned(), value: Some(value), unit, target, met: target.is_met_by(value), note }
    }

    /// For what cannot be measured, which is no better than what was missed.
    pub(crate) fn missing(name: &str, target: Target, reason: &str) -> Self {
        Self { name: name.to_owned(), value: None, unit: "", target, met: false, note: reason.to_owned() }
    }

    /// Not met either when something went wrong meanwhile.
    #[must_use]
    pub(crate) fn unless(mut self, error: Option<String>) -> Self {
        if let Some(error) = error {
            self.met = false;
            self.note = format!("{}; WRONG ANSWERS: {error}", self.note);
        }
        self
    }

    fn shown(&self) -> String {
        match self.value {
            Some(value) if value >= 100.0 => format!("{value:.0}{}", self.unit),
            Some(value) => format!("{value:.2}{}", self.unit),
            None => "–".to_owned(),
        }
    }
}

/// A line of a plot.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Series {
    pub(crate) plot: &'static str,
    pub(crate) name: String,
    /// Size or connections, and milliseconds.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Everything that a run found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Where and with what.
    pub(crate) setting: Vec<String>,
    pub(crate) rows: Vec<Row>,
    pub(crate) series: Vec<Series>,
}

impl Report {
    /// Shows a row at once, and keeps it for the table.
    pub(crate) fn add(&mut self, row: Row) {
        eprintln!("   {} {}: {} (target {}) {}", verdict(&row), row.name, row.shown(), row.target, row.note);
        self.rows.push(row);
    }

    /// A table for people, in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut cells = vec![["", "target", "measured", "", "how"].map(str::to_owned)];
        cells.extend(self.rows.iter().map(|row| {
            [row.name.clone(), row.target.to_string(), row.shown(), verdict(row).to_owned(), row.note.clone()]
        }));
        let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..4).map(width).collect();
        let line = |row: &[String; 5]| {
            let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            format!("| {} | {} |\n", padded.collect::<Vec<_>>().join(" | "), row[4])
        };
        let rule = format!("|{}---|\n", widths.iter().map(|width| "-".repeat(width + 2) + "|").collect::<String>());
        let mut lines = cells.iter().map(line);
        let head = lines.next().unwrap_or_default();
        format!("{}\n\n{head}{rule}{}", self.setting.join("  \n"), lines.collect::<String>())
    }

    /// All numbers, for programs.
    pub(crate) fn write(&self, directory: &Path) -> Outcome<()> {
        fs::create_dir_all(directory)?;
        fs::write(directory.join("system.json"), serde_json::to_string_pretty(self)?)?;
        fs::write(directory.join("system.md"), self.table())?;
        let mut csv = "name,value,unit,target,met,note\n".to_owned();
        for Row { name, value, unit, target, met, note } in &self.rows {
            let value = value.map(|value| value.to_string()).unwrap_or_default();
            let note = note.replace('"', "\"\"");
            csv.extend([
                "\"",
                name,
                "\",",
                &value,
                ",",
                unit,
                ",",
                &target.to_string(),
                ",",
                &met.to_string(),
                ",\"",
                &note,
                "\"\n",
            ]);
        }
        Ok(fs::write(directory.join("system.csv"), csv)?)
    }
}

fn verdict(row: &Row) -> &'static str {
    if row.met { "met" } else { "MISSED" }
}
