//! That Clerk does not have something is an observation, and a later sighting is another. Only what Clerk itself says to be
//! deleted is gone for good.

use super::*;

/// A lead of each person, so that assignments can be seen to come back.
const ASSIGN: &str = "INSERT INTO leads (id, dealership_id, assigned_to, source, customer_name, customer_email)
    SELECT gen_random_uuid(), dealership_id, id, 'manual', 'Kunde', 'kunde@example.no' FROM users";

async fn assigned(apart: &Apart) -> Vec<String> {
    let statement = "SELECT concat_ws(' ', l.id, u.clerk_user_id, u.name, u.email) AS line
                     FROM leads l JOIN users u ON u.id = l.assigned_to ORDER BY line";
    apart.lines(statement).await
}

#[tokio::test]
async fn who_is_listed_again_has_everything_back() {
    let apart = Apart::start(instance_of(&[4; 6])).await;
    apart.sync().await;
    apart.execute(ASSIGN).await;
    let (access, assignments) = (apart.access().await, assigned(&apart).await);
    assert_eq!((access.len(), assignments.len()), (24, 24));
    let clerk = apart.clerk.instance();
    let hidden = [&clerk.organizations[0].id, &clerk.users[5].id, &clerk.memberships[10].id];
    for id in hidden {
        apart.clerk.faults().hide(vec![id.clone()]);
        assert_eq!(apart.sync().await.missing, 1, "{id}");
        let withdrawn = apart.access().await.len();
        assert_eq!(withdrawn, if id.starts_with("org_") { 20 } else { 23 }, "{id}");
        assert_eq!(apart.sync().await.news, 0, "{id}");
        assert_eq!(assigned(&apart).await, assignments, "names and assignments are kept");
        apart.clerk.faults().hide(Vec::new());
        let foreseen = apart.dry_run().await;
        assert_eq!(apart.sync().await, foreseen);
        assert_eq!(apart.access().await, access, "{id}");
    }
}

