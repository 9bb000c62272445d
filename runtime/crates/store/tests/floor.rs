//! The floor of the outbox on real Postgres: it rises behind what was published, and never past what is still to appear.

use std::time::{Duration, Instant};

use wasaga_store::{
    task_out_floor::Floor,
    testing::{TestDatabase, database},
    testing_sql::Session,
};

/// As it is after some looks.
async fn looked(db: &TestDatabase, mut floor: Floor) -> Floor {
    for _ in 0..5 {
        floor = db.store.task_out_floor(floor).await.expect("a floor");
    }
    floor
}

/// Waits until it has risen: transactions of other databases hold it down too.
async fn risen(db: &TestDatabase, mut floor: Floor, to: i64) -> Floor {
    let until = Instant::now() + Duration::from_secs(20);
    while floor.after() < to {
        assert!(Instant::now() < until, "{floor:?} does not rise to {to}");
        floor = looked(db, floor).await;
    }
    assert_eq!(floor.after(), to);
    floor
}

#[tokio::test]
async fn it_rises_with_what_was_published_and_waits_for_open_transactions() {
    let db = database().await;
    let emit = "select wasaga.emit('t', 'k')";
    let publish = "update wasaga.task_out set status = 'ready', finished_at = now()";
    let floor = looked(&db, Floor::default()).await;
    assert_eq!(floor.after(), 0, "no id was taken yet");
    db.run(&format!("{emit}; {emit}; {emit}")).await;
    let floor = looked(&db, floor).await;
    assert_eq!(floor.after(), 0, "the first waits");
    db.run(publish).await;
    let floor = risen(&db, floor, 3).await;

    let (mut held, mut keyed) = (Session::open(&db.url).await, Session::open(&db.url).await);
    held.run("begin; insert into wasaga.task_out (topic) values ('t')").await;
    keyed.run("begin; select wasaga.emit('t', idempotency_key => 'once')").await;
    db.run(&format!("{emit}; {emit}; {publish}")).await;
    let floor = looked(&db, floor).await;
    assert_eq!(floor.after(), 3, "4 and 5 are to appear");
    held.run("rollback").await;
    let floor = looked(&db, floor).await;
    assert_eq!(floor.after(), 3, "5 is to appear");
    keyed.run("commit").await;
    let floor = risen(&db, floor, 4).await;
    db.run(publish).await;
    risen(&db, floor, 7).await;
}

#[tokio::test]
async fn that_of_handle_out_waits_for_what_a_plugin_has_yet_to_see() {
    let db = database().await;
    let topics = ["seen".to_owned()];
    for topic in ["other", "seen", "other", "seen"] {
        db.run(&format!("select wasaga.emit('{topic}', 'k')")).await;
    }
    let (mut floor, begun) = (Floor::default(), Instant::now());
    for (handled, to) in [(0, 1), (2, 3), (4, 4)] {
        db.run(&format!("update wasaga.task_out set handled = true where id = {handled}")).await;
        while floor.after() < to {
            assert!(begun.elapsed() < Duration::from_secs(20), "{floor:?} does not rise to {to}");
            floor = db.store.handle_out_floor(floor, &topics).await.expect("a floor");
        }
        for _ in 0..5 {
            floor = db.store.handle_out_floor(floor, &topics).await.expect("a floor");
        }
        assert_eq!(floor.after(), to);
    }
}

/// Red at once on a server with nothing else to do, where a snapshot ends with what has ended last.
#[tokio::test]
async fn a_transaction_that_no_other_followed_holds_it_down() {
    let db = database().await;
    let mut floor = Floor::default();
    for id in 1..=20 {
        let mut held = Session::open(&db.url).await;
        held.run("begin; select wasaga.emit('t', 'k')").await;
        floor = looked(&db, floor).await;
        assert!(floor.after() < id, "{floor:?}: {id} is to appear");
        held.run("commit").await;
        db.run("update wasaga.task_out set status = 'ready', finished_at = now()").await;
    }
}

#[tokio::test]
async fn a_transaction_has_its_number_before_it_takes_an_id() {
    let db = database().await;
    // The first id of a sequence is logged, and gives a number to whoever takes it.
    db.run("select wasaga.task_out_next_id()").await;
    let mut session = Session::open(&db.url).await;
    session.run("begin; select wasaga.task_out_next_id()").await;
    let number = "select (pg_current_xact_id_if_assigned() is not null)::text";
    assert_eq!(session.texts(number).await, [Some("true".to_owned())]);
}
