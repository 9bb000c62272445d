//! Ended sagas leave in batches, whoever calls and however often; and a key of one that left is not used twice.

use std::{slice, time::Duration};

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection};
use wasaga_domain::{
    ids::SagaId,
    mail::{Audit, Verb},
    outcome::{Effect, SagaStart},
    payload::Payload,
    state::Status,
};
use wasaga_store::{
    commit::{KeyedEffect, Verdict},
    mail::Posted,
    retention::{Retired, Retirement},
    saga_start::Started,
};

use crate::stage::{Stage, ending, entry, new_saga, step};

/// What ended more than a day ago goes to the archive, ten at a time.
fn archive() -> Retirement {
    Retirement {
        keep: Duration::from_hours(24),
        archive: true,
        batch: 10,
        tombstones: Duration::from_hours(1),
        every: Duration::from_mins(1),
    }
}

fn drop() -> Retirement {
    Retirement { archive: false, ..archive() }
}

impl Stage {
    /// Sagas "0" and on that have ended, each with a journal and mail, the last one half an hour ago, and each an hour
    /// after the one before.
    async fn ended(&self, count: usize) -> Vec<SagaId> {
        let sagas = self.sagas(count).await;
        for saga in &sagas {
            let by = Audit::because("changed my mind");
            self.store().saga_ask(*saga, &Verb::Resume, &by).await.unwrap();
            let mut end = ending(*saga);
            end.seen = 1;
            assert_eq!(self.commit(&end).await.unwrap(), Verdict::Committed { mail: 1 });
        }
        self.db
            .run(&format!(
                "update wasaga.sagas set created_at = ended_at - interval '1 minute', updated_at = ended_at
                 from (select id as ended_id, now() + interval '30 minutes'
                         - ({count} - business_key::int) * interval '1 hour' as ended_at
                     from wasaga.sagas where ended) times
                 where id = ended_id"
            ))
            .await;
        sagas
    }

    /// Removes at once, whenever the next batch is due.
    async fn retire(&self, how: &Retirement) -> Retired {
        self.db.run("update wasaga.retention set next_at = '-infinity'").await;
        self.store().sagas_retire(how).await.unwrap()
    }

    async fn column(&self, sql: &str) -> Vec<String> {
        self.db.texts(sql).await.into_iter().flatten().collect()
    }
}

#[tokio::test]
async fn the_oldest_go_first_and_what_is_young_or_runs_stays() {
    let stage = Stage::new().await;
    // 36 hours: "0" to "11" ended longer ago than a day.
    let sagas = stage.ended(36).await;
    stage.store().sagas_start(stage.host, &[new_saga("runs")]).await.unwrap();
    stage
        .db
        .run("update wasaga.sagas set created_at = '2020-01-01' where business_key = 'runs'")
        .await;
    let first = stage.retire(&archive()).await;
    assert_eq!((first.removed, first.is_over), (10, false));
    let archived = "select business_key from wasaga.archived_sagas order by ended_at";
    let keys: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(stage.column(archived).await, keys);
    let last = stage.retire(&archive()).await;
    assert_eq!((last.removed, last.is_over, last.wait), (2, true, archive().every));
    assert_eq!(stage.retire(&archive()).await.removed, 0);
    for (table, count) in [("sagas", 25), ("journal", 24), ("mail", 24)] {
        let left = format!("select count(*)::text from wasaga.{table}");
        assert_eq!(stage.column(&left).await, [count.to_string()], "{table}");
        let archived = format!("select count(*)::text from wasaga.archived_{table}");
        let expected = if table == "sagas" { 37 - count } else { 36 - count };
        assert_eq!(stage.column(&archived).await, [expected.to_string()], "{table}");
    }

    let saga = stage.store().saga_get(sagas[0]).await.unwrap().expect("it is in the archive");
    assert!(
        saga.archived && saga.status == Status::Completed && saga.input == Payload::json("\"0\"")
    );
    let journal = stage.store().journal_list(sagas[0]).await.unwrap();
    assert_eq!(journal[0].output, entry(wasaga_domain::journal::EntryKind::Succeeded).entry.output);
    let young = stage.store().saga_get(sagas[12]).await.unwrap().expect("it stays");
    assert!(!young.archived);
}

