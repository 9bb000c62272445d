//! The floor of the outbox on real Postgres: it rises behind what was published, and never past what is still to appear.

use wasaga_store::{task_out_floor::Floor, testing::database, testing_sql::Session};

#[tokio::test]
async fn it_rises_with_what_was_published_and_waits_for_open_transactions() {
    let db = database().await;
    let mut floor = Floor::default();
    let look = async |mut floor: Floor| {
        for _ in 0..3 {
            floor = db.store.task_out_floor(floor).await.expect("a floor");
        }
        floor
    };
    let emit = "select wasaga.emit('t', 'k')";
    let publish = "update wasaga.task_out set status = 'ready', finished_at = now()";
    assert_eq!(look(floor).await.after(), 0, "no id was taken yet");
    db.run(&format!("{emit}; {emit}; {emit}")).await;
    floor = look(floor).await;
    assert_eq!(floor.after(), 0, "the first waits");
    db.run(publish).await;
    floor = look(floor).await;
    assert_eq!(floor.after(), 3);

    let (mut held, mut keyed) = (Session::open(&db.url).await, Session::open(&db.url).await);
    held.run("begin; insert into wasaga.task_out (topic) values ('t')").await;
    keyed.run("begin; select wasaga.emit('t', idempotency_key => 'once')").await;
    db.run(&format!("{emit}; {emit}; {publish}")).await;
    floor = look(floor).await;
    assert_eq!(floor.after(), 3, "4 and 5 are to appear");
    held.run("rollback").await;
    floor = look(floor).await;
    assert_eq!(floor.after(), 3, "5 is to appear");
    keyed.run("commit").await;
    floor = look(look(floor).await).await;
    assert_eq!(floor.after(), 4, "5 waits");
    db.run(publish).await;
    assert_eq!(look(look(floor).await).await.after(), 7);
}

#[tokio::test]
async fn a_transaction_has_its_number_before_it_takes_an_id() {
    let db = database().await;
    let mut session = Session::open(&db.url).await;
    session.run("begin; select wasaga.task_out_next_id()").await;
    let number = "select (pg_current_xact_id_if_assigned() is not null)::text";
    assert_eq!(session.texts(number).await, [Some("true".to_owned())]);
}
