//! A login that is no superuser does all that there is to do, through both doors.

use std::time::Duration;

use common::{
    db::{Db, login_inherits, migrate},
    ids::DealershipId,
    jobs::{Job, ReadInquiry},
    queue::{ClaimToken, DedicatedConnection, NewJob, complete, enqueue},
};
use dev::postgres::socket_url;
use sqlx::{Connection, Executor, PgConnection};
use tests::cluster::private_cluster;

#[tokio::test]
async fn the_role_that_logs_in_sees_nothing_by_itself() {
    let cluster = private_cluster().await;
    let mut superuser = cluster.connect().await;
    // From PostgreSQL 16 on, each grant says for itself whether it is inherited.
    let grants_inherit = "SELECT current_setting('server_version_num')::int >= 160000";
    let owner = if sqlx::query_scalar(grants_inherit).fetch_one(&mut superuser).await.expect("a valid statement") {
        "CREATE ROLE owner LOGIN CREATEROLE; GRANT norvalt_tenant, norvalt_system TO owner WITH ADMIN TRUE, INHERIT FALSE"
    } else {
        "CREATE ROLE owner LOGIN CREATEROLE; GRANT norvalt_tenant, norvalt_system TO owner WITH ADMIN OPTION"
    };
    superuser.execute(owner).await.expect("a superuser may");
    superuser.execute("CREATE DATABASE owned OWNER owner").await.expect("nobody has it");
    let url = socket_url(&cluster.directory(), "owned").replace("//postgres@", "//owner@");
    migrate(&url.parse().expect("a valid URL")).await.expect("an owner may");
    let db = Db::new(&url.parse().expect("a valid URL"), 2, "tests");
    db.wait_until_usable().await.expect("it may take the roles");
    assert!(!login_inherits(&mut db.system().await.expect("it is there")).await.expect("a valid statement"));
    let oslo: DealershipId = sqlx::query_scalar(
        "INSERT INTO owned.public.dealerships (id, clerk_org_id, name, email)
         VALUES (gen_random_uuid(), 'org_oslo', 'Bil AS', 'a@bil.example') RETURNING id",
    )
    .fetch_one(&mut PgConnection::connect(&socket_url(&cluster.directory(), "owned")).await.expect("it is there"))
    .await
    .expect("a superuser may");
    let mut tenant = db.tenant(oslo).await.expect("it is there");
    enqueue(&mut tenant, &NewJob::now(&ReadInquiry { delivery_id: 1 })).await.expect("it can be enqueued");
    tenant.commit().await.expect("it can be committed");

    let mut login = PgConnection::connect(&url).await.expect("it may log in");
    let seen = "SELECT count(*) FROM jobs";
    assert_eq!(sqlx::query_scalar::<_, i64>(seen).fetch_one(&mut login).await.expect("a table of its own"), 0);
    login.execute("SET ROLE norvalt_system").await.expect("a member may");
    assert_eq!(sqlx::query_scalar::<_, i64>(seen).fetch_one(&mut login).await.expect("a role of ours"), 1);

    let mut queue = DedicatedConnection::new(&db, "tests", Duration::from_secs(5));
    let claim = queue.claim(ReadInquiry::QUEUE, 1, Duration::from_secs(30), ClaimToken::new(), None).await;
    let [job] = &claim.expect("it may take the queue's role").jobs[..] else { panic!("there is one job") };
    assert_eq!(job.dealership, Some(oslo));
    let mut tenant = db.tenant(oslo).await.expect("it is there");
    complete(&mut tenant, &job.lease).await.expect("it is its own");
    tenant.commit().await.expect("it can be committed");
    let done = "SELECT state = 'done' FROM jobs";
    assert!(sqlx::query_scalar::<_, bool>(done).fetch_one(&mut login).await.expect("a role of ours"));
}
