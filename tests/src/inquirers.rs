//! A dealership whose people and customers go on working while something goes wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use common::{
    clerk::{self, Change, Membership, Organization, PersonHint},
    db::Db,
    ids::{ClerkOrgId, ClerkUserId, DealershipId},
};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    load::{Load, Record, What},
    test_system::{RECOVERY, TestSystem},
};

/// Not one of those that webhooks found.
const ORGANIZATION: &str = "org_of_inquirers";
const PERSON: &str = "user_of_inquirers";
/// Leads that are written at a time.
const SENDERS: usize = 4;
/// Forms that are sent at a time.
const FORM_SENDERS: usize = 2;

/// A job whose process lost the database is another one's when its lease is over, and may meet that twice.
const DRAIN: Duration = Duration::from_mins(2);
/// What is due and not done.
const UNFINISHED: &str =
    "SELECT count(*) FROM jobs WHERE state IN ('available', 'running', 'scheduled', 'retryable') AND run_at <= now()";

/// The senders of leads and of forms.
#[derive(Debug)]
pub struct Inquirers {
    leads: Load,
    forms: Load,
    database_url: String,
}

/// What was promised to them, and what was kept.
#[derive(Debug)]
pub struct Inquiries {
    leads: Kind,
    forms: Kind,
}

#[derive(Debug)]
struct Kind {
    record: Record,
    /// Acknowledged and not there.
    lost: BTreeSet<u32>,
    /// There more than once.
    doubled: BTreeSet<u32>,
}

impl Inquirers {
    /// Starts them with the API of this system, whose database its superuser reaches by this URL.
    pub async fn start(system: &TestSystem, database_url: &str) -> Self {
        let dealership = open_dealership(database_url).await;
        let leads = What::Leads { user: PERSON, organization: ORGANIZATION, key: system.clerk.key() };
        let leads = Load::start(leads, &system.url, SENDERS);
        // The dealership's id is taken as the key of its first form.
        let forms = Load::start(What::Forms(dealership.to_string()), &system.url, FORM_SENDERS);
        Self { leads, forms, database_url: database_url.to_owned() }
    }

    /// Waits until each kind has been acknowledged so often from now on, and returns how long that took.
    ///
    /// # Panics
    /// When it takes longer than [`RECOVERY`].
    pub async fn carry_on(&self, times: usize) -> Duration {
        let since = Instant::now();
        for load in [&self.leads, &self.forms] {
            let wanted = load.record().acknowledged.len() + times;
            let acknowledged = async {
                while load.record().acknowledged.len() < wanted {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(RECOVERY, acknowledged).await.expect("the API acknowledges");
        }
        since.elapsed()
    }

    /// Ends them, waits until all jobs are done that are due, and compares.
    pub async fn end(self) -> Inquiries {
        let (leads, forms) = (self.leads.end().await, self.forms.end().await);
        let mut superuser = PgConnection::connect(&self.database_url).await.expect("the database is there");
        let done = async {
            while sqlx::query_scalar::<_, i64>(UNFINISHED).fetch_one(&mut superuser).await.expect("valid") > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(DRAIN, done).await.expect("all jobs are done that are due");
        let counts: Vec<(String, i64)> =
            sqlx::query_as("SELECT split_part(customer_email, '@', 1), count(*) FROM leads GROUP BY 1")
                .fetch_all(&mut superuser)
                .await
                .expect("valid");
        let counts = counts.into_iter().collect();
        Inquiries { leads: Kind::of("lead", leads, &counts), forms: Kind::of("form", forms, &counts) }
    }
}

impl Kind {
    fn of(name: &str, record: Record, counts: &BTreeMap<String, i64>) -> Self {
        let count = |number: &&u32| counts.get(&format!("{name}{number}")).copied().unwrap_or_default();
        let lost = record.acknowledged.iter().filter(|number| count(number) == 0).copied().collect();
        let doubled = record.acknowledged.iter().filter(|number| count(number) > 1).copied().collect();
        Self { record, lost, doubled }
    }
}

impl Inquiries {
    /// Checks that each lead and each form that was acknowledged is there exactly once.
    ///
    /// # Panics
    /// When it is not so.
    #[track_caller]
    pub fn expect_exactly_once(&self) {
        for kind in [&self.leads, &self.forms] {
            assert!(kind.lost.is_empty() && kind.doubled.is_empty(), "{self}");
            assert!(!kind.record.acknowledged.is_empty(), "there was no load");
            // They are more than may wait of one person, and what is sent again may still be under way.
            let passes = |why: &String| ["503", "429", "409", "no answer"].contains(&why.as_str());
            assert!(kind.record.refused.keys().all(passes), "{self}");
        }
    }
}

impl fmt::Display for Inquiries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, Kind { record, lost, doubled }) in [("leads", &self.leads), ("forms", &self.forms)] {
            let Record { acknowledged, refused } = record;
            writeln!(
                f,
                "{name}: {} acknowledged, refused {refused:?}, lost {lost:?}, doubled {doubled:?}",
                acknowledged.len()
            )?;
        }
        Ok(())
    }
}

/// With one person, as Clerk could have told of them.
async fn open_dealership(database_url: &str) -> DealershipId {
    let org: ClerkOrgId = ORGANIZATION.parse().expect("printable");
    let user: ClerkUserId = PERSON.parse().expect("printable");
    let db = Db::new(&database_url.parse().expect("a valid URL"), 1, "tests");
    let mut tx = db.system().await.expect("the database is there");
    let membership = Change::Membership {
        id: "orgmem_of_inquirers".parse().expect("printable"),
        version: 1,
        seen: 0,
        membership: Membership { org: org.clone(), user, role: "org:admin".to_owned() },
        organization: (1, Organization { name: Some("Tesla Oslo".to_owned()) }),
        hint: PersonHint { name: Some("Kari".to_owned()), email: Some("kari@example.no".to_owned()) },
    };
    clerk::apply(&mut tx, membership).await.expect("a valid change");
    tx.commit().await.expect("the database is there");
    DealershipId::of(&org)
}
