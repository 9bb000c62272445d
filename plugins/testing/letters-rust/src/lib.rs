//! A plugin on all four task flows. A message says itself what becomes of it: `{"in": …, "out": …, "dead": …}`, each `ok`
//! (as where it is absent), `never`, `later` (on the second attempt), `always` (fails for now), `trap` or `drop`.
//!
//! Records come on `letters.in`; what is done with one is told on `letters.done`. Messages to `letters.out` are stamped
//! before they are published. Dead letters of `letters.in` are told on `letters.done`, and those to `letters.out` are
//! replaced by their reason, to `letters.found`.

use serde::Deserialize;
use serde_json::{Value, json};
use wasaga_guest::{
    manifest::{Capabilities, Manifest},
    prelude::*,
};

struct Letters;

const IN: &str = "letters.in";
const OUT: &str = "letters.out";
const DONE: &str = "letters.done";
const FOUND: &str = "letters.found";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Script {
    r#in: Say,
    out: Say,
    dead: Say,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Say {
    #[default]
    Ok,
    Never,
    Later,
    Always,
    Trap,
    Drop,
}

impl Say {
    fn follow(self, attempt: u32) -> Result<(), Failure> {
        match self {
            Self::Never => Err(Failure::permanent("never", "the message says so")),
            Self::Later if attempt < 2 => Err(Failure::retryable("later", "the message says so")),
            Self::Always => Err(Failure::retryable("always", "the message says so")),
            Self::Trap => panic!("the message says so"),
            Self::Ok | Self::Later | Self::Drop => Ok(()),
        }
    }
}

impl Plugin for Letters {
    fn manifest() -> Manifest {
        Manifest::new("letters", env!("CARGO_PKG_VERSION"))
            .handles(IN)
            .out_topic(OUT)
            .dead_in_topic(IN)
            .dead_out_topic(OUT)
            .capabilities(Capabilities::new().topic("letters.*"))
    }
}

impl Tasks for Letters {
    fn handle_in(task: &FlowTask) -> Result<Vec<Effect>, Failure> {
        script(&task.message)?.r#in.follow(task.attempt)?;
        Ok(vec![send(told(task, "in"))])
    }

    fn handle_out(task: &FlowTask) -> Result<Outbound, Failure> {
        let say = script(&task.message)?.out;
        say.follow(task.attempt)?;
        if say == Say::Drop {
            return Ok(Outbound::Drop);
        }
        Ok(Outbound::Publish(task.message.clone().header("stamp", &*task.idempotency_key)))
    }

    fn handle_dead_in(dead: &DeadTask) -> Result<Vec<Effect>, Failure> {
        script(&dead.task.message)?.dead.follow(dead.task.attempt)?;
        Ok(vec![send(told(&dead.task, &dead.reason.code))])
    }

    fn handle_dead_out(dead: &DeadTask) -> Result<Outbound, Failure> {
        let say = script(&dead.task.message)?.dead;
        say.follow(dead.task.attempt)?;
        if say == Say::Drop {
            return Ok(Outbound::Drop);
        }
        let found = Message::new(FOUND).json(&json!({"reason": dead.reason.code}));
        Ok(Outbound::Publish(match dead.task.message.key.clone() {
            Some(key) => found.key(key),
            None => found,
        }))
    }
}

fn script(message: &Message) -> Result<Script, Failure> {
    message.parse()
}

fn told(task: &FlowTask, what: &str) -> Message {
    let value: Value = task.message.parse().unwrap_or_default();
    let done = Message::new(DONE)
        .json(&json!({"what": what, "key": task.idempotency_key, "value": value}));
    match task.message.key.clone() {
        Some(key) => done.key(key),
        None => done,
    }
}

wasaga_guest::task_plugin!(Letters);
