//! A module that takes much of the processors runs behind the others, as the priority of the threads tells on which its
//! calls log.

use std::{
    fmt, fs,
    sync::{Mutex, Once},
    time::{Duration, Instant},
};

use serde_json::json;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};
use wasaga_domain::ports::CallKind;
use wasaga_plugin_host::{Options, PluginHost};

use crate::stage::{call, component, does, generous, output, probe, report, run};

/// What guests logged, and how nice their threads were then.
static LOGGED: Mutex<Vec<(String, i64)>> = Mutex::new(Vec::new());

const PATIENCE: Duration = Duration::from_secs(20);

struct Guests;

impl<S: Subscriber> Layer<S> for Guests {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "guest" {
            let mut line = Line::default();
            event.record(&mut line);
            LOGGED.lock().expect("nobody panics with it").push((line.0, niceness()));
        }
    }
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Of this thread, by proc(5): the 19th field, of which two stand before the last parenthesis.
fn niceness() -> i64 {
    let stat = fs::read_to_string("/proc/thread-self/stat").expect("Linux tells of threads");
    let (_, fields) = stat.rsplit_once(')').expect("the name stands in parentheses");
    fields.split_whitespace().nth(16).and_then(|nice| nice.parse().ok()).expect("a number")
}

fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let registry = tracing_subscriber::registry().with(Guests);
        tracing::subscriber::set_global_default(registry).expect("nobody else does");
    });
}

/// How nice the thread is on which the probe says this.
async fn says(host: &PluginHost, message: &str) -> i64 {
    let said = run(host, does(json!({"do": "imports", "message": message}))).await;
    said.expect("it is done");
    nice(message)
}

fn nice(message: &str) -> i64 {
    let logged = LOGGED.lock().expect("nobody panics with it");
    let line = logged.iter().rev().find(|(line, _)| line == message);
    line.unwrap_or_else(|| panic!("nobody says {message:?}: {logged:?}")).1
}

#[tokio::test]
async fn who_takes_much_goes_behind_and_comes_back() {
    capture();
    let host = probe(Options { threads: 1, ..generous() }).await;
    host.install_local(component("greeting-rust")).await.expect("it loads");
    assert_eq!(says(&host, "behind: little").await, 0);
    // By the clock: how much of the processors it gets meanwhile is the machine's.
    let until = Instant::now() + PATIENCE;
    loop {
        run(&host, does(json!({"do": "spin", "ms": 90}))).await.expect("it is done");
        if says(&host, "behind: much").await != 0 {
            break;
        }
        assert!(Instant::now() < until, "who takes much goes behind");
    }
    assert_eq!(nice("behind: much"), 15);
    let mut tear_up = call("greeting", &json!({"name": "Ada"}));
    tear_up.attempt.step = "write".into();
    tear_up.kind = CallKind::Compensate { undo: None };
    output(report(&host, tear_up).await.outcome);
    assert_eq!(nice("the card for somebody is torn up"), 0, "another module");

    let until = Instant::now() + PATIENCE;
    while says(&host, "behind: later").await != 0 {
        assert!(Instant::now() < until, "it comes back when what it took has faded");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
