//! A read of what waits costs the same however much waits behind it, and whatever Postgres has counted last.

use wasaga_store::{
    testing::{TestDatabase, database},
    testing_sql::Session,
};

/// Pages that a statement touches once its session has planned it.
async fn pages(session: &mut Session, sql: &str) -> u64 {
    session.run(sql).await;
    let plan = session.texts(&format!("explain (analyze, buffers, timing off) {sql}")).await;
    let buffers = plan.iter().flatten().find(|line| line.trim().starts_with("Buffers: "));
    let buffers = buffers.unwrap_or_else(|| panic!("no pages were counted: {plan:?}"));
    let counts = buffers.split([' ', '=']).filter_map(|word| word.parse::<u64>().ok());
    counts.sum()
}

/// 5,000 rows of a kilobyte take more than 600 pages.
async fn reads_little(db: &TestDatabase, table: &str, read: &str) {
    let mut session = Session::open(&db.url).await;
    let uncounted = pages(&mut session, read).await;
    assert!(uncounted < 100, "{table}: {uncounted} pages before it was counted");
    session.run(&format!("analyze {table}")).await;
    let counted = pages(&mut session, read).await;
    assert!(counted < 100, "{table}: {counted} pages when it was counted");
    session
        .run(&format!("update {table} set status = 'ready', finished_at = now() where id > 10"))
        .await;
    session.run(&format!("analyze {table}")).await;
    session.run(&format!("update {table} set status = 'wait', finished_at = null")).await;
    let miscounted = pages(&mut session, read).await;
    assert!(miscounted < 400, "{table}: {miscounted} pages when most were done at the last count");
}

#[tokio::test]
async fn of_the_outbox() {
    let db = database().await;
    db.run(
        "insert into wasaga.task_out (topic, key, value)
         select 't', convert_to(n::text, 'UTF8'), convert_to(repeat('x', 1000), 'UTF8') from generate_series(1, 5000) n",
    )
    .await;
    db.run("update wasaga.lanes set host_id = 1, epoch = 1 where flow = 'out'").await;
    let read = "select cardinality(ids)::bigint from wasaga.task_out_waiting(
        1, 0::smallint, 1, 0, '{1,2,3}', '{}', '{}', '{}', 100, 1000000)";
    assert_eq!(Session::open(&db.url).await.number(read).await, 100);
    reads_little(&db, "wasaga.task_out", read).await;
}

#[tokio::test]
async fn of_the_tasks_that_came_in() {
    let db = database().await;
    db.run(
        "insert into wasaga.task_in (lane, cluster, topic, partition, \"offset\", value)
         select n % 16, 'c', 't', 0, n, convert_to(repeat('x', 1000), 'UTF8') from generate_series(1, 5000) n",
    )
    .await;
    let read = "select count(*) from wasaga.task_in_find('{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}', 0, 100)";
    assert_eq!(Session::open(&db.url).await.number(read).await, 100);
    reads_little(&db, "wasaga.task_in", read).await;
}
