use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use super::state::{ChangeError, Instance};
use crate::files::{self, FileError};

/// The state of an instance, saved with every change.
pub(super) struct Store {
    instance: Mutex<Instance>,
    file: Option<PathBuf>,
}

/// Why the state cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The change itself makes no sense.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Something else is in the file.
    #[error("{path} is damaged; delete it and the stand-in starts again with the demo dealerships")]
    Damaged {
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Store {
    /// What is kept in the file; `initial` if there is none yet, or none at all.
    pub(super) fn open(file: Option<PathBuf>, initial: Instance) -> Result<Self, StoreError> {
        let kept = file.as_deref().map(files::read).transpose()?.flatten();
        let instance = match (kept, &file) {
            (Some(json), Some(path)) => serde_json::from_str(&json)
                .map_err(|source| StoreError::Damaged { path: path.display().to_string(), source })?,
            _ => initial,
        };
        Ok(Self { instance: Mutex::new(instance), file })
    }

    /// Looks at the state.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Instance) -> T) -> T {
        look(&self.instance.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the state: completely and on disk, or not at all.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Instance) -> Result<T, ChangeError>,
    ) -> Result<T, StoreError> {
        let mut current = self.instance.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = current.clone();
        let outcome = change(&mut next)?;
        if let Some(file) = &self.file {
            let json = serde_json::to_string_pretty(&next).expect("it consists of texts and numbers only");
            files::write_private(file, &json)?;
        }
        *current = next;
        Ok(outcome)
    }
}
