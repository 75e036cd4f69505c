//! Lists that are bare arrays are whole for those who have little, and come in parts for those who have much.

mod plans;

use common::{conversations, db::Db, page::Before};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use tests::{
    answer::Answer,
    app::{Dealership, Person, TestApp},
};

const MIB: usize = 1 << 20;

/// The texts of all parts, from the first to the last, and the largest of them.
async fn parts(app: &TestApp, person: &Person<'_>, path: &str) -> (Vec<Vec<Value>>, usize) {
    let (mut parts, mut largest, mut next) = (Vec::new(), 0, Some(path.to_owned()));
    while let Some(path) = next {
        let request = Client::new().get(format!("{}{path}", app.url)).bearer_auth(person.token());
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        // As RFC 8288 has it, and relative to what was asked.
        next = answer.headers().get("link").map(|link| {
            let link = link.to_str().expect("printable");
            let target = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
            target.expect("a link to the next part").to_owned()
        });
        let body = answer.bytes().await.expect("it is complete");
        largest = largest.max(body.len());
        parts.push(serde_json::from_slice(&body).expect("a bare array"));
    }
    (parts, largest)
}

async fn insert(app: &TestApp, sql: String) {
    app.connect().await.execute(AssertSqlSafe(sql)).await.expect("a valid statement");
}

/// Messages with this content, of which each second is at the instant of the one before.
async fn messages(app: &TestApp, oslo: &Dealership<'_>, count: usize, content: &str) -> String {
    let lead = oslo.lead("Ola").await;
    let insert_messages = format!(
        "INSERT INTO conversations (lead_id, dealership_id, channel, direction, sender, sender_type, message_content, created_at)
         SELECT '{}', '{}', 'sms', 'inbound', 'Ola', 'customer', {content}, now() - interval '1 s' * (n / 2)
         FROM generate_series(1, {count}) n",
        lead.id, oslo.id
    );
    insert(app, insert_messages).await;
    format!("/api/v1/leads/{}", lead.id)
}

fn all_once(parts: &[Vec<Value>], count: usize) {
    let ids: std::collections::HashSet<_> = parts.iter().flatten().map(|item| item["id"].as_str()).collect();
    assert_eq!((ids.len(), parts.iter().map(Vec::len).sum::<usize>()), (count, count), "each once");
}

#[tokio::test]
async fn messages_come_in_parts_of_a_bounded_number() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    for (count, lengths) in
        [(0, vec![0]), (1, vec![1]), (500, vec![500]), (501, vec![500, 1]), (1_100, vec![500, 500, 100])]
    {
        let url = messages(&app, &oslo, count, "'Hei'").await;
        let (parts, _) = parts(&app, &oslo.admin(), &format!("{url}/conversations")).await;
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), lengths);
        all_once(&parts, count);
        assert!(parts.concat().is_sorted_by_key(|message| std::cmp::Reverse(message["created_at"].to_string())));
    }
}

#[tokio::test]
async fn no_answer_is_larger_than_a_mebibyte_whatever_was_written() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    // What a person may write, and what was written before there was a limit.
    for content in
        ["repeat(chr(1), 13000)", "repeat('😀', 20000)", "repeat(chr(1), 20000)", "repeat(E'\\n\"\\\\', 6000)", "'Hei'"]
    {
        let url = messages(&app, &oslo, 60, content).await;
        let (parts, largest) = parts(&app, &oslo.admin(), &format!("{url}/conversations")).await;
        assert!(largest <= MIB, "{content}: {largest}");
        if content != "'Hei'" {
            assert!(largest > MIB / 2, "{content}: as much as fits, not {largest}");
        }
        all_once(&parts, 60);
    }
    // A single message of any size is shown, since nothing else would ever come after it.
    let url = messages(&app, &oslo, 2, "repeat(chr(1), 200000)").await;
    let (parts, _) = parts(&app, &oslo.admin(), &format!("{url}/conversations")).await;
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test]
async fn a_message_is_bounded_as_it_is_sent() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let lead = oslo.lead("Ola").await;
    let say = async |content: String| {
        let reply = json!({ "lead_id": lead.id, "message_content": content, "channel": "sms" });
        Answer::of(oslo.admin().request(Method::POST, "/api/v1/conversations").json(&reply)).await
    };
    for fits in ["😀".repeat(20_000), format!("x{}x", "\n".repeat(19_998)), "\u{1}".repeat(13_333)] {
        say(fits).await.expect(201);
    }
    for (beyond, limit) in [("å".repeat(20_001), "20000 characters"), ("\u{1}".repeat(13_334), "80000 bytes as JSON")]
    {
        let problem = say(beyond).await.expect_problem(422, "invalid-input");
        assert_eq!(problem["errors"][0]["field"], "message_content");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(limit)), "{problem:#}");
    }
}

#[tokio::test]
async fn the_history_and_the_people_come_in_parts_too() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let lead = oslo.lead("Ola").await;
    insert(
        &app,
        format!(
            "INSERT INTO lead_status_changes (lead_id, dealership_id, from_status, to_status, changed_at)
             SELECT '{0}', '{1}', 'new', 'won', now() - interval '1 s' * (n / 2) FROM generate_series(1, 1100) n;
             INSERT INTO users (id, dealership_id, clerk_user_id, email, name, role)
             SELECT gen_random_uuid(), '{1}', 'user_' || n, 'x', 'Kari ' || n / 2, 'sales_rep' FROM generate_series(1, 1099) n",
            lead.id, oslo.id
        ),
    )
    .await;
    for (path, order) in
        [(format!("/api/v1/leads/{}/history", lead.id), "changed_at"), ("/api/v1/users".to_owned(), "name")]
    {
        let (parts, _) = parts(&app, &oslo.admin(), &path).await;
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 100], "{path}");
        all_once(&parts, 1_100);
        let keys: Vec<_> = parts.concat().iter().map(|item| item[order].to_string().to_lowercase()).collect();
        assert!(if order == "name" { keys.is_sorted() } else { keys.is_sorted_by(|a, b| a >= b) }, "{path}");
    }
}

