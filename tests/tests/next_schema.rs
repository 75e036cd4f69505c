//! While a release goes out, the one before it runs on its schema: the binaries of today on what a migration of tomorrow
//! may do. See `migrations/README.md`.

use dev::stand_ins::clerk::{Options, SessionToken, SigningKey, StandIn};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use sqlx::raw_sql;
use tests::{
    answer::Answer,
    clerk_events::Membership,
    cluster::database,
    jobs::JobTable,
    processes::{deliver, start_api, start_worker},
};
use tokio::net::TcpListener;

/// Everything that expanding may mean: columns with and without a default on every table, more of what is allowed, an
/// index, a table, and its entry among the migrations.
const EXPAND: &str = "
    DO $$ DECLARE name text; BEGIN
      FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
                  AND relname <> '_sqlx_migrations' LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN next_release text, ADD COLUMN next_flag boolean NOT NULL DEFAULT false', name);
      END LOOP;
    END $$;
    ALTER TYPE job_state ADD VALUE 'paused';
    ALTER TABLE deliveries DROP CONSTRAINT deliveries_status_check;
    CREATE INDEX next_index ON leads (dealership_id, next_flag);
    CREATE TABLE next_table (id bigint PRIMARY KEY);
    INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
      VALUES (99990101000000, 'next release', true, '', 0);";

#[tokio::test]
async fn this_release_runs_on_the_next_schema_also_when_it_comes_in_mid_flight() {
    let database = database().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file");
    // Both have prepared their statements before.
    let (_api, url) = start_api(&database.url, &clerk).await;
    let _worker = start_worker(&database.url);
    live(&database.url, &url, &clerk, 1).await;
    raw_sql(EXPAND).execute(&mut database.connect().await).await.expect("a valid migration");
    live(&database.url, &url, &clerk, 2).await;

    let (_late_api, url) = start_api(&database.url, &clerk).await;
    let _late_worker = start_worker(&database.url);
    live(&database.url, &url, &clerk, 3).await;
}

/// Somebody joins, and works with a lead.
async fn live(database_url: &str, url: &str, clerk: &StandIn, n: i64) {
    let (membership, user) = (format!("orgmem_{n}"), format!("user_{n}"));
    let joined = Membership {
        id: &membership,
        org: "org_1",
        org_name: "Tesla Oslo",
        org_at: n,
        user: &user,
        first_name: "Kari",
        identifier: Some("kari@example.no"),
        role: "org:admin",
        at: n,
    };
    deliver(url, &format!("msg_{n}"), &joined.event("created").to_string()).await.expect(202);
    JobTable::at(database_url).await.wait_for_count("clerk.process_event", "done", n).await;
    let token = SessionToken::for_user(&user).organization("org_1", "tesla-oslo", "org:admin").mint(&clerk.key());
    let ask = async |method: Method, path: &str, body: Option<Value>, expected: StatusCode| {
        let request = Client::new().request(method, format!("{url}{path}")).bearer_auth(&token);
        let request = body.into_iter().fold(request, |request, body| request.json(&body));
        Answer::of(request).await.expect(expected.as_u16())
    };
    let new = json!({ "source": "manual", "customer_name": "Ola Nordmann", "customer_email": "ola@example.no" });
    let lead = ask(Method::POST, "/api/v1/leads", Some(new), StatusCode::CREATED).await;
    let path = format!("/api/v1/leads/{}", lead["id"].as_str().expect("an id"));
    let message = json!({ "lead_id": lead["id"], "message_content": "Hei!", "channel": "email" });
    ask(Method::POST, "/api/v1/conversations", Some(message), StatusCode::CREATED).await;
    ask(Method::PATCH, &path, Some(json!({ "status": "contacted" })), StatusCode::OK).await;
    assert_eq!(ask(Method::GET, &path, None, StatusCode::OK).await["status"], "contacted");
    assert_eq!(ask(Method::GET, "/api/v1/leads", None, StatusCode::OK).await["total"], n);
    ask(Method::GET, "/health/ready", None, StatusCode::OK).await;
}
