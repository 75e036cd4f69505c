//! The search of the inbox: what somebody means is found, however it is written.

use reqwest::{Method, Url};
use serde_json::json;
use tests::{
    answer::Answer,
    app::{Dealership, NewLead, TestApp, email, new_lead, phone},
    cluster::database_of_locale_c,
};

fn lead(name: &str, address: &str, number: &str, vehicle: &str) -> NewLead {
    NewLead {
        customer_name: Some(name.to_owned()),
        customer_email: Some(email(address)),
        customer_phone: Some(phone(number)),
        vehicle_interest: Some(vehicle.to_owned()),
        ..new_lead()
    }
}

/// The addresses of those that are found, without their domains, in alphabetical order.
async fn found(dealership: &Dealership<'_>, search: &str) -> Vec<String> {
    let url = Url::parse_with_params("http://api/api/v1/leads", [("search", search)]).expect("a valid URL");
    let page = dealership.admin().get(&format!("{}?{}", url.path(), url.query().unwrap_or_default())).await.expect(200);
    let items = page["items"].as_array().expect("items");
    assert_eq!(page["total"], items.len());
    let mut found: Vec<String> =
        items.iter().filter_map(|lead| lead["customer_email"].as_str()?.split('@').next()).map(str::to_owned).collect();
    found.sort();
    found
}

#[tokio::test]
async fn search_finds_name_address_and_phone_in_any_case_and_takes_nothing_for_a_pattern() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let lead = |name: &str, address: &str, number: &str| lead(name, address, number, "");
    oslo.lead_with(lead("Øyvind Åsheim", "oyvind@example.no", "+47 912 34 567")).await;
    oslo.lead_with(lead("Per 100% Hansen", "per_hansen@example.no", "988 77 665")).await;
    oslo.lead_with(lead(r"Back\slash", "back@example.com", "+46 70 123 45 67")).await;
    for (search, found) in [
        ("øyvind", 1),
        ("%C3%85SHEIM", 1),
        ("OYVIND@EXAMPLE", 1),
        ("912%2034", 1),
        ("example.no", 2),
        ("100%25", 1),
        ("%25", 1),
        ("_hansen", 1),
        ("_", 1),
        ("%5C", 1),
        ("'%20OR%201=1--", 0),
        ("ingen", 0),
    ] {
        let page = oslo.admin().get(&format!("/api/v1/leads?search={search}")).await.expect(200);
        assert_eq!(page["total"], found, "{search}");
    }
}

/// Some customers, and what is asked for to find them.
#[expect(clippy::too_many_lines, reason = "a table of searches")]
async fn expect_to_find(app: &TestApp) {
    let oslo = app.dealership("Tesla Oslo").await;
    for new in [
        lead("Bjørn Håkonsen", "bjorn@example.no", "912 34 567", "Tesla Model Y Long Range"),
        lead("Kari Marie Nordmann", "kari@example.no", "+47 476 54 321", "VW ID.4 2021"),
        lead("A\u{30a}se Lind-Ærø", "aase@example.no", "22 22 22 22", "Škoda Enyaq"),
        lead("Haakon Aas", "haakon@example.no", "+4799887766", "Model 3 2021"),
        lead("Олена Шевченко", "olena@example.com", "+46 (0)70-123 45 67", "Citroën ë-C4"),
    ] {
        oslo.lead_with(new).await;
    }
    for (expected, searches) in [
        (
            &["bjorn"][..],
            &[
                "91234567",
                "912 34 567",
                "912-34-567",
                "+4791234567",
                "+47 912 34 567",
                "004791234567",
                "0047 912 34 567",
                "4791234567",
                "912\u{a0}34\u{a0}567",
                "９１２３４５６７",
                "912 34",
                "Håkonsen Bjørn",
                "bjørn håkonsen",
                "Bjørn  Håkonsen",
                "Bjørn\u{a0}Håkonsen",
                "Håkonsen, Bjørn",
                "BJØRN HÅKONSEN",
                "bjorn hakonsen",
                "haakonsen",
                "Bjo\u{308}rn",
                "Ha\u{30a}konsen",
                "konsen",
                "bjørn tesla",
                "model y",
                "long-range",
                "912 34 567 bjørn",
                "bjorn@example.no",
            ][..],
        ),
        (
            &["kari"],
            &[
                "Kari Nordmann",
                "nordmann kari",
                "47654321",
                "476 54 321",
                "47 65 43 21",
                "+47 47 65 43 21",
                "id.4 2021",
                "kari 2021",
                "0047 476 54 321",
            ],
        ),
        (
            &["aase"],
            &[
                "åse",
                "Åse",
                "ÅSE",
                "A\u{30a}se",
                "ase lind",
                "aerø",
                "ærø",
                "AERO",
                "skoda",
                "22222222",
                "22 22 22 22",
                "+4722222222",
                "Lind Ærø",
            ],
        ),
        (&["bjorn", "olena"], &["34 567", "34567"]),
        (&["aase", "haakon"], &["Ås", "aas"]),
        (&["haakon"], &["hakon as", "model 3 2021", "3 2021", "99887766"]),
        (
            &["olena"],
            &[
                "шевченко олена",
                "ШЕВЧЕНКО",
                "+46 70 123 45 67",
                "+46 (0)70-123 45 67",
                "070-123 45 67",
                "0046701234567",
                "citroen",
                "Ë-C4",
            ],
        ),
        (&["bjorn", "haakon"], &["hakon", "Håkon", "model"]),
        (&["haakon", "kari"], &["2021"]),
        (&[], &["kari hansen", "91234568", "+46 91234567", "nordmannkari", "912 34 568", "x91234567"]),
    ] {
        for search in searches {
            assert_eq!(found(&oslo, search).await, expected, "{search:?}");
        }
    }
}

#[tokio::test]
async fn numbers_names_and_vehicles_are_found_in_any_spelling_and_order() {
    expect_to_find(&TestApp::start().await).await;
}

#[tokio::test]
async fn a_database_that_knows_no_letters_but_those_of_ascii_finds_the_same() {
    let database = database_of_locale_c().await;
    expect_to_find(&TestApp::start_on(&database.url, |_| {}).await).await;
}

#[tokio::test]
async fn a_lead_is_found_by_what_it_is_now() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let id = oslo.lead_with(lead("Kari Nordmann", "kari@example.no", "912 34 567", "Model Y")).await.id;
    let change = json!({ "customer_name": "Kari Håkonsen", "customer_phone": "476 54 321" });
    let request = oslo.admin().request(Method::PATCH, &format!("/api/v1/leads/{id}")).json(&change);
    Answer::of(request).await.expect(200);
    for (search, number) in [("hakonsen", 1), ("47654321", 1), ("nordmann", 0), ("91234567", 0)] {
        assert_eq!(found(&oslo, search).await.len(), number, "{search}");
    }
}

#[tokio::test]
async fn long_texts_are_found_by_how_they_begin_and_never_refused() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let long = "ﷺ".repeat(199) + "!";
    oslo.lead_with(NewLead {
        customer_name: Some(long.clone()),
        vehicle_interest: Some("𐐀".repeat(500)),
        ..new_lead()
    })
    .await;
    oslo.lead_with(NewLead { customer_name: Some("x".repeat(200)), ..new_lead() }).await;
    assert_eq!(found(&oslo, "صلى الله").await.len(), 1);
    assert_eq!(found(&oslo, &"x".repeat(200)).await.len(), 1);
    assert_eq!(found(&oslo, &format!("{}b", "x".repeat(199))).await.len(), 0);
    assert_eq!(found(&oslo, &"a b c d e f g h i j k ".repeat(9)).await.len(), 0);
}
