//! The other flows in whose tasks a plugin takes part: dead letters, and messages on their way out.

use std::time::Duration;

use bytes::Bytes;
use wasaga_domain::{
    dead_letter::{LetterFlow, LetterVerb},
    ids::HostId,
    mail::Audit,
    message::{Message, Outgoing},
    outcome::{Effect, ErrorDetail, Failure},
    ports::{TaskCall, TaskKind},
};
use wasaga_store::{
    dead_letter_edit::{Change, LetterEdit},
    lanes::{Flow, Lane},
    task_out::{Excluded, Leased},
};

use super::{Host, World};

const MINUTE: Duration = Duration::from_mins(1);

fn retryable() -> Failure {
    Failure::Retryable { detail: ErrorDetail::new("busy", "try again"), after: None }
}

/// A letter of each of these values, given up on its way in.
async fn dead_in(world: &World, topic: &str, values: &[&str]) {
    for value in values {
        world
            .run(&format!(
                "insert into wasaga.dead_letter_in (task_id, lane, reason, attempts, cluster, topic, partition,
                     \"offset\", headers, value)
                 values (1, 7, '{{\"code\": \"trap\", \"message\": \"m\"}}', 10, 'c', '{topic}', 0, 5, '[]', '{value}')"
            ))
            .await;
    }
}

async fn dead_out(world: &World, values: &[&str]) {
    for value in values {
        world
            .run(&format!(
                "insert into wasaga.dead_letter_out (task_id, reason, attempts, message_id, idempotency_key, topic,
                     headers, value)
                 values (1, '{{\"code\": \"kafka-unknown-topic\", \"message\": \"m\"}}', 10, gen_random_uuid(), 'i-1',
                     'lost', '[]', '{value}')"
            ))
            .await;
    }
}

#[tokio::test]
async fn a_dead_letter_goes_to_the_plugin_that_names_its_topic() {
    let world = World::new().await;
    dead_in(&world, "sick", &["cure"]).await;
    dead_in(&world, "unnamed", &["cure"]).await;
    let host = Host::start(&world).await;
    world
        .until(
            "select bool_and((ending = 'handled' and finished_at is not null) = (topic = 'sick'))
            from wasaga.dead_letter_in",
        )
        .await;
    // Handling it is another thing than doing it: whoever is called must not take the one for the other.
    world
        .until(
            "select count(*) = 1 from wasaga.task_out where idempotency_key = 'c/sick/0/5/dead/0'",
        )
        .await;
    let calls = host.plugin.calls();
    let [call] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!(call.kind, TaskKind::DeadIn(ErrorDetail::new("trap", "m")));
    assert_eq!((call.attempt, &*call.idempotency_key), (1, "c/sick/0/5/dead"));
    host.stop().await;
}