#[tokio::test]
async fn what_ran_long_is_passed_by_and_found_later() {
    let stage = Stage::new().await;
    stage.ended(30).await;
    stage
        .db
        .run(
            "update wasaga.sagas set created_at = now() - interval '3 days' + business_key::int * interval '1 minute',
                 updated_at = case when business_key in ('0', '1') then now() else now() - interval '2 days' end",
        )
        .await;
    assert_eq!(stage.retire(&archive()).await.removed, 10);
    let keys = "select business_key from wasaga.sagas order by business_key::int limit 3";
    assert_eq!(stage.column(keys).await, ["0", "1", "12"]);
    // Those behind the walk are for the next one.
    stage.db.run("update wasaga.sagas set updated_at = now() - interval '2 days'").await;
    assert_eq!(stage.retire(&archive()).await.removed, 10);
    let last = stage.retire(&archive()).await;
    assert_eq!((last.removed, last.is_over), (8, true));
    assert_eq!(stage.column(keys).await, ["0", "1"]);
    assert_eq!(stage.retire(&archive()).await.removed, 2);
}

#[tokio::test]
async fn one_host_removes_at_a_time_and_rests_between_batches() {
    let stage = Stage::new().await;
    stage.ended(60).await;
    let mut holder = stage.connect().await;
    let mut held = holder.begin().await.unwrap();
    let rest: i64 =
        sqlx::query_scalar("select wait_ms from wasaga.sagas_retire(0, true, 10, 0, 1000)")
            .fetch_one(&mut *held)
            .await
            .unwrap();
    assert!(rest > 0);
    let beside = stage.store().sagas_retire(&archive()).await.unwrap();
    assert_eq!(beside.removed, 0, "another host is at it");
    held.commit().await.unwrap();
    let rests = "select count(*) from wasaga.retention where next_at > '-infinity'";
    assert_eq!(stage.number(rests).await, 1);
    stage.db.run("update wasaga.retention set next_at = now() + interval '1 hour'").await;
    let early = stage.store().sagas_retire(&archive()).await.unwrap();
    assert_eq!((early.removed, early.wait), (0, archive().every));
    assert_eq!(stage.retire(&archive()).await.removed, 10);
}

#[tokio::test]
async fn whom_a_parent_waits_for_stays() {
    let stage = Stage::new().await;
    let sagas = stage.ended(30).await;
    let waits = format!("insert into wasaga.children values ('{}', gen_random_uuid())", sagas[0]);
    stage.db.run(&waits).await;
    assert_eq!(stage.retire(&drop()).await.removed, 5);
    assert!(stage.store().saga_get(sagas[0]).await.unwrap().is_some());
    stage.db.run("delete from wasaga.children").await;
    assert_eq!(stage.retire(&drop()).await.removed, 1);
}

#[tokio::test]
async fn old_months_of_the_archive_are_dropped() {
    let stage = Stage::new().await;
    stage.ended(30).await;
    stage.db.run("update wasaga.sagas set created_at = '2020-01-31', updated_at = '2020-01-31 23:30Z' where business_key = '0'").await;
    stage.retire(&archive()).await;
    let months = "select relname::text from pg_class where relname ~ '^archived_(sagas|journal|mail)_2020_..$' order by 1";
    assert_eq!(
        stage.column(months).await,
        ["archived_journal_2020_01", "archived_mail_2020_01", "archived_sagas_2020_01"]
    );
    let since_january: i64 = stage
        .number("select (extract(epoch from now() - '2020-01-31 12:00Z') * 1000)::bigint")
        .await;
    let keep = Duration::from_millis(since_january.cast_unsigned());
    assert_eq!(stage.store().archive_drop(keep).await.unwrap(), 0, "half of it is too young");
    assert_eq!(
        stage.store().archive_drop(keep.saturating_sub(Duration::from_hours(24))).await.unwrap(),
        1
    );
    assert!(stage.column(months).await.is_empty());
    assert!(stage.number("select count(*) from wasaga.archived_sagas").await > 0);
}

