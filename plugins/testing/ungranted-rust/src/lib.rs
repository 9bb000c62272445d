//! Uses `sql` and the event store without having asked for them. The output of its one step is what the host answered:
//! `{"code", "message", "event_store"}`, or less should it ever be let through.

use std::collections::BTreeMap;

use wasaga_guest::{
    event_store,
    manifest::{Manifest, Saga, Step},
    prelude::*,
    sql,
};

struct Ungranted;

impl Plugin for Ungranted {
    fn manifest() -> Manifest {
        let saga = Saga::new("ungranted", 1).step(Step::new("a"));
        Manifest::new("ungranted", env!("CARGO_PKG_VERSION")).saga(saga)
    }
}

impl Steps for Ungranted {
    fn execute(_: &StepTask) -> Result<Outcome, Failure> {
        let mut told = BTreeMap::new();
        if let Err(sql::Error { code, message }) = sql::query("select 1", &[]) {
            told.extend([("code", code), ("message", message)]);
        }
        if let Err(event_store::Error::Other(message)) = event_store::load("s") {
            told.insert("event_store", message);
        }
        done_json(&told).into()
    }
}

wasaga_guest::saga_plugin!(Ungranted);
