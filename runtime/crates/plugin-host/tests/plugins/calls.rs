//! How attempts end: well, badly, and by force.

use std::time::{Duration, Instant};

use serde_json::json;
use wasaga_domain::{
    clock::{Clock as _, SystemClock},
    ids::SagaId,
    message::Message,
    outcome::{Effect, StepOutcome, WaitSource},
    payload::Payload,
    ports::{CallKind, CatalogSource as _, StepExecutor as _, TaskExecutor as _},
};
use wasaga_plugin_host::{Limits, Options, PluginHost};

use crate::stage::{
    arrived, call, component, does, failed, generous, host, output, probe, report, reports, resume,
    run, task,
};

#[tokio::test]
async fn a_step_is_done_with_output_undo_and_effects() {
    let host = probe(generous()).await;
    let send = json!([{"topic": "probe.out", "key": "k", "headers": {"h": "v"}, "value": 1}]);
    let action = json!({"do": "done", "output": {"x": 1}, "undo": {"y": 2}, "send": send});
    let report = report(&host, call("probe", &does(action))).await;
    assert!(report.digest.is_some_and(|digest| host.runs(digest)));
    assert!(report.took > Duration::ZERO);
    let Ok(StepOutcome::Done(done)) = report.outcome else { panic!("{:?}", report.outcome) };
    assert_eq!(&*done.output.data, br#"{"x":1}"#);
    assert_eq!(&*done.undo.expect("undo data").data, br#"{"y":2}"#);
    let [Effect::Send(outgoing)] = &done.effects[..] else { panic!("{:?}", done.effects) };
    assert_eq!(outgoing.message.topic, "probe.out");
    assert_eq!(outgoing.message.key.as_deref(), Some(&b"k"[..]));
    assert_eq!(outgoing.message.header("h").map(|value| &value[..]), Some(&b"v"[..]));
}

#[tokio::test]
async fn a_guard_decides_in_the_same_call() {
    let host = probe(generous()).await;
    let guarded = |verdict: &str| {
        let mut call = call("probe", &json!({"guards": {"a": [verdict]}}));
        call.kind = CallKind::Execute { guarded: true };
        report(&host, call)
    };
    assert!(matches!(guarded("proceed").await.outcome, Ok(StepOutcome::Done(_))));
    assert_eq!(guarded("skip").await.outcome, Ok(StepOutcome::Skipped));
    let Ok(StepOutcome::Rejected(why)) = guarded("reject").await.outcome else { panic!() };
    assert_eq!(why.code, "rejected");
    assert_eq!(failed(guarded("trap").await.outcome).1, "trap");
}

#[tokio::test]
async fn a_wait_is_resumed_with_what_arrived() {
    let host = probe(generous()).await;
    let action = json!({"do": "wait", "topic": "probe.replies", "correlation": "c-1", "undo": 1});
    let outcome = run(&host, does(action)).await;
    let Ok(StepOutcome::Wait(wait)) = outcome else { panic!("{outcome:?}") };
    let source = WaitSource::Message { topic: "probe.replies".into(), correlation: "c-1".into() };
    assert_eq!(wait.sources, [source]);

    let mut resume = call("probe", &json!({}));
    resume.kind = arrived(wait, "probe.replies", "c-1");
    let output = output(report(&host, resume).await.outcome);
    assert_eq!(output["arrived"]["correlation"], "c-1");
    assert_eq!(output["arrived"]["value"], json!({"ok": true}));
    assert_eq!(output["undo"], 1);
}

/// Before a wait something was sent: what the host finds after it may have happened, and only the guest knows better.
#[tokio::test]
async fn what_goes_wrong_after_a_wait_may_have_happened() {
    let limits = Limits { memory_bytes: 8 << 20, ..Limits::default() };
    let host = probe(Options { limits, ..generous() }).await;
    let cases = [
        (json!({"do": "trap"}), "trap"),
        (json!({"do": "overflow"}), "limit"),
        (json!({"do": "spin"}), "timeout"),
        (json!({"do": "oom"}), "limit"),
        (json!({"do": "big_output", "bytes": (1 << 20) + 1}), "limit"),
        (json!({"do": "done", "send": [{"topic": "elsewhere"}]}), "denied"),
    ];
    for (then, code) in cases {
        let mut resume = resume(&host, "probe", &then).await;
        resume.attempt.deadline = SystemClock.now().after(Duration::from_millis(300));
        let (class, found, message) = failed(report(&host, resume).await.outcome);
        assert_eq!((class, found.as_str()), ("unknown", code), "{then}: {message}");
    }
    for class in ["retryable", "permanent"] {
        let resume = resume(&host, "probe", &json!({"do": class})).await;
        assert_eq!(failed(report(&host, resume).await.outcome).0, class, "the guest's word stands");
    }
}

#[tokio::test]
async fn an_undo_is_handed_its_data() {
    let host = probe(generous()).await;
    let mut undo = call("probe", &json!({}));
    undo.kind = CallKind::Compensate { undo: Some(Payload::json("42")) };
    assert_eq!(output(report(&host, undo).await.outcome)["undo"], 42);
}

#[tokio::test]
async fn failures_keep_their_class() {
    let host = probe(generous()).await;
    for class in ["retryable", "permanent", "unknown"] {
        let action = json!({"do": class, "code": "c\u{0}", "message": "m"});
        let expected = (class, "c\u{fffd}".to_owned(), "m".to_owned());
        assert_eq!(failed(run(&host, does(action)).await), expected);
    }
}

#[tokio::test]
async fn a_trap_tells_what_the_guest_said_last() {
    let host = probe(generous()).await;
    let (class, code, message) = failed(run(&host, does(json!({"do": "trap"}))).await);
    assert_eq!((class, code.as_str()), ("retryable", "trap"));
    assert!(message.contains("plugin probe, execute"), "{message}");
    assert!(message.contains("the script says so"), "{message}");
}

#[tokio::test]
async fn a_trap_tells_function_and_line() {
    let host = probe(generous()).await;
    // Where the stack is full the function has only begun, and is on no line yet.
    for (action, code, place) in [
        ("trap", "trap", "exhaust_or_fail (testing/probe-rust/src/perform.rs:"),
        ("overflow", "limit", "perform::overflow"),
    ] {
        let (_, found, message) = failed(run(&host, does(json!({"do": action}))).await);
        assert_eq!(found, code, "{message}");
        let told = message.split(" at ").nth(1).unwrap_or_default();
        assert!(told.contains(place), "{message}");
    }
}

#[tokio::test]
async fn a_guest_gets_no_more_stack_than_its_limit() {
    let host = probe(generous()).await;
    let (class, code, message) = failed(run(&host, does(json!({"do": "overflow"}))).await);
    assert_eq!((class, code.as_str()), ("retryable", "limit"));
    let limit = "its stack is full: limit 524288 bytes (plugins.guest_limits.stack_bytes)";
    assert!(message.contains(limit), "{message}");
}

#[tokio::test]
async fn a_guest_that_spins_ends_at_its_deadline() {
    let host = probe(generous()).await;
    let mut spin = call("probe", &does(json!({"do": "spin"})));
    spin.attempt.deadline = SystemClock.now().after(Duration::from_millis(300));
    let begun = Instant::now();
    let (class, code, _) = failed(report(&host, spin).await.outcome);
    assert_eq!((class, code.as_str()), ("retryable", "timeout"));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(5), "{took:?}");
}

/// More calls spin than there are threads: another call is still answered before they end.
#[tokio::test]
async fn guests_that_spin_do_not_stall_the_others() {
    let host = probe(Options { threads: 2, ..generous() }).await;
    let mut spins = Vec::new();
    for _ in 0..4 {
        let mut spin = call("probe", &does(json!({"do": "spin"})));
        spin.attempt.deadline = SystemClock.now().after(Duration::from_secs(6));
        let (sender, end) = tokio::sync::oneshot::channel();
        host.run(spin, Box::new(move |report| drop(sender.send(report))));
        spins.push(end);
    }
    output(run(&host, json!({})).await);
    assert!(spins.iter_mut().all(|spin| spin.try_recv().is_err()), "they still run");
    for spin in spins {
        assert_eq!(failed(spin.await.expect("a report").outcome).1, "timeout");
    }
}

#[tokio::test]
async fn a_guest_gets_no_more_memory_than_its_limit() {
    let limits = Limits { memory_bytes: 8 << 20, ..Limits::default() };
    let host = probe(Options { limits, ..generous() }).await;
    let (class, code, message) = failed(run(&host, does(json!({"do": "oom"}))).await);
    assert_eq!((class, code.as_str()), ("retryable", "limit"));
    let limit = "out of memory: limit 8388608 bytes (plugins.guest_limits.memory_bytes)";
    assert!(message.contains(limit), "{message}");
}

#[tokio::test]
async fn a_result_is_bounded() {
    let host = probe(generous()).await;
    let big = |bytes: usize| run(&host, does(json!({"do": "big_output", "bytes": bytes})));
    assert!(matches!(big(1 << 19).await, Ok(StepOutcome::Done(_))));
    let (class, code, message) = failed(big((1 << 20) + 1).await);
    assert_eq!((class, code.as_str()), ("retryable", "limit"));
    let limit = "output of 1048601 bytes: limit 1048576 bytes (plugins.guest_limits.payload_bytes)";
    assert!(message.contains(limit), "{message}");
    let (class, code, message) = failed(big(8 << 20).await);
    assert_eq!((class, code.as_str()), ("retryable", "limit"));
    let limit = "too much at once: limit 4194304 bytes (plugins.guest_limits.result_bytes)";
    assert!(message.contains(limit), "{message}");
}

#[tokio::test]
async fn effects_are_counted() {
    let host = probe(generous()).await;
    let effects = |count: u32| run(&host, does(json!({"do": "effects", "count": count})));
    let Ok(StepOutcome::Done(done)) = effects(1_000).await else { panic!("as many are allowed") };
    assert_eq!(done.effects.len(), 1_000);
    let (class, code, message) = failed(effects(1_001).await);
    assert_eq!((class, code.as_str()), ("retryable", "limit"));
    let limit = "1001 effects: limit 1000 (plugins.guest_limits.effects)";
    assert!(message.contains(limit), "{message}");
    let (class, code, message) = failed(effects(1_000_000).await);
    assert_eq!((class, code.as_str()), ("retryable", "limit"));
    assert!(message.contains("limit"), "{message}");
}

#[tokio::test]
async fn calls_of_the_host_are_counted() {
    let limits = Limits { host_calls: 500, ..Limits::default() };
    let host = probe(Options { limits, ..generous() }).await;
    let ask = |times: u32| run(&host, does(json!({"do": "ask_time", "times": times})));
    assert!(matches!(ask(500).await, Ok(StepOutcome::Done(_))));
    let (class, code, message) = failed(ask(501).await);
    assert_eq!((class, code.as_str()), ("retryable", "limit"));
    let limit = "too many calls of the host: limit 500 (plugins.guest_limits.host_calls)";
    assert!(message.contains(limit), "{message}");
}

#[tokio::test]
async fn chance_is_bounded() {
    let host = probe(generous()).await;
    let ask = |bytes: u32| run(&host, does(json!({"do": "ask_random", "bytes": bytes})));
    assert!(matches!(ask(64 << 10).await, Ok(StepOutcome::Done(_))));
    let (class, code, message) = failed(ask(u32::MAX).await);
    assert_eq!((class, code.as_str()), ("retryable", "limit"));
    let limit = "random-bytes(4294967295): limit 65536 bytes (plugins.guest_limits.random_bytes)";
    assert!(message.contains(limit), "{message}");
}

/// Every call of one plugin spins, more of them than there are places for: another plugin's is answered before they end.
#[tokio::test]
async fn a_plugin_leaves_places_for_the_others() {
    let limits = Limits { long_calls: 8, ..Limits::default() };
    let host = probe(Options { threads: 2, limits, ..generous() }).await;
    host.install_local(component("bench-rust")).await.expect("the other loads");
    let mut spins = Vec::new();
    for _ in 0..20 {
        let mut spin = call("probe", &does(json!({"do": "spin"})));
        spin.attempt.deadline = SystemClock.now().after(Duration::from_secs(4));
        let (sender, end) = tokio::sync::oneshot::channel();
        host.run(spin, Box::new(move |report| drop(sender.send(report))));
        spins.push(end);
    }
    let mut other = call("bench", &json!({}));
    other.attempt.step = host.catalog().definitions["bench"].definition.steps[0].name.clone();
    let answer = report(&host, other).await.outcome;
    assert!(matches!(answer, Ok(StepOutcome::Done(_))), "{answer:?}");
    assert!(spins.iter_mut().all(|spin| spin.try_recv().is_err()), "they still run");
    let mut codes: Vec<_> = Vec::new();
    for spin in spins {
        codes.push(failed(spin.await.expect("a report").outcome).1);
    }
    assert_eq!(codes.iter().filter(|code| *code == "timeout").count(), 8, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| *code == "overloaded").count(), 12, "{codes:?}");
}

