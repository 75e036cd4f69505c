use std::{fs, os::unix::fs::chown, path::Path};

use tokio::process::Command;

use super::PostgresError;
use crate::files::{During, FileError};

/// Who PostgreSQL runs as. It refuses to be root, so root hands it to a user with fewer rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account(Option<Unprivileged>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Unprivileged {
    uid: u32,
    gid: u32,
}

impl Account {
    /// The user who runs this process; for root it is `postgres`, else `nobody`. Both are names that `initdb` finds
    /// again: it insists on an entry in `/etc/passwd`.
    pub fn for_postgres() -> Result<Self, PostgresError> {
        if !is_root() {
            return Ok(Self(None));
        }
        let passwd = Path::new("/etc/passwd");
        let users = fs::read_to_string(passwd).during("read", passwd)?;
        let account = ["postgres", "nobody"].iter().find_map(|name| look_up(&users, name));
        Ok(Self(Some(account.ok_or(PostgresError::NoAccount)?)))
    }

    /// Lets a command run as this user. The standard library drops root's supplementary groups along with it.
    pub(super) fn apply(&self, command: &mut Command) {
        if let Some(user) = &self.0 {
            command.uid(user.uid).gid(user.gid);
        }
    }

    /// Gives a file or directory to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), FileError> {
        match &self.0 {
            Some(user) => chown(path, Some(user.uid), Some(user.gid)).during("change the owner of", path),
            None => Ok(()),
        }
    }
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `name:password:uid:gid:…`, see <https://man7.org/linux/man-pages/man5/passwd.5.html>.
fn look_up(users: &str, name: &str) -> Option<Unprivileged> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (uid, gid) = (fields.next() == Some(name)).then(|| (fields.nth(1), fields.next()))?;
        Some(Unprivileged { uid: uid?.parse().ok()?, gid: gid?.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_user_by_the_whole_name() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\npostgres-old:x:7:8::/:\npostgres:x:101:104:,,,:/var/lib:/bin/sh\n";
        assert_eq!(look_up(users, "postgres"), Some(Unprivileged { uid: 101, gid: 104 }));
        assert_eq!(look_up(users, "nobody"), None);
    }
}
