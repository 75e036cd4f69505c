use base64::{Engine, engine::general_purpose::STANDARD};
use dev::{
    files::{self, FileError},
    random,
    stand_ins::graph,
};

use crate::directory::DevDirectory;

/// Made once, so that what was noted, signed or sealed in an earlier run stays valid.
pub(crate) struct Secrets {
    /// Of the stand-in for Clerk.
    pub(crate) clerk_secret_key: String,
    /// Signs the stand-in's webhooks.
    pub(crate) webhook_secret: String,
    /// Of what is sealed in the database.
    pub(crate) keys: String,
    /// Of the app at the stand-in for Facebook.
    pub(crate) facebook: String,
    /// Of its page: the database keeps it from run to run.
    pub(crate) facebook_page: String,
    /// Of the account at the stand-in for Twilio.
    pub(crate) twilio: String,
    /// Of the account at the stand-in for the assistant.
    pub(crate) assistant: String,
    /// What the stand-in for a mail server shows.
    pub(crate) inbound_mail: String,
}

impl Secrets {
    pub(crate) fn keep(directory: &DevDirectory) -> Result<Self, FileError> {
        let secret_key = || format!("sk_test_{}", random::clerk_id("dev"));
        let webhook_secret = || format!("whsec_{}", STANDARD.encode(random::bytes::<24>()));
        let keys = || format!("dev:{}", STANDARD.encode(random::bytes::<32>()));
        Ok(Self {
            clerk_secret_key: files::read_or_create(&directory.join("clerk.secret-key"), secret_key)?,
            webhook_secret: files::read_or_create(&directory.join("clerk.webhook-secret"), webhook_secret)?,
            keys: files::read_or_create(&directory.join("secrets.keys"), keys)?,
            facebook: files::read_or_create(&directory.join("facebook.app-secret"), || random::clerk_id("meta"))?,
            facebook_page: files::read_or_create(&directory.join("facebook.page-token"), graph::page_token)?,
            twilio: files::read_or_create(&directory.join("twilio.auth-token"), || random::clerk_id("twilio"))?,
            assistant: files::read_or_create(&directory.join("assistant.key"), || random::clerk_id("sk-ant"))?,
            inbound_mail: files::read_or_create(&directory.join("inbound-mail.secret"), || random::clerk_id("mail"))?,
        })
    }
}
