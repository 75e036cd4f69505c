//! Clerk's webhook bodies, in the shapes that occur in the wild.

use common::clerk::Delivery;
use serde_json::{Value, json};

/// A delivery of this body.
pub fn delivery<'a>(svix_id: &'a str, body: &'a str) -> Delivery<'a> {
    Delivery { svix_id, body: body.as_bytes() }
}

fn envelope(kind: &str, timestamp: i64, data: &Value) -> Value {
    json!({ "object": "event", "type": kind, "instance_id": "ins_1", "timestamp": timestamp, "data": data })
}

/// `organization.created` or `.updated`: an organization as it is since `at`.
pub fn organization(kind: &str, id: &str, name: &str, at: i64) -> Value {
    envelope(kind, at, &json!({ "object": "organization", "id": id, "name": name, "slug": "slug", "updated_at": at }))
}

/// `organization.deleted`, `user.deleted`: hardly more than the id.
pub fn deleted(kind: &str, id: &str, at: i64) -> Value {
    envelope(kind, at, &json!({ "object": kind.split('.').next(), "id": id, "deleted": true }))
}

/// `organizationMembership.*`: what is embedded is a snapshot, and `data.updated_at` is not the time of a deletion.
#[derive(Debug, Clone)]
pub struct Membership<'a> {
    /// `orgmem_…`
    pub id: &'a str,
    /// `org_…`
    pub org: &'a str,
    pub org_name: &'a str,
    /// When the embedded organization was last changed.
    pub org_at: i64,
    /// `user_…`
    pub user: &'a str,
    pub first_name: &'a str,
    /// E-mail address, phone number or user name.
    pub identifier: Option<&'a str>,
    /// Such as `org:admin`.
    pub role: &'a str,
    /// When the membership was last changed.
    pub at: i64,
}

impl Membership<'_> {
    /// The event of this kind: `created`, `updated` or `deleted`.
    pub fn event(&self, kind: &str) -> Value {
        let data = json!({
            "object": "organization_membership", "id": self.id, "role": self.role, "updated_at": self.at,
            "organization": { "object": "organization", "id": self.org, "name": self.org_name, "updated_at": self.org_at },
            "public_user_data": {
                "user_id": self.user, "first_name": self.first_name, "last_name": null, "identifier": self.identifier,
            },
        });
        envelope(&format!("organizationMembership.{kind}"), self.at, &data)
    }
}

/// `user.created` or `.updated`.
pub fn user(kind: &str, id: &str, first_name: &str, email: Option<&str>, banned: bool, at: i64) -> Value {
    let addresses: Vec<_> = email.iter().map(|email| json!({ "id": "idn_1", "email_address": email })).collect();
    let data = json!({
        "object": "user", "id": id, "first_name": first_name, "last_name": null, "username": null, "banned": banned,
        "primary_email_address_id": email.map(|_| "idn_1"), "email_addresses": addresses, "updated_at": at,
    });
    envelope(kind, at, &data)
}
