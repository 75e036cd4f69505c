//! Reading Clerk's webhook payloads: strict in what identifies, lenient in everything else. What is not read may be
//! anything at all, however deep or odd. <https://clerk.com/docs/guides/development/webhooks/overview>

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Number, value::RawValue};

use super::{
    change::{Change, Membership, Organization, PersonHint, UserProfile, Version},
    read::{Unreadable, read},
};
use crate::ids::{ClerkMembershipId, ClerkOrgId, ClerkUserId};

/// A delivery whose type we handle and whose content makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Clerk's name for it, such as `organizationMembership.created`.
    pub event_type: String,
    /// The Clerk instance that it is of, if it says so.
    pub instance: Option<String>,
    pub change: Change,
}

/// Why a delivery is not an event for us.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON at all.
    #[error("the body is not JSON")]
    NotJson,
    /// A type we have no use for.
    #[error("events of type {event_type:?} are not handled")]
    NotHandled {
        /// Clerk's name for it.
        event_type: String,
        /// The Clerk instance that it is of, if it says so.
        instance: Option<String>,
    },
    /// A type we handle, but not of its shape. Sending it again cannot help.
    #[error("malformed {event_type}: {reason}")]
    Malformed {
        /// Clerk's name for it.
        event_type: String,
        /// The Clerk instance that it is of, if it says so.
        instance: Option<String>,
        /// Whom it is about, as far as that can be told.
        user: Option<ClerkUserId>,
        reason: String,
    },
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default, deserialize_with = "lenient")]
    instance_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    timestamp: Option<Number>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl Event {
    /// Reads the body of a delivery.
    pub fn parse(body: &str) -> Result<Self, EventError> {
        let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(body) else {
            // JSON of another shape is nothing that we handle.
            let json = serde_json::from_str::<IgnoredAny>(body);
            let not_handled = EventError::NotHandled { event_type: String::new(), instance: None };
            return Err(json.map_or(EventError::NotJson, |_| not_handled));
        };
        let (event_type, instance) = (envelope.event_type, clean(envelope.instance_id));
        let Some(parse) = parser(&event_type) else {
            let event_type = clean(Some(event_type)).unwrap_or_default();
            return Err(EventError::NotHandled { event_type, instance });
        };
        let data = envelope.data.map_or("null", RawValue::get);
        let sent = envelope.timestamp.as_ref().and_then(millis).map_or(0, seconds_to_millis);
        match parse(data, sent) {
            Ok(change) => Ok(Self { event_type, instance, change }),
            Err(error) => {
                let reason = error.to_string();
                Err(EventError::Malformed { user: person(data), event_type, instance, reason })
            }
        }
    }
}

type Parser = fn(&str, Version) -> Result<Change, Unreadable>;

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
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    updated_at: Option<Number>,
}

#[derive(Deserialize)]
struct MembershipData {
    id: ClerkMembershipId,
    #[serde(default, deserialize_with = "lenient")]
    role: Option<String>,
    organization: OrganizationData,
    public_user_data: PublicUserData,
    #[serde(default, deserialize_with = "lenient")]
    updated_at: Option<Number>,
}

#[derive(Deserialize)]
struct PublicUserData {
    user_id: ClerkUserId,
    #[serde(default, deserialize_with = "lenient")]
    first_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    last_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    username: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    identifier: Option<String>,
}

/// Whose membership something is, if it is one.
#[derive(Deserialize)]
struct Whose {
    public_user_data: PublicUserData,
}

#[derive(Deserialize)]
struct UserData {
    id: ClerkUserId,
    #[serde(default, deserialize_with = "lenient")]
    first_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    last_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    username: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    primary_email_address_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    email_addresses: Option<Vec<Box<RawValue>>>,
    #[serde(default, deserialize_with = "lenient")]
    primary_phone_number_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    phone_numbers: Option<Vec<Box<RawValue>>>,
    #[serde(default, deserialize_with = "lenient")]
    banned: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    updated_at: Option<Number>,
}

