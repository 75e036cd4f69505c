//! Archives that are not imported, each with the reason, and of which nothing is left behind.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use sqlx::Executor;
use tests::app::TestApp;

use super::{
    contents::contents,
    stage::{Archive, Server, archive, fill},
};

fn packed(lines: &str) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(lines.as_bytes()).expect("it is memory");
    out.finish().expect("it is memory")
}

async fn exported(source: &TestApp) -> (Archive, common::ids::DealershipId) {
    let server = Server::of(source);
    let oslo = fill(source, "Tesla Oslo").await;
    let file = archive();
    server.does(&["freeze", &oslo.id.to_string()]).await;
    server.does(&["export", &oslo.id.to_string(), "--to", file.to_str(), "--with-secrets"]).await;
    (file, oslo.id)
}

#[tokio::test]
async fn an_archive_that_is_not_whole_is_refused() {
    let (source, target) = (TestApp::start().await, TestApp::start().await);
    let b = Server::of(&target);
    let (file, id) = exported(&source).await;
    let (bytes, lines) = (file.bytes(), file.lines());
    let damaged = archive();
    let refused = async |bytes: &[u8], because: &str| {
        damaged.write(bytes);
        b.refuses(&["import", damaged.to_str()], because).await;
        assert_eq!(contents(&target, id).await.rows(), 0, "{because}");
    };
    refused(&bytes[..bytes.len() / 2], "ends too early").await;
    refused(&bytes[..bytes.len() - 1], "ends too early").await;
    refused(b"PK not ours", "not an archive").await;
    refused(&packed("{}\n"), "not an archive").await;
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    damaged.write(&flipped);
    b.refuses(&["import", damaged.to_str()], "").await;
    assert_eq!(contents(&target, id).await.rows(), 0);
    refused(&packed(&lines.replace("siri@example.no", "evil@example.no")), "checksum of table").await;
    let (without_end, _) = lines.trim_end().rsplit_once('\n').expect("there are lines");
    refused(&packed(&format!("{without_end}\n")), "ends too early").await;
    refused(&packed(&lines.replacen("Tesla Oslo", "Tesla Asker", 1)), "checksum of").await;
    refused(&packed(&format!("{lines}[]\n")), "checksum of the whole").await;
    b.refuses(&["import", "/nowhere/at-all"], "cannot be read").await;
    b.does(&["import", file.to_str()]).await;
}

#[tokio::test]
async fn an_archive_that_does_not_fit_this_database_is_refused() {
    let (source, target) = (TestApp::start().await, TestApp::start().await);
    let (a, b) = (Server::of(&source), Server::of(&target));
    source
        .connect()
        .await
        .execute("INSERT INTO clerk_instance (id, learnt_from) VALUES ('ins_a', 'operator')")
        .await
        .expect("valid");
    let (file, id) = exported(&source).await;
    let mut superuser = target.connect().await;
    let refused = async |because: &str| {
        b.refuses(&["import", file.to_str()], because).await;
        assert_eq!(target.count("SELECT count(*) FROM dealership_moves").await, 0, "{because}");
    };
    superuser
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (20990101000000, 'later', true, '', 0)",
        )
        .await
        .expect("valid");
    refused("bring both servers to the same release").await;
    superuser.execute("DELETE FROM _sqlx_migrations WHERE version = 20990101000000").await.expect("valid");
    superuser.execute("ALTER TABLE vehicles ADD COLUMN colour text").await.expect("valid");
    refused("has table vehicles otherwise").await;
    superuser.execute("ALTER TABLE vehicles DROP COLUMN colour").await.expect("valid");
    superuser
        .execute("INSERT INTO clerk_instance (id, learnt_from) VALUES ('ins_b', 'operator')")
        .await
        .expect("valid");
    refused("of Clerk instance ins_a and this database of ins_b").await;
    superuser.execute("UPDATE clerk_instance SET id = 'ins_a'").await.expect("valid");
    b.without_keys().refuses(&["import", file.to_str()], "take the keys of the other server into SECRETS_KEYS").await;
    // Another dealership has a page of its.
    let bergen = target.dealership("VW Bergen").await;
    sqlx::query("INSERT INTO source_keys (kind, key, dealership_id, source_id) SELECT 'facebook', '123410', $1, $1")
        .bind(bergen.id)
        .execute(&mut superuser)
        .await
        .expect("valid");
    refused("is another dealership's here").await;
    superuser.execute("DELETE FROM source_keys WHERE key = '123410'").await.expect("valid");
    // Somebody has begun to use it here.
    let blank = target.dealership("Tesla Oslo").await;
    let lead = blank.lead("Ola").await;
    refused("is not empty").await;
    assert!(blank.admin().get(&format!("/api/v1/leads/{}", lead.id)).await.expect(200)["id"].is_string());
    // The server that it leaves still has it.
    a.refuses(&["import", file.to_str()], "is here already").await;
    a.refuses(&["discard", &id.to_string(), "--yes"], "nothing was destroyed").await;
    a.refuses(&["release", "org_nobody"], "no dealership is called").await;
    // Given up, and as it was.
    a.does(&["open", "Tesla Oslo"]).await;
    a.refuses(&["open", "Tesla Oslo"], "is not on its way").await;
}
