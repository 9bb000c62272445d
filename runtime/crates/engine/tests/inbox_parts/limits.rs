//! How many calls run at once: of a flow, and of one plugin in it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;
use wasaga_domain::{
    manifest::{Manifest, Subscription},
    ports::{TaskCall, TaskKind},
};
use wasaga_engine::inbox::{FlowLimits, InboxOptions};

use super::{Host, World, manifest};

/// Messages of each plugin in each flow: more than may run.
const MESSAGES: usize = 10;
const FLOWS: [&str; 4] = ["in", "out", "dead-in", "dead-out"];

/// Calls wait before it, and it counts how many do at once.
#[derive(Clone)]
pub(super) struct Gate(Arc<(Semaphore, Mutex<BTreeMap<String, Waiting>>)>);

#[derive(Clone, Copy, Default)]
struct Waiting {
    now: usize,
    most: usize,
}

impl Gate {
    pub(super) fn closed() -> Self {
        Self(Arc::new((Semaphore::new(0), Mutex::default())))
    }

    pub(super) async fn pass(&self, call: &TaskCall) {
        let (gate, counts) = &*self.0;
        let flow = flow_of(call);
        let places = [flow.to_owned(), format!("{flow} {}", call.plugin)];
        for place in &places {
            let mut counts = counts.lock().unwrap();
            let waiting = counts.entry(place.clone()).or_default();
            waiting.now += 1;
            waiting.most = waiting.most.max(waiting.now);
        }
        gate.acquire().await.unwrap().forget();
        for place in &places {
            counts.lock().unwrap().get_mut(place).unwrap().now -= 1;
        }
    }

    pub(super) fn open(&self, calls: usize) {
        self.0.0.add_permits(calls);
    }

    fn waiting(&self, place: &str) -> Waiting {
        self.0.1.lock().unwrap().get(place).copied().unwrap_or_default()
    }
}

fn flow_of(call: &TaskCall) -> &'static str {
    match call.kind {
        TaskKind::In => "in",
        TaskKind::Out => "out",
        TaskKind::DeadIn(_) => "dead-in",
        TaskKind::DeadOut(_) => "dead-out",
    }
}

/// Hears what the first plugin does, under topics of its own.
fn other() -> Manifest {
    Manifest {
        name: "other".parse().unwrap(),
        subscriptions: vec![Subscription { topic: "other.commands".into(), correlation: None }],
        out_topics: vec!["other.outgoing".into()],
        dead_in_topics: vec!["other.sick".into()],
        dead_out_topics: vec!["other.lost".into()],
        ..manifest(&[])
    }
}

/// Messages for both plugins in each flow, no two of one key.
async fn messages(world: &World) {
    world
        .run(
            "insert into wasaga.handled_topics values ('outgoing', 0), ('other.outgoing', 0)
                 on conflict do nothing",
        )
        .await;
    for before in ["", "other."] {
        for offset in 0..MESSAGES as i64 {
            let key = format!("k{offset}");
            world.record(&format!("{before}commands"), offset, Some(&key), "call").await;
        }
        world
            .run(&format!(
                "insert into wasaga.task_out (topic, value)
                     select '{before}outgoing', 'call' from generate_series(1, {MESSAGES});
                 insert into wasaga.dead_letter_in (task_id, lane, reason, attempts, cluster, topic, partition, \"offset\",
                         headers, value)
                     select n, n, '{{\"code\": \"trap\", \"message\": \"m\"}}', 1, 'c', '{before}sick', 0, n, '[]', 'call'
                     from generate_series(1, {MESSAGES}) n;
                 insert into wasaga.dead_letter_out (task_id, reason, attempts, message_id, topic, headers, value)
                     select n, '{{\"code\": \"trap\", \"message\": \"m\"}}', 1, gen_random_uuid(), '{before}lost', '[]', 'call'
                     from generate_series(1, {MESSAGES}) n"
            ))
            .await;
    }
}

/// Has the limits set for each flow, and all messages handled, one after another from when as many calls run in each flow
/// as `full` says.
async fn run(full: [usize; 4], limit: impl Fn(usize, &mut FlowLimits)) -> Gate {
    let world = World::new().await;
    let set = |options: &mut InboxOptions| {
        let InboxOptions { r#in, handle_out, dead_in, dead_out, .. } = options;
        for (n, limits) in [r#in, handle_out, dead_in, dead_out].into_iter().enumerate() {
            limit(n, limits);
        }
    };
    let host = Host::start_with(world.store(), set).await;
    let gate = Gate::closed();
    *host.plugin.gate.lock().unwrap() = Some(gate.clone());
    host.add(other());
    messages(&world).await;
    let begun = Instant::now();
    let all = FLOWS.len() * 2 * MESSAGES;
    let mut opened = 0;
    while host.plugin.calls().len() < all {
        assert!(begun.elapsed() < Duration::from_secs(30), "they are not all called");
        let are_full = || FLOWS.iter().zip(full).all(|(flow, full)| gate.waiting(flow).now >= full);
        if opened > 0 || are_full() {
            gate.open(1);
            opened += 1;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    gate.open(all);
    host.stop().await;
    gate
}

#[tokio::test]
async fn of_a_flow_no_more_calls_run_than_may() {
    let at_once = [5, 4, 3, 7];
    let gate = run(at_once, |flow, limits| {
        (limits.concurrency, limits.plugin_concurrency) = (at_once[flow], at_once[flow]);
    })
    .await;
    assert_eq!(FLOWS.map(|flow| gate.waiting(flow).most), at_once);
}

#[tokio::test]
async fn of_a_plugin_in_a_flow_no_more_calls_run_than_may() {
    // Most have the flow's limit; the other one has its own.
    let (of_most, of_other) = ([3, 2, 1, 4], [1, 3, 2, 5]);
    let full = [4, 5, 3, 9];
    let gate = run(full, |flow, limits| {
        limits.concurrency = 2 * MESSAGES;
        limits.plugin_concurrency = of_most[flow];
        limits.plugin_overrides = [("other".parse().unwrap(), of_other[flow])].into();
    })
    .await;
    let most = |plugin: &str| FLOWS.map(|flow| gate.waiting(&format!("{flow} {plugin}")).most);
    assert_eq!((most("worker"), most("other")), (of_most, of_other));
}