#[tokio::test]
async fn a_letter_on_which_its_plugin_fails_waits_for_an_operator() {
    let world = World::new().await;
    let host = Host::start(&world).await;
    host.plugin.on("never", |_| Err(Failure::Permanent(ErrorDetail::new("no", "never"))));
    host.plugin.on("busy", |_| Err(retryable()));
    host.plugin.on("later", |call| if call.attempt < 3 { Err(retryable()) } else { Ok(vec![]) });
    dead_in(&world, "sick", &["never", "busy", "later"]).await;
    world
        .until("select array_agg(concat_ws(' ', status, handling_attempts, ending, handling_error ->> 'code') order by id)
                = array['error 1 no', 'error 4 busy', 'ready 3 handled']
            from wasaga.dead_letter_in")
        .await;
    let open = "select count(*) = 2 from wasaga.dead_letter_in where finished_at is null";
    world.until(open).await;
    host.stop().await;
}

#[tokio::test]
async fn an_operator_who_ends_a_letter_at_work_wins() {
    let world = World::new().await;
    let host = Host::start(&world).await;
    let release = host.plugin.block("slow");
    dead_in(&world, "sick", &["slow"]).await;
    host.plugin.called("slow", 1).await;
    world.until("select status = 'work' from wasaga.dead_letter_in").await;
    let by = Audit::because("by hand");
    let ids = [1];
    let ended =
        world.store().dead_letters_end(LetterFlow::In, &ids, LetterVerb::Discard, &by).await;
    assert_eq!(ended.unwrap().len(), 1);
    release.send(()).unwrap();
    // Behind it, the same plugin's next one: by then the first one's end was refused.
    dead_in(&world, "sick", &["next"]).await;
    world.until("select count(*) = 1 from wasaga.dead_letter_in where ending = 'handled'").await;
    world.until("select ending = 'discarded' from wasaga.dead_letter_in where id = 1").await;
    world.until("select count(*) = 1 from wasaga.task_out").await;
    host.stop().await;
}

#[tokio::test]
async fn a_letter_that_loses_its_host_is_taken_up_by_another() {
    let world = World::new().await;
    let first = Host::start(&world).await;
    let _never = first.plugin.block("cure");
    dead_in(&world, "sick", &["cure"]).await;
    first.plugin.called("cure", 1).await;
    world.run(&first.lost()).await;
    let store = world.store();
    let between = store.host_register("between", "1", MINUTE).await.unwrap();
    let lanes = store.lanes_take(between, Flow::DeadIn, 16).await.unwrap();
    world.until("select status = 'wait' and interruptions = 1 from wasaga.dead_letter_in").await;
    let numbers: Vec<i16> = lanes.iter().map(|lane| lane.number).collect();
    store.lanes_release(between, Flow::DeadIn, &numbers).await.unwrap();
    store.host_leave(between).await.unwrap();
    let second = Host::start(&world).await;
    world.until("select ending = 'handled' and interruptions = 0 from wasaga.dead_letter_in").await;
    assert_eq!(second.plugin.calls().len(), 1);
    second.stop().await;
}

#[tokio::test]
async fn what_takes_a_dead_messages_place_has_its_key() {
    let world = World::new().await;
    let host = Host::start(&world).await;
    host.plugin.on("drop", |_| Ok(vec![]));
    dead_out(&world, &["publish", "drop"]).await;
    world.until("select count(*) = 2 from wasaga.dead_letter_out where ending = 'handled'").await;
    world.until("select count(*) = 1 from wasaga.task_out").await;
    world.until("select topic = 'done' and idempotency_key = 'i-1' from wasaga.task_out").await;
    let kind = TaskKind::DeadOut(ErrorDetail::new("kafka-unknown-topic", "m"));
    assert!(host.plugin.calls().iter().all(|call| call.kind == kind));
    host.stop().await;
}

async fn emit(world: &World, key: &str, value: &str) {
    world
        .run(&format!(
            "insert into wasaga.task_out (topic, key, value, idempotency_key, rollback)
             values ('outgoing', '{key}', '{value}', 'i-{value}', '{{\"topic\": \"undo\"}}')"
        ))
        .await;
}

/// What the relay reads: the topic, the key and the value of each message, in order.
async fn read(world: &World, host: HostId, lane: Lane) -> Vec<String> {
    let read = world.store().task_out_waiting(host, lane, &Excluded::default(), 100, 1 << 20).await;
    let Leased::Held(rows) = read.unwrap() else { panic!("the lane is lost") };
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().unwrap()).unwrap();
    rows.iter()
        .map(|row| format!("{} {} {}", row.topic, text(&row.key), text(&row.value)))
        .collect()
}

