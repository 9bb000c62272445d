//! examples/trip: bookings side by side, a pivot, a deadline, undos that give up, and what operators do then.

use futures::join;
use serde_json::{Value, json};
use wasaga_tests::{Answer, Host, PATIENCE, World, check::promises, eventually};

#[tokio::test]
async fn trips() {
    let world = World::embedded(&["trip-rust", "agency-rust"]).await;
    let host = world.host().start().await;
    let stage = Stage { world: &world, host: &host };
    stage.the_agency_listens().await;
    join!(
        stage.booked_paid_and_ticketed(),
        stage.sold_out(),
        stage.two_undos_give_up_side_by_side(),
        stage.a_lost_reference_is_supplied(),
        stage.a_car_that_stays_is_left_to_the_end(),
        stage.past_the_pivot(),
        stage.insisted_on(),
        stage.not_booked_in_time(),
        stage.many_at_once(),
        stage.misfits(),
    );
    promises(&world).await;
}

struct Stage<'a> {
    world: &'a World,
    host: &'a Host,
}

/// A trip that goes well but for these fields.
fn trip(id: &str, but: &Value) -> Value {
    let mut trip = json!({
        "trip_id": id, "traveller": "ada", "card": "visa", "flight": "LH-1", "hotel": "ritz", "car": "mini",
    });
    for (name, value) in but.as_object().expect("fields") {
        trip[name] = value.clone();
    }
    trip
}

