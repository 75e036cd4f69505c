use maud::{Markup, html};
use serde::Deserialize;

use super::text::count;

/// What an action did, told on the page that follows it. Only these few words can be put there by an address.
#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::admin) struct Notice {
    #[serde(default)]
    done: String,
    #[serde(default)]
    affected: String,
}

impl Notice {
    /// The query of the page that follows. Zero is told, too: somebody may have been faster.
    pub(super) fn query(done: &'static str, affected: usize) -> String {
        format!("done={done}&affected={affected}")
    }

    pub(super) fn show(&self) -> Markup {
        let affected: i64 = self.affected.parse().unwrap_or_default();
        let jobs = || count(affected, "job", "jobs");
        let (well, said) = match (self.done.as_str(), affected) {
            ("retry", 0) => {
                (false, "No job was dead any more, or another one does the same: nothing was done.".to_owned())
            }
            ("retry", _) => (true, format!("{} will run again.", jobs())),
            ("cancel", 0) => (false, "The job was over already: nothing was done.".to_owned()),
            ("cancel", _) => (true, format!("{} cancelled. One that was running is aborted within a second.", jobs())),
            ("replay", 0) => (
                false,
                "The delivery is being processed already, or its content was erased: nothing was done.".to_owned(),
            ),
            ("replay", _) => (true, format!("{} will be processed again.", count(affected, "delivery", "deliveries"))),
            ("pause", 0) => (false, "The queue was paused already.".to_owned()),
            ("pause", _) => (true, "The queue is paused: no more of its jobs begin, those that run go on.".to_owned()),
            ("resume", 0) => (false, "The queue was not paused any more.".to_owned()),
            ("resume", _) => (true, "The queue goes on.".to_owned()),
            _ => return html! {},
        };
        html! { p role="status" class=(if well { "notice" } else { "notice caution" }) { (said) } }
    }
}
