//! One database, one Clerk instance: whatever another one says is not written.

use common::clerk::{KeyError, Processed, Receipt, own_instance, process, receive, set_instance};
use common::deliveries::{DeliveryFilter, Status, replay};
use serde_json::Value;
use tests::clerk_events::{self, delivery};

use super::*;

async fn own(apart: &Apart) -> Option<(String, String)> {
    let mut tx = apart.db.system().await.expect("the database is there");
    let own = own_instance(&mut tx).await.expect("it answers");
    own.map(|own| (own.id.to_string(), own.learnt_from))
}

async fn webhook(apart: &Apart, id: &str, instance: Option<&str>, event: &mut Value) -> Receipt {
    event["instance_id"] = instance.into();
    receive(&apart.db, None, &delivery(id, &event.to_string())).await.expect("the database is there")
}

fn founded(org: &str) -> Value {
    clerk_events::organization("organization.created", org, "Bilhus", 1_700_000_000_000)
}

#[tokio::test]
async fn the_key_of_another_instance_writes_nothing() {
    let apart = Apart::start(pilot()).await;
    apart.sync().await;
    assert_eq!(own(&apart).await, Some((INSTANCE_ID.to_owned(), "operator".to_owned())));
    let other = stand_in(instance_of(&[5; 9]), "ins_other").await;
    // With the operator's word, with that of the wrong one, and without any.
    for (instance, hint) in [
        (Some(INSTANCE_ID), "of another Clerk instance: of ins_other, but ins_development is ours"),
        (Some("ins_other"), "CLERK_INSTANCE_ID is ins_other, but this database belongs to the Clerk instance ins_dev"),
        (None, "of another Clerk instance: of ins_other"),
    ] {
        let apart = Apart { backend: backend(&other.url(), instance), ..apart_like(&apart).await };
        let said = apart.refused().await;
        assert!(said.contains(hint), "{said}");
        let how = Reconciliation { allow_mass_deletion: true, ..Reconciliation::default() };
        let error = apart.reconcile(how).await.expect_err("that is another matter");
        assert!(matches!(error, ReconcileError::Key(_)), "{error}");
        assert_eq!(apart.access().await.len(), 5);
    }
}

/// The same database.
async fn apart_like(apart: &Apart) -> Apart {
    let clerk = stand_in(Instance::default(), INSTANCE_ID).await;
    Apart { clerk, database: apart.database.clone(), db: apart.db.clone(), backend: apart.backend.clone() }
}

#[tokio::test]
async fn where_nobody_has_said_whose_it_is_nothing_in_common_means_another_one() {
    let ours = pilot();
    let apart = Apart::start_with(ours.clone(), None).await;
    apart.sync().await;
    assert_eq!(own(&apart).await, None, "a key alone does not say it");
    for nameless in [false, true] {
        let other = stand_in(instance_of(&[5; 9]), "ins_other").await;
        if nameless {
            other.faults().set_nameless();
        }
        let apart = Apart { backend: backend(&other.url(), None), ..apart_like(&apart).await };
        let said = apart.refused().await;
        assert!(said.contains("none of the 7 organizations and people"), "{said}");
        assert!(!said.contains("ins_other"), "nobody is told to set that one: {said}");
    }
    // What is ours is recognized, also by an instance that does not name itself.
    apart.clerk.faults().set_nameless();
    assert_eq!(apart.sync().await.news, 0);
    assert_eq!(apart.access().await.len(), 5);
}

#[tokio::test]
async fn an_operator_may_know_better_than_what_the_two_have_in_common() {
    let apart = Apart::start_with(pilot(), None).await;
    apart.sync().await;
    let other = stand_in(instance_of(&[1]), "ins_other").await;
    let moved = Apart { backend: backend(&other.url(), Some("ins_other")), ..apart_like(&apart).await };
    assert!(moved.refused().await.contains("norvalt instance --set"));
    let mut tx = apart.db.system().await.expect("the database is there");
    set_instance(&mut tx, &"ins_other".parse().expect("printable")).await.expect("it answers");
    tx.commit().await.expect("the database is there");
    let how = Reconciliation { allow_mass_deletion: true, ..Reconciliation::default() };
    moved.reconcile(how).await.expect("it was meant");
    assert_eq!(apart.access().await.len(), 1);
    assert!(apart.refused().await.contains("of another Clerk instance"), "the former key is a stranger's now");
}

