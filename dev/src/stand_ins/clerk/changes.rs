//! What can happen to a Clerk instance. Each change returns the events that Clerk would send for it. An object's
//! `updated_at` grows with every change to it, also with two in the same millisecond.
//!
//! The end of an organization or of a user also ends the memberships, and only the one event of the whole is sent: it is
//! not documented whether events of the parts follow, so a backend must do without them.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use super::{
    state::{ChangeError, Instance, Membership, Organization, User},
    webhooks::Event,
};
use crate::random::clerk_id;

/// Somebody who is to join an organization.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// Names the person: somebody with this address is not created a second time.
    pub email: String,
    /// Given name of somebody new.
    pub first_name: Option<String>,
    /// Family name of somebody new.
    pub last_name: Option<String>,
    /// In full, such as `org:admin`; by default `org:member`.
    pub role: Option<String>,
}

/// What changes about a person; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<String>,
    /// Whether they may sign in.
    pub banned: Option<bool>,
}

impl Instance {
    /// `organization.created`
    pub fn create_organization(
        &mut self,
        name: &str,
        now: DateTime<Utc>,
    ) -> Result<(Organization, Vec<Event>), ChangeError> {
        let name = present("name", name)?;
        let slug = self.free_slug(&name);
        let at = now.timestamp_millis();
        let organization =
            Organization { id: clerk_id("org"), name, slug, created_by: None, created_at: at, updated_at: at };
        self.organizations.push(organization.clone());
        let event = Event::new("organization.created", self.organization_json(&organization), now);
        Ok((organization, vec![event]))
    }

