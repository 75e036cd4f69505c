//! Reading `/metrics`.

use std::collections::BTreeSet;

use reqwest::Client;

/// What a process tells of itself at one moment.
#[derive(Debug, Clone)]
pub struct Metrics(pub String);

impl Metrics {
    /// Asks the process with this address for operators.
    pub async fn of(admin: &str) -> Self {
        let answer = Client::new().get(format!("{admin}/metrics")).send().await.expect("it serves metrics");
        assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
        let text = answer.error_for_status().expect("a success").text().await.expect("text");
        assert!(text.ends_with("# EOF\n"), "{text}");
        Self(text)
    }

    /// The value of one series, written as it is there; 0 if it is not there.
    pub fn value(&self, series: &str) -> f64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Whether a series has this value; 0 is also that of one that is not there.
    pub fn has(&self, series: &str, value: u32) -> bool {
        self.value(series).to_bits() == f64::from(value).to_bits()
    }

    /// How many series begin like this.
    pub fn count(&self, beginning: &str) -> usize {
        self.0.lines().filter(|line| line.starts_with(beginning)).count()
    }

    /// The names of all metrics, as documentation has them.
    pub fn names(&self) -> BTreeSet<String> {
        let types = self.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let name = |(name, kind): (&str, &str)| match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        };
        types.map(name).collect()
    }
}