/// How often the instances of these calls were asked, in their order.
async fn counted(host: &PluginHost, calls: usize) -> Vec<u64> {
    let mut counts = Vec::new();
    for _ in 0..calls {
        let output = output(run(host, does(json!({"do": "count"}))).await);
        counts.push(output["count"].as_u64().expect("a number"));
    }
    counts
}

#[tokio::test]
async fn an_instance_serves_one_attempt() {
    let host = probe(generous()).await;
    assert_eq!(counted(&host, 3).await, [1, 1, 1]);
}

#[tokio::test]
async fn an_instance_serves_as_many_attempts_as_the_operator_says() {
    let reuse = [("probe".parse().expect("a name"), 3)].into();
    let host = probe(Options { reuse, ..generous() }).await;
    assert_eq!(counted(&host, 5).await, [1, 2, 3, 1, 2]);
    // One that trapped is of no more use.
    assert_eq!(failed(run(&host, does(json!({"do": "trap"}))).await).1, "trap");
    assert_eq!(counted(&host, 1).await, [1]);
    // Nor does it outlive its module.
    host.install_local(component("probe-v2-rust")).await.expect("it loads");
    assert_eq!(counted(&host, 2).await, [1, 2]);
}

#[tokio::test]
async fn what_reaches_other_sagas_comes_through() {
    let host = probe(generous()).await;
    for (action, expected) in [
        (json!({"do": "wait", "signals": ["go"]}), WaitSource::Signal("go".into())),
        (json!({"do": "wait", "children": ["c"]}), WaitSource::Child("c".into())),
    ] {
        match run(&host, does(action)).await {
            Ok(StepOutcome::Wait(wait)) => assert_eq!(wait.sources, [expected]),
            other => panic!("not a wait: {other:?}"),
        }
    }
    let effect = |effect: &str| does(json!({"do": "effect", "effect": effect}));
    let another = SagaId::derived("probe", "another");
    for name in ["signal", "cancel"] {
        let Ok(StepOutcome::Done(done)) = run(&host, effect(name)).await else {
            panic!("{name} is not done")
        };
        match &done.effects[..] {
            [Effect::Signal { saga, name, .. }] => {
                assert_eq!((*saga, name.as_str()), (another, "go"));
            }
            [Effect::Cancel(saga)] => assert_eq!(*saga, another),
            other => panic!("{other:?}"),
        }
    }
    let Ok(StepOutcome::Done(done)) = run(&host, effect("start")).await else {
        panic!("the start is not done")
    };
    let [Effect::Start(start)] = &done.effects[..] else { panic!("{:?}", done.effects) };
    assert_eq!((start.saga.definition.as_str(), start.saga.version), ("probe", 1));
}