#[tokio::test]
async fn a_webhook_is_a_sighting_when_it_was_sent_later() {
    let apart = Apart::start(instance_of(&[4; 6])).await;
    apart.sync().await;
    let access = apart.access().await;
    let clerk = apart.clerk.instance();
    let (person, organization) = (clerk.users[5].clone(), clerk.organizations[0].clone());
    let of_person = clerk.memberships_of(&person.id).next().expect("they are a member").clone();
    let earlier = now() - chrono::TimeDelta::hours(1);
    let later = || now() + chrono::TimeDelta::seconds(1);
    let events = [
        (person.id.clone(), "user.updated", clerk.user_json(&person)),
        (person.id.clone(), "organizationMembership.updated", clerk.membership_json(&of_person)),
        (of_person.id.clone(), "organizationMembership.updated", clerk.membership_json(&of_person)),
        (organization.id.clone(), "organization.updated", clerk.organization_json(&organization)),
    ];
    for (id, kind, mut data) in events {
        data["updated_at"] = 1_700_000_000_000_i64.into();
        apart.clerk.faults().hide(vec![id.clone()]);
        apart.sync().await;
        assert_ne!(apart.access().await, access, "{id}");
        apart.hear(&[Event::new(kind, data.clone(), earlier)]).await;
        assert_ne!(apart.access().await, access, "{id}: it says nothing of what is so now");
        apart.hear(&[Event::new(kind, data, later())]).await;
        assert_eq!(apart.access().await, access, "{id} by {kind}");
        apart.clerk.faults().hide(Vec::new());
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn what_clerk_says_to_be_deleted_does_not_come_back() {
    let apart = Apart::start(instance_of(&[4; 6])).await;
    apart.sync().await;
    let clerk = apart.clerk.instance();
    let (person, organization) = (clerk.users[0].id.clone(), clerk.organizations[5].id.clone());
    for deleted in [
        common::clerk::Change::UserDeleted { id: person.parse().expect("printable") },
        common::clerk::Change::OrganizationDeleted { id: organization.parse().expect("printable") },
    ] {
        apart.apply(deleted).await;
    }
    let access = apart.access().await;
    assert_eq!(access.len(), 19);
    assert_eq!(apart.sync().await.news, 0, "however often it is listed");
    assert_eq!(apart.access().await, access);
}

#[tokio::test]
async fn a_role_that_changed_meanwhile_comes_back_as_it_is_now() {
    let apart = Apart::start(instance_of(&[12])).await;
    apart.sync().await;
    let clerk = apart.clerk.instance();
    let (organization, person) = (clerk.organizations[0].id.clone(), clerk.users[0].id.clone());
    apart.clerk.faults().hide(vec![person.clone()]);
    apart.sync().await;
    apart.unheard(|clerk| clerk.set_role(&organization, &person, "org:manager", now()));
    apart.clerk.faults().hide(Vec::new());
    let drift = apart.sync().await;
    let expected = [
        format!("{person} in {organization}: admin became manager"),
        format!("{person} in {organization}: no longer suspended"),
    ];
    assert_eq!(lines(&drift).into_iter().collect::<BTreeSet<_>>(), expected.into());
}

#[tokio::test]
async fn who_is_banned_and_not_found_needs_both_to_end() {
    let apart = Apart::start(instance_of(&[12])).await;
    apart.sync().await;
    let person = apart.clerk.instance().users[0].id.clone();
    apart.unheard(|clerk| clerk.change_user(&person, &banned(), now()));
    apart.sync().await;
    apart.clerk.faults().hide(vec![person.clone()]);
    apart.sync().await;
    apart.clerk.faults().hide(Vec::new());
    apart.sync().await;
    assert_eq!(apart.access().await.len(), 11);
    let reinstated = UserChange { banned: Some(false), ..UserChange::default() };
    apart.unheard(|clerk| clerk.change_user(&person, &reinstated, now()));
    apart.sync().await;
    assert_eq!(apart.access().await.len(), 12);
}

#[tokio::test]
async fn a_clock_that_ran_ahead_withdraws_nothing_for_good() {
    let apart = Apart::start(instance_of(&[12])).await;
    apart.sync().await;
    let access = apart.access().await;
    let id = apart.clerk.instance().users[0].id.parse().expect("printable");
    let tomorrow = (now() + chrono::TimeDelta::days(1)).timestamp_millis();
    apart.apply(common::clerk::Change::UserMissing { id, at: tomorrow }).await;
    assert_eq!(apart.access().await.len(), 11);
    apart.sync().await;
    assert_eq!(apart.access().await, access);
}

#[tokio::test]
async fn an_address_that_was_removed_is_not_taken_from_memberships() {
    let apart = Apart::start(instance_of(&[2])).await;
    apart.sync().await;
    let (instance, person) = (apart.clerk.instance(), apart.clerk.instance().users[0].clone());
    let mut without = instance.user_json(&person);
    without["email_addresses"] = serde_json::json!([]);
    without["primary_email_address_id"] = serde_json::Value::Null;
    without["updated_at"] = (person.updated_at + 1_000).into();
    apart.hear(&[Event::new("user.updated", without, now())]).await;
    let address = format!("{0} {0}@user.invalid", person.id);
    let of_person = "SELECT concat_ws(' ', clerk_user_id, email) AS line FROM users ORDER BY line";
    assert!(apart.lines(of_person).await.contains(&address), "{:?}", apart.lines(of_person).await);
    // A membership says it still, and nobody asks it any more.
    let membership = instance.memberships_of(&person.id).next().expect("they are a member");
    let event = Event::new("organizationMembership.updated", instance.membership_json(membership), now());
    apart.hear(&[event]).await;
    assert!(apart.lines(of_person).await.contains(&address));
}

#[tokio::test]
async fn a_backup_of_last_week_catches_up_and_loses_nobody() {
    let apart = Apart::start(instance_of(&[12])).await;
    apart.sync().await;
    apart.execute(ASSIGN).await;
    apart.execute("CREATE TABLE backup_objects AS TABLE clerk_objects; CREATE TABLE backup_users AS TABLE users").await;
    // What happens after the backup was made.
    let clerk = apart.clerk.instance();
    let (organization, gone, promoted) =
        (clerk.organizations[0].id.clone(), clerk.users[0].id.clone(), clerk.users[1].id.clone());
    let new = NewMember { email: "new@example.no".to_owned(), ..NewMember::default() };
    apart.unheard(|clerk| clerk.add_member(&organization, &new, now()));
    apart.unheard(|clerk| clerk.set_role(&organization, &promoted, "org:manager", now()));
    let deleted = apart.unheard(|clerk| clerk.delete_user(&gone, now()));
    apart.hear(&deleted).await;
    apart.sync().await;
    let access = apart.access().await;
    // And then it is restored. That somebody was deleted is forgotten with everything else.
    apart
        .execute(
            "SET session_replication_role = replica; DELETE FROM users; DELETE FROM clerk_objects;
             INSERT INTO clerk_objects TABLE backup_objects; INSERT INTO users TABLE backup_users",
        )
        .await;
    assert_eq!(apart.access().await.len(), 12);
    let foreseen = apart.dry_run().await;
    let drift = apart.sync().await;
    assert_eq!((&drift, drift.missing), (&foreseen, 1));
    assert_eq!(apart.access().await, access, "as before it was restored");
    // Clerk's own word, sent again, also erases them.
    apart.hear(&deleted).await;
    assert!(
        apart.lines("SELECT state AS line FROM clerk_objects WHERE state::text LIKE '%Person 0 0%'").await.is_empty()
    );
}
