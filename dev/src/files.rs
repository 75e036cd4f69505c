//! The small files in which development keeps keys, passwords and ports between runs.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A file or directory that could not be used, and for what.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// What was attempted, as a verb.
    pub action: &'static str,
    /// On which file or directory.
    pub path: PathBuf,
    pub source: io::Error,
}

/// Names the file and the attempt in an [`io::Error`].
pub trait During<T> {
    /// Turns the error into one that says what was attempted on which file.
    fn during(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError { action, path: path.to_owned(), source })
    }
}

/// The text of a file, or nothing when there is no such file.
pub fn read(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).during("read", path),
    }
}

/// Replaces a file, readable by its owner only. A reader gets the old content or the new, never a part.
pub fn write_private(path: &Path, content: &str) -> Result<(), FileError> {
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .and_then(|()| fs::rename(&draft, path));
    written.during("write", path)
}

/// What a file holds, trimmed; when there is none, it is made from `create` first.
pub fn read_or_create(path: &Path, create: impl FnOnce() -> String) -> Result<String, FileError> {
    if let Some(kept) = read(path)?.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) {
        return Ok(kept);
    }
    let created = create();
    write_private(path, &created)?;
    Ok(created)
}

/// Removes a file or a directory with all that is in it. It is no error when there is none.
pub fn remove(path: &Path) -> Result<(), FileError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).during("remove", path),
        _ => Ok(()),
    }
}