impl Stage<'_> {
    async fn post(&self, id: &str, but: &Value) -> Answer {
        self.host.api.post("/api/v1/trips", &trip(id, but)).await
    }

    async fn start(&self, id: &str, but: &Value) -> String {
        self.post(id, but).await.saga()
    }

    /// What the agency has of a trip, an item each: its kind, and whether it is booked.
    async fn bookings(&self, id: &str) -> Vec<String> {
        let bookings = format!(
            "select kind || ' ' || status from plugin_agency.bookings where trip_id = '{id}' order by kind"
        );
        self.world.texts(&bookings).await
    }

    /// The agency refunds this trip.
    async fn waive(&self, id: &str) {
        self.world.run(&format!("insert into plugin_agency.waivers values ('{id}')")).await;
    }

    /// Until the broker has let the host in, no trip is booked in time.
    async fn the_agency_listens(&self) {
        self.start("first", &json!({})).await;
        eventually("the agency listens", PATIENCE, async || {
            (!self.bookings("first").await.is_empty()).then_some(())
        })
        .await;
    }

    async fn booked_paid_and_ticketed(&self) {
        let path = "/api/v1/trips?wait=30s";
        let ended = self.host.api.post(path, &trip("good", &json!({}))).await.ok();
        assert_eq!((&ended["status"], &ended["trip_id"]), (&json!("completed"), &json!("good")));
        assert_eq!(ended["output"], "ticket of ada");
        assert_eq!(ended["outputs"]["pay"]["cents"], 45_000);
        let journal = self.world.journal(ended["saga_id"].as_str().expect("an id")).await;
        assert_eq!(journal[0], "quote succeeded");
        // All three are asked before any of them is paid.
        let mut asked = journal[1..].to_vec();
        asked.truncate(6);
        asked.sort();
        assert_eq!(
            asked,
            [
                "car succeeded",
                "car waiting",
                "flight succeeded",
                "flight waiting",
                "hotel succeeded",
                "hotel waiting"
            ]
        );
        assert_eq!(journal[7..], ["pay succeeded", "ticket succeeded", "completed"]);
        assert_eq!(self.bookings("good").await, ["car booked", "flight booked", "hotel booked"]);
    }

    async fn sold_out(&self) {
        let saga = self.start("sold-out", &json!({"car": "sold-out"})).await;
        let saga = self.host.api.reaches(&saga, "compensated").await;
        assert_eq!(saga["error"]["code"], "sold-out");
        assert_eq!(self.bookings("sold-out").await, ["flight cancelled", "hotel cancelled"]);
    }

    async fn two_undos_give_up_side_by_side(&self) {
        let but = json!({"flight": "no-refund", "hotel": "no-refund", "car": "sold-out"});
        let saga = self.start("strict", &but).await;
        let stuck = self.host.api.reaches(&saga, "needs_attention").await;
        assert_eq!(
            (&stuck["error"]["code"], &stuck["cause"]["code"]),
            (&json!("no-refund"), &json!("sold-out"))
        );
        assert_eq!(self.bookings("strict").await, ["flight booked", "hotel booked"]);
        // Neither waited for the other.
        let journal = self.world.journal(&saga).await;
        for step in ["flight", "hotel"] {
            assert!(journal.contains(&format!("undo {step} waiting")), "{journal:?}");
        }

        // One is lost money; it goes on with the other one, which gives up too.
        let gave_up =
            |saga: &Value, n: usize| saga["undo_errors"][n]["step"].as_str().map(str::to_owned);
        let first = gave_up(&stuck, 0).expect("it says which");
        let skip = ["saga", "skip", &saga, &first, "--by", "grace", "--reason", "lost money"];
        assert!(self.host.cli(&skip).await.contains("skip is posted"));
        let second = eventually("the other one gives up", PATIENCE, async || {
            let saga = self.host.api.saga(&saga).await;
            gave_up(&saga, 1).filter(|_| saga["status"] == "needs_attention")
        })
        .await;
        self.waive("strict").await;
        let retried = self.host.api.ask(&saga, &format!("steps/{second}/retry")).await;
        assert_eq!(retried.status, 202, "{}", retried.text);
        self.host.api.reaches(&saga, "compensated").await;
        let mut bookings = [format!("{first} booked"), format!("{second} cancelled")];
        bookings.sort();
        assert_eq!(self.bookings("strict").await, bookings);
        let history = self.host.cli(&["saga", "history", &saga]).await;
        assert!(history.contains("lost money") && history.contains("grace"), "{history}");
    }

    async fn a_lost_reference_is_supplied(&self) {
        let saga = self.start("inn", &json!({"hotel": "old-inn"})).await;
        eventually("the others are booked", PATIENCE, async || {
            let outputs = self.host.api.saga(&saga).await["outputs"].clone();
            (outputs["flight"].is_object() && outputs["car"].is_object()).then_some(())
        })
        .await;
        eventually("the inn has a booking", PATIENCE, async || {
            (self.bookings("inn").await.len() == 3).then_some(())
        })
        .await;
        assert_eq!(self.host.api.cancel(&saga).await.status, 202);
        let stuck = self.host.api.reaches(&saga, "needs_attention").await;
        assert_eq!(stuck["error"]["code"], "no-reference");
        // It may have been booked: it is undone before what is known to be.
        assert_eq!(self.bookings("inn").await, ["car booked", "flight booked", "hotel booked"]);

        let reference = "select reference::text from plugin_agency.bookings
            where trip_id = 'inn' and kind = 'hotel'";
        let reference = self.world.texts(reference).await.remove(0);
        let undo = format!("{{\"reference\": {reference}}}");
        self.host.cli(&["saga", "supply-undo", &saga, "hotel", "--undo", &undo]).await;
        let saga = self.host.api.reaches(&saga, "compensated").await;
        assert_eq!(saga["error"]["code"], "cancelled");
        assert_eq!(
            self.bookings("inn").await,
            ["car cancelled", "flight cancelled", "hotel cancelled"]
        );
        let late = self.host.api.cancel(saga["saga_id"].as_str().expect("an id")).await;
        assert_eq!(late.status, 409);
        assert_eq!(late.body["type"], "urn:wasaga:problem:final-saga");
    }

    async fn a_car_that_stays_is_left_to_the_end(&self) {
        let saga = self.start("stays", &json!({"car": "no-refund", "card": "declined"})).await;
        let stuck = self.host.api.reaches(&saga, "needs_attention").await;
        assert_eq!(stuck["error"]["code"], "leftovers");
        assert_eq!(stuck["cause"]["code"], "card-declined");
        assert_eq!(stuck["undo_errors"][0]["step"], "car");
        // Its undo gave up, and the others went on.
        let bookings = ["car booked", "flight cancelled", "hotel cancelled"];
        assert_eq!(self.bookings("stays").await, bookings);
        assert_eq!(self.host.api.ask(&saga, "resolve").await.status, 202);
        self.host.api.reaches(&saga, "compensated").await;
        assert_eq!(self.bookings("stays").await, bookings);
    }

    async fn past_the_pivot(&self) {
        let saga = self.start("paid", &json!({"traveller": "no-passport"})).await;
        let stuck = self.host.api.reaches(&saga, "needs_attention").await;
        assert_eq!(stuck["error"]["code"], "no-passport");
        let refused = self.host.api.cancel(&saga).await;
        assert_eq!(refused.status, 409, "{}", refused.text);
        assert_eq!(refused.body["type"], "urn:wasaga:problem:past-pivot");
        assert!(self.host.cli_fails(&["saga", "cancel", &saga]).await.contains("past its pivot"));
        assert_eq!(self.host.api.ask(&saga, "steps/ticket/skip").await.status, 202);
        self.host.api.reaches(&saga, "completed").await;
        assert_eq!(self.bookings("paid").await, ["car booked", "flight booked", "hotel booked"]);
    }

    async fn insisted_on(&self) {
        let saga = self.start("two-names", &json!({"traveller": "two-names"})).await;
        let saga = self.host.api.reaches(&saga, "completed").await;
        let id = saga["saga_id"].as_str().expect("an id");
        let ticket = |line: &String| line.starts_with("ticket");
        let tried = self.world.journal(id).await.into_iter().filter(ticket).count();
        assert_eq!(tried, 4, "its policy has three attempts");
        assert!(self.host.api.metric("wasaga_steps_insisted_total").await >= 1.0);
    }

    async fn not_booked_in_time(&self) {
        let saga = self.start("slow", &json!({"hotel": "silent"})).await;
        let saga = self.host.api.reaches(&saga, "compensated").await;
        assert_eq!(saga["error"]["code"], "deadline-exceeded");
        assert_eq!(
            self.bookings("slow").await,
            ["car cancelled", "flight cancelled", "hotel cancelled"]
        );
    }

    async fn many_at_once(&self) {
        let ids = ["group-1", "group-2", "group-3"];
        for id in ids {
            let but = json!({"traveller": "group", "hotel": "no-refund", "car": "sold-out"});
            let saga = self.start(id, &but).await;
            self.host.api.reaches(&saga, "needs_attention").await;
        }
        let filter = "definition=trip&status=needs_attention&step=hotel&input./traveller=group";
        let found = self.host.api.get(&format!("/api/v1/sagas?{filter}")).await.ok();
        let keys: Vec<_> = found["sagas"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|saga| saga["business_key"].as_str())
            .collect();
        assert_eq!(keys, ["group-3", "group-2", "group-1"], "newest first");
        let list = ["saga", "list", "--status", "needs_attention", "--input", "/traveller=group"];
        let listed = self.host.cli(&list).await;
        assert!(ids.iter().all(|id| listed.contains(id)), "{listed}");

        for id in ids {
            self.waive(id).await;
        }
        let bulk = |more: &str| format!("/api/v1/sagas/bulk/retry?{filter}{more}");
        let ask = json!({"reason": "they are refunded"});
        let dry = self.host.api.post(&bulk("&dry_run=true"), &ask).await.ok();
        assert_eq!((&dry["matched"], &dry["asked"]), (&json!(3), &json!(0)));
        let asked = self.host.api.post(&bulk(""), &ask).await.ok();
        assert_eq!((&asked["matched"], &asked["asked"]), (&json!(3), &json!(3)));
        for saga in found["sagas"].as_array().into_iter().flatten() {
            let id = saga["saga_id"].as_str().expect("an id");
            self.host.api.reaches(id, "compensated").await;
        }
    }

    async fn misfits(&self) {
        let mut misfit = trip("misfit", &json!({"hotel": 5}));
        misfit.as_object_mut().expect("fields").remove("car");
        let by_path = self.host.api.post("/api/v1/trips", &misfit).await;
        let start = json!({"definition": "trip", "input": misfit});
        let by_name = self.host.api.post("/api/v1/sagas", &start).await;
        for refused in [by_path, by_name] {
            assert_eq!(refused.status, 422, "{}", refused.text);
            assert!(refused.text.contains("/hotel") && refused.text.contains("car"));
        }
        let other = json!({"flight": "LH-2"});
        let again = self.post("sold-out", &other).await;
        assert_eq!(again.status, 409, "{}", again.text);
    }
}
