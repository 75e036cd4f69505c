//! Where a dealership's inquiries come from: its forms, addresses, ADF endpoints and Facebook pages, each known to senders
//! by a public key.

mod counts;
mod keys;
mod logins;
mod requests;
mod secrets;
mod store;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

pub use counts::{LeadCount, count_facebook_leads};
pub use keys::{KeyTaken, Rotation, know_as, rotate};
pub use logins::{
    Choice, Chosen, Login, LoginStatus, Outcome, PageChoice, Refused, Return, StartedLogin, Step, Unusable,
    begin_login, choose, come_back, dealership_of_state, fail_login, forget_logins, load_login, login, redirect_uri,
    save_login,
};
pub use requests::{NewSource, SourcePatch};
pub use secrets::{
    ConnectError, ConnectedPage, Page, SourceSecret, confirm_page, connect_page, connected_pages, mark_broken,
};
pub use store::{Settings, WriteError, create, create_defaults, delete, find, list, settings, update};

use crate::{
    ids::{SourceId, UserId},
    input::JsonText,
    text_enum::text_enum,
};

text_enum!(
    /// What kind of source that is.
    #[derive(Hash, PartialOrd, Ord)]
    SourceKind {
        /// A form on a web site.
        Form = "form",
        /// An e-mail address.
        Email = "email",
        /// An address that takes ADF documents.
        Adf = "adf",
        /// A page with Facebook or Instagram lead ads.
        Facebook = "facebook",
    }
);

text_enum!(
    /// In which language customers are addressed.
    Language {
        /// Norwegian, bokmål.
        Nb = "nb",
        /// Norwegian, nynorsk.
        Nn = "nn",
        /// English.
        En = "en",
    }
);

/// A source as the API shows it.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
#[schema(as = InquirySource)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the answer")]
pub struct Source {
    /// Identifies the source.
    pub id: SourceId,
    /// What kind of source it is.
    pub kind: SourceKind,
    /// What the dealership calls it.
    #[schema(example = "Nettside")]
    pub name: String,
    /// What senders name it by: part of the form's address, the local part of the mail address, the id of the page.
    #[schema(example = "5f0c3c1a9b0e4d5c8f6a7b2d1e3c4f50")]
    pub key: String,
    /// Whether it is switched on. What comes while it is off is parked.
    pub enabled: bool,
    /// In which language its customers are addressed.
    pub language: Language,
    /// Web sites whose pages may send the form; any, if empty.
    pub allowed_origins: Vec<String>,
    /// Where the customer is sent after a plain form.
    pub thank_you_url: Option<String>,
    /// Who gets its leads.
    pub assigned_to: Option<UserId>,
    /// Whether its leads are answered automatically.
    pub automatic_answer: bool,
    /// What labels in the mails of which senders mean.
    #[schema(value_type = Vec<Object>)]
    pub sender_rules: JsonText,
    /// Cloudflare's key of the form's check for bots.
    pub turnstile_site_key: Option<String>,
    /// Whether the secret for that check is stored. It is never shown.
    pub has_turnstile_secret: bool,
    /// Whether a page token is stored. It is never shown.
    pub has_page_token: bool,
    /// Since when it does not work, until a person repairs it.
    pub broken_since: Option<DateTime<Utc>>,
    /// What is wrong with it.
    pub broken_reason: Option<String>,
    /// When an inquiry last came from it.
    pub last_received_at: Option<DateTime<Utc>>,
    /// When something that came from it last could not be made a lead by itself.
    pub last_failed_at: Option<DateTime<Utc>>,
    /// How many leads Meta lists of the page for the last seven days, when that was last asked; of a page that was.
    pub meta_leads_7_days: Option<i64>,
    /// How many of those became a lead here or a message of one, or will.
    pub our_leads_7_days: Option<i64>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}
