//! Sagas are found by what they are, newest first, at a bounded cost a page; and a step pays nothing for it.

use serde_json::json;
use sqlx::Connection;
use wasaga_domain::{
    ids::SagaId,
    mail::{Audit, Verb},
    search::SagaFilter,
};
use wasaga_store::saga_search::{Cursor, LOOKS, Page};

use crate::stage::Stage;

/// Sagas that nobody holds: so many, each an hour older than the one before, with `n` from 0 in its input.
async fn parked(stage: &Stage, count: i64) {
    stage
        .db
        .run(&format!(
            "insert into wasaga.sagas (id, definition, version, business_key, nonce, input_type, input, epoch, status,
                 state, created_at)
             select gen_random_uuid(), 'order', 1, 'key-' || n, 0, 'application/json',
                 convert_to(json_build_object('n', n, 'customer', json_build_object('id', 'c-' || n))::text, 'UTF8'),
                 0, 'waiting', '{{\"course\": \"forward\"}}', now() - n * interval '1 hour'
             from generate_series(0, {count} - 1) n"
        ))
        .await;
}

fn filter(conditions: &[(&str, &str)]) -> SagaFilter {
    let mut filter = SagaFilter::default();
    for (name, value) in conditions {
        assert_eq!(filter.take(name, value), Ok(true), "{name}");
    }
    filter
}

async fn page(stage: &Stage, filter: &SagaFilter, after: Option<Cursor>, limit: usize) -> Page {
    stage.store().sagas_search(filter, after, limit).await.unwrap()
}

/// The business keys of the sagas that fit, from all pages.
async fn found(stage: &Stage, conditions: &[(&str, &str)]) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = page(stage, &filter(conditions), after, 3).await;
        found.extend(page.sagas.into_iter().filter_map(|saga| saga.business_key));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn pages_follow_each_other_newest_first_and_miss_nothing() {
    let stage = Stage::new().await;
    parked(&stage, 10).await;
    // Two of one time, and two that have ended, stand in their places too.
    stage
        .db
        .run(
            "update wasaga.sagas set created_at = (select created_at from wasaga.sagas where business_key = 'key-4')
             where business_key in ('key-3', 'key-5');
             update wasaga.sagas set status = 'completed' where business_key in ('key-2', 'key-3')",
        )
        .await;
    let mut all = found(&stage, &[]).await;
    all[3..6].sort();
    let keys: Vec<_> = (0..10).map(|n| format!("key-{n}")).collect();
    assert_eq!(all, keys);
    let first = page(&stage, &SagaFilter::default(), None, 10).await;
    assert_eq!((first.sagas.len(), first.next), (10, None));
    let cursor = page(&stage, &SagaFilter::default(), None, 3).await.next.unwrap();
    assert_eq!(cursor.to_string().parse(), Ok(cursor));
}

#[tokio::test]
async fn each_condition_holds() {
    let stage = Stage::new().await;
    parked(&stage, 4).await;
    stage
        .db
        .run(
            "update wasaga.sagas set status = 'completed' where business_key = 'key-0';
             update wasaga.sagas set status = 'needs_attention' where business_key = 'key-1';
             update wasaga.sagas set definition = 'refund', input = '\\x00', input_type = 'text/plain'
             where business_key = 'key-2';
             update wasaga.sagas set input = 'no JSON' where business_key = 'key-0'",
        )
        .await;
    assert_eq!(found(&stage, &[("definition", "refund")]).await, ["key-2"]);
    assert_eq!(found(&stage, &[("status", "completed")]).await, ["key-0"]);
    assert_eq!(found(&stage, &[("status", "needs_attention")]).await, ["key-1"]);
    assert_eq!(found(&stage, &[("status", "waiting")]).await, ["key-2", "key-3"]);
    assert_eq!(
        found(&stage, &[("status", "completed,waiting")]).await,
        ["key-0", "key-2", "key-3"]
    );
    assert_eq!(found(&stage, &[("older_than", "90m")]).await, ["key-2", "key-3"]);
    assert_eq!(found(&stage, &[("older_than", "109500d")]).await, [""; 0]);
    assert_eq!(found(&stage, &[("input./n", "3")]).await, ["key-3"]);
    assert_eq!(found(&stage, &[("input./n", "3.0")]).await, ["key-3"]);
    assert_eq!(found(&stage, &[("input./customer/id", "c-1")]).await, ["key-1"]);
    assert_eq!(found(&stage, &[("input./n", "1"), ("input./customer/id", "c-3")]).await, [""; 0]);
}

