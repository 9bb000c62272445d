//! The one commit: each transition stands or falls by itself.

use std::time::Duration;

use uuid::Uuid;
use wasaga_domain::{
    ids::SagaId,
    journal::EntryKind,
    mail::{Audit, Verb},
    message::{Header, Message, Outgoing},
    outcome::Effect,
    start::NewSaga,
    state::Status,
};
use wasaga_store::{
    commit::{KeyedEffect, Transition, Verdict},
    mail::Posted,
};

use crate::stage::{Stage, command, ending, entry, new_saga, step, waiting};

const COMMITTED: Verdict = Verdict::Committed { mail: 0 };

#[tokio::test]
async fn a_lost_epoch_drops_its_own_transition_only() {
    let stage = Stage::new().await;
    let sagas = stage.sagas(3).await;
    let mut transitions: Vec<_> = sagas.iter().map(|saga| step(*saga)).collect();
    transitions[1].epoch = 9;
    let verdicts = stage.store().sagas_commit(stage.host, &transitions).await.unwrap();
    assert_eq!(verdicts, [COMMITTED, Verdict::Lost, COMMITTED]);
    assert_eq!(stage.number("select count(*) from wasaga.journal").await, 2);
}

#[tokio::test]
async fn a_wrong_sequence_and_an_unknown_saga_are_lost() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    assert_eq!(stage.commit(&step(saga)).await.unwrap(), COMMITTED);
    assert_eq!(stage.commit(&step(saga)).await.unwrap(), Verdict::Lost, "it is committed already");
    let mut ahead = step(saga);
    ahead.sequence = 2;
    assert_eq!(stage.commit(&ahead).await.unwrap(), Verdict::Lost);
    let unknown = step(SagaId::derived("test", "unknown"));
    assert_eq!(stage.commit(&unknown).await.unwrap(), Verdict::Lost);
}

#[tokio::test]
async fn answers_come_in_the_order_given() {
    let stage = Stage::new().await;
    let sagas = stage.sagas(40).await;
    let mut transitions: Vec<_> = sagas.iter().map(|saga| step(*saga)).collect();
    for transition in transitions.iter_mut().step_by(3) {
        transition.epoch = 9;
    }
    let verdicts = stage.store().sagas_commit(stage.host, &transitions).await.unwrap();
    for (place, verdict) in verdicts.into_iter().enumerate() {
        assert_eq!(verdict == Verdict::Lost, place.is_multiple_of(3), "{place}");
    }
}

#[tokio::test]
async fn who_settles_with_unseen_mail_is_refused_and_changes_nothing() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    stage.store().saga_ask(saga, &Verb::Cancel, &Audit::because("changed my mind")).await.unwrap();
    for mut transition in [ending(saga), waiting(saga, "a")] {
        assert_eq!(stage.commit(&transition).await.unwrap(), Verdict::Mail { mail: 1 });
        let rows =
            "select (select count(*) from wasaga.journal) + (select count(*) from wasaga.waits)";
        assert_eq!(stage.number(rows).await, 0);
        transition.seen = 1;
    }
    // Whoever goes on learns of it.
    assert_eq!(stage.commit(&step(saga)).await.unwrap(), Verdict::Committed { mail: 1 });
    let mut end = ending(saga);
    (end.seen, end.sequence) = (1, 1);
    assert_eq!(stage.commit(&end).await.unwrap(), Verdict::Committed { mail: 1 });
    let posted =
        stage.store().saga_ask(saga, &Verb::Cancel, &Audit::because("too late")).await.unwrap();
    assert_eq!(posted, Posted::Final(Status::Completed));
}

#[tokio::test]
async fn a_transition_may_have_no_entry_many_or_a_payload_of_any_bytes() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    let mut transition = step(saga);
    transition.entries.clear();
    assert_eq!(stage.commit(&transition).await.unwrap(), COMMITTED);
    transition.entries = vec![entry(EntryKind::Succeeded), entry(EntryKind::Completed)];
    transition.entries[0].entry.output.as_mut().unwrap().data = (&b"\0\xff"[..]).into();
    transition.entries[0].entry.undo = None;
    transition.entries[1].step = None;
    transition.entries[1].entry.output = None;
    assert_eq!(stage.commit(&transition).await.unwrap(), COMMITTED);
    let journal = stage.store().journal_list(saga).await.unwrap();
    let numbers: Vec<_> = journal.iter().map(|row| (row.number, row.step.is_some())).collect();
    assert_eq!(numbers, [(1, true), (2, false)]);
    assert_eq!(journal[0].output.as_ref().unwrap().data, &b"\0\xff"[..]);
    assert_eq!(journal[1].output, None);
    let empty =
        "select count(*) from wasaga.journal where undo is null and memo is null and error is null";
    assert_eq!(stage.number(empty).await, 2);
}