#[tokio::test]
async fn what_cannot_be_done_is_permanent() {
    let host = probe(generous()).await;
    let send = |topic: &str| json!({"do": "done", "send": [{"topic": topic}]});
    let wait = |topic: &str, key: &str| json!({"do": "wait", "topic": topic, "correlation": key});
    let cases = [
        (send("elsewhere"), "denied", "plugin probe may not send to topic elsewhere"),
        (send("no topic"), "bad-output", "which is no topic's name"),
        (wait("probe.replies", "a\u{0}b"), "bad-output", "a correlation key holds NUL"),
        (wait("probe.elsewhere", "a"), "not-subscribed", "waits for topic probe.elsewhere"),
        (wait("probe.tasks", "a"), "not-subscribed", "waits for topic probe.tasks"),
    ];
    for (action, expected, part) in cases {
        let (class, code, message) = failed(run(&host, does(action.clone())).await);
        assert_eq!((class, code.as_str()), ("permanent", expected), "{action}: {message}");
        assert!(message.contains(part), "{action}: {message}");
    }
}

#[tokio::test]
async fn the_imports_answer() {
    let mut options = generous();
    let grant = wasaga_plugin_host::Grant {
        config: [("greeting", "hello"), ("secret", "s")].map(|(k, v)| (k.into(), v.into())).into(),
        ..Default::default()
    };
    options.grants.plugins.insert("probe".parse().expect("a name"), grant);
    let host = probe(options).await;
    let told = output(run(&host, does(json!({"do": "imports", "message": "hello"}))).await);
    assert_eq!(told["greeting"], "hello");
    assert_eq!(told["secret"], json!(null), "not in its manifest");
    assert_eq!(told["random_bytes"].as_array().map(Vec::len), Some(16));
    assert!(told["now_ms"].as_i64().is_some_and(|now| now > 1_700_000_000_000));
    assert_eq!(told["finished_steps"], json!([]));
}

