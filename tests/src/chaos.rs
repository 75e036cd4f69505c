//! What goes wrong beneath a story: connections end between two statements, and leases of the dead run out. And the runner
//! that tells stories.

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sqlx::{Executor, PgConnection};
use uuid::Uuid;

/// Tells as many stories as `CASES` says, those of `SEED` if it is set. Returns the seed too.
pub fn runner(cases: u32, max_shrink_iters: u32) -> (Uuid, TestRunner) {
    let asked = |name: &str| std::env::var(name).ok();
    let cases = asked("CASES").and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    let seed = asked("SEED").and_then(|seed| seed.parse().ok()).unwrap_or_else(Uuid::new_v4);
    let bytes = [*seed.as_bytes(), *seed.as_bytes()].concat();
    let config = Config { cases, max_shrink_iters, failure_persistence: None, ..Config::default() };
    (seed, TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)))
}

/// Counts every statement of the API and of workers that writes, committed or not, and ends the connections of some in the middle of their transactions.
const COUNT: &str = "
    CREATE TABLE last_statements (number bigint NOT NULL);
    CREATE SEQUENCE statements;
    CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
    DECLARE this bigint;
    BEGIN
      IF current_setting('application_name') LIKE 'norvalt%' THEN
        this := nextval('statements');
        IF EXISTS (SELECT FROM last_statements WHERE number = this) THEN
          PERFORM pg_terminate_backend(pg_backend_pid());
        END IF;
      END IF;
      RETURN NULL;
    END $$;
    DO $$
    DECLARE name text;
    BEGIN
      FOREACH name IN ARRAY ARRAY['deliveries', 'delivery_repetitions', 'inquiries', 'leads', 'conversations', 'customers',
                                  'customer_identities', 'outbox', 'answers', 'jobs'] LOOP
        EXECUTE format('CREATE TRIGGER count_statement AFTER INSERT OR UPDATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION count_statement()', name);
      END LOOP;
    END $$;";

/// Begins to count. Once for a database.
pub async fn count_statements(conn: &mut PgConnection) {
    conn.execute(COUNT).await.expect("a superuser may");
}

/// Which statements are the last of their connections, counting from now.
pub async fn doom(conn: &mut PgConnection, last_statements: &[i64]) {
    conn.execute("TRUNCATE last_statements; SELECT setval('statements', 1, false)").await.expect("ours");
    let doom = sqlx::query("INSERT INTO last_statements SELECT unnest($1::bigint[])").bind(last_statements);
    doom.execute(conn).await.expect("ours");
}

/// Ends all connections of who calls itself so.
pub async fn cut_off(conn: &mut PgConnection, who: &str) {
    let cut = sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE $1 || '%'",
    );
    cut.bind(who).execute(conn).await.expect("a superuser may");
}

/// Nobody waits half a minute for the leases of those who are dead.
pub async fn expire_leases(conn: &mut PgConnection) {
    conn.execute("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE state = 'running'").await.expect("ours");
}
