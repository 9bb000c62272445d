//! Leases: who is claimed, by whom, and what a host without one can do: nothing.

use std::time::Duration;

use sqlx::Connection;
use wasaga_domain::{
    ids::HostId,
    mail::{Audit, Verb},
};
use wasaga_store::{commit::Verdict, saga_claim::Claimed};

use crate::stage::{LEASE, Stage, deliver, ending, step, waiting};

async fn lost(stage: &Stage, host: HostId) -> Vec<Claimed> {
    stage.store().sagas_claim_lost(host, 10).await.unwrap()
}

#[tokio::test]
async fn a_lost_hosts_sagas_are_claimed_with_their_interruptions() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    assert!(lost(&stage, stage.host).await.is_empty(), "its host lives");
    for times in 1..=3 {
        let dead = if times == 1 { stage.host } else { HostId(stage.host.0 + times - 1) };
        stage.store().host_leave(dead).await.unwrap();
        let next = stage.store().host_register("next", "0", LEASE).await.unwrap();
        assert_eq!(next.0, stage.host.0 + times);
        let claimed = lost(&stage, next).await;
        assert_eq!(claimed.len(), 1);
        assert_eq!((claimed[0].id, claimed[0].epoch), (saga, times + 1));
        assert_eq!(i64::from(claimed[0].interruptions), times);
    }
}

#[tokio::test]
async fn a_commit_ends_the_row_of_interruptions() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    stage.store().host_leave(stage.host).await.unwrap();
    let next = stage.store().host_register("next", "0", LEASE).await.unwrap();
    lost(&stage, next).await;
    let mut transition = step(saga);
    transition.epoch = 2;
    stage.store().sagas_commit(next, &[transition]).await.unwrap();
    assert_eq!(stage.number("select interruptions::bigint from wasaga.sagas").await, 0);
}

#[tokio::test]
async fn a_released_saga_is_ready_without_an_interruption() {
    let stage = Stage::new().await;
    let sagas = stage.sagas(2).await;
    // The second lease is not this epoch's.
    let leases = [(sagas[0], 1), (sagas[1], 7)];
    assert_eq!(stage.store().sagas_release(stage.host, &leases).await.unwrap(), 1);
    let claimed = stage.store().sagas_claim_ready(stage.host, 10).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].id, claimed[0].epoch, claimed[0].interruptions), (sagas[0], 2, 0));
}

#[tokio::test]
async fn claims_skip_what_another_is_claiming() {
    let stage = Stage::new().await;
    let sagas = stage.sagas(3).await;
    let leases: Vec<_> = sagas.iter().map(|saga| (*saga, 1)).collect();
    stage.store().sagas_release(stage.host, &leases).await.unwrap();
    let mut other = stage.connect().await;
    let mut held = other.begin().await.unwrap();
    sqlx::query("select from wasaga.sagas where id = $1 for no key update")
        .bind(sagas[1].0)
        .execute(&mut *held)
        .await
        .unwrap();
    let claimed = stage.store().sagas_claim_ready(stage.host, 10).await.unwrap();
    assert_eq!(claimed.len(), 2);
    held.rollback().await.unwrap();
    let claimed = stage.store().sagas_claim_ready(stage.host, 10).await.unwrap();
    assert_eq!(claimed[0].id, sagas[1]);
}

#[tokio::test]
async fn a_claim_takes_no_more_than_its_limit_and_the_longest_ready_first() {
    let stage = Stage::new().await;
    let sagas = stage.sagas(3).await;
    for saga in &sagas {
        stage.store().sagas_release(stage.host, &[(*saga, 1)]).await.unwrap();
    }
    let claimed = stage.store().sagas_claim_ready(stage.host, 2).await.unwrap();
    let mut ids: Vec<_> = claimed.iter().map(|saga| saga.id).collect();
    ids.sort();
    let mut first = sagas[..2].to_vec();
    first.sort();
    assert_eq!(ids, first);
}

