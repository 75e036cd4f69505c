use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::input::Email;

fn leadgen(entry: &Value, value: &Value) -> Vec<u8> {
    json!({ "object": "page", "entry": [{ "id": entry, "time": 1_790_000_000, "changes": [{ "field": "leadgen", "value": value }] }] })
        .to_string()
        .into_bytes()
}

fn only(body: &[u8]) -> Change {
    let mut changes = read_webhook(body).expect("it is a webhook");
    assert_eq!(changes.len(), 1);
    changes.remove(0)
}

#[test]
fn ids_keep_every_digit_whether_text_or_number() {
    // The next odd number is no floating-point number.
    for id in [json!("9007199254740993"), json!(9_007_199_254_740_993_u64)] {
        let value =
            json!({ "leadgen_id": id, "page_id": id, "form_id": id, "created_time": 1_790_000_000, "ad_id": id });
        let change = only(&leadgen(&id, &value));
        let ChangeKind::Leadgen(lead) = &change.kind else { panic!("{change:?}") };
        assert_eq!((lead.leadgen_id.as_str(), lead.page_id.as_str()), ("9007199254740993", "9007199254740993"));
        assert_eq!(lead.form_id.as_deref(), Some("9007199254740993"));
        assert_eq!(lead.created_time.map(|time| time.timestamp()), Some(1_790_000_000));
        assert!(!is_test(&change));
        assert_eq!(only(change.raw.as_bytes()), change, "what is stored is read as what came");
        assert!(change.raw.contains("ad_id"), "{}", change.raw);
    }
}

