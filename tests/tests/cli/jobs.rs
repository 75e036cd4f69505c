//! `norvalt jobs`.

use tests::{cluster::database, jobs::JobTable};

use super::norvalt;

#[tokio::test]
async fn a_dead_job_is_found_understood_and_run_again() {
    let database = database().await;
    let url = [("DATABASE_URL", database.url.as_str())];
    let mut jobs = JobTable::at(&database.url).await;
    let (id, other) = (jobs.insert("test.kind", 1, "{}").await, jobs.insert("test.other", 1, "{}").await);
    let kill = "UPDATE jobs SET state = 'dead', attempts = 12, finished_at = now(),
                errors = '[{\"attempt\": 12, \"error\": \"the printer is on fire\"}]' WHERE id = $1";
    jobs.change(kill, id).await;
    let id = id.to_string();

    assert!(norvalt(&["jobs", "stats"], &url).await.done().contains("test.kind   dead       1"));
    let listed = norvalt(&["jobs", "list", "--state", "dead"], &url).await.done();
    assert!(listed.contains("the printer is on fire") && !listed.contains("test.other"), "{listed}");
    let shown: serde_json::Value =
        serde_json::from_str(&norvalt(&["jobs", "show", &id], &url).await.done()).expect("JSON");
    assert_eq!(shown["errors"][0]["attempt"], 12);

    assert_eq!(norvalt(&["jobs", "retry", &id], &url).await.done(), format!("job {id} run again\n"));
    let again = norvalt(&["jobs", "retry", &id], &url).await;
    assert_eq!((again.code, again.out.as_str()), (Some(0), "nothing to do\n"));
    assert!(again.err.contains("is available, not dead"), "{}", again.err);
    assert_eq!(norvalt(&["jobs", "retry", "4711"], &url).await.code, Some(1));
    let row = jobs.row(id.parse().expect("a number")).await;
    assert_eq!((row.state.as_str(), row.attempts), ("available", 0));
    assert_eq!(
        norvalt(&["jobs", "cancel", "--kind", "test.other", "--json"], &url).await.done(),
        format!("[{other}]\n")
    );
    assert_eq!(jobs.state(other).await, "cancelled");
    for wrong in [&["jobs", "retry"][..], &["jobs", "list", "--state", "zombie"], &["jobs", "retry", "1", "--all"]] {
        assert_eq!(norvalt(wrong, &url).await.code, Some(2), "{wrong:?}");
    }
    assert_eq!(norvalt(&["jobs", "show", "4711"], &url).await.code, Some(1));
}

#[tokio::test]
async fn a_unique_job_that_died_twice_is_run_again_once() {
    let database = database().await;
    let url = [("DATABASE_URL", database.url.as_str())];
    let mut jobs = JobTable::at(&database.url).await;
    let mut ids = Vec::new();
    for kind in ["test.unique", "test.unique", "test.kind"] {
        ids.push(jobs.insert(kind, 1, "{}").await);
        let kill =
            "UPDATE jobs SET state = 'dead', finished_at = now(), unique_key = nullif(kind, 'test.kind') WHERE id = $1";
        jobs.change(kill, ids[ids.len() - 1]).await;
    }
    let [older, newer, other] = ids[..] else { panic!("there are three") };
    let stays = format!("job {older} stays dead, since another one does the same\n");
    let ran = norvalt(&["jobs", "retry", "--all"], &url).await;
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "2 jobs run again\n", stays.as_str()));
    assert_eq!((jobs.state(newer).await, jobs.state(other).await), ("available".to_owned(), "available".to_owned()));
    let ran = norvalt(&["jobs", "retry", &older.to_string()], &url).await;
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "nothing to do\n", stays.as_str()));
    jobs.change("UPDATE jobs SET state = 'done', finished_at = now() WHERE id = $1", newer).await;
    assert_eq!(norvalt(&["jobs", "retry", "--all"], &url).await.done(), format!("job {older} run again\n"));
}

#[tokio::test]
async fn as_many_jobs_as_there_are_can_be_cancelled() {
    let database = database().await;
    let url = [("DATABASE_URL", database.url.as_str())];
    let mut jobs = JobTable::at(&database.url).await;
    let enqueue = "INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts)
                   SELECT 'default', 'test.kind', '{}', 1, 'available', 1 FROM generate_series(1, $1)";
    jobs.change(enqueue, 1_200).await;
    assert_eq!(norvalt(&["jobs", "cancel", "--all"], &url).await.done(), "1200 jobs cancelled\n");
    assert_eq!(jobs.count("test.kind", "cancelled").await, 1_200);
}