#[tokio::test]
async fn of_many_sagas_a_host_leaves_the_others_theirs() {
    let stage = Stage::new().await;
    let sagas = stage.sagas(400).await;
    let leases: Vec<_> = sagas.into_iter().map(|saga| (saga, 1)).collect();
    stage.store().sagas_release(stage.host, &leases).await.unwrap();
    let other = stage.store().host_register("other", "0", LEASE).await.unwrap();
    let ready = async |host| stage.store().sagas_claim_ready(host, 512).await.unwrap().len();
    assert_eq!(ready(stage.host).await, 200, "half of them");
    assert_eq!(ready(other).await, 128, "never less than a few");

    // Whoever is left takes what the other had.
    stage.store().host_leave(stage.host).await.unwrap();
    assert_eq!(stage.store().sagas_claim_lost(other, 512).await.unwrap().len(), 200);
    assert_eq!(ready(other).await, 72);
}

#[tokio::test]
async fn a_saga_is_due_when_its_time_has_come() {
    let stage = Stage::new().await;
    let saga = stage.parked("a").await;
    assert!(stage.store().sagas_claim_due(stage.host, 10).await.unwrap().is_empty());
    sqlx::query("update wasaga.timers set due_at = now()")
        .execute(&mut stage.connect().await)
        .await
        .unwrap();
    let claimed = stage.store().sagas_claim_due(stage.host, 10).await.unwrap();
    assert_eq!((claimed[0].id, claimed[0].epoch, claimed[0].sequence), (saga, 2, 1));
    assert!(
        stage.store().sagas_claim_due(stage.host, 10).await.unwrap().is_empty(),
        "it is leased"
    );
}

#[tokio::test]
async fn what_is_put_off_is_due_later() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    stage.store().sagas_put_off(stage.host, &[(saga, 1)]).await.unwrap();
    assert!(stage.store().sagas_claim_ready(stage.host, 10).await.unwrap().is_empty());
    let seconds = "select extract(epoch from due_at - now())::bigint from wasaga.timers";
    assert!((25..=30).contains(&stage.number(seconds).await));
}

#[tokio::test]
async fn a_host_without_a_lease_claims_nothing() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    stage.store().sagas_release(stage.host, &[(saga, 1)]).await.unwrap();
    let ended = stage.store().host_register("ended", "0", Duration::ZERO).await.unwrap();
    assert!(
        !stage.store().host_beat(ended, LEASE).await.unwrap(),
        "an ended lease is not prolonged"
    );
    assert!(stage.store().sagas_claim_ready(ended, 10).await.unwrap().is_empty());
    assert!(stage.store().sagas_claim_lost(ended, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_frozen_host_commits_nothing_after_another_took_over() {
    let stage = Stage::new().await;
    let sagas = stage.sagas(3).await;
    stage.store().host_leave(stage.host).await.unwrap();
    let next = stage.store().host_register("next", "0", LEASE).await.unwrap();
    assert_eq!(lost(&stage, next).await.len(), 3);
    let old = [step(sagas[0]), waiting(sagas[1], "a"), ending(sagas[2])];
    let verdicts = stage.store().sagas_commit(stage.host, &old).await.unwrap();
    assert_eq!(verdicts, [Verdict::Lost; 3]);
    let rows = "select (select count(*) from wasaga.journal) + (select count(*) from wasaga.waits)
        + (select count(*) from wasaga.timers)";
    assert_eq!(stage.number(rows).await, 0);
    // Nor with the epoch of the one that took over.
    let mut stolen = step(sagas[0]);
    stolen.epoch = 2;
    let verdicts = stage.store().sagas_commit(stage.host, &[stolen]).await.unwrap();
    assert_eq!(verdicts, [Verdict::Lost]);
}

#[tokio::test]
async fn a_claimed_saga_comes_with_its_mail_and_ledger() {
    let stage = Stage::new().await;
    let saga = stage.parked("a").await;
    deliver(&mut stage.connect().await, &["a".into()]).await.unwrap();
    stage.store().saga_ask(saga, &Verb::Resume, &Audit::because("now")).await.unwrap();
    let claimed = stage.store().sagas_claim_ready(stage.host, 10).await.unwrap();
    assert_eq!((claimed[0].mail, claimed[0].sequence), (2, 1));
    let mut mail = stage.store().mail_load(&[(saga, 0)]).await.unwrap();
    let numbers: Vec<_> = mail.remove(&saga).unwrap().iter().map(|mail| mail.number).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(stage.store().mail_load(&[(saga, 1)]).await.unwrap()[&saga].len(), 1);
    let ledger = stage.store().ledger_load(&[saga]).await.unwrap();
    assert_eq!((ledger.len(), ledger[0].step.as_str(), ledger[0].forward), (1, "a", true));
}