#[tokio::test]
async fn a_message_goes_through_the_plugin_that_names_its_topic_before_it_is_published() {
    let world = World::with_notes().await;
    let relay = world.store().host_register("relay", "1", MINUTE).await.unwrap();
    let lane = world.store().lanes_take(relay, Flow::Out, 1).await.unwrap()[0];
    let host = Host::start(&world).await;
    let stamped = |value: &'static str| {
        let message = Message {
            topic: "outgoing".into(),
            key: Some(Bytes::from_static(b"k")),
            headers: vec![],
            value: Some(Bytes::from_static(value.as_bytes())),
        };
        Effect::Send(Outgoing { message, rollback: None })
    };
    let release = host.plugin.block("first");
    host.plugin.on("first", move |_| Ok(vec![stamped("first, seen")]));
    host.plugin.on("second", move |call| {
        if call.attempt < 2 { Err(retryable()) } else { Ok(vec![stamped("second, seen")]) }
    });
    host.plugin.on("third", |_| Ok(vec![]));
    for value in ["first", "second", "third"] {
        emit(&world, "k", value).await;
    }
    world
        .run("insert into wasaga.task_out (topic, key, value) values ('plain', 'k', 'plain')")
        .await;
    host.plugin.called("first", 1).await;
    assert_eq!(read(&world, relay, lane).await, ["plain k plain"], "nothing that was not seen");
    assert_eq!(host.plugin.calls().len(), 1, "of a key one at a time");
    release.send(()).unwrap();
    world.until("select count(*) = 3 from wasaga.task_out where handled").await;
    assert_eq!(
        read(&world, relay, lane).await,
        ["outgoing k first, seen", "outgoing k second, seen", "plain k plain"]
    );
    world
        .until(
            "select bool_and(attempts = 0 and error is null and idempotency_key like 'i-%')
            from wasaga.task_out where handled and status = 'wait'",
        )
        .await;
    world
        .until("select status = 'ready' and finished_at is not null from wasaga.task_out where value = 'third'")
        .await;
    let calls = host.plugin.calls();
    let seen: Vec<_> = calls.iter().map(|call| (&*call.idempotency_key, call.attempt)).collect();
    assert_eq!(seen, [("i-first", 1), ("i-second", 1), ("i-second", 2), ("i-third", 1)]);
    host.stop().await;
}

