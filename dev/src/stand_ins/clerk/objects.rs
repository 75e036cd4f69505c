//! Clerk's objects as the Backend API and the webhooks show them: every member that theirs have, since a backend may
//! read any of them. <https://clerk.com/docs/reference/backend-api>

use serde_json::{Value, json};

use super::state::{Instance, Membership, Organization, User};

impl Instance {
    /// An organization, as the Backend API returns it and as its events carry it.
    pub fn organization_json(&self, organization: &Organization) -> Value {
        let members = self.memberships.iter().filter(|m| m.organization_id == organization.id).count();
        json!({
            "object": "organization",
            "id": organization.id,
            "name": organization.name,
            "slug": organization.slug,
            "image_url": "https://img.clerk.com/placeholder",
            "has_image": false,
            "members_count": members,
            "missing_member_with_elevated_permissions": false,
            "pending_invitations_count": 0,
            "max_allowed_memberships": 0,
            "admin_delete_enabled": true,
            "public_metadata": {},
            "private_metadata": {},
            "created_by": organization.created_by,
            "created_at": organization.created_at,
            "updated_at": organization.updated_at,
        })
    }

    /// A membership with its organization and what is public of its user.
    pub fn membership_json(&self, membership: &Membership) -> Value {
        let organization = self.organizations.iter().find(|o| o.id == membership.organization_id);
        let user = self.users.iter().find(|u| u.id == membership.user_id);
        json!({
            "object": "organization_membership",
            "id": membership.id,
            "role": membership.role,
            "role_name": role_name(&membership.role),
            "permissions": [],
            "public_metadata": {},
            "private_metadata": {},
            "organization": organization.map(|o| self.organization_json(o)),
            "public_user_data": {
                "user_id": membership.user_id,
                "first_name": user.and_then(|u| u.first_name.as_deref()),
                "last_name": user.and_then(|u| u.last_name.as_deref()),
                "profile_image_url": "https://img.clerk.com/placeholder",
                "image_url": "https://img.clerk.com/placeholder",
                "has_image": false,
                "identifier": user.and_then(|u| u.email.as_deref()),
                "username": null,
                "banned": user.is_some_and(|u| u.banned),
            },
            "created_at": membership.created_at,
            "updated_at": membership.updated_at,
        })
    }

    pub fn user_json(&self, user: &User) -> Value {
        let email_id = user.email.as_ref().map(|_| user.id.replacen("user_", "idn_", 1));
        json!({
            "object": "user",
            "id": user.id,
            "external_id": null,
            "primary_email_address_id": email_id,
            "primary_phone_number_id": null,
            "primary_web3_wallet_id": null,
            "username": null,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "profile_image_url": "https://img.clerk.com/placeholder",
            "image_url": "https://img.clerk.com/placeholder",
            "has_image": false,
            "public_metadata": {},
            "private_metadata": {},
            "unsafe_metadata": {},
            "email_addresses": user.email.iter().map(|email| email_json(email, user)).collect::<Vec<_>>(),
            "phone_numbers": [],
            "web3_wallets": [],
            "passkeys": [],
            "password_enabled": true,
            "two_factor_enabled": false,
            "totp_enabled": false,
            "backup_code_enabled": false,
            "mfa_enabled_at": null,
            "mfa_disabled_at": null,
            "external_accounts": [],
            "saml_accounts": [],
            "enterprise_accounts": [],
            "last_sign_in_at": null,
            "banned": user.banned,
            "locked": false,
            "lockout_expires_in_seconds": null,
            "verification_attempts_remaining": 100,
            "delete_self_enabled": true,
            "create_organization_enabled": true,
            "create_organizations_limit": null,
            "last_active_at": null,
            "legal_accepted_at": null,
            "created_at": user.created_at,
            "updated_at": user.updated_at,
        })
    }
}

fn email_json(email: &str, user: &User) -> Value {
    json!({
        "object": "email_address",
        "id": user.id.replacen("user_", "idn_", 1),
        "email_address": email,
        "reserved": false,
        "matches_sso_connection": false,
        "verification": { "status": "verified", "strategy": "admin", "attempts": null, "expire_at": null },
        "linked_to": [],
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    })
}

/// `org:sales_rep` is called "Sales rep".
fn role_name(role: &str) -> String {
    let words = role.strip_prefix("org:").unwrap_or(role).replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
