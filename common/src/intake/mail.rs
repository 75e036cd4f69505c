use serde_json::json;

use crate::{
    db::{self, Error, SystemTx, find_source},
    deliveries::{NewDelivery, Source, Status, Stored, store},
    ids::{DealershipId, SourceId},
    inquiry::email::{NoMail, Provider, Received, plus_token},
    jobs::ReadInquiry,
    lead_sources::SourceKind,
    queue::{NewJob, enqueue},
};

/// A mail, as it was handed over.
#[derive(Debug, Clone, Copy)]
pub struct PostedMail<'a> {
    pub provider: Provider,
    pub content_type: &'a str,
    /// The recipients, separated by commas, where the body does not say them.
    pub envelope_to: &'a str,
    pub body: &'a [u8],
}

/// What was stored of a mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenMail {
    /// Whether anything of it is new.
    pub is_new: bool,
    /// Whose it is, as far as that is new.
    pub dealerships: Vec<DealershipId>,
}

/// Stores a mail once for each of its recipients and has it read for those that a dealership has; what nobody has, or nobody
/// can read, is kept for operators. `read` is what [`Provider::read`] made of it, outside any transaction: a long one takes a
/// while. With `domain`, only addresses of it are anybody's.
pub async fn receive_mail(
    tx: &mut SystemTx,
    mail: &PostedMail<'_>,
    read: Result<Received, NoMail>,
    domain: Option<&str>,
) -> db::Result<TakenMail> {
    match read {
        Ok(received) => mail.store_all(tx, &received, domain).await,
        Err(error) => Ok(TakenMail { is_new: mail.store_unreadable(tx, error).await?, dealerships: Vec::new() }),
    }
}

impl PostedMail<'_> {
    /// Once for each recipient.
    async fn store_all(&self, tx: &mut SystemTx, received: &Received, domain: Option<&str>) -> db::Result<TakenMail> {
        let mut taken = TakenMail::default();
        for (recipient, identity) in received.identities() {
            let ours = plus_token(recipient).filter(|to| domain.is_none_or(|domain| to.domain == domain));
            let whose = match &ours {
                Some(to) => find_source(tx, SourceKind::Email.as_str(), &to.key).await.map_err(Error::from)?,
                None => None,
            };
            if self.store(tx, recipient, &identity, whose).await? {
                taken.is_new = true;
                taken.dealerships.extend(whose.map(|(dealership, _)| dealership));
            }
        }
        Ok(taken)
    }

    async fn store(
        &self,
        tx: &mut SystemTx,
        recipient: &str,
        identity: &str,
        whose: Option<(DealershipId, SourceId)>,
    ) -> db::Result<bool> {
        let (dealership, source_id) = whose.unzip();
        let unknown = whose.is_none();
        let new = NewDelivery {
            dealership,
            source_id,
            headers: json!({
                "content-type": self.content_type, "x-envelope-to": self.envelope_to, "provider": self.provider.as_str(),
                "recipient": recipient,
            }),
            status: if unknown { Status::Parked } else { Status::Pending },
            outcome: unknown.then_some("nobody has the address that it was sent to"),
            ..self.delivery(identity)
        };
        let Stored::New(delivery_id) = store(tx, &new).await? else { return Ok(false) };
        if dealership.is_some() {
            let job = ReadInquiry { delivery_id };
            enqueue(tx, &NewJob { dealership, ..NewJob::now(&job) }).await?;
        } else {
            tracing::warn!(delivery_id, "a mail came for an address that nobody has; see norvalt deliveries show");
        }
        Ok(true)
    }

    /// What cannot be read now may be read later: it is kept.
    async fn store_unreadable(&self, tx: &mut SystemTx, error: NoMail) -> db::Result<bool> {
        let identity = Provider::identity_of_bytes(self.body);
        let reason = error.to_string();
        let new = NewDelivery {
            headers: json!({ "content-type": self.content_type, "x-envelope-to": self.envelope_to, "provider": self.provider.as_str() }),
            status: Status::Dead,
            outcome: Some(&reason),
            ..self.delivery(&identity)
        };
        let stored = store(tx, &new).await?;
        tracing::error!(provider = self.provider.as_str(), reason, "a mail cannot be read and is dead");
        Ok(matches!(stored, Stored::New(_)))
    }

    fn delivery<'d>(&'d self, identity: &'d str) -> NewDelivery<'d> {
        NewDelivery {
            source: Source::Email,
            external_id: identity,
            event_type: self.provider.as_str(),
            dealership: None,
            source_id: None,
            subject: None,
            headers: json!({}),
            body: self.body,
            status: Status::Pending,
            outcome: None,
        }
    }
}