#[test]
fn what_is_no_lead_is_told_apart() {
    let lead = json!({ "leadgen_id": "1", "page_id": "2", "form_id": "3", "created_time": 4 });
    let body = json!({ "object": "page", "entry": [
        { "id": "2", "time": 5, "changes": [{ "field": "leadgen", "value": lead }, { "field": "feed", "value": {} }] },
        { "id": "2", "time": 5, "changes": [{ "field": "leadgen_update", "value": lead }, { "field": "leadgen", "value": [] }, 7] },
        "none",
        { "id": "2", "time": 5, "messaging": [{}] },
        { "id": 2, "changes": [{ "field": "leadgen", "value": { "leadgen_id": 1 } }] },
        { "changes": [{ "field": "leadgen", "value": { "leadgen_id": 1 } }] },
        { "changes": [{ "field": "leadgen", "value": { "leadgen_id": "../1", "page_id": "2" } }] },
    ]});
    let changes = read_webhook(body.to_string().as_bytes()).expect("it is a webhook");
    let letter = |change: &Change| match change.kind {
        ChangeKind::Leadgen(_) => 'L',
        ChangeKind::Ignored => 'i',
        ChangeKind::Unreadable => 'u',
    };
    assert_eq!(changes.iter().map(letter).collect::<String>(), "LiiuuuLuu");
    for change in changes {
        assert_eq!(only(change.raw.as_bytes()), change);
    }
    let other = json!({ "object": "instagram", "entry": [{ "changes": [{ "field": "leadgen", "value": {} }] }, 1] });
    let changes = read_webhook(other.to_string().as_bytes()).expect("it is a webhook");
    assert_eq!(changes.iter().map(letter).collect::<String>(), "ii");
    for body in ["", "[]", "{}", "null", r#"{"object":"page","entry":{}}"#, r#"{"object":"page","entry":[}"#] {
        assert!(read_webhook(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn a_batch_of_a_thousand_is_a_thousand_changes() {
    let value = |id: u64| json!({ "field": "leadgen", "value": { "leadgen_id": id, "page_id": "2" } });
    let entries: Vec<_> = (0..1000).map(|id| json!({ "id": "2", "time": 1, "changes": [value(id)] })).collect();
    let changes =
        read_webhook(json!({ "object": "page", "entry": entries }).to_string().as_bytes()).expect("a webhook");
    assert_eq!(changes.len(), 1000);
    assert!(changes.iter().all(|change| matches!(change.kind, ChangeKind::Leadgen(_))));
}

#[test]
fn the_dashboards_test_is_known() {
    for (entry, lead, expected) in [
        (json!("0"), json!({ "leadgen_id": "444444444444", "page_id": "444444444444" }), true),
        (json!(0), json!({ "leadgen_id": 444_444_444_444_u64, "page_id": 1 }), true),
        (json!("0"), json!({ "leadgen_id": "5", "page_id": "6" }), true),
        (json!("6"), json!({ "leadgen_id": "5", "page_id": "6" }), false),
    ] {
        assert_eq!(is_test(&only(&leadgen(&entry, &lead))), expected, "{entry} {lead}");
    }
}

fn lead(field_data: &Value) -> Lead {
    let lead = json!({
        "id": "1", "created_time": "2026-09-21T12:13:18+0000", "form_id": 3, "ad_name": "Høstkampanje", "is_organic": false,
        "platform": "ig", "field_data": field_data,
    });
    serde_json::from_value(lead).expect("it is a lead")
}

#[test]
fn every_value_of_every_question_is_kept_with_its_label() {
    let questions = Questions::from_list(&[
        json!({ "key": "hvilken_modell_er_du_interessert_i?", "label": "Hvilken modell er du interessert i?", "type": "CUSTOM",
            "options": [{ "key": "model_y", "value": "Model Y" }, { "key": "model_3", "value": "Model 3" }] }),
        json!({ "key": "når_passer_det?", "label": "Når passer det?" }),
        json!({ "label": "no key" }),
        json!(7),
    ]);
    let lead = lead(&json!([
        { "name": "first_name", "values": ["Bjørn"] },
        { "name": "last_name", "values": ["Håkonsen"] },
        { "name": "email", "values": ["bjorn@example.no", "bjorn@jobb.example"] },
        { "name": "phone_number", "values": ["+4791234567"] },
        { "name": "city", "values": ["Bergen"] },
        { "name": "hvilken_modell_er_du_interessert_i?", "values": ["model_y", "model_3"] },
        { "name": "når_passer_det?", "values": ["Tirsdag", "Onsdag"] },
        { "name": "har_du_bil_i_innbytte?", "values": ["ja"] },
        { "name": "цвет", "values": [7, true, null, ""] },
    ]));
    assert_eq!(lead.created_time, time("2026-09-21T12:13:18Z"));
    let inquiry = lead.inquiry(Some(&questions));
    assert_eq!(inquiry.name.as_deref(), Some("Bjørn Håkonsen"));
    assert_eq!(inquiry.email.as_ref().map(Email::as_str), Some("bjorn@example.no"));
    assert_eq!(inquiry.phone.as_ref().map(|phone| phone.e164.as_str()), Some("+4791234567"));
    assert_eq!(inquiry.vehicle_interest.as_deref(), Some("Model Y, Model 3"));
    assert_eq!(
        inquiry.message.as_deref(),
        Some(
            "Hvilken modell er du interessert i? Model Y, Model 3\nNår passer det? Tirsdag, Onsdag\n\
             har_du_bil_i_innbytte? ja\nцвет: 7, true"
        )
    );
    for (name, expected) in [
        ("email", json!("bjorn@jobb.example")),
        ("city", json!("Bergen")),
        ("Hvilken modell er du interessert i?", json!(["Model Y", "Model 3"])),
        ("Når passer det?", json!(["Tirsdag", "Onsdag"])),
        ("har_du_bil_i_innbytte?", json!("ja")),
        ("цвет", json!(["7", "true"])),
        ("leadgen_id", json!("1")),
        ("form_id", json!("3")),
        ("created_time", json!("2026-09-21T12:13:18Z")),
        ("ad_name", json!("Høstkampanje")),
        ("platform", json!("ig")),
    ] {
        assert_eq!(inquiry.details[name], expected, "{name}");
    }
}

#[test]
fn names_and_numbers_that_are_none_are_kept() {
    let inquiry = lead(&json!([
        { "name": "full_name", "values": ["Kari Nordmann"] },
        { "name": "first_name", "values": ["Kari"] },
        { "name": "last_name", "values": ["Hansen"] },
        { "name": "email", "values": ["kari at example.no"] },
        { "name": "phone_number", "values": ["ring meg", "912 34 567"] },
        { "name": "email" },
        { "values": ["Hei"] },
        "none",
    ]))
    .inquiry(None);
    assert_eq!(inquiry.name.as_deref(), Some("Kari Nordmann"));
    assert_eq!(inquiry.details["name"], "Hansen");
    assert_eq!(inquiry.details["email"], "kari at example.no");
    assert_eq!(inquiry.details["phone_number"], "ring meg");
    assert_eq!(inquiry.phone.as_ref().map(|phone| phone.e164.as_str()), Some("+4791234567"));
    assert_eq!(inquiry.details["answer"], "Hei");
    assert!(serde_json::from_value::<Lead>(json!({ "id": 1 })).is_ok(), "a lead may be empty");
    assert!(serde_json::from_value::<Lead>(json!({ "field_data": [] })).is_err(), "but not without an id");
}

#[test]
fn times_are_read_as_meta_writes_them() {
    for (text, expected) in [
        ("2026-09-21T12:13:18+0000", Some(1_789_992_798)),
        ("2026-09-21T14:13:18+0200", Some(1_789_992_798)),
        ("2026-09-21T12:13:18+00:00", Some(1_789_992_798)),
        ("1789992798", Some(1_789_992_798)),
        ("i går", None),
    ] {
        assert_eq!(time(text).map(|time| time.timestamp()), expected, "{text}");
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-zæ0-9_.:+ -]{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["page", "leadgen", "email", "full_name", "912 34 567"]).prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "object",
        "entry",
        "id",
        "time",
        "changes",
        "field",
        "value",
        "leadgen_id",
        "page_id",
        "field_data",
        "name",
        "values",
    ]);
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Value>()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_comes_panics(value in json_value(), bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = read_webhook(&bytes);
        let body = json!({ "object": "page", "entry": [value, { "id": "1", "changes": [value, { "field": "leadgen", "value": value }] }] });
        for change in read_webhook(body.to_string().as_bytes()).expect("it has entries") {
            is_test(&change);
            prop_assert_eq!(read_webhook(change.raw.as_bytes()), Ok(vec![change]));
        }
        if let Ok(lead) = serde_json::from_value::<Lead>(json!({ "id": "1", "created_time": value, "field_data": [value] })) {
            lead.inquiry(Some(&Questions::from_list(&[value])));
        }
    }
}
