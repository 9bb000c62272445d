//! Uses `sql` without having asked for it. The output of its one step is what the host answered: `{"code", "message"}`,
//! or `{"rows"}` should it ever be let through.

use std::collections::BTreeMap;

use wasaga_guest::{
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
        match sql::query("select 1", &[]) {
            Ok(rows) => done_json(&BTreeMap::from([("rows", rows.len())])).into(),
            Err(sql::Error { code, message }) => {
                done_json(&BTreeMap::from([("code", code), ("message", message)])).into()
            }
        }
    }
}

wasaga_guest::saga_plugin!(Ungranted);
