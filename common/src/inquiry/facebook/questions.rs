use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The questions of a form by their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Questions(pub BTreeMap<String, Question>);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// As the customer saw it.
    pub label: String,
    /// What the customer saw, by what an answer says: `ja,_gjerne` for `Ja, gjerne`.
    pub options: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Listed {
    key: String,
    #[serde(default)]
    label: Value,
    #[serde(default)]
    options: Value,
}

impl Questions {
    /// Reads what Graph says of a form's `questions`. One that cannot be read is left out: its answers have their key.
    pub fn from_list(list: &[Value]) -> Self {
        let listed = list.iter().filter_map(|question| Listed::deserialize(question).ok());
        Self(listed.map(|listed| (listed.key.clone(), Question::new(&listed))).collect())
    }

    /// What the customer saw as the question; its key where that is unknown.
    pub(super) fn label<'a>(&'a self, key: &'a str) -> &'a str {
        self.0.get(key).map(|question| question.label.as_str()).filter(|label| !label.is_empty()).unwrap_or(key)
    }

    /// What the customer saw as the answer.
    pub(super) fn answer<'a>(&'a self, key: &str, value: &'a str) -> &'a str {
        self.0.get(key).and_then(|question| question.options.get(value)).map_or(value, String::as_str)
    }
}

impl Question {
    fn new(listed: &Listed) -> Self {
        let options = listed.options.as_array().into_iter().flatten();
        let options = options.filter_map(|option| Some((option["key"].as_str()?, option["value"].as_str()?)));
        Self {
            label: listed.label.as_str().unwrap_or_default().trim().to_owned(),
            options: options.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }
}