    /// `organization.updated`
    pub fn rename_organization(
        &mut self,
        organization: &str,
        name: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<Event>, ChangeError> {
        let id = self.organization(organization)?.id.clone();
        let name = present("name", name)?;
        let mut changed = Vec::new();
        for organization in self.organizations.iter_mut().filter(|o| o.id == id) {
            organization.name.clone_from(&name);
            organization.updated_at = later(organization.updated_at, now);
            changed.push(organization.clone());
        }
        Ok(changed.iter().map(|o| Event::new("organization.updated", self.organization_json(o), now)).collect())
    }

    /// `organization.deleted`
    pub fn delete_organization(&mut self, organization: &str, now: DateTime<Utc>) -> Result<Vec<Event>, ChangeError> {
        let Organization { id, slug, .. } = self.organization(organization)?.clone();
        self.organizations.retain(|o| o.id != id);
        self.memberships.retain(|m| m.organization_id != id);
        self.deleted.push(id.clone());
        let data = json!({ "object": "organization", "id": id, "slug": slug, "deleted": true });
        Ok(vec![Event::new("organization.deleted", data, now)])
    }

    /// `user.created` if there is nobody with that address yet, and `organizationMembership.created`. Clerk would
    /// refuse somebody who is a member already: here the same event is sent once more, as the button "Resend" in its
    /// dashboard does, or `organizationMembership.updated` if the role is another one.
    pub fn add_member(
        &mut self,
        organization: &str,
        new: &NewMember,
        now: DateTime<Utc>,
    ) -> Result<(Membership, Vec<Event>), ChangeError> {
        let organization_id = self.organization(organization)?.id.clone();
        let role = valid_role(new.role.as_deref().unwrap_or("org:member"))?;
        let (user_id, mut events) = match self.users.iter().find(|user| user.has_email(new.email.trim())) {
            Some(known) => (known.id.clone(), Vec::new()),
            None => self.create_user(new, now)?,
        };
        let known = self.memberships_of(&user_id).find(|m| m.organization_id == organization_id).cloned();
        let membership = match known {
            Some(known) if known.role != role => return self.set_role(&organization_id, &user_id, &role, now),
            Some(known) => known,
            None => self.join(organization_id, user_id, role, now),
        };
        events.push(Event::new("organizationMembership.created", self.membership_json(&membership), now));
        Ok((membership, events))
    }

    /// `organizationMembership.updated`
    pub fn set_role(
        &mut self,
        organization: &str,
        user: &str,
        role: &str,
        now: DateTime<Utc>,
    ) -> Result<(Membership, Vec<Event>), ChangeError> {
        let mut membership = self.membership(organization, user)?.clone();
        membership.role = valid_role(role)?;
        membership.updated_at = later(membership.updated_at, now);
        self.memberships.iter_mut().filter(|m| m.id == membership.id).for_each(|m| m.clone_from(&membership));
        let event = Event::new("organizationMembership.updated", self.membership_json(&membership), now);
        Ok((membership, vec![event]))
    }

    /// `organizationMembership.deleted`
    pub fn remove_member(
        &mut self,
        organization: &str,
        user: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<Event>, ChangeError> {
        let membership = self.membership(organization, user)?.clone();
        self.memberships.retain(|m| m.id != membership.id);
        Ok(vec![Event::new("organizationMembership.deleted", self.membership_json(&membership), now)])
    }

    /// `user.updated`
    pub fn change_user(
        &mut self,
        user: &str,
        change: &UserChange,
        now: DateTime<Utc>,
    ) -> Result<(User, Vec<Event>), ChangeError> {
        let mut changed = self.user(user)?.clone();
        if let Some(email) = &change.email {
            let email = valid_email(email)?;
            if self.users.iter().any(|other| other.id != changed.id && other.has_email(&email)) {
                return Err(ChangeError::Invalid { field: "email", problem: "belongs to somebody else" });
            }
            changed.email = Some(email);
        }
        changed.first_name = change.first_name.clone().or(changed.first_name);
        changed.last_name = change.last_name.clone().or(changed.last_name);
        changed.banned = change.banned.unwrap_or(changed.banned);
        changed.updated_at = later(changed.updated_at, now);
        self.users.iter_mut().filter(|u| u.id == changed.id).for_each(|u| u.clone_from(&changed));
        let event = Event::new("user.updated", self.user_json(&changed), now);
        Ok((changed, vec![event]))
    }

    /// `user.deleted`
    pub fn delete_user(&mut self, user: &str, now: DateTime<Utc>) -> Result<Vec<Event>, ChangeError> {
        let id = self.user(user)?.id.clone();
        self.users.retain(|u| u.id != id);
        self.memberships.retain(|m| m.user_id != id);
        self.deleted.push(id.clone());
        let data = json!({ "object": "user", "id": id, "deleted": true });
        Ok(vec![Event::new("user.deleted", data, now)])
    }

    fn create_user(&mut self, new: &NewMember, now: DateTime<Utc>) -> Result<(String, Vec<Event>), ChangeError> {
        let at = now.timestamp_millis();
        let user = User {
            id: clerk_id("user"),
            first_name: new.first_name.clone(),
            last_name: new.last_name.clone(),
            email: Some(valid_email(&new.email)?),
            banned: false,
            created_at: at,
            updated_at: at,
        };
        self.users.push(user.clone());
        let event = Event::new("user.created", self.user_json(&user), now);
        Ok((user.id, vec![event]))
    }

    fn join(&mut self, organization_id: String, user_id: String, role: String, now: DateTime<Utc>) -> Membership {
        let at = now.timestamp_millis();
        let joined =
            Membership { id: clerk_id("orgmem"), organization_id, user_id, role, created_at: at, updated_at: at };
        self.memberships.push(joined.clone());
        joined
    }

    /// "Bil & Båt AS" becomes `bil-b-t-as`, or `bil-b-t-as-2` if that is taken.
    fn free_slug(&self, name: &str) -> String {
        let letters = name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), " ");
        let slug = Some(letters.split_whitespace().collect::<Vec<_>>().join("-")).filter(|slug| !slug.is_empty());
        let slug = slug.unwrap_or_else(|| "organization".to_owned());
        let numbered = (2..).map(|number| format!("{slug}-{number}"));
        let free = |slug: &String| self.organizations.iter().all(|o| &o.slug != slug);
        std::iter::once(slug.clone()).chain(numbered).find(free).unwrap_or(slug)
    }
}

