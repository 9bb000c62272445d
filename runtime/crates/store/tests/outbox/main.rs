//! What holds for an outbox, be it in Postgres or in memory.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

mod emitting;
mod finding;
mod leasing;
mod publishing;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasaga_domain::ids::HostId;
use wasaga_store::{
    Outbox,
    emit::NewMessage,
    lanes::{Flow, Lane},
    outbox_memory::MemoryOutbox,
    task_out::{Excluded, Leased, TaskOut},
    testing::{TestDatabase, database},
};

/// An outbox under test.
struct Stage {
    outbox: Arc<dyn Outbox>,
    /// Ends with this value.
    _database: Option<TestDatabase>,
}

impl Stage {
    async fn postgres() -> Self {
        let database = database().await;
        Self { outbox: database.store.clone().into(), _database: Some(database) }
    }

    fn memory() -> Self {
        Self { outbox: MemoryOutbox::default().into(), _database: None }
    }

    /// A relay that holds the lane.
    async fn relay(&self) -> Relay<'_> {
        let outbox = &*self.outbox;
        let host = outbox.relay_register("test", "0", Duration::from_mins(1)).await.unwrap();
        let lanes = outbox.lanes_take(host, Flow::Out, 1).await.unwrap();
        Relay { outbox, host, lane: lanes[0] }
    }

    async fn emit(&self, message: NewMessage) -> i64 {
        self.outbox.emit(&[message]).await.unwrap()[0]
    }
}

struct Relay<'a> {
    outbox: &'a dyn Outbox,
    host: HostId,
    lane: Lane,
}

impl Relay<'_> {
    async fn read(&self, excluded: &Excluded, limit: i64, bytes: i64) -> Vec<TaskOut> {
        let read = self.outbox.task_out_waiting(self.host, self.lane, excluded, limit, bytes);
        match read.await.unwrap() {
            Leased::Held(rows) => rows,
            Leased::Lost => panic!("the lane is lost"),
        }
    }

    async fn waiting(&self) -> Vec<TaskOut> {
        self.read(&Excluded::default(), 100, 1 << 30).await
    }

    async fn mark(&self, ids: &[i64]) -> Leased<()> {
        self.outbox.task_out_published(self.host, self.lane, ids).await.unwrap()
    }
}

/// A message with a value that is its own.
fn message(topic: &str, key: &str, value: &str) -> NewMessage {
    NewMessage {
        topic: topic.into(),
        key: Some(key.into()),
        payload_bytes: Some(value.to_owned().into()),
        ..NewMessage::default()
    }
}

fn values(rows: &[TaskOut]) -> Vec<String> {
    let text = |row: &TaskOut| String::from_utf8(row.value.clone().unwrap_or_default()).unwrap();
    rows.iter().map(text).collect()
}

/// Waits until a published message is so old that it is deleted.
async fn forgets(stage: &Stage) {
    let until = Instant::now() + Duration::from_secs(10);
    while stage.outbox.task_out_forget(0, 99).await.unwrap() == 0 {
        assert!(Instant::now() < until, "it is never forgotten");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Runs each of these as a test on both outboxes.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Stage::postgres().await).await;
            })*
        }
        mod memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Stage::memory()).await;
            })*
        }
    };
}
use on_both;
