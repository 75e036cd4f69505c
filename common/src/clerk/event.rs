//! Reading Clerk's webhook payloads: lenient in what is optional, strict in what identifies.
//! <https://clerk.com/docs/guides/development/webhooks/overview>

use serde::Deserialize;
use serde_json::{Number, Value};

use super::change::{Change, Membership, Organization, PersonHint, UserProfile, Version};
use crate::ids::{ClerkMembershipId, ClerkOrgId, ClerkUserId};

/// A delivery whose type we handle and whose content makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Clerk's name for it, such as `organizationMembership.created`.
    pub event_type: String,
    /// What it tells.
    pub change: Change,
}

/// Why a delivery is not an event for us.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON at all.
    #[error("the body is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// A type we have no use for.
    #[error("events of type {0:?} are not handled")]
    NotHandled(String),
    /// A type we handle, but not of its shape. Sending it again cannot help.
    #[error("malformed {event_type}: {reason}")]
    Malformed {
        /// Clerk's name for it.
        event_type: String,
        /// What is wrong.
        reason: String,
    },
}

impl Event {
    /// Reads the body of a delivery.
    pub fn parse(body: &[u8]) -> Result<Self, EventError> {
        let envelope: Value = serde_json::from_slice(body).map_err(EventError::NotJson)?;
        let event_type = envelope["type"].as_str().unwrap_or_default().to_owned();
        let Some(parse) = parser(&event_type) else { return Err(EventError::NotHandled(event_type)) };
        let sent = envelope["timestamp"].as_number().and_then(millis).map_or(0, seconds_to_millis);
        match parse(&envelope["data"], sent) {
            Ok(change) => Ok(Self { event_type, change }),
            // Serde's message may quote a value, which may be personal: keep to where and what kind.
            Err(error) => Err(EventError::Malformed { event_type, reason: without_values(&error) }),
        }
    }
}

type Parser = fn(&Value, Version) -> serde_json::Result<Change>;

fn parser(event_type: &str) -> Option<Parser> {
    Some(match event_type {
        "organization.created" | "organization.updated" => organization,
        "organization.deleted" => organization_deleted,
        "organizationMembership.created" | "organizationMembership.updated" => membership,
        "organizationMembership.deleted" => membership_deleted,
        "user.created" | "user.updated" => user,
        "user.deleted" => user_deleted,
        _ => return None,
    })
}

#[derive(Deserialize)]
struct OrganizationData {
    id: ClerkOrgId,
    name: Option<String>,
    updated_at: Option<Number>,
}

#[derive(Deserialize)]
struct MembershipData {
    id: ClerkMembershipId,
    role: Option<String>,
    organization: OrganizationData,
    public_user_data: PublicUserData,
    updated_at: Option<Number>,
}

#[derive(Deserialize)]
struct PublicUserData {
    user_id: ClerkUserId,
    first_name: Option<String>,
    last_name: Option<String>,
    identifier: Option<String>,
}

#[derive(Deserialize)]
struct UserData {
    id: ClerkUserId,
    first_name: Option<String>,
    last_name: Option<String>,
    username: Option<String>,
    primary_email_address_id: Option<String>,
    #[serde(default)]
    email_addresses: Vec<EmailAddress>,
    banned: Option<bool>,
    updated_at: Option<Number>,
}

#[derive(Deserialize)]
struct EmailAddress {
    id: Option<String>,
    email_address: Option<String>,
}

#[derive(Deserialize)]
struct Deleted<Id> {
    id: Id,
}

fn organization(data: &Value, sent: Version) -> serde_json::Result<Change> {
    let data = OrganizationData::deserialize(data)?;
    let version = version(data.updated_at.as_ref(), sent);
    Ok(Change::Organization { id: data.id, version, organization: Organization { name: clean(data.name) } })
}

fn organization_deleted(data: &Value, _: Version) -> serde_json::Result<Change> {
    Ok(Change::OrganizationDeleted { id: Deleted::deserialize(data)?.id })
}

pub(super) fn membership(data: &Value, sent: Version) -> serde_json::Result<Change> {
    let data = MembershipData::deserialize(data)?;
    let person = data.public_user_data;
    Ok(Change::Membership {
        id: data.id,
        version: version(data.updated_at.as_ref(), sent),
        // A snapshot without a time of its own must never win over anything.
        organization: (
            version(data.organization.updated_at.as_ref(), 0),
            Organization { name: clean(data.organization.name) },
        ),
        hint: PersonHint {
            name: full_name(person.first_name, person.last_name),
            email: clean(person.identifier).filter(|text| is_email(text)),
        },
        membership: Membership {
            org: data.organization.id,
            user: person.user_id,
            role: clean(data.role).unwrap_or_default(),
        },
    })
}

/// Official payloads hold the whole membership, but its id alone is enough to take access away.
fn membership_deleted(data: &Value, _: Version) -> serde_json::Result<Change> {
    let id = Deleted::deserialize(data)?.id;
    let user = ClerkUserId::deserialize(&data["public_user_data"]["user_id"]).ok();
    Ok(Change::MembershipDeleted { id, user })
}

pub(super) fn user(data: &Value, sent: Version) -> serde_json::Result<Change> {
    let data = UserData::deserialize(data)?;
    let version = version(data.updated_at.as_ref(), sent);
    let primary = |address: &&EmailAddress| address.id.is_some() && address.id == data.primary_email_address_id;
    let address = data.email_addresses.iter().find(primary).or_else(|| data.email_addresses.first());
    let profile = UserProfile {
        email: address.and_then(|address| clean(address.email_address.clone())).filter(|text| is_email(text)),
        name: full_name(data.first_name, data.last_name).or_else(|| clean(data.username)),
        banned: data.banned.unwrap_or(false),
    };
    Ok(Change::User { id: data.id, version, profile })
}

fn user_deleted(data: &Value, _: Version) -> serde_json::Result<Change> {
    Ok(Change::UserDeleted { id: Deleted::deserialize(data)?.id })
}

fn version(updated_at: Option<&Number>, otherwise: Version) -> Version {
    updated_at.and_then(millis).unwrap_or(otherwise)
}

/// A point in time, if the number can be one.
fn millis(number: &Number) -> Option<Version> {
    /// The end of the year 9999.
    const END: i64 = 253_402_300_800_000;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked below, and casts saturate")]
    let value = number.as_i64().or_else(|| number.as_f64().map(|float| float as i64))?;
    (0..END).contains(&value).then_some(value)
}

/// The envelope's time comes in milliseconds or in seconds; no event is from before 1973.
fn seconds_to_millis(time: Version) -> Version {
    if time < 100_000_000_000 { time * 1000 } else { time }
}

fn full_name(first: Option<String>, last: Option<String>) -> Option<String> {
    let parts: Vec<_> = [clean(first), clean(last)].into_iter().flatten().collect();
    clean(Some(parts.join(" ")))
}

/// Text as a person would have meant it: no control characters (PostgreSQL cannot store NUL), no blanks around it.
fn clean(text: Option<String>) -> Option<String> {
    let text: String = text?.chars().filter(|c| !c.is_control()).take(255).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Tells an address from the other identifiers that Clerk knows: phone numbers and user names.
fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !text.contains(' '))
}

fn without_values(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.split_once("type: ") {
        // "invalid type: string \"Kari\", expected …"
        Some((_, rest)) if message.starts_with("invalid") => {
            let found = rest.split([' ', ',']).next().unwrap_or("value");
            let expected = rest.rsplit("expected ").next().unwrap_or("something else");
            format!("found {found}, expected {expected}")
        }
        _ => message,
    }
}
