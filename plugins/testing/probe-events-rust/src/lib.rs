//! Asks the event store what its input says, in order, and returns the answers:
//! `{"ask": [{"append": ["s", 0, ["opened"]]}, {"snapshot": ["s", 1]}, {"load": "s"}], "fail": false}`. An error is an
//! answer too. It is granted the event store alone: `"sql"` among the questions is denied.

use serde::Deserialize;
use serde_json::{Value, json};
use wasaga_guest::{
    event_store::{self, Error, Event, Snapshot},
    manifest::{Capabilities, Manifest, Saga, Step, Undo},
    prelude::*,
    sql,
};

struct ProbeEvents;

#[derive(Deserialize)]
struct Script {
    ask: Vec<Question>,
    #[serde(default)]
    fail: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Question {
    /// Stream, expected version, and the types of the events; the payload of each is its place, from 1.
    Append(String, u64, Vec<String>),
    /// Stream and version.
    Snapshot(String, u64),
    Load(String),
    Sql,
}

impl Plugin for ProbeEvents {
    fn manifest() -> Manifest {
        Manifest::new("probe-events", env!("CARGO_PKG_VERSION"))
            .saga(Saga::new("probe-events", 1).step(Step::new("a").undo(Undo::new())))
            .capabilities(Capabilities::new().event_store())
    }
}

impl Steps for ProbeEvents {
    fn execute(task: &StepTask) -> Result<Outcome, Failure> {
        follow(task)
    }

    fn compensate(task: &StepTask, _: Option<Payload>) -> Result<Outcome, Failure> {
        follow(task)
    }
}

fn follow(task: &StepTask) -> Result<Outcome, Failure> {
    let script: Script = task.input_json()?;
    let answers: Vec<Value> = script.ask.into_iter().map(answer).collect();
    if script.fail {
        return Err(Failure::permanent("scripted", "the script says so"));
    }
    done_json(&answers).into()
}

fn answer(question: Question) -> Value {
    let answer = match question {
        Question::Append(stream, expected, types) => {
            let event = |(place, event_type)| Event { event_type, payload: Payload::json(&place) };
            let events: Vec<_> = (1_u32..).zip(types).map(event).collect();
            event_store::append(&stream, expected, &events).map(|version| json!(version))
        }
        Question::Snapshot(stream, version) => {
            let state = Payload::json(&version);
            event_store::save_snapshot(&stream, &Snapshot { version, state }).map(|()| json!("kept"))
        }
        Question::Load(stream) => event_store::load(&stream).map(|(snapshot, events)| {
            let text = |payload: Payload| String::from_utf8_lossy(&payload.data).into_owned();
            let events = events.into_iter().map(|stored| {
                let Event { event_type, payload } = stored.event;
                json!([stored.version, event_type, text(payload)])
            });
            json!({
                "snapshot": snapshot.map(|snapshot| json!([snapshot.version, text(snapshot.state)])),
                "events": events.collect::<Vec<_>>(),
            })
        }),
        Question::Sql => sql::query("select 1", &[])
            .map(|rows| json!(rows.len()))
            .map_err(|error| Error::Other(error.code)),
    };
    answer.unwrap_or_else(|error| match error {
        Error::Conflict(version) => json!({"conflict": version}),
        Error::Other(message) => json!({"error": message}),
    })
}

wasaga_guest::saga_plugin!(ProbeEvents);
