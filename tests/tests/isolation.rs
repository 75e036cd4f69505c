//! Two hostile tenants at once: whatever they do to each other's ids, neither sees nor changes the other's data.

use reqwest::Method;
use serde_json::{Value, json};
use tests::app::{Dealership, Person, TestApp};

/// Repeatable choices; a failing run names its seed.
struct Choices(u64);

impl Choices {
    /// <https://www.jstatsoft.org/article/view/v008i14>
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("less than bound")
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// What both know of: ids of leads, vehicles, rules and users of either.
#[derive(Default)]
struct Ids {
    leads: Vec<String>,
    vehicles: Vec<String>,
    rules: Vec<String>,
    users: Vec<String>,
}

/// One of the things that a member of the dealership `mark` can try.
fn attempt(choices: &mut Choices, ids: &Ids, mark: &str) -> (Method, String, Option<Value>) {
    let lead = choices.of(&ids.leads).clone();
    let user = choices.of(&ids.users).clone();
    let (vehicle, rule) = (choices.of(&ids.vehicles).clone(), choices.of(&ids.rules).clone());
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let (method, route, body) = match choices.below(20) {
        0 => (get, format!("/leads/{lead}"), None),
        1 => (get, format!("/leads/{lead}/conversations"), None),
        2 => (get, format!("/leads/{lead}/history"), None),
        3 => (get, "/leads?limit=100".to_owned(), None),
        4 => (get, format!("/leads?assigned_to={user}"), None),
        5 => (get, "/leads?search=mark".to_owned(), None),
        6 => (get, "/users".to_owned(), None),
        7 => (get, "/vehicles?limit=100".to_owned(), None),
        8 => (get, format!("/vehicles/{vehicle}"), None),
        9 => (get, "/automation-rules?limit=100".to_owned(), None),
        10 => (get, format!("/automation-rules/{rule}"), None),
        11 => (get, "/dealership".to_owned(), None),
        12 => (
            post,
            "/leads".to_owned(),
            Some(json!({ "customer_name": mark, "customer_email": "a@example.no", "assigned_to": user })),
        ),
        13 => (patch, format!("/leads/{lead}"), Some(json!({ "customer_name": mark, "assigned_to": user }))),
        14 => (
            patch,
            format!("/leads/{lead}"),
            Some(json!({ "status": choices.of(&["contacted", "won", "lost"]), "vehicle_interest": mark })),
        ),
        15 => (
            post,
            "/conversations".to_owned(),
            Some(json!({ "lead_id": lead, "message_content": mark, "channel": "sms" })),
        ),
        16 => (patch, format!("/vehicles/{vehicle}"), Some(json!({ "make": mark, "dealership_id": user }))),
        17 => (patch, format!("/automation-rules/{rule}"), Some(json!({ "name": mark }))),
        18 => (patch, "/dealership".to_owned(), Some(json!({ "address": mark, "id": user }))),
        _ => (
            delete,
            choices
                .of(&[format!("/leads/{lead}"), format!("/vehicles/{vehicle}"), format!("/automation-rules/{rule}")])
                .clone(),
            None,
        ),
    };
    (method, format!("/api/v1{route}"), body)
}

/// A few of everything, all with the dealership's mark.
async fn furnish(dealership: &Dealership<'_>, ids: &mut Ids, mark: &str) {
    let admin = dealership.admin();
    let create = async |path: &str, body: Value| -> String {
        let request = admin.request(Method::POST, path).json(&body);
        tests::answer::Answer::of(request).await.expect(201)["id"].as_str().expect("an id").to_owned()
    };
    for _ in 0..5 {
        let lead = json!({ "customer_name": mark, "customer_email": "a@example.no", "initial_message": mark });
        ids.leads.push(create("/api/v1/leads", lead).await);
        ids.vehicles.push(create("/api/v1/vehicles", json!({ "make": mark, "model": mark, "year": 2020 })).await);
        ids.rules.push(create("/api/v1/automation-rules", json!({ "name": mark, "trigger_type": mark })).await);
    }
    ids.users.push(admin.id.to_string());
}

#[tokio::test]
async fn whatever_two_tenants_try_they_never_meet() {
    for seed in [1, 20_261_123, 0x6e6f_7276_616c_7401] {
        let app = TestApp::start().await;
        let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
        let mut ids = Ids::default();
        furnish(&oslo, &mut ids, "mark-oslo").await;
        furnish(&bergen, &mut ids, "mark-bergen").await;
        let (mut choices, mut successes) = (Choices(seed), 0);
        for step in 0..250 {
            let here: (&Person<'_>, &str, &str) = if choices.below(2) == 0 {
                (&oslo.admin(), "mark-oslo", "mark-bergen")
            } else {
                (&bergen.admin(), "mark-bergen", "mark-oslo")
            };
            let (person, mark, foreign) = here;
            let (method, path, body) = attempt(&mut choices, &ids, mark);
            let request = person.request(method.clone(), &path);
            let request = if let Some(body) = &body { request.json(body) } else { request };
            let answer = request.send().await.expect("an answer");
            let (status, text) = (answer.status(), answer.text().await.expect("text"));
            successes += i32::from(status.is_success());
            let tried = format!("seed {seed}, step {step}: {method} {path} {body:?} answered {status} {text}");
            assert!(!status.is_server_error() && !text.contains(foreign), "{tried}");
            let own = if mark == "mark-oslo" { oslo.id } else { bergen.id };
            let other = if mark == "mark-oslo" { bergen.id } else { oslo.id };
            assert!(!text.contains(&other.to_string()), "{tried}");
            if status.is_success() && method == Method::GET && path.ends_with("/dealership") {
                assert!(text.contains(&own.to_string()), "{tried}");
            }
        }
        assert!(successes > 80, "seed {seed}: only {successes} of 250 attempts meant anything");
        for (dealership, foreign) in [(&oslo, "mark-bergen"), (&bergen, "mark-oslo")] {
            let left: bool = sqlx::query_scalar(
                "SELECT concat((SELECT jsonb_agg(t) FROM dealerships t WHERE id = $1), (SELECT jsonb_agg(t) FROM leads t WHERE dealership_id = $1),
                               (SELECT jsonb_agg(t) FROM conversations t WHERE dealership_id = $1),
                               (SELECT jsonb_agg(t) FROM vehicles t WHERE dealership_id = $1),
                               (SELECT jsonb_agg(t) FROM automation_rules t WHERE dealership_id = $1)) LIKE '%' || $2 || '%'",
            )
            .bind(dealership.id)
            .bind(foreign)
            .fetch_one(&mut app.connect().await)
            .await
            .expect("a valid statement");
            assert!(!left, "seed {seed}: something of {foreign} is in {}", dealership.name);
        }
    }
}
