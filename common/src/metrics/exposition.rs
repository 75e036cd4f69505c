//! The two formats in which Prometheus reads metrics, and the choice between them.

use std::collections::HashMap;

use prometheus_client::{encoding::text, registry::Registry};

/// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a scrape is answered with.
#[derive(Debug)]
pub struct Exposition {
    /// The value of the header `Content-Type`.
    pub content_type: &'static str,
    pub text: String,
}

/// Everything in the registry, in the format that the header `Accept` prefers: OpenMetrics, unless it rates plain text
/// higher.
pub fn exposition(registry: &Registry, accept: &str) -> Exposition {
    let mut text = String::new();
    text::encode(&mut text, registry).expect("writing to a string does not fail");
    if quality(accept, "text/plain") > quality(accept, "application/openmetrics-text") {
        Exposition { content_type: PLAIN, text: plain(&text) }
    } else {
        Exposition { content_type: OPEN_METRICS, text }
    }
}

/// How much a media type is wanted, from 0 to 1: what the most specific range that includes it says.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1>
fn quality(accept: &str, media_type: &str) -> f32 {
    let (kind, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let specific = match name.as_str() {
            "*/*" => 1,
            name if name.strip_suffix("/*") == Some(kind) => 2,
            name if name == media_type => 3,
            _ => return None,
        };
        let quality = parts.find_map(|part| part.to_ascii_lowercase().strip_prefix("q=")?.trim().parse().ok());
        Some((specific, quality.unwrap_or(1.0)))
    });
    ranges.max_by_key(|(specific, _)| *specific).map_or(0.0, |(_, quality)| quality)
}

/// The same in the older format: it names the samples of counters and infos, knows no infos and units, and just ends.
fn plain(open_metrics: &str) -> String {
    let types = open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let kinds: HashMap<&str, &str> = types.collect();
    let name_of_samples = |family: &str| match kinds.get(family) {
        Some(&"counter") => format!("{family}_total"),
        Some(&"info") => format!("{family}_info"),
        _ => family.to_owned(),
    };
    let mut plain = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        let line = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF" | "UNIT"), ..) => continue,
            (Some("#"), Some("HELP"), Some(family), help) => {
                format!("# HELP {} {}", name_of_samples(family), help.unwrap_or_default())
            }
            (Some("#"), Some("TYPE"), Some(family), Some(kind)) => {
                let kind = match kind {
                    "info" => "gauge",
                    "unknown" => "untyped",
                    same => same,
                };
                format!("# TYPE {} {kind}", name_of_samples(family))
            }
            _ => line.to_owned(),
        };
        plain += &line;
        plain.push('\n');
    }
    plain
}

#[cfg(test)]
mod tests {
    use prometheus_client::{
        metrics::{counter::Counter, gauge::Gauge, info::Info},
        registry::Unit,
    };

    use super::*;

    #[test]
    fn the_header_decides() {
        let registry = Registry::default();
        let is_plain = |accept: &str| exposition(&registry, accept).content_type == PLAIN;
        // What Prometheus 2 sends, with and without OpenMetrics.
        assert!(!is_plain(
            "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        ));
        assert!(is_plain("text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
        assert!(is_plain("Text/Plain") && is_plain("text/*") && is_plain("application/openmetrics-text;q=0, */*"));
        assert!(!is_plain("") && !is_plain("*/*") && !is_plain("application/json"));
        assert!(!is_plain("text/plain;q=0.2, application/openmetrics-text"));
    }

    #[test]
    fn both_formats_name_the_same_samples() {
        let mut registry = Registry::with_prefix("norvalt");
        registry.register("build", "What runs", Info::new([("version", "1")]));
        registry.register("requests", "How many", Counter::<u64>::default());
        registry.register_with_unit("age", "How old", Unit::Seconds, Gauge::<i64>::default());
        assert_eq!(
            exposition(&registry, "text/plain").text,
            "# HELP norvalt_build_info What runs.\n# TYPE norvalt_build_info gauge\n\
             norvalt_build_info{version=\"1\"} 1\n\
             # HELP norvalt_requests_total How many.\n# TYPE norvalt_requests_total counter\nnorvalt_requests_total 0\n\
             # HELP norvalt_age_seconds How old.\n# TYPE norvalt_age_seconds gauge\nnorvalt_age_seconds 0\n"
        );
        assert!(exposition(&registry, "").text.ends_with("norvalt_age_seconds 0\n# EOF\n"));
    }
}