#[tokio::test]
async fn a_message_that_its_plugin_refuses_is_given_up_and_rolled_back() {
    let world = World::with_notes().await;
    let host = Host::start(&world).await;
    host.plugin.on("never", |_| Err(Failure::Permanent(ErrorDetail::new("no", "never"))));
    emit(&world, "k", "never").await;
    emit(&world, "k", "next").await;
    world
        .until("select status = 'rollback' and attempts = 1 from wasaga.task_out where value = 'never'")
        .await;
    world
        .until("select reason ->> 'code' = 'no' and status = 'wait' and idempotency_key = 'i-never' and topic = 'outgoing'
            from wasaga.dead_letter_out")
        .await;
    world
        .until("select status = 'wait' and idempotency_key = 'i-never/rollback' from wasaga.task_out where topic = 'undo'")
        .await;
    world.until("select count(*) = 1 from wasaga.task_out where handled").await;
    host.stop().await;
}

#[tokio::test]
async fn a_stuck_key_with_any_number_of_messages_stops_no_other() {
    let world = World::with_notes().await;
    let host = Host::start(&world).await;
    let an_hour = Duration::from_hours(1);
    host.plugin.on("stuck", move |_| {
        let detail = ErrorDetail::new("busy", "try again");
        Err(Failure::Retryable { detail, after: Some(an_hour) })
    });
    world
        .run(
            "insert into wasaga.task_out (topic, key, value)
             select 'outgoing', 'stuck', 'stuck' from generate_series(1, 21000)",
        )
        .await;
    world.until("select attempts = 1 from wasaga.task_out where id = 1").await;
    emit(&world, "other", "other").await;
    world.until("select count(*) = 1 from wasaga.task_out where handled").await;
    assert_eq!(host.plugin.calls().len(), 2);
    host.stop().await;
}

#[tokio::test]
async fn messages_are_found_while_others_are_at_work() {
    let world = World::with_notes().await;
    world
        .run(
            "insert into wasaga.task_out (topic, key, value)
             select 'outgoing', convert_to('k' || n % 100, 'UTF8'), 'many' from generate_series(1, 3500) n",
        )
        .await;
    let host = Host::start(&world).await;
    host.plugin.called("many", 1).await;
    emit(&world, "other", "other").await;
    world.until("select count(*) = 3501 from wasaga.task_out where handled").await;
    let calls = host.plugin.calls();
    let of_other = calls.iter().position(|call| call.idempotency_key == "i-other");
    assert!(of_other.unwrap() < 3000, "{of_other:?}: it was found when the others were done");
    host.stop().await;
}

#[tokio::test]
async fn a_topic_that_the_host_hears_of_later_is_looked_at_from_its_first_message_on() {
    let world = World::with_notes().await;
    world.run("insert into wasaga.handled_topics values ('later', 0)").await;
    world
        .run("insert into wasaga.task_out (topic, value) values ('later', 'first'), ('outgoing', 'x')")
        .await;
    let host = Host::start(&world).await;
    world.until("select count(*) = 1 from wasaga.task_out where handled").await;
    // In the meantime the host goes past what is not its own.
    world.until("select clock_timestamp() > created_at + interval '4 s' from wasaga.task_out where id = 1").await;
    host.names_out("later");
    world.until("select count(*) = 2 from wasaga.task_out where handled").await;
    host.stop().await;
}

#[tokio::test]
async fn a_message_that_was_handled_is_redriven_as_it_is() {
    let world = World::with_notes().await;
    let relay = world.store().host_register("relay", "1", MINUTE).await.unwrap();
    let lane = world.store().lanes_take(relay, Flow::Out, 1).await.unwrap()[0];
    let host = Host::start(&world).await;
    let again = |call: &TaskCall| {
        Ok(vec![Effect::Send(Outgoing { message: call.message.clone(), rollback: None })])
    };
    host.plugin.on("whole", again);
    host.plugin.on("mended", again);
    emit(&world, "a", "whole").await;
    emit(&world, "b", "whole").await;
    world.until("select count(*) = 2 from wasaga.task_out where handled").await;
    world
        .run("select wasaga.task_out_give_up(id, '{\"code\": \"kafka\"}') from wasaga.task_out order by id")
        .await;
    world.run("delete from wasaga.task_out").await;
    let (store, by) = (world.store(), Audit::because("by hand"));
    let edit = LetterEdit { value: Change::Set(b"mended".to_vec()), ..LetterEdit::default() };
    store.dead_letter_edit(LetterFlow::Out, 2, &edit, &by).await.unwrap();
    store.dead_letters_end(LetterFlow::Out, &[1, 2], LetterVerb::Redrive, &by).await.unwrap();
    assert!(read(&world, relay, lane).await.contains(&"outgoing a whole".to_owned()));
    // What was changed is another message.
    host.plugin.called("mended", 1).await;
    world.until("select count(*) = 2 from wasaga.task_out where handled").await;
    assert_eq!(host.plugin.calls().len(), 3);
    host.stop().await;
}

#[tokio::test]
async fn a_handled_message_that_is_given_back_as_it_was_is_handled_still() {
    let world = World::new().await;
    let host = Host::start(&world).await;
    for (value, answer) in [("same", "same"), ("stamped", "stamped again")] {
        host.plugin.on(value, move |call| {
            let value = Some(Bytes::from_static(answer.as_bytes()));
            let message = Message { value, ..call.message.clone() };
            Ok(vec![Effect::Send(Outgoing { message, rollback: None })])
        });
    }
    world
        .run(
            "insert into wasaga.dead_letter_out (task_id, reason, attempts, message_id, topic, headers, value, handled)
             select 1, '{}', 1, gen_random_uuid(), 'lost', '[]', value, handled
             from (values ('same'::bytea, true), ('stamped', true), ('same', false)) as letters (value, handled)",
        )
        .await;
    world.until("select count(*) = 3 from wasaga.task_out").await;
    let handled =
        "select count(*) = 1 and bool_and(value = 'same') from wasaga.task_out where handled";
    world.until(handled).await;
    host.stop().await;
}

#[tokio::test]
async fn a_message_that_is_refused_and_given_back_ends_with_an_operator() {
    let world = World::with_notes().await;
    let host = Host::start(&world).await;
    host.plugin.on("again", |call| match call.kind {
        TaskKind::Out => Err(Failure::Permanent(ErrorDetail::new("no", "never"))),
        _ => Ok(vec![Effect::Send(Outgoing { message: call.message.clone(), rollback: None })]),
    });
    world.run("insert into wasaga.task_out (topic, value) values ('lost', 'again')").await;
    world
        .until(
            "select array_agg(status order by id) = array['ready', 'ready', 'ready', 'ready', 'error']
                and bool_or(handling_error ->> 'code' = 'handled-again')
            from wasaga.dead_letter_out",
        )
        .await;
    let calls = host.plugin.calls();
    let letters = calls.iter().filter(|call| call.kind != TaskKind::Out).map(|call| call.attempt);
    assert_eq!(letters.collect::<Vec<_>>(), [1, 2, 3, 4]);
    host.stop().await;
}
