use cli::demo;
use serde::{Deserialize, Serialize};

use super::SessionToken;

/// When the demo people and organizations came to be: 2025-01-01, in milliseconds. Always the same, so that a stand-in
/// that starts afresh has nothing to tell that is newer than what the database knows.
const DEMO_SINCE: i64 = 1_735_689_600_000;

/// Everything a Clerk instance knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// In the order of their creation, like all others.
    pub organizations: Vec<Organization>,
    /// All people, members or not.
    pub users: Vec<User>,
    pub memberships: Vec<Membership>,
    /// Ids of the organizations and users that were deleted.
    #[serde(default)]
    pub deleted: Vec<String>,
}

/// A tenant of the application. All times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// `org_…`
    pub id: String,
    pub name: String,
    pub slug: String,
    /// The user who created it, if a user did.
    pub created_by: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// `user_…`
    pub id: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<String>,
    /// Banned people cannot sign in.
    pub banned: bool,
    pub created_at: i64,
    pub updated_at: i64,
}

/// One person in one organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// `orgmem_…`, a new one each time somebody joins.
    pub id: String,
    pub organization_id: String,
    pub user_id: String,
    /// In full, such as `org:admin`.
    pub role: String,
    pub created_at: i64,
    pub updated_at: i64,
}

/// Why a change makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Nobody and nothing of that name.
    #[error("there is no {kind} `{name}`; there are: {known}")]
    Unknown {
        kind: &'static str,
        /// How it was called.
        name: String,
        /// The names that would have worked.
        known: String,
    },
    /// A value that Clerk would refuse as well.
    #[error("`{field}` {problem}")]
    Invalid {
        /// Which member of the request.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Instance {
    /// The dealerships and people that `norvalt seed` puts into the database.
    pub fn demo() -> Self {
        let mut instance = Self::default();
        let (created_at, updated_at) = (DEMO_SINCE, DEMO_SINCE);
        for dealership in demo::DEALERSHIPS {
            let created_by = dealership.people.first().map(|person| person.user_id.to_owned());
            let (id, name, slug) = (dealership.org_id.into(), dealership.name.into(), dealership.slug.into());
            instance.organizations.push(Organization { id, name, slug, created_by, created_at, updated_at });
            for person in dealership.people {
                instance.users.push(User {
                    id: person.user_id.into(),
                    first_name: Some(person.first_name.into()),
                    last_name: Some(person.last_name.into()),
                    email: Some(person.email.into()),
                    banned: false,
                    created_at,
                    updated_at,
                });
                instance.memberships.push(Membership {
                    id: person.membership_id.into(),
                    organization_id: dealership.org_id.into(),
                    user_id: person.user_id.into(),
                    role: person.role.into(),
                    created_at,
                    updated_at,
                });
            }
        }
        instance
    }

    /// An organization by its id or slug.
    pub fn organization(&self, name: &str) -> Result<&Organization, ChangeError> {
        let found = self.organizations.iter().find(|o| o.id == name || o.slug == name);
        found.ok_or_else(|| unknown("organization", name, self.organizations.iter().map(|o| o.slug.as_str())))
    }

    /// A user by id or e-mail address, in whatever case.
    pub fn user(&self, name: &str) -> Result<&User, ChangeError> {
        let found = self.users.iter().find(|u| u.id == name || u.has_email(name));
        found.ok_or_else(|| unknown("user", name, self.users.iter().map(|u| u.email.as_deref().unwrap_or(&u.id))))
    }

    /// A user by id or e-mail address, or by the beginning of an address that no other has, such as `kari`.
    fn user_like(&self, name: &str) -> Result<&User, ChangeError> {
        let start = name.to_lowercase();
        let mut alike =
            self.users.iter().filter(|u| u.email.as_ref().is_some_and(|e| e.to_lowercase().starts_with(&start)));
        match (self.user(name), alike.next(), alike.next()) {
            (Err(_), Some(only), None) if !name.is_empty() => Ok(only),
            (exactly, ..) => exactly,
        }
    }

    /// Whether an organization or a user of this id is or was here.
    pub fn has_known(&self, id: &str) -> bool {
        self.organizations.iter().any(|organization| organization.id == id)
            || self.users.iter().any(|user| user.id == id)
            || self.deleted.iter().any(|deleted| deleted == id)
    }

    /// The memberships of a user, `user_…`.
    pub fn memberships_of(&self, user_id: &str) -> impl Iterator<Item = &Membership> {
        self.memberships.iter().filter(move |m| m.user_id == user_id)
    }

    /// The membership of a user in an organization, each named by id or by slug and e-mail address.
    pub fn membership(&self, organization: &str, user: &str) -> Result<&Membership, ChangeError> {
        let organization = self.organization(organization)?;
        let user_id = &self.user(user)?.id;
        let members = || self.memberships.iter().filter(|m| m.organization_id == organization.id);
        let emails = || members().filter_map(|m| self.users.iter().find(|u| u.id == m.user_id)?.email.as_deref());
        members().find(|m| &m.user_id == user_id).ok_or_else(|| unknown("member", user, emails()))
    }

    /// A token for somebody as what they are here: in `organization`, or in their only one when it is absent, or in
    /// none when it is empty.
    pub(super) fn session_token(&self, user: &str, organization: Option<&str>) -> Result<SessionToken, ChangeError> {
        let user = self.user_like(user)?;
        let token = SessionToken::for_user(&user.id);
        let mut memberships = self.memberships_of(&user.id);
        let membership = match organization {
            Some("") => return Ok(token),
            Some(organization) => self.membership(organization, &user.id)?,
            None => match (memberships.next(), memberships.next()) {
                (Some(only), None) => only,
                (None, _) => return Ok(token),
                (Some(_), Some(_)) => {
                    return Err(ChangeError::Invalid {
                        field: "org",
                        problem: "must name one of the person's organizations, since there are several",
                    });
                }
            },
        };
        let organization = self.organization(&membership.organization_id)?;
        Ok(token.organization(&organization.id, &organization.slug, &membership.role))
    }
}

impl User {
    /// Addresses are the same in whatever case they are written.
    pub(super) fn has_email(&self, email: &str) -> bool {
        self.email.as_ref().is_some_and(|own| own.to_lowercase() == email.to_lowercase())
    }
}

fn unknown<'a>(kind: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> ChangeError {
    ChangeError::Unknown { kind, name: name.to_owned(), known: known.collect::<Vec<_>>().join(", ") }
}