#[tokio::test]
async fn messages_keep_their_order_and_those_of_a_lost_transition_are_dropped() {
    let stage = Stage::new().await;
    let sagas = stage.sagas(3).await;
    let message = |n: usize| KeyedEffect {
        effect: Effect::Send(Outgoing {
            message: Message {
                topic: n.to_string(),
                key: (n > 0).then(|| (&b"\0k"[..]).into()),
                headers: vec![Header { name: "h".into(), value: (&b"\0"[..]).into() }],
                value: None,
            },
            rollback: None,
        }),
        idempotency_key: format!("key {n}"),
    };
    let mut transitions: Vec<_> = sagas.iter().map(|saga| step(*saga)).collect();
    for (n, transition) in transitions.iter_mut().enumerate() {
        transition.effects = vec![message(2 * n), message(2 * n + 1)];
    }
    transitions[1].epoch = 9;
    stage.store().sagas_commit(stage.host, &transitions).await.unwrap();
    let rows: Vec<(String, Option<Vec<u8>>, String)> =
        sqlx::query_as("select topic, key, idempotency_key from wasaga.task_out order by id")
            .fetch_all(&mut stage.connect().await)
            .await
            .unwrap();
    let topics: Vec<_> = rows.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(topics, ["0", "1", "4", "5"]);
    assert_eq!((rows[0].1.as_deref(), rows[1].1.as_deref()), (None, Some(&b"\0k"[..])));
    assert_eq!(rows[3].2, "key 5");
}

#[tokio::test]
async fn messages_carry_their_sagas_trace() {
    let stage = Stage::new().await;
    let trace = |n| format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333{n}-01");
    let sagas = [Some(trace(1)), None, Some(trace(2))]
        .map(|traceparent| NewSaga { traceparent, ..new_saga(&Uuid::new_v4().to_string()) });
    stage.store().sagas_start(stage.host, &sagas).await.unwrap();
    let transitions =
        sagas.each_ref().map(|saga| Transition { effects: vec![command()], ..step(saga.id) });
    stage.store().sagas_commit(stage.host, &transitions).await.unwrap();
    let sent: Vec<(Uuid, Option<String>)> =
        sqlx::query_as("select saga_id, traceparent from wasaga.task_out order by id")
            .fetch_all(&mut stage.connect().await)
            .await
            .unwrap();
    assert_eq!(sent, sagas.map(|saga| (saga.id.0, saga.traceparent)));
}

#[tokio::test]
async fn a_timer_follows_the_saga() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    let mut transition = step(saga);
    (transition.settles, transition.due) = (true, Some(Duration::from_mins(1)));
    stage.commit(&transition).await.unwrap();
    let seconds = "select extract(epoch from due_at - now())::bigint from wasaga.timers";
    assert!((55..=60).contains(&stage.number(seconds).await));
    stage.store().saga_ask(saga, &Verb::Resume, &Audit::because("now")).await.unwrap();
    let claimed = stage.store().sagas_claim_ready(stage.host, 1).await.unwrap();
    let mut end = ending(saga);
    (end.epoch, end.sequence, end.seen, end.clears) = (claimed[0].epoch, 1, 1, true);
    assert_eq!(stage.commit(&end).await.unwrap(), Verdict::Committed { mail: 1 });
    assert_eq!(stage.number("select count(*) from wasaga.timers").await, 0);
}

#[tokio::test]
async fn a_position_tells_what_became_of_a_commit() {
    let stage = Stage::new().await;
    let sagas = stage.sagas(2).await;
    stage.commit(&step(sagas[1])).await.unwrap();
    let unknown = SagaId::derived("test", "unknown");
    let asked = [sagas[1], unknown, sagas[0]];
    let positions = stage.store().sagas_position(&asked).await.unwrap();
    let sequences: Vec<_> = positions.iter().map(|position| position.map(|p| p.sequence)).collect();
    assert_eq!(sequences, [Some(1), None, Some(0)]);
    let position = positions[0].unwrap();
    assert_eq!((position.host, position.epoch, position.mail), (Some(stage.host), 1, 0));
}
