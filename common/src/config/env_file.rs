use std::{collections::HashMap, env, fs, io};

/// What a `.env` file says, and where.
#[derive(Debug, Default)]
pub(super) struct EnvFile {
    pub(super) values: HashMap<String, String>,
    /// The line of each value, from 1.
    pub(super) lines: HashMap<String, usize>,
    /// What cannot be read, never with a value: it may be a secret.
    pub(super) problems: Vec<String>,
}

impl EnvFile {
    /// The one in the working directory or the nearest above it, if there is one.
    pub(super) fn find() -> Self {
        let directory = env::current_dir().unwrap_or_default();
        let found = directory.ancestors().map(|directory| directory.join(".env")).find(|path| path.is_file());
        match found.map(fs::read_to_string) {
            None => Self::default(),
            Some(Ok(text)) => Self::parse(&text),
            Some(Err(error)) => {
                let why = if error.kind() == io::ErrorKind::InvalidData { "is not UTF-8" } else { "cannot be read" };
                Self { problems: vec![format!("  .env: {why}")], ..Self::default() }
            }
        }
    }

    fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut file = Self::default();
        let mut rest = text.lines().enumerate();
        let mut line_of =
            |is_it: &dyn Fn(&str) -> bool| rest.find(|(_, line)| is_it(line.trim())).map_or(0, |(index, _)| index + 1);
        for entry in dotenvy::from_read_iter(text.as_bytes()) {
            match entry {
                Ok((name, value)) => {
                    let line = line_of(&|line| {
                        let line = line.strip_prefix("export ").unwrap_or(line);
                        line.split_once('=').is_some_and(|(before, _)| before.trim() == name)
                    });
                    file.lines.insert(name.clone(), line);
                    file.values.insert(name, value);
                }
                // The parser's own message quotes the line.
                Err(dotenvy::Error::LineParse(wrong, _)) => {
                    let first = wrong.lines().next().unwrap_or_default().trim();
                    let line = line_of(&|line| line == first);
                    file.problems.push(format!("  .env: line {line} is not of the form NAME=value"));
                }
                Err(_) => file.problems.push("  .env: cannot be read".to_owned()),
            }
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_not_shown() {
        let file = EnvFile::parse(
            "\u{feff}# Settings\nPORT=8000\n\nhunter2\nexport LOG_FORMAT='json'\nA=\"1\n2\"\nB = 3\nhunter2 hunter2\n",
        );
        assert_eq!(
            file.problems,
            ["  .env: line 4 is not of the form NAME=value", "  .env: line 9 is not of the form NAME=value"]
        );
        let lines = ["PORT", "LOG_FORMAT", "A", "B"].map(|name| file.lines.get(name).copied());
        assert_eq!(lines, [Some(2), Some(5), Some(6), Some(8)]);
        assert_eq!(file.values["A"], "1\n2");
    }
}