#[tokio::test]
async fn a_part_begins_at_an_item_of_the_list() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let url = messages(&app, &oslo, 2, "'Hei'").await;
    let other = messages(&app, &oslo, 1, "'Hei'").await;
    let of_other = oslo.admin().get(&format!("{other}/conversations")).await.expect(200)[0]["id"].clone();
    let nowhere = json!("00000000-0000-4000-8000-000000000000");
    for place in [&of_other, &nowhere, &json!("7")] {
        for list in ["conversations", "history"] {
            let path = format!("{url}/{list}?before={}", place.as_str().expect("text"));
            let problem = oslo.admin().get(&path).await.expect_problem(422, "invalid-input");
            assert_eq!(problem["errors"][0]["field"], "before");
        }
    }
    let theirs = format!("/api/v1/users?after={}", bergen.admin().id);
    oslo.admin().get(&theirs).await.expect_problem(422, "invalid-input");
    bergen.admin().get(&format!("{url}/conversations")).await.expect_problem(404, "lead-not-found");
}

#[tokio::test]
async fn no_more_is_read_than_is_shown() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    // 2,000 messages of 20 kB that do not compress.
    let content = "(SELECT string_agg(md5(n::text || i::text), '') FROM generate_series(1, 620) i)";
    let url = messages(&app, &oslo, 2_000, content).await;
    let read = async || {
        app.count(
            "SELECT (heap_blks_hit + heap_blks_read + toast_blks_hit + toast_blks_read)::bigint
             FROM pg_statio_user_tables WHERE relname = 'conversations'",
        )
        .await
    };
    let before = read().await;
    // Of its own, since the server counts what a connection has read when that is closed.
    let db = Db::new(&app.database_url.parse().expect("a valid URL"), 1, "tests");
    let mut tx = db.tenant(oslo.id).await.expect("the database is there");
    let id = url.rsplit('/').next().and_then(|id| id.parse().ok()).expect("an id");
    let part = conversations::of_lead(&mut tx, id, Before { before: None }).await.expect("the database is there");
    let part = part.expect("it begins at the newest");
    assert!(part.more && (40..60).contains(&part.items.len()), "{}", part.items.len());
    tx.commit().await.expect("the database is there");
    db.close().await;
    let mut blocks = 0;
    while blocks == 0 {
        blocks = read().await - before;
    }
    // A mebibyte is 128 blocks; each message is looked at to be measured and to be shown.
    assert!(blocks < 1_500, "{blocks} blocks");
}

#[tokio::test]
async fn people_come_in_norwegian_order_on_every_server() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let ordered = [
        "anders",
        "Äpple",
        "Bjørn",
        "Émile",
        "Eva",
        "Müller",
        "Myrvold",
        "ola Berg",
        "Olaf",
        "Zoë",
        "zoltan",
        "Æsop",
        "Østen",
        "øyvind",
        "Aage",
        "Åse",
        "A\u{30a}sne",
        "Aasta",
    ];
    // Ä is where Æ is.
    let ordered: Vec<_> = [&ordered[..1], &ordered[2..11], &ordered[1..2], &ordered[11..]].concat();
    let rows: Vec<_> = ordered
        .iter()
        .rev()
        .map(|name| format!("(gen_random_uuid(), '{}', 'user_{name}', 'x@example.no', '{name}', 'admin')", oslo.id))
        .collect();
    insert(
        &app,
        format!("INSERT INTO users (id, dealership_id, clerk_user_id, email, name, role) VALUES {}", rows.join(", ")),
    )
    .await;
    let all = oslo.admin().get("/api/v1/users").await.expect(200);
    let people = all.as_array().expect("a bare array");
    let names = |people: &[Value]| -> Vec<String> {
        people.iter().map(|user| user["name"].as_str().expect("a text").to_owned()).collect()
    };
    let added: Vec<_> = names(people).into_iter().filter(|name| ordered.contains(&name.as_str())).collect();
    assert_eq!(added, ordered);
    // A part begins wherever it is asked to.
    for (place, person) in people.iter().enumerate() {
        let rest = oslo.admin().get(&format!("/api/v1/users?after={}", person["id"].as_str().expect("an id"))).await;
        assert_eq!(names(rest.expect(200).as_array().expect("a bare array")), names(&people[place + 1..]));
    }
}

#[tokio::test]
async fn sources_come_in_parts_oldest_first() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let path = "/api/v1/lead-sources";
    let (few, _) = parts(&app, &oslo.admin(), path).await;
    assert_eq!(few.len(), 1);
    let own = few[0].len();
    // Of each second there are two.
    let many = format!(
        "INSERT INTO lead_sources (dealership_id, kind, name, key, created_at)
         SELECT '{}', 'form', 'Skjema ' || n, gen_random_uuid()::text, now() + interval '1 s' * (n / 2) FROM generate_series(1, 1001) n",
        oslo.id
    );
    insert(&app, many).await;
    let (parts, _) = parts(&app, &oslo.admin(), path).await;
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, own + 1]);
    all_once(&parts, own + 1001);
    assert!(parts.concat().is_sorted_by_key(|source| source["created_at"].to_string()));
    let after = format!("{path}?after={}", parts[0][0]["id"].as_str().expect("an id"));
    let problem = bergen.admin().get(&after).await.expect_problem(422, "invalid-input");
    assert_eq!(problem["errors"][0]["field"], "after");
}
