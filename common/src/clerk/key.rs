//! Whether a secret key is of the Clerk instance that the database belongs to.

use super::{
    BackendApi, BackendApiError,
    instance::{LearntFrom, OwnInstance, learn, own_instance},
    mirror,
};
use crate::{
    config::ClerkBackend,
    db::{self, Db},
    ids::ClerkInstanceId,
};

/// How many of the known organizations and people Clerk is asked for, when nothing else tells whose key it is.
const SAMPLE: i64 = 10;

/// Why a key is not used. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Clerk did not say.
    #[error(transparent)]
    Clerk(#[from] BackendApiError),
    /// The database did not say.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// The settings are not those of this database.
    #[error(
        "CLERK_INSTANCE_ID is {configured}, but this database belongs to the Clerk instance {own} (according to the \
         {learnt_from}). Nothing was written. Is DATABASE_URL the right one?"
    )]
    OtherDatabase {
        /// `CLERK_INSTANCE_ID`.
        configured: ClerkInstanceId,
        /// The database's.
        own: ClerkInstanceId,
        /// Who said so.
        learnt_from: String,
    },
    /// The key is of another instance.
    #[error(
        "CLERK_SECRET_KEY is of another Clerk instance: of {theirs}, but {own} is ours. Nothing was written. \
         Set the secret key of {own}, from Clerk's dashboard, API keys"
    )]
    OtherInstance {
        /// The key's.
        theirs: ClerkInstanceId,
        /// The database's, or the operator's.
        own: ClerkInstanceId,
    },
    /// The key is of an instance that has nothing in common with the database.
    #[error(
        "CLERK_SECRET_KEY is most likely of another Clerk instance: it has none of the {asked} organizations and people \
         known here that it was asked for. Nothing was written. If it is the right one: norvalt instance --set"
    )]
    Stranger {
        /// Of how many it has none.
        asked: usize,
    },
}

impl KeyError {
    /// Whether an operator has to set another key or another instance. Everything else may pass.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Clerk(error) => matches!(error, BackendApiError::WrongKey),
            Self::Db(_) => false,
            Self::OtherDatabase { .. } | Self::OtherInstance { .. } | Self::Stranger { .. } => true,
        }
    }
}

impl BackendApi {
    /// Prepares for asking Clerk, once the key is known to be of the instance that the database belongs to. Where that
    /// is not known on both sides, what the two have in common decides.
    pub async fn verified(db: &Db, clerk: &ClerkBackend) -> Result<Self, KeyError> {
        let own = own_instance(&mut db.system().await?).await?;
        if let (Some(own), Some(configured)) = (&own, &clerk.instance)
            && own.id != *configured
        {
            let OwnInstance { id, learnt_from, .. } = own.clone();
            return Err(KeyError::OtherDatabase { configured: configured.clone(), own: id, learnt_from });
        }
        let mut api = Self::new(clerk)?;
        api.instance = api.ask_instance().await?;
        let expected = own.as_ref().map(|own| &own.id).or(clerk.instance.as_ref());
        match (&api.instance, expected) {
            (Some(theirs), Some(ours)) if theirs != ours => {
                Err(KeyError::OtherInstance { theirs: theirs.clone(), own: ours.clone() })
            }
            (Some(_), Some(_)) if own.is_some() => Ok(api),
            _ => {
                api.has_something_in_common(db).await?;
                Ok(api)
            }
        }
    }

    /// The database belongs to this key's instance from now on, if the operator's settings say so as well.
    pub(super) async fn confirm(&self, db: &Db, clerk: &ClerkBackend) -> db::Result<()> {
        let confirmed = clerk.instance.as_ref().filter(|_| self.instance.is_some());
        if let Some(instance) = confirmed {
            let mut tx = db.system().await?;
            learn(&mut tx, instance, LearntFrom::Operator).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn has_something_in_common(&self, db: &Db) -> Result<(), KeyError> {
        let (organizations, users) = mirror::sample(&mut db.system().await?, SAMPLE).await?;
        for id in &organizations {
            if self.organization(id).await?.is_some() {
                return Ok(());
            }
        }
        for id in &users {
            if self.user(id).await?.is_some() {
                return Ok(());
            }
        }
        match organizations.len() + users.len() {
            0 => Ok(()),
            asked => Err(KeyError::Stranger { asked }),
        }
    }
}
