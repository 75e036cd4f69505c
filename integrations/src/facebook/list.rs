use common::inquiry::facebook::Lead;
use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::GraphError;

/// More pages than any list has that we ask for whole.
pub(super) const MAX_PAGES: usize = 100;

/// Some leads of a form.
#[derive(Debug, Clone, PartialEq)]
pub struct LeadPage {
    pub leads: Vec<Lead>,
    /// Leads that cannot be read.
    pub unreadable: usize,
    /// Where the next page begins; none on the last one.
    pub next: Option<String>,
}

/// <https://developers.facebook.com/docs/graph-api/results>
#[derive(Deserialize)]
pub(super) struct List {
    data: Vec<Value>,
    #[serde(default)]
    paging: Paging,
}

#[derive(Deserialize, Default)]
struct Paging {
    /// The address of the next page. Cursors are there on the last page as well.
    next: Option<String>,
}

impl List {
    /// The objects in order, and nothing for one that cannot be read.
    pub(super) fn objects<T: DeserializeOwned>(self) -> impl Iterator<Item = Option<T>> {
        self.data.into_iter().map(|object| serde_json::from_value(object).ok())
    }

    pub(super) fn leads(self, base: &Url) -> Result<LeadPage, GraphError> {
        let next = self.next(base)?;
        let all: Vec<Option<Lead>> = self.objects().collect();
        let unreadable = all.iter().filter(|lead| lead.is_none()).count();
        Ok(LeadPage { leads: all.into_iter().flatten().collect(), unreadable, next })
    }

    /// The cursor in the address of the next page, which also holds a token; an address elsewhere is none of Graph's.
    pub(super) fn next(&self, base: &Url) -> Result<Option<String>, GraphError> {
        let Some(next) = &self.paging.next else { return Ok(None) };
        let next = Url::parse(next).ok().filter(|next| next.origin() == base.origin()).ok_or(GraphError::Unreadable)?;
        let cursor = next.query_pairs().find(|(name, _)| name == "after").map(|(_, cursor)| cursor.into_owned());
        cursor.map(Some).ok_or(GraphError::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_graph_itself_says_where_it_goes_on() {
        let base = Url::parse("https://graph.facebook.com/v26.0").expect("a URL");
        let next = |paging: Value| {
            let list: List = serde_json::from_value(json!({ "data": [], "paging": paging })).expect("a list");
            list.next(&base).map_err(|_| ())
        };
        let to = |next: &str| json!({ "next": next, "cursors": { "after": "Qx" } });
        assert_eq!(
            next(to("https://graph.facebook.com/v26.0/1/leads?access_token=EAA&after=QVFI%3D")),
            Ok(Some("QVFI=".into()))
        );
        assert_eq!(next(json!({ "cursors": { "before": "a", "after": "b" } })), Ok(None));
        for elsewhere in [
            "https://evil.example/v26.0/1/leads?after=Qx",
            "http://graph.facebook.com/v26.0/1/leads?after=Qx",
            "https://graph.facebook.com:8443/v26.0/1/leads?after=Qx",
            "https://graph.facebook.com@evil.example/?after=Qx",
            "//evil.example/?after=Qx",
            "https://graph.facebook.com/v26.0/1/leads",
        ] {
            assert_eq!(next(to(elsewhere)), Err(()), "{elsewhere}");
        }
    }
}