#[tokio::test]
async fn the_first_webhook_says_whose_database_it_is() {
    let apart = Apart::start_with(Instance::default(), None).await;
    assert!(matches!(webhook(&apart, "msg_1", None, &mut founded("org_1")).await, Receipt::Accepted { .. }));
    assert_eq!(own(&apart).await, None, "that one did not say");
    assert!(matches!(webhook(&apart, "msg_2", Some("ins_a"), &mut founded("org_1")).await, Receipt::Accepted { .. }));
    assert_eq!(own(&apart).await, Some(("ins_a".to_owned(), "webhook".to_owned())));
    let foreign = webhook(&apart, "msg_3", Some("ins_b"), &mut founded("org_2")).await;
    assert!(matches!(foreign, Receipt::Quarantined { .. }), "{foreign:?}");
    // Malformed ones of another instance are not ours to look at either.
    let malformed = webhook(&apart, "msg_4", Some("ins_b"), &mut serde_json::json!({ "type": "user.created" })).await;
    assert!(matches!(malformed, Receipt::Quarantined { .. }), "{malformed:?}");
    assert_eq!(own(&apart).await, Some(("ins_a".to_owned(), "webhook".to_owned())));
    let said = apart.refused().await;
    assert!(said.contains("of ins_development, but ins_a is ours"), "{said}");
}

#[tokio::test]
async fn of_many_first_webhooks_one_decides() {
    let apart = Apart::start_with(Instance::default(), None).await;
    let db = Db::new(&apart.database.url.parse().expect("a valid URL"), 8, "tests");
    let events: Vec<_> = (0..8)
        .map(|n| {
            let mut event = founded(&format!("org_{n}"));
            event["instance_id"] = format!("ins_{n}").into();
            (format!("msg_{n}"), event.to_string())
        })
        .collect();
    let receipts = events.iter().map(|(id, body)| async { receive(&db, None, &delivery(id, body)).await });
    let receipts = futures::future::join_all(receipts).await;
    let accepted = receipts.iter().filter(|receipt| matches!(receipt, Ok(Receipt::Accepted { .. }))).count();
    let quarantined = receipts.iter().filter(|receipt| matches!(receipt, Ok(Receipt::Quarantined { .. }))).count();
    assert_eq!((accepted, quarantined), (1, 7), "{receipts:?}");
}

#[tokio::test]
async fn the_operators_instance_and_the_databases_must_agree() {
    let apart = Apart::start_with(Instance::default(), None).await;
    webhook(&apart, "msg_1", Some("ins_a"), &mut founded("org_1")).await;
    let configured = "ins_b".parse().expect("printable");
    for (n, instance) in ["ins_a", "ins_b"].into_iter().enumerate() {
        let mut event = founded("org_2");
        event["instance_id"] = instance.into();
        let (id, body) = (format!("msg_of_{n}"), event.to_string());
        let receipt = receive(&apart.db, Some(&configured), &delivery(&id, &body)).await.expect("it answers");
        assert!(matches!(receipt, Receipt::Quarantined { .. }), "{receipt:?}");
    }
}

#[tokio::test]
async fn what_is_set_aside_is_processed_once_the_database_belongs_to_its_instance() {
    let apart = Apart::start_with(Instance::default(), None).await;
    webhook(&apart, "msg_1", Some("ins_a"), &mut founded("org_1")).await;
    webhook(&apart, "msg_2", Some("ins_b"), &mut founded("org_2")).await;
    let filter = DeliveryFilter { status: Some(Status::Quarantined), ..DeliveryFilter::default() };
    let again = async || {
        let mut tx = apart.db.system().await.expect("the database is there");
        let replayed = replay(&mut tx, &filter).await.expect("it answers");
        let processed = process(&mut tx, replayed[0]).await.expect("it can be processed");
        tx.commit().await.expect("the database is there");
        processed
    };
    assert_eq!(again().await, Processed::Quarantined { instance: "ins_b".to_owned() });
    assert!(apart.lines("SELECT clerk_org_id AS line FROM dealerships").await.is_empty());
    let mut tx = apart.db.system().await.expect("the database is there");
    set_instance(&mut tx, &"ins_b".parse().expect("printable")).await.expect("it answers");
    tx.commit().await.expect("the database is there");
    assert!(matches!(again().await, Processed::Now { .. }));
    assert_eq!(apart.lines("SELECT clerk_org_id AS line FROM dealerships").await, ["org_2"]);
}

#[tokio::test]
async fn a_key_that_clerk_does_not_know_is_final_and_an_outage_is_not() {
    let apart = Apart::start(pilot()).await;
    let mut wrong = apart.backend.clone();
    wrong.secret_key = common::secrets::Secret::new("sk_test_of_nobody");
    let error = reconcile(&apart.db, &wrong, Reconciliation::default()).await.expect_err("it is refused");
    assert!(error.is_refusal() && error.to_string().contains("check CLERK_SECRET_KEY"), "{error}");
    apart.clerk.set_outage(true);
    let error = apart.reconcile(Reconciliation::default()).await.expect_err("Clerk is away");
    assert!(matches!(&error, ReconcileError::Key(KeyError::Clerk(_))) && !error.is_refusal(), "{error}");
}