/// One of a person's addresses or numbers.
#[derive(Deserialize)]
struct Identification {
    #[serde(default, deserialize_with = "lenient")]
    id: Option<String>,
    #[serde(rename = "email_address", alias = "phone_number")]
    value: String,
}

#[derive(Deserialize)]
struct Deleted<Id> {
    id: Id,
}

/// A value, or nothing where there is something else: an odd name must not cost us the ban beside it.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

pub(super) fn organization(data: &str, sent: Version) -> Result<Change, Unreadable> {
    let data: OrganizationData = read(data)?;
    let version = version(data.updated_at.as_ref(), sent);
    let (seen, organization) = (version.max(sent), Organization { name: clean(data.name) });
    Ok(Change::Organization { id: data.id, version, seen, organization })
}

fn organization_deleted(data: &str, _: Version) -> Result<Change, Unreadable> {
    Ok(Change::OrganizationDeleted { id: read::<Deleted<_>>(data)?.id })
}

pub(super) fn membership(data: &str, sent: Version) -> Result<Change, Unreadable> {
    let data: MembershipData = read(data)?;
    let person = data.public_user_data;
    let version_of = |data: &OrganizationData| version(data.updated_at.as_ref(), 0);
    let version = version(data.updated_at.as_ref(), sent);
    Ok(Change::Membership {
        id: data.id,
        version,
        seen: version.max(sent),
        // A snapshot without a time of its own must never win over anything.
        organization: (version_of(&data.organization), Organization { name: clean(data.organization.name) }),
        hint: PersonHint {
            email: clean(person.identifier.clone()).filter(|text| is_email(text)),
            name: full_name(person.first_name, person.last_name)
                .or_else(|| clean(person.username))
                .or_else(|| clean(person.identifier)),
        },
        membership: Membership {
            org: data.organization.id,
            user: person.user_id,
            role: clean(data.role).unwrap_or_default(),
        },
    })
}

/// Official payloads hold the whole membership, but its id alone is enough to take access away.
fn membership_deleted(data: &str, _: Version) -> Result<Change, Unreadable> {
    let id = read::<Deleted<_>>(data)?.id;
    let user = serde_json::from_str::<Whose>(data).ok().map(|whose| whose.public_user_data.user_id);
    Ok(Change::MembershipDeleted { id, user })
}

pub(super) fn user(data: &str, sent: Version) -> Result<Change, Unreadable> {
    let data: UserData = read(data)?;
    let version = version(data.updated_at.as_ref(), sent);
    let email = primary(data.email_addresses, data.primary_email_address_id.as_deref()).filter(|text| is_email(text));
    let phone = primary(data.phone_numbers, data.primary_phone_number_id.as_deref());
    let profile = UserProfile {
        name: full_name(data.first_name, data.last_name)
            .or_else(|| clean(data.username))
            // Clerk's identifier: the e-mail address, which stands for a missing name anyway, or else the number.
            .or_else(|| phone.filter(|_| email.is_none())),
        email,
        banned: data.banned.unwrap_or(false),
    };
    Ok(Change::User { id: data.id, version, seen: version.max(sent), profile })
}

/// The address or number with this id, or else the first one.
fn primary(all: Option<Vec<Box<RawValue>>>, id: Option<&str>) -> Option<String> {
    let all = all.into_iter().flatten();
    let mut all: Vec<Identification> = all.filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect();
    let place = all.iter().position(|one| id.is_some() && one.id.as_deref() == id).unwrap_or(0);
    (place < all.len()).then(|| clean(Some(all.swap_remove(place).value)))?
}

fn user_deleted(data: &str, _: Version) -> Result<Change, Unreadable> {
    Ok(Change::UserDeleted { id: read::<Deleted<_>>(data)?.id })
}

/// Whom a payload is about that cannot be read otherwise.
fn person(data: &str) -> Option<ClerkUserId> {
    let whose = serde_json::from_str::<Whose>(data).ok().map(|whose| whose.public_user_data.user_id);
    let own = || serde_json::from_str::<Deleted<ClerkUserId>>(data).ok().map(|user| user.id);
    whose.or_else(own).filter(|id| id.as_str().starts_with("user_"))
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
