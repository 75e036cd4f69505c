use quick_xml::{
    Error, Reader,
    events::{BytesStart, Event},
};
use serde_json::{Map, Value};

use super::{AdfError, MAX_DEPTH, MAX_ELEMENTS, text::unescape};

/// Attributes of an element that are kept.
const MAX_ATTRIBUTES: usize = 32;
/// Elements none of which is within another of them: where one begins, another without an end has ended.
const SECTIONS: [&str; 5] = ["prospect", "vehicle", "customer", "vendor", "provider"];

/// An element, its names in lower case and without prefixes.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
    content: Vec<Content>,
}

#[derive(Debug)]
enum Content {
    Text(String),
    Node(Node),
}

/// The elements of a document below one without a name. Where its end is missing, what there is counts.
pub(super) fn parse(text: &str) -> Result<Node, AdfError> {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    (config.allow_dangling_amp, config.allow_unmatched_ends, config.check_end_names) = (true, true, false);
    let mut open = Open { nodes: vec![Node::default()], elements: 0 };
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => open.begin(&tag)?,
            Ok(Event::Empty(tag)) => {
                open.begin(&tag)?;
                open.end_innermost();
            }
            Ok(Event::End(tag)) => open.end(&plain_name(tag.name().0)),
            Ok(Event::Text(text)) => open.append(&text),
            Ok(Event::CData(text)) => open.append(&text),
            Ok(Event::GeneralRef(name)) => open.append(&unescape(&format!("&{};", &*name))),
            Ok(Event::DocType(_)) => return Err(AdfError::Doctype),
            Ok(Event::Eof) => return Ok(open.finish()),
            Ok(Event::Comment(_) | Event::PI(_) | Event::Decl(_)) | Err(Error::IllFormed(_)) => {}
            Err(_) => {
                let at = usize::try_from(reader.error_position()).ok();
                open.append(at.and_then(|at| text.get(at..)).unwrap_or_default());
                return Ok(open.finish());
            }
        }
    }
}

/// The elements that have not ended, each within the one before.
struct Open {
    nodes: Vec<Node>,
    elements: usize,
}

impl Open {
    fn begin(&mut self, tag: &BytesStart<'_>) -> Result<(), AdfError> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(AdfError::TooMany);
        }
        let node = Node::new(tag);
        if SECTIONS.contains(&node.name.as_str()) {
            self.end_section(&node.name);
        }
        if self.nodes.len() > MAX_DEPTH {
            return Err(AdfError::TooDeep);
        }
        self.nodes.push(node);
        Ok(())
    }

    /// Ends what cannot contain a section of this name.
    fn end_section(&mut self, name: &str) {
        let ends =
            |node: &Node| SECTIONS.contains(&node.name.as_str()) && (name == "prospect" || node.name != "prospect");
        if let Some(at) = self.nodes.iter().position(ends) {
            self.end_from(at);
        }
    }

    /// Ends the innermost element of this name and all within it; an end without a beginning is none.
    fn end(&mut self, name: &str) {
        if let Some(at) = self.nodes.iter().skip(1).rposition(|node| node.name == name) {
            self.end_from(at + 1);
        }
    }

    fn end_from(&mut self, at: usize) {
        while self.nodes.len() > at {
            self.end_innermost();
        }
    }

    fn end_innermost(&mut self) {
        let node = self.nodes.pop().expect("only what has begun is ended");
        self.innermost().content.push(Content::Node(node));
    }

    fn append(&mut self, text: &str) {
        match self.innermost().content.last_mut() {
            Some(Content::Text(before)) => before.push_str(text),
            _ => self.innermost().content.push(Content::Text(text.to_owned())),
        }
    }

    fn innermost(&mut self) -> &mut Node {
        self.nodes.last_mut().expect("the root never ends")
    }

    fn finish(mut self) -> Node {
        self.end_from(1);
        self.nodes.swap_remove(0)
    }
}

impl Node {
    fn new(tag: &BytesStart<'_>) -> Self {
        let mut attributes = tag.html_attributes();
        let attributes = attributes.with_checks(false).take(MAX_ATTRIBUTES).filter_map(Result::ok);
        let attributes =
            attributes.map(|attribute| (plain_name(attribute.key.0), unescape(&attribute.value).trim().to_owned()));
        Self { name: plain_name(tag.name().0), attributes: attributes.collect(), content: Vec::new() }
    }

    /// Empty if there is none.
    pub(super) fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    /// An attribute whose value is one of few words, in lower case.
    pub(super) fn word(&self, attribute: &str) -> String {
        self.attribute(attribute).to_lowercase()
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.content.iter().filter_map(|content| match content {
            Content::Node(node) => Some(node),
            Content::Text(_) => None,
        })
    }

    pub(super) fn children(&self, name: &str) -> impl Iterator<Item = &Node> {
        self.nodes().filter(move |node| node.name == name)
    }

    pub(super) fn child(&self, name: &str) -> Option<&Node> {
        self.children(name).next()
    }

    /// The outermost elements of this name, however deep.
    pub(super) fn descendants(&self, name: &str) -> Vec<&Node> {
        let mut found = Vec::new();
        self.collect(&|node| node.name == name, &mut found);
        found
    }

    /// The outermost elements that are meant, however deep.
    pub(super) fn collect<'a>(&'a self, is_meant: &dyn Fn(&Node) -> bool, found: &mut Vec<&'a Node>) {
        for node in self.nodes() {
            if is_meant(node) {
                found.push(node);
            } else {
                node.collect(is_meant, found);
            }
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.add_text(&mut text);
        text.trim().to_owned()
    }

    fn add_text(&self, text: &mut String) {
        for content in &self.content {
            match content {
                Content::Text(part) => text.push_str(part),
                Content::Node(node) => {
                    // A stray tag of HTML.
                    if matches!(node.name.as_str(), "br" | "p" | "div" | "li") {
                        text.push('\n');
                    }
                    node.add_text(text);
                }
            }
        }
    }

    /// Text beside its elements.
    pub(super) fn own_text(&self) -> String {
        let texts = self.content.iter().filter_map(|content| match content {
            Content::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            Content::Node(_) => None,
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    /// Its text, or an object of its attributes and elements; null if it is empty.
    pub(super) fn to_json(&self) -> Value {
        let text = self.own_text();
        let attributes = self.attributes.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str())));
        let nodes = self.nodes().map(|node| (node.name.as_str(), node.to_json()));
        let mut members = Map::new();
        for (name, value) in attributes.chain(nodes) {
            add(&mut members, name, value);
        }
        match (members.is_empty(), text.is_empty()) {
            (true, true) => Value::Null,
            (true, false) => text.into(),
            (false, _) => {
                add(&mut members, "text", text.into());
                Value::Object(members)
            }
        }
    }
}

/// Adds a value, unless it is empty; beside another of that name, as a list.
pub(super) fn add(members: &mut Map<String, Value>, name: &str, value: Value) {
    if value.is_null() || value == "" {
        return;
    }
    match members.get_mut(name) {
        None => _ = members.insert(name.to_owned(), value),
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

fn plain_name(name: &str) -> String {
    name.rsplit(':').next().unwrap_or_default().to_lowercase()
}
