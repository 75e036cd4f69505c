use std::collections::BTreeMap;

use super::Settings;
use crate::secrets::Secret;

/// The name that goes with `WORKER_ADMIN_PASSWORD`.
const ADMIN: &str = "admin";
/// Guessing a shorter password is only a matter of time.
const MIN_PASSWORD: usize = 12;
const MAX_NAME: usize = 32;

/// Who may use the operators' pages: each by a name, which is recorded with what they do, and a password.
#[derive(Debug, Clone, Default)]
pub struct Operators(BTreeMap<String, Secret>);

impl Operators {
    /// Reads `WORKER_ADMIN_PASSWORD`, of the operator `admin`, and `WORKER_ADMIN_USERS`.
    pub(super) fn read(s: &mut Settings) -> Self {
        let mut operators = s.optional("WORKER_ADMIN_USERS", users).unwrap_or_default();
        let admin = s.optional("WORKER_ADMIN_PASSWORD", |password| match password.len() {
            MIN_PASSWORD.. => Ok(Secret::new(password)),
            _ => Err("must have at least 12 characters"),
        });
        if let Some(password) = admin
            && operators.insert(ADMIN.to_owned(), password).is_some()
        {
            s.report("WORKER_ADMIN_USERS", "names admin, whose password is WORKER_ADMIN_PASSWORD; set one of the two");
        }
        Self(operators)
    }

    /// Whether there are none, so that nobody can sign in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each name with its password.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, password)| (name.as_str(), password))
    }
}

/// `kari:her password,ola:his password`. Messages hold no value: it may be a password.
fn users(text: &str) -> Result<BTreeMap<String, Secret>, String> {
    let mut users = BTreeMap::new();
    for (number, entry) in text.split(',').enumerate() {
        let number = number + 1;
        let (name, password) = entry
            .trim()
            .split_once(':')
            .ok_or(format!("entry {number} is not of the form name:password; entries are separated by commas"))?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
            return Err(format!("the name of entry {number} must be 1 to 32 of a-z, 0-9, '.', '-' and '_'"));
        }
        if password.len() < MIN_PASSWORD {
            return Err(format!(
                "the password of entry {number} must have at least 12 characters, none of them a comma"
            ));
        }
        if users.insert(name.to_owned(), Secret::new(password)).is_some() {
            return Err(format!("entry {number} has the same name as an earlier one"));
        }
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let mut settings = Settings::from_values(values.iter().copied());
        let operators = Operators::read(&mut settings);
        let names = operators.iter().map(|(name, _)| name.to_owned()).collect();
        settings.finish(Some(names)).map_err(|error| error.to_string())
    }

    #[test]
    fn operators_have_names_and_passwords() {
        assert_eq!(read(&[]), Ok(vec![]));
        let two = [("WORKER_ADMIN_USERS", "kari:correct horse, ola:battery:staple")];
        assert_eq!(read(&two), Ok(vec!["kari".to_owned(), "ola".to_owned()]));
        let three = [two[0], ("WORKER_ADMIN_PASSWORD", "correct horse battery")];
        assert_eq!(read(&three), Ok(vec!["admin".to_owned(), "kari".to_owned(), "ola".to_owned()]));
    }

    #[test]
    fn what_is_wrong_is_said_without_a_value() {
        for (users, hint) in [
            ("kari", "entry 1 is not of the form"),
            ("kari:correct horse,", "entry 2 is not of the form"),
            ("kari:hunter2", "password of entry 1"),
            (":correct horse", "name of entry 1"),
            ("Kari N:correct horse", "name of entry 1"),
            ("kari:correct horse,kari:battery staple", "entry 2 has the same name"),
        ] {
            let problems = read(&[("WORKER_ADMIN_USERS", users)]).expect_err("it is wrong");
            assert!(problems.contains(hint), "{problems}");
            assert!(!problems.contains("hunter2") && !problems.contains("horse"), "{problems}");
        }
        let twice = [("WORKER_ADMIN_USERS", "admin:correct horse"), ("WORKER_ADMIN_PASSWORD", "correct horse battery")];
        assert!(read(&twice).expect_err("two passwords").contains("set one of the two"));
    }
}
