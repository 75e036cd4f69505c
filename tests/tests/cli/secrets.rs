use std::collections::BTreeSet;

use common::{
    ids::DealershipId,
    secrets::{Keyring, Place, Sealed, Secret},
};
use sqlx::PgConnection;
use tests::cluster::database;
use uuid::Uuid;

use super::norvalt;

const OLD: &str = "old:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const NEW: &str = "new:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
/// A login of a person of its own.
macro_rules! login {
    ($step:literal) => {
        concat!(
            "WITH person AS (INSERT INTO users (dealership_id, id, clerk_user_id, email, name, role)
                             VALUES ($1, $2, $2, '', '', 'admin') RETURNING id, dealership_id)
             INSERT INTO facebook_logins (dealership_id, id, user_id, state_hash, step, secret)
             SELECT dealership_id, id, id, '', '",
            $step,
            "', $3 FROM person"
        )
    };
}

/// Every place of a secret, with what makes a row there: of the dealership `$1`, with the id `$2` and the secret `$3`.
const PLACES: [(&str, &str); 7] = [
    (
        "lead_sources.turnstile_secret",
        "INSERT INTO lead_sources (dealership_id, id, kind, name, key, turnstile_secret) VALUES ($1, $2, 'form', 'a', 'a', $3)",
    ),
    (
        "lead_sources.page_token",
        "INSERT INTO lead_sources (dealership_id, id, kind, name, key, page_token) VALUES ($1, $2, 'facebook', 'b', '5', $3)",
    ),
    (
        "sending_accounts.secret of email",
        "INSERT INTO sending_accounts (dealership_id, channel, settings, secret)
         SELECT $1, 'email', '{}', $3 WHERE $2::uuid IS NOT NULL",
    ),
    (
        "sending_accounts.secret of sms",
        "INSERT INTO sending_accounts (dealership_id, channel, settings, secret)
         SELECT $1, 'sms', '{}', $3 WHERE $2::uuid IS NOT NULL",
    ),
    ("facebook_logins.secret of a code", login!("returned")),
    ("facebook_logins.secret of a user", login!("exchanged")),
    ("facebook_logins.secret of pages", login!("choosing")),
];

/// The row of a place, whose ids are the dealership's where it has no other.
async fn store(
    superuser: &mut PgConnection,
    dealership: Uuid,
    (column, insert): (&'static str, &'static str),
) -> Place {
    let id = Uuid::new_v4();
    let row = if column.starts_with("sending_accounts") { dealership } else { id };
    let place = Place { dealership: DealershipId::from(dealership), column, row };
    let sealed = keyring(&[OLD]).seal(&Secret::new(format!("hunter2 of {column}")), &place).expect("there is a key");
    let insert = sqlx::query(insert).bind(dealership).bind(id).bind(sealed);
    insert.execute(superuser).await.expect("a valid row");
    place
}

/// What stands there.
async fn stored(superuser: &mut PgConnection, place: &Place) -> Sealed {
    let (column, of) = place.column.split_once(" of ").unwrap_or((place.column, ""));
    let (table, column) = column.split_once('.').expect("table and column");
    let row = if table == "sending_accounts" {
        format!("dealership_id = $1 AND channel = '{of}'")
    } else {
        "id = $1".to_owned()
    };
    let select = sqlx::AssertSqlSafe(format!("SELECT {column} FROM {table} WHERE {row}"));
    sqlx::query_scalar(select).bind(place.row).fetch_one(superuser).await.expect("it is there")
}

fn keyring(keys: &[&str]) -> Keyring {
    keys.join(",").parse().expect("valid keys")
}

#[tokio::test]
async fn a_key_is_changed_while_everything_runs() {
    let database = database().await;
    let run = async |arguments: &[&str], keys: &[&str]| {
        let keys = keys.join(",");
        norvalt(arguments, &[("DATABASE_URL", database.url.as_str()), ("SECRETS_KEYS", keys.as_str())]).await
    };
    run(&["seed"], &[OLD]).await.done();
    let mut superuser = database.connect().await;
    let dealerships: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM dealerships ORDER BY id").fetch_all(&mut superuser).await.expect("seeded");
    let mut places = Vec::new();
    for place in PLACES {
        places.push(store(&mut superuser, dealerships[0], place).await);
    }
    places.push(store(&mut superuser, dealerships[1], PLACES[2]).await);

    let shown = run(&["doctor"], &[NEW]).await.out;
    assert!(shown.contains("8 secrets are sealed with the key old; add it to SECRETS_KEYS"), "{shown}");
    assert_eq!(run(&["secrets", "reseal"], &[]).await.code, Some(1), "there is no key");
    let refused = run(&["secrets", "reseal"], &[NEW]).await;
    assert!(refused.code == Some(1) && refused.err.contains("left as they are: 8"), "{}", refused.err);

    let damaged =
        "UPDATE sending_accounts SET secret = overlay(secret PLACING '\\x00' FROM 20) WHERE dealership_id = $1";
    sqlx::query(damaged).bind(dealerships[1]).execute(&mut superuser).await.expect("a superuser may");
    let both = [NEW, OLD];
    let refused = run(&["secrets", "reseal"], &both).await;
    assert!(refused.code == Some(1) && refused.out.contains("7 secrets"), "{} {}", refused.out, refused.err);
    assert!(refused.err.contains("left as they are: 1") && !refused.err.contains("hunter2"), "{}", refused.err);
    let shown = run(&["secrets", "keys"], &both).await.done();
    assert!(shown.lines().any(|line| line.starts_with("old") && line.contains(" 1 ")), "{shown}");
    let shown = run(&["doctor"], &both).await.out;
    assert!(shown.contains("1 secret is still sealed with the key old; norvalt secrets reseal"), "{shown}");

    sqlx::query("UPDATE sending_accounts SET secret = NULL WHERE dealership_id = $1")
        .bind(dealerships[1])
        .execute(&mut superuser)
        .await
        .expect("a superuser may");
    assert!(run(&["secrets", "reseal"], &both).await.done().starts_with("0 secrets"));
    assert!(run(&["secrets", "keys"], &both).await.done().contains("can be taken away"));
    let told: serde_json::Value =
        serde_json::from_str(&run(&["secrets", "keys", "--json"], &both).await.done()).expect("JSON");
    assert_eq!(told[1], serde_json::json!({ "id": "old", "secrets": 0, "state": "unused" }));
    for place in &places[..PLACES.len()] {
        let sealed = stored(&mut superuser, place).await;
        let secret = keyring(&[NEW]).open(&sealed, place).expect("the new key opens it");
        assert_eq!(secret.expose(), format!("hunter2 of {}", place.column));
    }
}

/// A column that nobody re-seals would lose its secret with the old key.
#[tokio::test]
async fn every_column_with_a_secret_has_a_place() {
    let sealed: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname || '.' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         WHERE col_description(c.oid, a.attnum) LIKE 'Sealed%'",
    )
    .fetch_all(&mut database().await.connect().await)
    .await
    .expect("a valid statement");
    let places = PLACES.map(|(place, _)| place.split(" of ").next().expect("a column").to_owned());
    assert_eq!(BTreeSet::from_iter(sealed), BTreeSet::from(places));
}
