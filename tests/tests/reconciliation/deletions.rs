//! What is gone can be a mistake: of the key, or of whoever answers. A few are believed, and nothing that looks like the end of
//! a dealership or of a customer.

use super::*;

#[tokio::test]
async fn a_pilot_customer_survives_an_instance_that_answers_with_nothing() {
    let apart = Apart::pilot().await;
    apart.clerk.faults().hide(ids(&apart.clerk.instance()));
    let said = apart.refused().await;
    assert!(said.contains("CLERK_SECRET_KEY") && said.contains("--allow-mass-deletion"), "{said}");
    assert_eq!(apart.access().await.len(), 5);
}

#[tokio::test]
async fn a_pilot_customer_survives_an_instance_that_answers_with_half() {
    let apart = Apart::pilot().await;
    let clerk = apart.clerk.instance();
    let half_of_people = clerk.users.iter().skip(3).map(|user| user.id.clone());
    let half_of_memberships = clerk.memberships.iter().skip(3).map(|membership| membership.id.clone());
    let half: Vec<_> =
        half_of_people.chain(half_of_memberships.clone()).chain([clerk.organizations[1].id.clone()]).collect();
    apart.clerk.faults().hide(half);
    apart.refused().await;
    apart.clerk.faults().hide(half_of_memberships.collect());
    apart.refused().await;
    assert_eq!(apart.access().await.len(), 5);
}

#[tokio::test]
async fn a_list_that_is_cut_short_withdraws_nothing() {
    let apart = Apart::pilot().await;
    apart.clerk.faults().pass_over(ids(&apart.clerk.instance()));
    let drift = apart.sync().await;
    assert_eq!((drift.organizations, drift.users, drift.memberships), (0, 0, 0));
    assert_eq!((drift.missing, drift.news), (0, 0), "each was asked for by its id");
    assert_eq!(apart.access().await.len(), 5);
}

#[tokio::test]
async fn an_empty_instance_is_not_believed_however_many_there_were() {
    for sizes in [&[1][..], &[1, 1], &[3; 7], &[1; 40]] {
        let apart = Apart::start(instance_of(sizes)).await;
        apart.sync().await;
        apart.unheard(|clerk| {
            *clerk = Instance::default();
            Ok(())
        });
        apart.refused().await;
        assert_eq!(apart.access().await.len(), sizes.iter().sum::<usize>(), "{sizes:?}");
    }
}

#[tokio::test]
async fn more_than_a_tenth_is_not_believed_and_a_few_are() {
    let apart = Apart::start(instance_of(&[20])).await;
    apart.sync().await;
    let people: Vec<_> = apart.clerk.instance().users.iter().map(|user| user.id.clone()).collect();
    apart.clerk.faults().hide(people[..3].to_vec());
    let said = apart.refused().await;
    assert!(said.contains("of the 20 people that are known here, Clerk no longer has at least 3"), "{said}");
    apart.clerk.faults().hide(people[..2].to_vec());
    assert_eq!(apart.sync().await.missing, 2);
    assert_eq!(apart.access().await.len(), 18);
}

#[tokio::test]
async fn what_comes_in_does_not_raise_the_limit() {
    let apart = Apart::pilot().await;
    let ours = ids(&apart.clerk.instance());
    let known = apart.access().await;
    // As many more, and none of ours but one.
    for n in 0..50 {
        let new = NewMember { email: format!("new{n}@example.no"), ..NewMember::default() };
        let organization = apart.clerk.instance().organizations[0].id.clone();
        apart.unheard(|clerk| clerk.add_member(&organization, &new, now()));
    }
    apart.clerk.faults().hide(ours.into_iter().filter(|id| id.starts_with("user_")).collect());
    apart.refused().await;
    assert_eq!(apart.access().await, known, "nobody new came in either");
}

#[tokio::test]
async fn an_operator_may_mean_it() {
    let apart = Apart::pilot().await;
    apart.unheard(|clerk| {
        *clerk = Instance::default();
        Ok(())
    });
    apart.refused().await;
    let how = Reconciliation { allow_mass_deletion: true, dry_run: true };
    let foreseen = apart.reconcile(how).await.expect("it is only a look");
    assert_eq!(apart.access().await.len(), 5);
    let drift = apart.reconcile(Reconciliation { dry_run: false, ..how }).await.expect("it was meant");
    assert_eq!((&drift, drift.missing), (&foreseen, 7), "two organizations and five people");
    assert!(apart.access().await.is_empty());
    assert_eq!(apart.sync().await.news, 0, "what is withdrawn already is not counted again");
}

#[tokio::test]
async fn a_refusal_is_recorded_until_a_run_succeeds() {
    let apart = Apart::pilot().await;
    let last = async || {
        let mut tx = apart.db.system().await.expect("the database is there");
        common::clerk::last_reconciliation(&mut tx).await.expect("it answers").expect("there was one")
    };
    assert_eq!(last().await.refusal, None);
    apart.clerk.faults().hide(ids(&apart.clerk.instance()));
    let said = apart.refused().await;
    assert_eq!(last().await.refusal, Some(said));
    apart.clerk.faults().hide(Vec::new());
    apart.sync().await;
    assert_eq!(last().await.refusal, None);
}
