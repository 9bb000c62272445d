//! Doing what the script says.

use std::{
    hint::black_box,
    iter,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wasaga_guest::{
    ambient, config, context,
    failure::ErrorDetail,
    http, info,
    message::{SagaSignal, SagaStart, SagaTarget, send},
    prelude::*,
    sql,
    step::{Done, Wait, WaitSource},
};

use crate::{
    said,
    script::{Action, OtherEffect, Send},
};

/// What a wait keeps for its end.
#[derive(Deserialize, Serialize)]
struct Memo {
    sleep: bool,
    then: Option<Box<Action>>,
    timed_out: Option<Box<Action>>,
}

pub fn perform_step(action: Action) -> Result<Outcome, Failure> {
    match action {
        Action::Done { output, undo, send } => {
            let done = send.into_iter().map(message).fold(done_json(&output), Done::send);
            match undo {
                Some(undo) => done.undo_json(&undo).into(),
                None => done.into(),
            }
        }
        Action::Wait { .. } => Ok(begin_wait(action)),
        Action::BigOutput { bytes } => {
            done(Payload::new("application/octet-stream", vec![b'x'; bytes])).into()
        }
        Action::Sql { execute, query, strict, then } => {
            let output = match run_sql(&execute, query.as_deref()) {
                Ok(output) => output,
                Err(error) if strict => return Err(error.into()),
                Err(error) => json!({"code": error.code, "message": error.message}),
            };
            then.map_or_else(|| done_json(&output).into(), |then| perform_step(*then))
        }
        Action::Http { .. } => {
            let (output, then) = request(action)?;
            then.map_or_else(|| done_json(&output).into(), |then| perform_step(*then))
        }
        Action::Effect { effect } => done_empty().effect(other_effect(effect)).into(),
        Action::Effects { count } => {
            let effects = iter::repeat_with(|| other_effect(OtherEffect::Signal)).take(count);
            effects.fold(done_empty(), Done::effect).into()
        }
        Action::Count => {
            static ASKED: AtomicU32 = AtomicU32::new(0);
            done_json(&json!({"count": ASKED.fetch_add(1, Ordering::Relaxed) + 1})).into()
        }
        Action::Imports { message } => {
            info!("{message}");
            let cause = context::cause().map(|cause| json!([cause.code, cause.message]));
            done_json(&json!({
                "now_ms": ambient::now_ms(),
                "random_bytes": ambient::random_bytes(16),
                "finished_steps": context::finished_steps(),
                "cause": cause,
                "greeting": config::get("greeting"),
                "secret": config::get("secret"),
                "token": config::get("token").map(|token| token.len()),
            }))
            .into()
        }
        other => exhaust_or_fail(other).map_or_else(Err, |()| done_empty().into()),
    }
}

pub fn perform_task(action: Action) -> Result<Vec<Effect>, Failure> {
    match action {
        Action::Done { send: messages, .. } => {
            Ok(messages.into_iter().map(message).map(send).collect())
        }
        Action::Sql { execute, query, then, .. } => {
            run_sql(&execute, query.as_deref())?;
            then.map_or(Ok(Vec::new()), |then| perform_task(*then))
        }
        Action::Http { .. } => {
            let (_, then) = request(action)?;
            then.map_or(Ok(Vec::new()), |then| perform_task(*then))
        }
        Action::Effect { effect } => Ok(vec![other_effect(effect)]),
        Action::Effects { count } => {
            Ok(iter::repeat_with(|| other_effect(OtherEffect::Signal)).take(count).collect())
        }
        Action::Wait { .. } | Action::BigOutput { .. } | Action::Count | Action::Imports { .. } => {
            Err(Failure::permanent("not-for-tasks", format!("{action:?} is for steps")))
        }
        other => exhaust_or_fail(other).map(|()| Vec::new()),
    }
}

/// After a wait: what the script says then, or what arrived.
pub fn after_wait(
    task: &StepTask,
    memo: Option<Payload>,
    undo: Option<Payload>,
    arrival: Arrival,
) -> Result<Outcome, Failure> {
    let memo = memo.ok_or_else(|| Failure::permanent("no-memo", "the wait's memo is lost"))?;
    let Memo { sleep, then, timed_out } = memo.parse()?;
    let (next, output) = match arrival {
        Arrival::TimedOut if sleep => (timed_out, json!({"slept": true})),
        Arrival::TimedOut => {
            let unknown = || Failure::unknown("timed-out", "nothing arrived in time");
            return timed_out.map_or_else(|| Err(unknown()), |next| perform_step(*next));
        }
        Arrival::Message((correlation, message)) => {
            let value: Option<Value> =
                message.value.is_some().then(|| message.parse()).transpose()?;
            let topic = message.topic;
            (then, json!({"topic": topic, "correlation": correlation, "value": value}))
        }
        Arrival::Signal((name, _)) => (then, json!({"signal": name})),
        Arrival::Child((name, _)) => (then, json!({"child": name})),
    };
    if let Some(next) = next {
        return perform_step(*next);
    }
    let undo: Value = undo.map(|undo| undo.parse()).transpose()?.unwrap_or_default();
    let mut said = said(task, &undo);
    said["arrived"] = output;
    done_json(&said).undo_json(&said).into()
}

fn begin_wait(action: Action) -> Outcome {
    let Action::Wait {
        topic,
        correlation,
        correlation_bytes,
        signals,
        children,
        timeout_ms,
        send,
        undo,
        then,
        timed_out,
    } = action
    else {
        unreachable!("called for waits only");
    };
    let sleep = topic.is_none() && signals.is_empty() && children.is_empty();
    let mut wait = wait().memo(Payload::json(&Memo { sleep, then, timed_out }));
    if let Some(topic) = topic {
        wait = wait.message(topic, correlation + &"x".repeat(correlation_bytes));
    }
    let others = signals.into_iter().map(WaitSource::Signal);
    wait = others.chain(children.into_iter().map(WaitSource::Child)).fold(wait, Wait::source);
    wait = send.into_iter().map(message).fold(wait, Wait::send);
    wait.timeout_ms = timeout_ms;
    wait.undo = undo.map(|undo| Payload::json(&undo));
    wait.into()
}

/// The actions that steps and tasks have in common: done, if it comes back at all.
fn exhaust_or_fail(action: Action) -> Result<(), Failure> {
    match action {
        Action::Retryable { after_ms, code, message } => Err(match after_ms {
            Some(ms) => Failure::retry_after(code, message, Duration::from_millis(ms)),
            None => Failure::retryable(code, message),
        }),
        Action::Permanent(detail) => Err(Failure::permanent(detail.code, detail.message)),
        Action::Unknown(detail) => Err(Failure::unknown(detail.code, detail.message)),
        Action::Trap => panic!("the script says so"),
        Action::Blab { trap } => {
            let secret = config::get("token").unwrap_or_default();
            info!("it is {secret}");
            assert!(!trap, "it panics with {secret}");
            let detail = ErrorDetail::new(secret.as_str(), format!("it fails with {secret}"));
            Err(Failure::Permanent(detail.data(Payload::json(&json!({ "secret": secret })))))
        }
        Action::Spin { ms } => {
            let end = ms.map(|ms| ambient::now_ms() + ms);
            while end.is_none_or(|end| ambient::now_ms() < end) {
                // Without an end it never calls the host, so that only the host's clock can stop it.
                let mut idle = 0_u64;
                while end.is_none() || idle < 10_000 {
                    idle = black_box(idle) + 1;
                }
            }
            Ok(())
        }
        Action::Oom => {
            let mut taken = Vec::new();
            loop {
                taken.push(vec![1_u8; 1 << 20]);
                black_box(&taken);
            }
        }
        Action::Log { lines, bytes } => {
            let line = "x".repeat(bytes);
            (0..lines).for_each(|_| info!("{line}"));
            Ok(())
        }
        Action::AskTime { times } => {
            for _ in 0..times {
                black_box(ambient::now_ms());
            }
            Ok(())
        }
        Action::AskRandom { bytes } => {
            black_box(ambient::random_bytes(bytes));
            Ok(())
        }
        Action::Overflow => {
            black_box(overflow(1));
            Ok(())
        }
        Action::Done { .. }
        | Action::Wait { .. }
        | Action::BigOutput { .. }
        | Action::Sql { .. }
        | Action::Http { .. }
        | Action::Effect { .. }
        | Action::Effects { .. }
        | Action::Count
        | Action::Imports { .. } => unreachable!("done by the caller"),
    }
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn overflow(depth: u64) -> u64 {
    black_box(overflow(black_box(depth) + 1)) + 1
}

fn run_sql(execute: &[String], query: Option<&str>) -> Result<Value, sql::Error> {
    let touched: Vec<u64> =
        execute.iter().map(|statement| sql::execute(statement, &[])).collect::<Result<_, _>>()?;
    let Some(query) = query else {
        return Ok(json!({"touched": touched}));
    };
    let rows = sql::query(query, &[])?;
    let values: Vec<String> = rows.iter().map(|row| format!("{:?}", row.values())).collect();
    Ok(json!({"touched": touched, "rows": values}))
}

/// What became of a request, and what follows it.
fn request(action: Action) -> Result<(Value, Option<Box<Action>>), Failure> {
    let Action::Http { method, url, headers, body, body_bytes, timeout_ms, strict, then } = action
    else {
        unreachable!("called for requests only");
    };
    let request = http::Request::new(method, url);
    let mut request = headers.into_iter().fold(request, |r, (name, value)| r.header(name, value));
    let body = body.map(String::into_bytes).or(body_bytes.map(|bytes| vec![b'x'; bytes]));
    if let Some(body) = body {
        request = request.body(body);
    }
    if let Some(ms) = timeout_ms {
        request = request.timeout(Duration::from_millis(ms));
    }
    let output = match request.send() {
        Ok(answer) => json!({
            "status": answer.status,
            "kind": answer.header("X-Kind"),
            "body": answer.text(),
        }),
        Err(error) if strict => return Err(error.into()),
        Err(error) => {
            let detail = Failure::from(error).detail().clone();
            json!({ "error": detail.code, "message": detail.message })
        }
    };
    Ok((output, then))
}

fn other_effect(effect: OtherEffect) -> Effect {
    let target = || SagaTarget::BusinessKey(("probe".into(), "another".into()));
    match effect {
        OtherEffect::Start => Effect::Start(SagaStart {
            saga: "probe".into(),
            business_key: None,
            input: Payload::json(&json!({})),
            child: None,
        }),
        OtherEffect::Signal => Effect::Signal(SagaSignal {
            target: target(),
            name: "go".into(),
            payload: Payload::json(&()),
        }),
        OtherEffect::Cancel => Effect::Cancel(target()),
    }
}

fn message(send: Send) -> Message {
    let message = Message::new(send.topic).json(&send.value);
    let message = send.headers.into_iter().fold(message, |m, (name, value)| m.header(name, value));
    match send.key {
        Some(key) => message.key(key),
        None => message,
    }
}
