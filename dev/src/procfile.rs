//! The Procfile: which processes make up the whole. <https://devcenter.heroku.com/articles/procfile>

/// One line of a Procfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Such as `api`.
    pub name: String,
    /// What a shell runs for it.
    pub command: String,
}

/// A line that is none of `name: command`, a comment and nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the Procfile is not of the form `name: command`: {text}")]
pub struct InvalidLine {
    /// Counted from 1.
    pub line: usize,
    pub text: String,
}

/// The entries of a Procfile, in order.
pub fn parse(procfile: &str) -> Result<Vec<Entry>, InvalidLine> {
    let lines = procfile.lines().enumerate().filter(|(_, text)| !text.trim().is_empty() && !text.starts_with('#'));
    lines.map(|(index, text)| entry(text).ok_or(InvalidLine { line: index + 1, text: text.to_owned() })).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let (name, command) = line.split_once(':')?;
    let (name, command) = (name.trim(), command.trim());
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (is_name && !command.is_empty()).then(|| Entry { name: name.to_owned(), command: command.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, command: &str) -> Entry {
        Entry { name: name.to_owned(), command: command.to_owned() }
    }

    #[test]
    fn reads_names_and_commands() {
        let text = "# the whole\n\nrelease: bin/norvalt migrate\n web-1 :  URL=http://x:1 bin/api  \n";
        assert_eq!(parse(text), Ok(vec![of("release", "bin/norvalt migrate"), of("web-1", "URL=http://x:1 bin/api")]));
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        assert_eq!(parse("api: x\nworker"), Err(InvalidLine { line: 2, text: "worker".to_owned() }));
        assert!(parse("two words: x").is_err());
        assert!(parse("api:").is_err());
    }
}
