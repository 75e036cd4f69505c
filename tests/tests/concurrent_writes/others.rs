//! The same for everything else that people write.

use reqwest::Method;
use serde_json::{Value, json};
use tests::app::Person;
use tokio::join;

use super::{ISOLATION_LEVELS, app_with_isolation, create, send, time};

/// Two changes of one thing, each of another field: both take effect, and it was changed last when it was.
async fn changes_meet(person: &Person<'_>, url: &str, pairs: usize, change: impl Fn(usize) -> (Value, Value)) {
    let mut before = person.get(url).await.expect(200);
    for n in 0..pairs {
        let (one, other) = change(n);
        let (a, b) = join!(send(person, Method::PATCH, url, &one), send(person, Method::PATCH, url, &other));
        let (a, b) = (a.expect(200), b.expect(200));
        let after = person.get(url).await.expect(200);
        for (field, value) in one.as_object().into_iter().chain(other.as_object()).flatten() {
            assert_eq!(&after[field], value);
        }
        let last = if time(&a["updated_at"]) > time(&b["updated_at"]) { a } else { b };
        assert_eq!(after, last, "what is there is what was answered last");
        assert!(time(&after["updated_at"]) > time(&before["updated_at"]));
        before = after;
    }
}

/// A change and a removal of one thing, and two removals.
async fn removals_meet(person: &Person<'_>, path: &str, pairs: usize, new: &Value, change: &Value) {
    let nothing = json!({});
    for n in 0..pairs {
        let created = create(person, path, new.clone()).await;
        let url = format!("{path}/{}", created["id"].as_str().expect("an id"));
        let (method, body) = if n % 2 == 0 { (Method::PATCH, change.clone()) } else { (Method::DELETE, json!({})) };
        let (a, b) = join!(send(person, Method::DELETE, &url, &nothing), send(person, method.clone(), &url, &body));
        let (a, b) = (a.status.as_u16(), b.status.as_u16());
        if method == Method::DELETE {
            assert_eq!(a + b, 204 + 404);
        } else {
            assert!(a == 204 && (b == 200 || b == 404), "{a} {b}");
        }
        assert_eq!(person.get(path).await.expect(200)["total"], 0);
    }
}

#[tokio::test]
async fn vehicles() {
    let vin = |n: usize| format!("WVGZZZE2ZPE{n:06}");
    let car = |vin: Option<String>| json!({ "make": "VW", "model": "ID.4", "year": 2024, "vin": vin });
    for (level, pairs) in ISOLATION_LEVELS {
        let (app, _database) = app_with_isolation(level).await;
        let oslo = app.dealership("Tesla Oslo").await;
        let kari = oslo.admin();
        removals_meet(&kari, "/api/v1/vehicles", pairs, &car(None), &json!({ "price": 1 })).await;
        let mut total = 0;
        for n in 0..pairs {
            let (one, other) = (car(Some(vin(n))), car(Some(vin(n))));
            let path = "/api/v1/vehicles";
            let (a, b) = join!(send(&kari, Method::POST, path, &one), send(&kari, Method::POST, path, &other));
            assert_eq!(a.status.as_u16() + b.status.as_u16(), 201 + 422, "a VIN is taken once");
            total += 1;
        }
        assert_eq!(kari.get("/api/v1/vehicles").await.expect(200)["total"], total);
        let url = async |n: usize| {
            let created = create(&kari, "/api/v1/vehicles", car(Some(vin(n)))).await;
            format!("/api/v1/vehicles/{}", created["id"].as_str().expect("an id"))
        };
        // Each wants the VIN of the other one, and neither can have it.
        let (first, second) = (url(1_001).await, url(1_002).await);
        for _ in 0..pairs {
            let (a, b) = (json!({ "vin": vin(1_002) }), json!({ "vin": vin(1_001) }));
            let (a, b) = join!(send(&kari, Method::PATCH, &first, &a), send(&kari, Method::PATCH, &second, &b));
            assert_eq!((a.status.as_u16(), b.status.as_u16()), (422, 422));
        }
        let change = |n: usize| {
            (json!({ "price": n }), json!({ "status": if n.is_multiple_of(2) { "available" } else { "sold" } }))
        };
        changes_meet(&kari, &first, pairs, change).await;
    }
}

#[tokio::test]
async fn automation_rules() {
    let rule = json!({ "name": "Nattsvar", "trigger_type": "lead.created" });
    for (level, pairs) in ISOLATION_LEVELS {
        let (app, _database) = app_with_isolation(level).await;
        let oslo = app.dealership("Tesla Oslo").await;
        let kari = oslo.admin();
        let path = "/api/v1/automation-rules";
        removals_meet(&kari, path, pairs, &rule, &json!({ "is_active": false })).await;
        let created = create(&kari, path, rule.clone()).await;
        let url = format!("{path}/{}", created["id"].as_str().expect("an id"));
        let change = |n: usize| (json!({ "name": format!("Regel {n}") }), json!({ "is_active": n.is_multiple_of(2) }));
        changes_meet(&kari, &url, pairs, change).await;
        for _ in 0..pairs {
            join!(create(&kari, path, rule.clone()), create(&kari, path, rule.clone()));
        }
        assert_eq!(kari.get(path).await.expect(200)["total"], 1 + 2 * pairs);
    }
}

#[tokio::test]
async fn the_dealership() {
    for (level, pairs) in ISOLATION_LEVELS {
        let (app, _database) = app_with_isolation(level).await;
        let oslo = app.dealership("Tesla Oslo").await;
        let change = |n: usize| (json!({ "address": format!("Gate {n}") }), json!({ "email": format!("a{n}@vw.no") }));
        changes_meet(&oslo.admin(), "/api/v1/dealership", pairs, change).await;
    }
}
