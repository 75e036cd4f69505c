use uuid::Uuid;

use crate::ids::{DealershipId, OutboxId};

/// Names a message to providers, and in links that only the customer has: nobody can guess it, and it says nothing.
pub fn tag(dealership: DealershipId, id: OutboxId) -> String {
    format!("{}-{}", Uuid::from(dealership).simple(), Uuid::from(id).simple())
}

/// Whose message a tag names, and which.
pub fn read_tag(tag: &str) -> Option<(DealershipId, OutboxId)> {
    let (dealership, id) = tag.split_once('-')?;
    let uuid = |text: &str| Uuid::try_parse(text).ok().filter(|_| text.len() == 32);
    Some((uuid(dealership)?.into(), uuid(id)?.into()))
}