#[tokio::test]
async fn a_saga_is_found_by_what_it_runs_for_and_by_the_step_it_works_on() {
    let stage = Stage::new().await;
    let sagas = stage.sagas(3).await;
    let content = json!({ "steps": [{ "name": "reserve" }, { "name": "pay" }] });
    stage
        .db
        .run(&format!(
            "insert into wasaga.modules (digest, plugin, version, manifest, bytes)
             values (sha256('m'), 'p', '1', '{{}}', '');
             insert into wasaga.definitions (name, version, plugin, content, digest)
             values ('test', 1, 'p', '{content}', sha256('m'));
             update wasaga.sagas set state = jsonb_set(state, '{{open,0,step}}', '1') where id = '{}'",
            sagas[2]
        ))
        .await;
    assert_eq!(found(&stage, &[("business_key", "1")]).await, ["1"]);
    assert_eq!(found(&stage, &[("business_key", "1"), ("definition", "test")]).await, ["1"]);
    assert_eq!(found(&stage, &[("business_key", "1"), ("definition", "other")]).await, [""; 0]);
    assert_eq!(found(&stage, &[("business_key", "1"), ("status", "waiting")]).await, [""; 0]);
    assert_eq!(found(&stage, &[("step", "pay")]).await, ["2"]);
    assert_eq!(found(&stage, &[("step", "reserve")]).await.len(), 2);
    assert_eq!(page(&stage, &filter(&[("step", "pay")]), None, 1).await.sagas[0].steps[1], "pay");
}

#[tokio::test]
async fn a_page_looks_at_a_bounded_number_of_sagas_and_the_next_goes_on_there() {
    let stage = Stage::new().await;
    parked(&stage, LOOKS + 100).await;
    let last = LOOKS.to_string();
    let filter = filter(&[("input./n", &last)]);
    let first = page(&stage, &filter, None, 5).await;
    assert_eq!(first.sagas, [], "it looked at more than it may");
    let second = page(&stage, &filter, first.next, 5).await;
    assert_eq!(second.sagas[0].business_key.as_deref(), Some(&*format!("key-{last}")));
    assert_eq!(second.next, None);
}

#[tokio::test]
async fn a_step_stays_one_hot_update_also_where_the_status_changes() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    let mut connection = stage.connect().await;
    let mut step = connection.begin().await.unwrap();
    for status in ["running", "waiting", "compensating"] {
        sqlx::query(
            "update wasaga.sagas set sequence = sequence + 1, status = $2, state = state, updated_at = now(),
                 interruptions = 0
             where id = $1",
        )
        .bind(saga.0)
        .bind(status)
        .execute(&mut *step)
        .await
        .unwrap();
    }
    let hot: i64 =
        sqlx::query_scalar("select pg_stat_get_xact_tuples_hot_updated('wasaga.sagas'::regclass)")
            .fetch_one(&mut *step)
            .await
            .unwrap();
    assert_eq!(hot, 3, "an index covers what a step changes");
}

#[tokio::test]
async fn many_sagas_are_asked_at_once_and_those_at_their_end_are_not() {
    let stage = Stage::new().await;
    let sagas = stage.sagas(4).await;
    stage
        .db
        .run(&format!(
            "update wasaga.sagas set status = 'completed', host_id = null where id = '{}';
             update wasaga.sagas set state = state || '{{\"pivoted\": true}}' where id = '{}'",
            sagas[0], sagas[1]
        ))
        .await;
    let by = Audit::because("the warehouse burns");
    let mut cancelled = stage.store().sagas_ask(&sagas, &Verb::Cancel, &by).await.unwrap();
    cancelled.sort();
    let mut expected: Vec<SagaId> = sagas[2..].to_vec();
    expected.sort();
    assert_eq!(cancelled, expected);
    assert_eq!(stage.store().sagas_ask(&sagas, &Verb::Pause, &by).await.unwrap().len(), 3);
    assert_eq!(stage.number("select count(*) from wasaga.mail").await, 5);
    assert_eq!(stage.number("select sum(mail)::bigint from wasaga.sagas").await, 5);
}
