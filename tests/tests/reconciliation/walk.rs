//! Listings that change while they are walked through, and runs that are cut off.

use super::*;

#[tokio::test]
async fn pages_overlap_and_miss_nobody() {
    let apart = Apart::start(Instance::demo()).await;
    for n in 0..1_100 {
        let new = NewMember { email: format!("person{n}@example.no"), ..NewMember::default() };
        apart.unheard(|clerk| clerk.add_member("tesla-oslo", &new, now()));
    }
    // Asked to slow down in the middle of it.
    apart.clerk.faults().refuse_requests(1);
    let drift = apart.sync().await;
    assert_eq!((drift.users, drift.memberships), (1_104, 1_104));
    assert_eq!(apart.access().await.len(), 1_104);
}

#[tokio::test]
async fn who_moves_up_a_page_meanwhile_is_not_passed_over() {
    let apart = Apart::start(crowded()).await;
    let first = apart.clerk.instance().users[0].id.clone();
    apart.clerk.faults().let_happen("/v1/users", move |clerk, now| clerk.delete_user(&first, now));
    let drift = apart.sync().await;
    assert_eq!(drift.users, 604, "all of them were listed, also the one who was deleted then");
}

#[tokio::test]
async fn what_a_list_passes_over_is_asked_for_before_it_is_believed_to_be_gone() {
    let apart = Apart::start(Instance::demo()).await;
    apart.sync().await;
    let (access, clerk) = (apart.access().await, apart.clerk.instance());
    for id in [&clerk.organizations[0].id, &clerk.users[0].id, &clerk.memberships[0].id] {
        apart.clerk.faults().pass_over(vec![id.clone()]);
        assert_eq!(apart.sync().await.news, 0, "{id}");
        assert_eq!(apart.access().await, access);
    }
}

#[tokio::test]
async fn somebody_may_be_a_member_of_more_than_fits_on_a_page() {
    let apart = Apart::start(Instance::default()).await;
    let new = NewMember { email: "kari@example.no".to_owned(), ..NewMember::default() };
    for n in 0..501 {
        let (org, _) = apart.unheard(|clerk| clerk.create_organization(&format!("Bilhus {n}"), now()));
        apart.unheard(|clerk| clerk.add_member(&org.id, &new, now()));
    }
    let kari = apart.clerk.instance().users[0].id.parse().expect("printable");
    let api = BackendApi::verified(&apart.db, &apart.backend).await.expect("it is of this instance");
    assert_eq!(api.memberships_of(&kari).await.expect("it answers").len(), 501);
}

/// Demo dealerships with so many more people in one that they do not fit on a page.
fn crowded() -> Instance {
    let mut instance = Instance::demo();
    for n in 0..600 {
        let new = NewMember { email: format!("person{n}@example.no"), ..NewMember::default() };
        instance.add_member("tesla-oslo", &new, now()).expect("a valid change");
    }
    instance
}

impl Apart {
    /// Waits until the run under way has imported some objects of this kind.
    async fn until_it_comes_to(&self, kind: &str) {
        let mut conn = self.database.connect().await;
        let some = "SELECT count(*) > 20 FROM clerk_objects WHERE kind = $1";
        let begun = || sqlx::query_scalar::<_, bool>(some).bind(kind);
        while !begun().fetch_one(&mut conn).await.expect("a valid statement") {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_run_that_is_cut_off_goes_on_where_it_was() {
    let apart = Apart::start(crowded()).await;
    tokio::select! {
        drift = apart.sync() => panic!("it is not done by now: {drift:?}"),
        () = apart.until_it_comes_to("user") => {}
    }
    let drift = apart.sync().await;
    assert!(drift.users == 604 && drift.news < 3 * 604, "{} objects were news, of which some were known", drift.news);
    assert_eq!(apart.access().await.len(), 604);
}

#[tokio::test]
async fn what_is_deleted_during_the_walk_is_gone_after_it() {
    let apart = Apart::start(crowded()).await;
    let deleted = |clerk: &mut Instance, now| clerk.delete_organization("tesla-oslo", now);
    apart.clerk.faults().let_happen("/v1/organization_memberships", deleted);
    apart.sync().await;
    assert_eq!(apart.access().await.len(), 2, "only those of the other dealership");
    apart.sync().await;
    assert_eq!(apart.sync().await.news, 0);
    assert_eq!(apart.access().await.len(), 2);
}

#[tokio::test]
async fn of_one_that_is_known_and_deleted_during_the_walk_nobody_keeps_access() {
    let apart = Apart::start(instance_of(&[1; 8])).await;
    apart.sync().await;
    let organization = apart.clerk.instance().organizations[0].id.clone();
    let deleted = move |clerk: &mut Instance, now| clerk.delete_organization(&organization, now);
    apart.clerk.faults().let_happen("/v1/organization_memberships", deleted);
    assert_eq!((apart.sync().await.missing, apart.access().await.len()), (1, 7));
    assert_eq!(apart.sync().await.news, 0);
}
