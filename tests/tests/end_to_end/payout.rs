//! examples/payout: a schedule, children, what becomes of them, and who hears of it.

use futures::join;
use serde_json::{Value, json};
use wasaga_tests::{Host, PATIENCE, World, check::promises, eventually};

#[tokio::test]
async fn payouts() {
    let world = World::embedded(&["payout-rust"]).await;
    let host = world.host().set("schedules.poll_ms", 100).start().await;
    let stage = Stage { world: &world, host: &host };
    join!(stage.each_night(), stage.cancelled_with_its_children());
    stage.lives_are_written_down().await;
    promises(&world).await;
}

struct Stage<'a> {
    world: &'a World,
    host: &'a Host,
}

impl Stage<'_> {
    /// The saga of this definition and business key, once there is one.
    async fn saga_of(&self, definition: &str, key: &str) -> String {
        let sagas = format!(
            "select id::text from wasaga.sagas where definition = '{definition}' and business_key like '{key}'"
        );
        eventually(format!("{definition} {key} has started"), PATIENCE, async || {
            self.world.texts(&sagas).await.pop()
        })
        .await
    }

    async fn cents(&self, account: &str) -> i64 {
        let cents = format!("select cents from plugin_payout.accounts where account = '{account}'");
        self.world.number(&cents).await
    }

    async fn each_night(&self) {
        let ahead = "select count(*) from wasaga.schedules where next_at > now()";
        eventually("the next night is known", PATIENCE, async || {
            (self.world.number(ahead).await == 1).then_some(())
        })
        .await;
        let listed = self.host.api.get("/api/v1/schedules").await.ok();
        let listed = listed["schedules"].as_array().unwrap_or_else(|| panic!("{listed}"));
        assert_eq!(
            (&listed[0]["definition"], &listed[0]["cron"]),
            (&json!("payday"), &json!("0 2 * * *"))
        );
        assert!(self.host.cli(&["schedules", "list"]).await.contains("0 2 * * *"));

        // As if no host had run last night.
        let last_night = "update wasaga.schedules set next_at = next_at - interval '1 day'";
        self.world.run(last_night).await;
        let payday = self.saga_of("payday", "payday@%").await;
        let abroad = self.saga_of("transfer", "payday@%/foreign-dora").await;
        self.host.api.waits_in(&abroad, "credit").await;
        self.host.api.waits_in(&payday, "pay").await;
        self.host.api.signal(&abroad, "cleared", &json!(null)).await;
        let ended = self.host.api.reaches(&payday, "completed").await;
        assert_eq!(
            ended["output"],
            json!({
                "paid": ["ada", "bob", "foreign-dora"],
                "unpaid": {"closed-carl": "account-closed"},
            })
        );
        let input: &Value = &ended["context"];
        assert!(
            input["scheduled_at"].as_str().is_some_and(|at| at.ends_with("T02:00:00Z")),
            "{input}"
        );
        assert_eq!(self.cents("bob").await, 4_000);
        let failed = self.saga_of("transfer", "payday@%/closed-carl").await;
        self.host.api.reaches(&failed, "compensated").await;
        assert_eq!(self.world.number("select count(*) from wasaga.sagas where definition = 'payday' and business_key like 'payday@%'").await, 1);
    }

    async fn cancelled_with_its_children(&self) {
        let input = json!({"only": ["ada", "foreign-dora"]});
        let payday = self.host.api.start("payday", "by-hand", &input).await;
        let near = self.saga_of("transfer", "by-hand/ada").await;
        let abroad = self.saga_of("transfer", "by-hand/foreign-dora").await;
        self.host.api.reaches(&near, "completed").await;
        self.host.api.waits_in(&abroad, "credit").await;
        self.host.api.cancel(&payday).await;
        let ended = self.host.api.reaches(&payday, "failed").await;
        assert_eq!(ended["error"]["code"], "cancelled");
        // What was paid stays paid; what was under way is undone.
        let child = self.host.api.reaches(&abroad, "compensated").await;
        assert_eq!(child["error"]["code"], "cancelled");
        self.host.api.reaches(&near, "completed").await;
    }

    async fn lives_are_written_down(&self) {
        let lives = "select transfer || ': ' || string_agg(event, ' ' order by number)
            from (select *, split_part(event_id, '/', 3)::int as number
                from plugin_payout.transfer_events where transfer like 'by-hand/%') as told
            group by transfer order by transfer";
        let expected = [
            "by-hand/ada: started step_succeeded step_succeeded completed",
            "by-hand/foreign-dora: started step_succeeded step_compensated compensated",
        ];
        eventually("the transfers' lives are written down", PATIENCE, async || {
            (self.world.texts(lives).await == expected).then_some(())
        })
        .await;
        assert_eq!(self.cents("ada").await, 10_000, "by night and by hand");
    }
}