fn later(before: i64, now: DateTime<Utc>) -> i64 {
    now.timestamp_millis().max(before + 1)
}

fn present(field: &'static str, text: &str) -> Result<String, ChangeError> {
    match text.trim() {
        "" => Err(ChangeError::Invalid { field, problem: "must not be empty" }),
        text => Ok(text.to_owned()),
    }
}

fn valid_email(text: &str) -> Result<String, ChangeError> {
    let email = text.trim();
    match email.split_once('@') {
        Some((name, host)) if !name.is_empty() && !host.is_empty() && !email.contains(char::is_whitespace) => {
            Ok(email.to_owned())
        }
        _ => Err(ChangeError::Invalid { field: "email", problem: "must be an e-mail address" }),
    }
}

fn valid_role(role: &str) -> Result<String, ChangeError> {
    let key = role.strip_prefix("org:").unwrap_or_default();
    if !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        Ok(role.to_owned())
    } else {
        Err(ChangeError::Invalid { field: "role", problem: "must be a role key such as org:admin or org:member" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("in range")
    }

    fn ingrid() -> NewMember {
        NewMember { email: "ingrid@example.no".to_owned(), ..NewMember::default() }
    }

    fn kinds(events: &[Event]) -> Vec<&str> {
        events.iter().map(Event::kind).collect()
    }

    #[test]
    fn joining_creates_the_person_once_and_a_new_membership_each_time() {
        let mut clerk = Instance::demo();
        let (first, events) = clerk.add_member("tesla-oslo", &ingrid(), at(0)).expect("a valid change");
        assert_eq!(kinds(&events), ["user.created", "organizationMembership.created"]);
        let (same, events) = clerk.add_member("tesla-oslo", &ingrid(), at(1)).expect("a valid change");
        assert_eq!((kinds(&events), &same), (vec!["organizationMembership.created"], &first));

        assert_eq!(
            kinds(&clerk.remove_member("tesla-oslo", "INGRID@example.no", at(2)).expect("she is a member")),
            ["organizationMembership.deleted"]
        );
        let (again, _) = clerk.add_member("tesla-oslo", &ingrid(), at(3)).expect("a valid change");
        assert!(again.user_id == first.user_id && again.id != first.id);
    }

    #[test]
    fn time_never_stands_still_for_an_object() {
        let mut clerk = Instance::demo();
        let (joined, _) = clerk.add_member("tesla-oslo", &ingrid(), at(0)).expect("a valid change");
        let (promoted, _) = clerk.set_role("tesla-oslo", &joined.user_id, "org:admin", at(0)).expect("she is a member");
        assert_eq!(promoted.updated_at, joined.updated_at + 1);
    }

    #[test]
    fn the_end_of_a_whole_is_the_end_of_its_parts() {
        let mut clerk = Instance::demo();
        assert_eq!(kinds(&clerk.delete_organization("vw-bergen", at(0)).expect("it exists")), ["organization.deleted"]);
        assert_eq!(clerk.memberships.len(), 2);
        assert_eq!(kinds(&clerk.delete_user("user_demo_kari", at(1)).expect("she exists")), ["user.deleted"]);
        assert_eq!(clerk.memberships.len(), 1);
    }

    #[test]
    fn slugs_stay_unique_and_nonsense_is_refused() {
        let mut clerk = Instance::demo();
        let (tesla, _) = clerk.create_organization("Tesla Oslo", at(0)).expect("names may repeat");
        assert_eq!(tesla.slug, "tesla-oslo-2");
        assert!(clerk.create_organization(" ", at(0)).is_err());
        assert!(clerk.add_member("tesla-oslo", &NewMember::default(), at(0)).is_err());
        let error = clerk.delete_organization("tesla", at(0)).expect_err("there is no such slug").to_string();
        assert_eq!(error, "there is no organization `tesla`; there are: tesla-oslo, vw-bergen, tesla-oslo-2");
    }
}