fn existing(same_input: bool) -> Started {
    Started::Existing { status: Status::Completed, same_input }
}

#[tokio::test]
async fn a_start_under_a_key_that_left_is_a_second_start() {
    let stage = Stage::new().await;
    let saga = stage.ended(30).await[0];
    stage.retire(&drop()).await;
    assert_eq!(stage.store().saga_get(saga).await.unwrap(), None);
    let tombstone = stage.store().tombstone_get(saga).await.unwrap().expect("it stands");
    assert_eq!(tombstone.status, Status::Completed);
    let by = Audit::because("too late");
    let posted = stage.store().saga_ask(saga, &Verb::Cancel, &by).await.unwrap();
    assert_eq!(posted, Posted::Final(Status::Completed));

    let (mut spaced, mut other) = (new_saga("0"), new_saga("0"));
    spaced.input = Payload::json(" \"0\"");
    other.input = Payload::json("\"1\"");
    let batch = [new_saga("0"), new_saga("new"), spaced, other];
    let started = stage.store().sagas_start(stage.host, &batch).await.unwrap();
    assert_eq!(started, [existing(true), Started::New, existing(true), existing(false)]);

    // Beyond the horizon the key starts anew, and that saga leaves in its turn.
    stage.db.run("update wasaga.tombstones set until = now()").await;
    let anew = stage.store().sagas_start(stage.host, &[new_saga("0")]).await.unwrap();
    assert_eq!(anew, [Started::New]);
    stage.commit(&ending(saga)).await.unwrap();
    stage.db.run("update wasaga.sagas set updated_at = now() - interval '2 days', created_at = now() - interval '3 days'").await;
    let all = Retirement { batch: 100, ..archive() };
    assert_eq!(stage.retire(&all).await.removed, 25);
    let again = stage.store().sagas_start(stage.host, &[new_saga("0")]).await.unwrap();
    assert_eq!(again, [existing(true)]);
    let graves = "select count(*) from wasaga.tombstones where until <= now()";
    assert_eq!(stage.number(graves).await, 0, "tombstones go too");
}

#[tokio::test]
async fn a_start_that_waits_for_the_removal_is_a_second_start() {
    let stage = Stage::new().await;
    stage.ended(30).await;
    let mut holder = stage.connect().await;
    let mut held = holder.begin().await.unwrap();
    sqlx::query("select * from wasaga.sagas_retire(0, false, 10, 60000, 1000)")
        .execute(&mut *held)
        .await
        .unwrap();
    let again = [new_saga("0")];
    let start = stage.store().sagas_start(stage.host, &again);
    let commit = async {
        stage.until_blocked(1).await;
        held.commit().await.unwrap();
    };
    let (started, ()) = tokio::join!(start, commit);
    let error = started.expect_err("it saw no tombstone when it began");
    assert!(error.is_transient(), "the driver tries it again: {error}");
    let started = stage.store().sagas_start(stage.host, &again).await.unwrap();
    assert_eq!(started, [existing(true)]);
    assert_eq!(stage.number("select count(*) from wasaga.sagas where business_key = '0'").await, 0);
}

/// A step of this saga starts that one as its child.
async fn starts_child(
    stage: &Stage,
    parent: SagaId,
    child: wasaga_domain::start::NewSaga,
) -> Result<Verdict, wasaga_store::StoreError> {
    let start = SagaStart { saga: child, child: Some("helper".into()) };
    let effect =
        KeyedEffect { effect: Effect::Start(Box::new(start)), idempotency_key: "key".into() };
    let mut transition = step(parent);
    transition.effects.push(effect);
    stage.commit(&transition).await
}

