//! A wait and a message meet in one row, whichever comes first.

use sqlx::error::DatabaseError;
use wasaga_domain::{
    mail::{Audit, MailContent, Verb},
    state::Status,
};
use wasaga_store::{
    StoreError,
    commit::{RegisteredWait, Verdict},
};

use crate::stage::{Stage, TOPIC, deliver, ending, waiting};

const WAITING: &str = "select count(*) from wasaga.waits where saga_id is not null";
const READY: &str = "select count(*) from wasaga.sagas where ready_at is not null";
const LEASED: &str = "select count(*) from wasaga.sagas where host_id is not null";
const EARLY: &str = "select coalesce(sum(cardinality(arrived_keys)), 0)::bigint from wasaga.waits";

fn keys(keys: &str) -> Vec<String> {
    keys.split(' ').map(String::from).collect()
}

#[tokio::test]
async fn a_message_wakes_who_waits_for_it() {
    let stage = Stage::new().await;
    let saga = stage.parked("a").await;
    assert_eq!((stage.number(WAITING).await, stage.number(LEASED).await), (1, 0));
    let woken = deliver(&mut stage.connect().await, &keys("other a")).await.unwrap();
    assert_eq!(woken, [saga.0]);
    assert_eq!((stage.number(WAITING).await, stage.number(READY).await), (0, 1));
    let mail = &stage.store().mail_load(&[(saga, 0)]).await.unwrap()[&saga];
    let MailContent::Reply { step, correlation, message } = &mail[0].content else {
        panic!("{mail:?}")
    };
    assert_eq!((*step, correlation.as_str(), message.topic.as_str()), (0, "a", TOPIC));
    assert_eq!(message.value.as_deref(), Some(&b"yes"[..]));
}

#[tokio::test]
async fn an_early_message_meets_the_wait_and_the_saga_stays_leased() {
    let stage = Stage::new().await;
    deliver(&mut stage.connect().await, &keys("a")).await.unwrap();
    let saga = stage.saga().await;
    let verdict = stage.commit(&waiting(saga, "a")).await.unwrap();
    assert_eq!(verdict, Verdict::Committed { mail: 1 });
    let rows = "select (select count(*) from wasaga.waits) + (select count(*) from wasaga.timers)";
    assert_eq!(stage.number(rows).await, 0);
    assert_eq!((stage.number(LEASED).await, stage.number(READY).await), (1, 0));
}

#[tokio::test]
async fn early_messages_queue() {
    let stage = Stage::new().await;
    deliver(&mut stage.connect().await, &keys("a a a")).await.unwrap();
    assert_eq!(stage.number(EARLY).await, 3);
    let sagas = stage.sagas(2).await;
    for (saga, left) in sagas.into_iter().zip([2, 1]) {
        let verdict = stage.commit(&waiting(saga, "a")).await.unwrap();
        assert_eq!(verdict, Verdict::Committed { mail: 1 });
        assert_eq!(stage.number(EARLY).await, left);
    }
}

#[tokio::test]
async fn the_second_of_two_messages_is_kept() {
    let stage = Stage::new().await;
    stage.parked("a").await;
    deliver(&mut stage.connect().await, &keys("a a")).await.unwrap();
    assert_eq!(stage.number("select mail from wasaga.sagas").await, 1);
    assert_eq!(stage.number(EARLY).await, 1);
}

#[tokio::test]
async fn a_wait_with_two_sources_ends_with_the_first_and_leaves_none() {
    let stage = Stage::new().await;
    deliver(&mut stage.connect().await, &keys("z")).await.unwrap();
    let saga = stage.saga().await;
    let mut transition = waiting(saga, "a");
    transition
        .waits
        .push(RegisteredWait { correlation: "z".into(), ..transition.waits[0].clone() });
    let verdict = stage.commit(&transition).await.unwrap();
    assert_eq!(verdict, Verdict::Committed { mail: 1 });
    assert_eq!(stage.number("select count(*) from wasaga.waits").await, 0);
}

#[tokio::test]
async fn a_saga_that_goes_on_waits_no_more() {
    let stage = Stage::new().await;
    let saga = stage.parked("a").await;
    stage.store().saga_ask(saga, &Verb::Cancel, &Audit::because("changed my mind")).await.unwrap();
    let claimed = stage.store().sagas_claim_ready(stage.host, 1).await.unwrap();
    let mut end = ending(saga);
    (end.epoch, end.sequence, end.seen, end.clears) = (claimed[0].epoch, 1, 1, true);
    end.status = Status::Failed;
    stage.commit(&end).await.unwrap();
    assert_eq!(stage.number(WAITING).await, 0);
    assert!(deliver(&mut stage.connect().await, &keys("a")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_saga_that_waits_on_may_register_again() {
    let stage = Stage::new().await;
    let saga = stage.parked("a").await;
    stage.store().saga_ask(saga, &Verb::Resume, &Audit::because("now")).await.unwrap();
    let claimed = stage.store().sagas_claim_ready(stage.host, 1).await.unwrap();
    let mut again = waiting(saga, "a");
    (again.epoch, again.sequence, again.seen, again.clears) = (claimed[0].epoch, 1, 1, true);
    assert_eq!(stage.commit(&again).await.unwrap(), Verdict::Committed { mail: 1 });
    assert_eq!(stage.number(WAITING).await, 1);
    assert_eq!(deliver(&mut stage.connect().await, &keys("a")).await.unwrap(), [saga.0]);
}

#[tokio::test]
async fn a_second_waiter_is_refused_and_the_first_is_met() {
    let stage = Stage::new().await;
    let sagas = stage.sagas(2).await;
    stage.commit(&waiting(sagas[0], "a")).await.unwrap();
    let refused = stage.commit(&waiting(sagas[1], "a")).await;
    let Err(StoreError::Data(reason)) = refused else { panic!("{refused:?}") };
    let code = reason.as_database_error().and_then(DatabaseError::code);
    assert_eq!(code.as_deref(), Some("23505"), "{reason}");
    assert_eq!((stage.number(WAITING).await, stage.number(LEASED).await), (1, 1));
    assert_eq!(deliver(&mut stage.connect().await, &keys("a")).await.unwrap(), [sagas[0].0]);
    // Nobody waits any more: now it may.
    let verdict = stage.commit(&waiting(sagas[1], "a")).await.unwrap();
    assert_eq!(verdict, Verdict::Committed { mail: 0 });
    assert_eq!(deliver(&mut stage.connect().await, &keys("a")).await.unwrap(), [sagas[1].0]);
}