#[tokio::test]
async fn what_is_not_granted_is_denied() {
    let host = host(generous());
    host.install_local(component("ungranted-rust")).await.expect("it loads");
    let told = output(report(&host, call("ungranted", &json!({}))).await.outcome);
    assert_eq!(told["code"], "42501");
    let message = told["message"].as_str().expect("a message");
    assert!(message.contains("plugin ungranted is not granted sql"), "{message}");
    assert!(message.contains("[plugins.ungranted] grant.sql = true"), "{message}");
    let message = told["event_store"].as_str().expect("a message");
    assert!(message.contains("[plugins.ungranted] grant.event_store = true"), "{message}");
}

#[tokio::test]
async fn nobody_to_call_is_not_an_attempt() {
    let host = probe(generous()).await;
    let (class, code, message) = failed(report(&host, call("nobody", &json!({}))).await.outcome);
    assert_eq!((class, code.as_str()), ("unavailable", "plugin-missing"));
    assert!(message.contains("plugin nobody is not active on this host"), "{message}");
    let mut unknown = call("probe", &json!({}));
    unknown.attempt.step = "z".into();
    let (class, code, message) = failed(report(&host, unknown).await.outcome);
    assert_eq!((class, code.as_str()), ("unavailable", "step-missing"));
    assert!(message.contains("has no step \"z\""), "{message}");
    let mut late = call("probe", &json!({}));
    late.attempt.deadline = SystemClock.now();
    let (class, code, _) = failed(report(&host, late).await.outcome);
    assert_eq!((class, code.as_str()), ("unavailable", "overloaded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_is_reported_once() {
    let host = probe(generous()).await;
    let actions = [json!({"do": "done"}), json!({"do": "trap"}), json!({"do": "permanent"})];
    let calls = (0..300).map(|n| {
        let mut call = call("probe", &does(actions[n % 3].clone()));
        call.attempt.number = u32::try_from(n).expect("small") + 1;
        call
    });
    let reports = tokio::task::block_in_place(|| reports(&host, calls));
    assert_eq!(reports.len(), 300);
    assert_eq!(reports.iter().filter(|report| report.outcome.is_ok()).count(), 100);
}

#[tokio::test]
async fn a_task_is_handled() {
    let host = probe(generous()).await;
    let handle = async |script: serde_json::Value| {
        let message = Message {
            topic: "probe.tasks".into(),
            key: None,
            headers: Vec::new(),
            value: Some(script.to_string().into()),
        };
        let (sender, report) = tokio::sync::oneshot::channel();
        let call = task("probe", message);
        host.handle(call, Box::new(move |report| drop(sender.send(report))));
        report.await.expect("a report").outcome
    };
    let send = json!({"attempts": [{"do": "done", "send": [{"topic": "probe.out"}]}]});
    let effects = handle(send).await.expect("effects");
    assert!(
        matches!(&effects[..], [Effect::Send(outgoing)] if outgoing.message.topic == "probe.out")
    );
    let failure = handle(json!({"attempts": [{"do": "trap"}]})).await.expect_err("a trap");
    assert_eq!(failure.detail().code, "trap");
}
