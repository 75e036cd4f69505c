//! Connecting pages of Facebook by a login there. The person is sent to Facebook with a state that only they have, comes back
//! with a code, a worker makes tokens of it, and the same person chooses among their pages.
//!
//! Nobody can be made to connect a page: neither one of a stranger's to their dealership, since they alone can choose, nor
//! theirs to a stranger's dealership by a link, since who chooses must know what the browser shows that comes back.

mod choose;
mod returned;
mod worker;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, types::Json};
use utoipa::ToSchema;
use uuid::Uuid;

pub use choose::{Choice, Chosen, Refused, choose};
pub use returned::{Return, Unusable, come_back, dealership_of_state};
pub use worker::{Outcome, Step, fail_login, load_login, save_login};

use crate::{
    db::{Db, Result, TenantTx},
    ids::{DealershipId, UserId},
    secrets::Place,
    text_enum::text_enum,
};

/// Minutes that a person has at Facebook.
const MINUTES: i32 = 10;
/// How long a login is kept, with the tokens of the pages that can be chosen.
const KEPT: std::time::Duration = std::time::Duration::from_hours(1);

text_enum!(
    /// How far a login at Facebook has come.
    LoginStatus {
        /// You have none under way.
        None = "none",
        /// You were sent to Facebook, and have not come back.
        Started = "started",
        /// Facebook is asked which pages you have.
        Fetching = "fetching",
        /// You can choose among your pages.
        Choosing = "choosing",
        /// You have chosen.
        Connected = "connected",
        /// You did not agree at Facebook.
        Denied = "denied",
        /// It did not work; `reason` says why.
        Failed = "failed",
        /// It has taken too long.
        Expired = "expired",
    }
);

/// A page that can be connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FacebookPage)]
pub struct PageChoice {
    /// The page's id at Facebook.
    #[schema(example = "107766554433221")]
    pub id: String,
    /// The page's name at Facebook.
    #[schema(example = "Bil Vest")]
    pub name: String,
}

/// A login at Facebook, as the person sees it who logs in.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = FacebookLogin)]
pub struct Login {
    /// How far it has come.
    pub status: LoginStatus,
    /// Why it did not work.
    pub reason: Option<String>,
    /// The pages that you can choose among.
    pub pages: Vec<PageChoice>,
    /// When it began.
    pub began_at: Option<DateTime<Utc>>,
}

/// Where people come back to from Facebook: the same when they are sent and when the code is exchanged, and known to the app
/// there.
pub fn redirect_uri(public_url: &str) -> String {
    format!("{public_url}/webhooks/facebook/oauth")
}

/// Where a sealed secret of a login belongs.
fn place(dealership: DealershipId, column: &'static str, login: Uuid) -> Place {
    Place { dealership, column, row: login }
}

const CODE: &str = "facebook_logins.secret of a code";
const USER_TOKEN: &str = "facebook_logins.secret of a user";
const PAGE_TOKENS: &str = "facebook_logins.secret of pages";

fn hash(state: &str) -> Vec<u8> {
    digest(&SHA256, state.as_bytes()).as_ref().to_vec()
}

/// Where to log in to Facebook.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = FacebookLoginStart)]
pub struct StartedLogin {
    /// Open this in a window of the person who asked.
    #[schema(example = "https://www.facebook.com/v26.0/dialog/oauth?client_id=…")]
    pub authorize_url: String,
    /// Until when they must have come back.
    pub expires_at: DateTime<Utc>,
}

/// Begins a login of somebody's, in place of one that they began before. `authorize` makes the address of the state to be sent to
/// Facebook with.
pub async fn begin_login(tx: &mut TenantTx, user: UserId, authorize: impl Fn(&str) -> String) -> Result<StartedLogin> {
    let state = format!("{}-{}", Uuid::from(tx.dealership()).simple(), Uuid::new_v4().simple());
    sqlx::query("-- lead_sources::begin_login\nDELETE FROM facebook_logins WHERE user_id = $1 AND dealership_id = $2")
        .bind(user)
        .bind(tx.dealership())
        .execute(tx.conn())
        .await?;
    let expires_at = sqlx::query_scalar(
        "-- lead_sources::begin_login
         INSERT INTO facebook_logins (id, dealership_id, user_id, state_hash) VALUES ($1, $2, $3, $4)
         RETURNING began_at + make_interval(mins => $5)",
    )
    .bind(Uuid::new_v4())
    .bind(tx.dealership())
    .bind(user)
    .bind(hash(&state))
    .bind(MINUTES)
    .fetch_one(tx.conn())
    .await?;
    Ok(StartedLogin { authorize_url: authorize(&state), expires_at })
}

#[derive(FromRow)]
struct Shown {
    step: String,
    reason: Option<String>,
    pages: Json<Vec<PageChoice>>,
    began_at: DateTime<Utc>,
    is_late: bool,
    is_over: bool,
}

/// Somebody's own login, as far as they have one.
pub async fn login(tx: &mut TenantTx, user: UserId) -> Result<Login> {
    let found: Option<Shown> = sqlx::query_as(
        "-- lead_sources::login
         SELECT step, reason, pages, began_at, began_at < now() - make_interval(mins => $3) AS is_late,
                began_at < now() - $4 AS is_over
         FROM facebook_logins WHERE user_id = $1 AND dealership_id = $2",
    )
    .bind(user)
    .bind(tx.dealership())
    .bind(MINUTES)
    .bind(KEPT)
    .fetch_optional(tx.conn())
    .await?;
    let Some(Shown { step, reason, pages, began_at, is_late, is_over }) = found else {
        return Ok(Login { status: LoginStatus::None, reason: None, pages: Vec::new(), began_at: None });
    };
    let status = match step.as_str() {
        "connected" => LoginStatus::Connected,
        "denied" => LoginStatus::Denied,
        "failed" => LoginStatus::Failed,
        _ if is_over => LoginStatus::Expired,
        "started" if is_late => LoginStatus::Expired,
        "started" => LoginStatus::Started,
        "choosing" => LoginStatus::Choosing,
        _ => LoginStatus::Fetching,
    };
    let pages = if status == LoginStatus::Choosing { pages.0 } else { Vec::new() };
    Ok(Login { status, reason, pages, began_at: Some(began_at) })
}

/// Deletes logins that are over, with the tokens that nobody has chosen, and returns how many there were.
pub async fn forget_logins(db: &Db) -> Result<u64> {
    db.delete_older(
        "-- lead_sources::forget_logins
         DELETE FROM facebook_logins WHERE (id, dealership_id) IN (
           SELECT id, dealership_id FROM facebook_logins WHERE began_at < now() - $1 ORDER BY began_at LIMIT $2)",
        KEPT,
    )
    .await
}