#[tokio::test]
async fn a_parent_hears_of_the_end_of_a_child_that_left() {
    let stage = Stage::new().await;
    stage.ended(30).await;
    stage.retire(&drop()).await;
    let parents = [new_saga("parent"), new_saga("other")];
    stage.store().sagas_start(stage.host, &parents).await.unwrap();
    let heard = starts_child(&stage, parents[0].id, new_saga("0")).await.unwrap();
    assert!(matches!(heard, Verdict::Committed { .. }), "{heard:?}");
    let mail =
        "select (content -> 'output' ->> 'data') || ' ' || (content ->> 'status') from wasaga.mail
        where kind = 'child'";
    // {} in base64.
    assert_eq!(stage.column(mail).await, ["e30= completed"]);
    let mut other = new_saga("0");
    other.input = Payload::json("1");
    let refused = starts_child(&stage, parents[1].id, other).await;
    let error = refused.expect_err("another input").to_string();
    assert!(error.contains("with another input"), "{error}");
    assert_eq!(stage.number("select count(*) from wasaga.sagas where business_key = '0'").await, 0);
}

/// As an active plugin leaves it.
const ACTIVE: &str = "
    insert into wasaga.modules (digest, plugin, version, manifest, bytes)
    values (sha256('x'), 'worker', '1', '{\"sagas\": [{\"name\": \"test\", \"version\": 1}]}', '');
    insert into wasaga.activations (plugin, digest) values ('worker', sha256('x'))";

#[tokio::test]
async fn applications_meet_tombstones_too() {
    let stage = Stage::new().await;
    stage.db.run(ACTIVE).await;
    let saga = stage.ended(30).await[0];
    stage.retire(&drop()).await;
    let ask = async |call: &str| {
        let asked = sqlx::query_scalar(AssertSqlSafe(format!("select wasaga.{call}")));
        asked.fetch_one(&mut stage.connect().await).await.map_err(|error| error.to_string())
    };
    assert_eq!(ask("start_saga('test', '0', '\"0\"')").await, Ok(saga.0));
    for (call, said) in [
        ("start_saga('test', '0', '{}')", "with another input"),
        ("signal_saga('test', '0', 'go', '{}')", "is completed, which is final"),
        ("signal_saga('test', 'nobody', 'go', '{}')", "there is no saga"),
        ("signal_saga('test', '29', '', '{}')", "1 to 1000 characters"),
        ("signal_saga('test', '29', 'go', null)", "is null"),
    ] {
        let refused = ask(call).await.expect_err(call);
        assert!(refused.contains(said), "{call}: {refused}");
    }
    assert_eq!(stage.number("select count(*) from wasaga.sagas where business_key = '0'").await, 0);
}

#[tokio::test]
async fn a_signal_by_sql_is_the_one_of_the_api() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    stage
        .store()
        .saga_signal(saga, "go", &Payload::json(json!({ "n": 1 }).to_string()))
        .await
        .unwrap();
    stage
        .db
        .run(&format!(
            "begin; select wasaga.signal_saga('{saga}', 'go', '{{\"n\":1}}'); rollback;
             select wasaga.signal_saga('{saga}', 'go', '{{\"n\":1}}');
             select wasaga.signal_saga('test', '0', 'go', '{{\"n\":1}}');"
        ))
        .await;
    let mail = stage.store().mail_load(&[(saga, 0)]).await.unwrap().remove(&saga).unwrap();
    let said: Vec<_> = mail.iter().map(|mail| format!("{:?}", mail.content)).collect();
    assert_eq!(said.len(), 3);
    assert_eq!(said[1], said[2]);
    let wasaga_domain::mail::MailContent::Signal { name, payload } = &mail[1].content else {
        panic!("{said:?}");
    };
    assert_eq!((name.as_str(), payload), ("go", &Payload::json(r#"{"n": 1}"#)));
    assert_eq!(slice::from_ref(&mail[2].number), [3]);
}
