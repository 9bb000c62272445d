//! examples/approval: signals, reminders, sleeps, guards, pauses, cancels, and starts by SQL.

use futures::join;
use serde_json::{Value, json};
use wasaga_tests::{Host, PATIENCE, Record, World, check::promises, eventually};

#[tokio::test]
async fn approvals() {
    let world = World::embedded(&["approval-rust"]).await;
    let host = world.host().start().await;
    let stage = Stage { world: &world, host: &host };
    join!(
        stage.approved(),
        stage.approved_before_it_was_asked(),
        stage.refused(),
        stage.reminded_in_vain(),
        stage.small(),
        stage.not_employed(),
        stage.decided_by_records(),
        stage.paused(),
        stage.withdrawn_while_it_cools_off(),
        stage.started_by_sql(),
        stage.what_sql_starts_amiss(),
    );
    promises(&world).await;
}

struct Stage<'a> {
    world: &'a World,
    host: &'a Host,
}

/// An expense that waits for approval for a day, and then goes on at once.
fn expense(id: &str) -> Value {
    json!({"expense_id": id, "employee": "ada", "cents": 12_000, "cool_off_ms": 0})
}

impl Stage<'_> {
    async fn post(&self, expense: &Value) -> String {
        self.host.api.post("/api/v1/expenses", expense).await.saga()
    }

    async fn asked(&self, id: &str) -> String {
        let saga = self.post(&expense(id)).await;
        self.host.api.waits_in(&saga, "approve").await;
        saga
    }

    async fn ledger(&self, id: &str) -> String {
        let status =
            format!("select status from plugin_approval.expenses where expense_id = '{id}'");
        self.world.texts(&status).await.concat()
    }

    async fn approved(&self) {
        let saga = self.asked("e-1").await;
        let sent = self.host.api.signal(&saga, "approved", &json!({"by": "grace"})).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let saga = self.host.api.reaches(&saga, "completed").await;
        assert_eq!(saga["outputs"]["approve"], json!({"by": "grace"}));
        assert_eq!(saga["output"], json!({"paid_cents": 12_000}));
        assert_eq!(self.ledger("e-1").await, "paid");
    }

    async fn approved_before_it_was_asked(&self) {
        // Paused at once, so that it can't have asked yet, or taken in its answer.
        let saga = self.post(&expense("e-early")).await;
        self.host.api.ask(&saga, "pause").await;
        self.host.api.signal(&saga, "approved", &json!("early")).await;
        self.host.api.resume(&saga).await;
        let saga = self.host.api.reaches(&saga, "completed").await;
        assert_eq!(saga["outputs"]["approve"], "early");
    }

    async fn refused(&self) {
        let saga = self.asked("e-2").await;
        self.host.cli(&["saga", "signal", &saga, "refused", "\"too dear\""]).await;
        let saga = self.host.api.reaches(&saga, "compensated").await;
        assert_eq!(saga["error"]["code"], "refused");
        assert!(saga["error"]["message"].as_str().is_some_and(|why| why.contains("too dear")));
        assert_eq!(self.ledger("e-2").await, "dropped");
    }

    async fn reminded_in_vain(&self) {
        let mut expense = expense("e-3");
        expense["remind_after_ms"] = json!(200);
        let saga = self.post(&expense).await;
        let saga = self.host.api.reaches(&saga, "compensated").await;
        assert_eq!(saga["error"]["code"], "nobody-answered");
        let sent = "select convert_from(value, 'UTF8')::jsonb ->> 'reminder' from wasaga.task_out
            where topic = 'expense.requests' and key = 'e-3' order by id";
        assert_eq!(self.world.texts(sent).await, ["0", "1", "2"]);
    }

    async fn small(&self) {
        let mut expense = expense("e-4");
        expense["cents"] = json!(4_999);
        let saga = self.post(&expense).await;
        self.host.api.reaches(&saga, "completed").await;
        assert_eq!(
            self.world.journal(&saga).await,
            [
                "earmark succeeded",
                "approve skipped",
                "cool_off waiting",
                "cool_off succeeded",
                "pay_out succeeded",
                "completed",
            ]
        );
    }

    async fn not_employed(&self) {
        let mut expense = expense("e-5");
        expense["employee"] = json!("former-bob");
        let saga = self.post(&expense).await;
        let ended = self.host.api.reaches(&saga, "failed").await;
        assert_eq!(ended["error"]["code"], "not-employed");
        assert_eq!(self.ledger("e-5").await, "");
        let journal = self.world.journal(&saga).await;
        assert_eq!(journal, ["earmark failed", "undoing", "saga_failed"]);
    }

    async fn decided_by_records(&self) {
        let (approved, withdrawn) = (self.asked("e-6").await, self.asked("e-7").await);
        let decided = |id: &str, decision: &str| {
            let value = json!({"expense_id": id, "decision": decision, "by": "grace"});
            Record::new("expense.decisions", id, &value)
        };
        self.world.produce(&[decided("e-6", "approve"), decided("e-7", "withdraw")]).await;
        let approved = self.host.api.reaches(&approved, "completed").await;
        assert_eq!(approved["outputs"]["approve"], "grace");
        let withdrawn = self.host.api.reaches(&withdrawn, "compensated").await;
        assert_eq!(withdrawn["error"]["code"], "cancelled");
    }

    async fn paused(&self) {
        let saga = self.asked("e-8").await;
        assert_eq!(self.host.api.ask(&saga, "pause").await.status, 202);
        self.host.api.reaches(&saga, "paused").await;
        self.host.api.signal(&saga, "approved", &json!("grace")).await;
        assert_eq!(self.host.api.resume(&saga).await.body["status"], "paused");
        self.host.api.reaches(&saga, "completed").await;
        assert_eq!(
            self.world.journal(&saga).await[..5],
            ["earmark succeeded", "approve waiting", "paused", "resumed", "approve succeeded"]
        );
    }

    async fn withdrawn_while_it_cools_off(&self) {
        let cools_off = async |id: &str| {
            let mut expense = expense(id);
            expense["cool_off_ms"] = json!(86_400_000);
            expense["cents"] = json!(100);
            let saga = self.post(&expense).await;
            self.host.api.waits_in(&saga, "cool_off").await;
            saga
        };
        let saga = cools_off("e-9").await;
        self.host.cli(&["saga", "cancel", &saga, "--reason", "not needed"]).await;
        let ended = self.host.api.reaches(&saga, "compensated").await;
        assert_eq!(ended["error"], json!({"code": "cancelled", "message": "not needed"}));
        assert_eq!(self.ledger("e-9").await, "dropped");

        // A sleep that is resumed is over.
        let saga = cools_off("e-10").await;
        assert_eq!(self.host.api.resume(&saga).await.status, 202);
        self.host.api.reaches(&saga, "completed").await;
    }

    async fn started_by_sql(&self) {
        let start = "insert into claims values ('c-1');
            select wasaga.start_saga('expense', 'c-1',
                '{\"employee\": \"ada\", \"cents\": 700, \"cool_off_ms\": 0}')";
        self.world.run("create table claims (id text)").await;
        self.world.run(&format!("begin; {start}; rollback")).await;
        let sagas = "select count(*) from wasaga.sagas where business_key = 'c-1'";
        assert_eq!(self.world.number(sagas).await, 0, "it was rolled back with its claim");
        self.world.run(&format!("begin; {start}; commit")).await;
        let saga = "select id::text from wasaga.sagas where business_key = 'c-1'";
        let saga = self.world.texts(saga).await.remove(0);
        self.host.api.reaches(&saga, "completed").await;
        assert_eq!(self.ledger("c-1").await, "paid");
    }

    async fn what_sql_starts_amiss(&self) {
        let start = "select wasaga.start_saga('expense', 'c-2', '{\"employee\": \"ada\"}')::text";
        let saga = self.world.texts(start).await.remove(0);
        let ended = self.host.api.reaches(&saga, "failed").await;
        assert_eq!(ended["error"]["code"], "bad-input");
        assert!(ended["error"]["message"].as_str().is_some_and(|why| why.contains("cents")));
        let seen = "a saga that never ran has no step";
        eventually(seen, PATIENCE, async || {
            (self.world.journal(&saga).await == ["undoing", "saga_failed"]).then_some(())
        })
        .await;
    }
}