#[tokio::test]
async fn a_queue_is_paused_for_everybody_to_see() {
    let database = database().await;
    let url = [("DATABASE_URL", database.url.as_str()), ("USER", "kari")];
    let paused = norvalt(&["jobs", "pause", "default", "--reason", "Clerk is down"], &url).await.done();
    assert_eq!(paused, "queue default is paused: no more of its jobs begin, those that run go on\n");
    assert_eq!(norvalt(&["jobs", "pause", "default"], &url).await.done(), "queue default is paused already\n");
    for command in [&["jobs", "stats"][..], &["doctor"]] {
        let out = norvalt(command, &url).await.out;
        assert!(out.contains("queue default is paused by kari since ") && out.contains("(Clerk is down)"), "{out}");
    }
    let json = norvalt(&["jobs", "resume", "default", "--json"], &url).await.done();
    assert_eq!(json, "{\"changed\":true,\"paused\":false,\"queue\":\"default\"}\n");
    assert_eq!(norvalt(&["jobs", "resume", "default"], &url).await.done(), "queue default is not paused\n");
    let doctor = norvalt(&["doctor"], &url).await.out;
    assert!(doctor.contains("note") && doctor.contains("none runs; start the binary `worker`"), "{doctor}");
    assert!(doctor.contains(", PostgreSQL ") && doctor.contains("postgresql://"), "{doctor}");
}

#[tokio::test]
async fn an_error_is_shown_with_its_end_and_without_postgresqls_source() {
    let database = database().await;
    let url = [("DATABASE_URL", database.url.as_str())];
    let mut jobs = JobTable::at(&database.url).await;
    let id = jobs.insert("test.kind", 1, "{}").await;
    let long = "UPDATE jobs SET state = 'dead', finished_at = now(), errors = jsonb_build_array(jsonb_build_object(
                'attempt', 1, 'error', repeat('long ', 50) || 'and the cause')) WHERE id = $1";
    jobs.change(long, id).await;
    assert!(norvalt(&["jobs", "list"], &url).await.done().trim_end().ends_with("and the cause"));
    sqlx::raw_sql("ALTER TABLE jobs RENAME COLUMN errors TO mistakes")
        .execute(&mut database.connect().await)
        .await
        .expect("a valid statement");
    let refused = norvalt(&["jobs", "list"], &url).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("column \"errors\" does not exist") && !refused.err.contains("at line"),
        "{}",
        refused.err
    );
}

#[tokio::test]
async fn jobs_are_pruned_by_age() {
    let database = database().await;
    let url = [("DATABASE_URL", database.url.as_str())];
    let mut jobs = JobTable::at(&database.url).await;
    let over = "INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts, finished_at)
                SELECT 'default', 'test.kind', '{}', 1, state::job_state, 1, now() - age * interval '1 h'
                FROM unnest(ARRAY['done', 'cancelled', 'dead']) state, unnest(ARRAY[1, 30, 24 * 8]) age WHERE $1 = 1";
    jobs.change(over, 1).await;
    let waiting = jobs.insert("test.kind", 1, "{}").await;

    let counted = norvalt(&["jobs", "prune", "--older-than", "1d", "--dead", "--dry-run"], &url).await.done();
    assert_eq!(counted, "jobs      to be pruned\nfinished  4\ndead      2\n");
    let pruned = norvalt(&["jobs", "prune", "--json"], &url).await.done();
    let pruned: serde_json::Value = serde_json::from_str(&pruned).expect("JSON");
    assert_eq!(pruned, serde_json::json!([{ "over": "finished", "jobs": 2 }]));
    assert_eq!(jobs.count("test.kind", "dead").await, 3);
    let pruned = norvalt(&["jobs", "prune", "--older-than", "12h", "--dead"], &url).await.done();
    assert_eq!(pruned, "jobs      pruned\nfinished  2\ndead      2\n");
    assert_eq!(jobs.count("test.kind", "dead").await, 1);
    assert_eq!(jobs.state(waiting).await, "available");
    for wrong in ["7", "d", "-1d", "1.5d", "7w", "9999999999d"] {
        assert_eq!(norvalt(&["jobs", "prune", "--older-than", wrong], &url).await.code, Some(2), "{wrong}");
    }
}
