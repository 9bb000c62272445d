//! A commit and a delivery at the same time: each is held at each of its writes, and wherever it wants a row that
//! both want, until the other is done or waits for it. Then it goes on, or its connection is cut and its host finds
//! out what became of it. No wake-up is lost, no message comes twice, and nobody waits for ever.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::{select, time::timeout};
use wasaga_store::{
    Store, StoreError,
    lanes::{Flow, Lane},
};

use crate::{
    failpoints::{Failpoints, Stop},
    meeting::{
        Meeting, Part, Plan, Side,
        Then::{Ends, GoesOn, Parks},
    },
    stage::Stage,
};

const PARKS: &[&str] = &[
    "insert journal",
    "update sagas",
    "insert task_out",
    "insert waits",
    "delete waits",
    "insert timers",
];
const CLEARS: &[&str] =
    &["insert journal", "update sagas", "delete timers", "delete waits", "insert task_out"];
const KEEPS: &[&str] = &["update task_in", "insert waits", "update waits"];
const WAKES: &[&str] = &[
    "update task_in",
    "insert waits",
    "update waits",
    "update sagas",
    "insert mail",
    "delete waits",
];

#[tokio::test]
async fn a_saga_parks_while_its_message_comes() {
    let sagas = &[Part { waited: &[], then: Parks(&["a"]) }];
    let plan = Plan { sagas, early: &[], replies: &["a"] };
    let again = meet(plan, PARKS, KEEPS).await;
    assert!(again > 0, "no delivery found a wait that was registered meanwhile");
}

#[tokio::test]
async fn a_saga_meets_an_early_message_while_another_comes() {
    let sagas = &[Part { waited: &[], then: Parks(&["a", "b", "c"]) }];
    let meets = [PARKS, &["update waits", "insert mail"]].concat();
    meet(Plan { sagas, early: &["b"], replies: &["b", "a"] }, &meets, KEEPS).await;
}

#[tokio::test]
async fn a_saga_parks_again_while_its_message_comes() {
    let sagas = &[Part { waited: &["a"], then: Parks(&["a"]) }];
    let again = [CLEARS, PARKS].concat();
    meet(Plan { sagas, early: &[], replies: &["a"] }, &again, WAKES).await;
}

#[tokio::test]
async fn a_saga_ends_while_its_message_comes() {
    let sagas = &[Part { waited: &["a"], then: Ends }];
    meet(Plan { sagas, early: &[], replies: &["a"] }, CLEARS, WAKES).await;
}

#[tokio::test]
async fn a_saga_goes_on_while_its_message_comes() {
    let sagas = &[Part { waited: &["a"], then: GoesOn }];
    meet(Plan { sagas, early: &[], replies: &["a"] }, CLEARS, WAKES).await;
}

#[tokio::test]
async fn sagas_park_while_their_messages_come_the_other_way_round() {
    let sagas =
        &[Part { waited: &[], then: Parks(&["b"]) }, Part { waited: &[], then: Parks(&["a"]) }];
    meet(Plan { sagas, early: &[], replies: &["a", "b"] }, PARKS, KEEPS).await;
}

#[tokio::test]
async fn many_sagas_and_messages_cross() {
    let sagas = &[
        Part { waited: &["e"], then: Parks(&["b"]) },
        Part { waited: &["d"], then: Ends },
        Part { waited: &["c"], then: Parks(&["c"]) },
        Part { waited: &[], then: Parks(&["a", "f"]) },
    ];
    let commit = [CLEARS, PARKS, &["insert mail"]].concat();
    let plan = Plan { sagas, early: &["b"], replies: &["d", "f", "e", "c", "b", "a", "c"] };
    meet(plan, &commit, WAKES).await;
}

/// Lets them meet in every way. Answers with how many deliveries had to be done again.
async fn meet(plan: Plan, commit_writes: &[&str], delivery_writes: &[&str]) -> usize {
    let mut meetings = Meetings::new(plan).await;
    for (side, writes) in [(Side::Commit, commit_writes), (Side::Delivery, delivery_writes)] {
        let points = meetings.points(side).await;
        for write in writes {
            for point in [format!("before {write}"), format!("after {write}")] {
                assert!(points.contains(&point), "the {side:?} has no {point}: {points:?}");
            }
        }
        assert_eq!(points.last().map(String::as_str), Some("commit"), "{points:?}");
        for (n, point) in (1..).zip(&points) {
            if n > 1 && same_place(&points[n - 2], point) {
                continue;
            }
            for is_cut in [false, true] {
                println!("the {side:?} at {n}, {point}, is cut: {is_cut}");
                meetings.held(side, is_cut, |_| Stop::Point(n)).await;
            }
        }
        for (row, part) in plan.sagas.iter().enumerate() {
            if side == Side::Delivery && part.waited.is_empty() {
                continue;
            }
            println!("the {side:?} at the row of saga {row}");
            let stop = |meeting: &Meeting| Stop::Row(meeting.transitions[row].saga.0);
            meetings.held(side, false, stop).await;
        }
        println!("the {side:?} with its answer lost");
        meetings.unanswered(side).await;
    }
    meetings.again
}

/// An upsert has two points before it and two after it, for it may insert and may update.
fn same_place(point: &str, next: &str) -> bool {
    let place = |point: &str| point.replace("insert", "").replace("update", "");
    place(point) == place(next)
}

struct Meetings {
    plan: Plan,
    stage: Stage,
    lane: Lane,
    /// The side that is held goes through this one.
    counted: Store,
    failpoints: Failpoints,
    books: PgConnection,
    cases: i32,
    again: usize,
}

impl Meetings {
    async fn new(plan: Plan) -> Self {
        let stage = Stage::new().await;
        stage.store().host_beat(stage.host, Duration::from_hours(1)).await.unwrap();
        let lane = stage.store().lanes_take(stage.host, Flow::In, 1).await.unwrap()[0];
        let counted = Failpoints::store(&stage.db.url);
        let failpoints = Failpoints::install(&stage.db.url).await;
        let books = stage.connect().await;
        Self { plan, stage, lane, counted, failpoints, books, cases: 0, again: 0 }
    }

    /// All points of a side that comes first, in order.
    async fn points(&mut self, side: Side) -> Vec<String> {
        self.cases += 1;
        let meeting = Meeting::prepare(&self.stage, self.lane, self.plan, self.cases).await;
        self.failpoints.passed().await;
        let first = meeting.run(side, &self.counted).await.unwrap();
        let points = self.failpoints.passed().await;
        let second = meeting.run(side.other(), self.stage.store()).await.unwrap();
        meeting.check(&mut self.books, &first.or(second).unwrap()).await;
        points
    }

    async fn held(&mut self, side: Side, is_cut: bool, stop: impl Fn(&Meeting) -> Stop) {
        self.cases += 1;
        let meeting = Meeting::prepare(&self.stage, self.lane, self.plan, self.cases).await;
        let failpoints = &mut self.failpoints;
        failpoints.hold(stop(&meeting)).await;
        let cross = async {
            let mut first = Box::pin(meeting.run(side, &self.counted));
            let stopped = select! {
                ended = &mut first => panic!("it never came to the stop: {ended:?}"),
                stopped = failpoints.stopped() => stopped,
            };
            let mut second = Box::pin(meeting.run(side.other(), self.stage.store()));
            let ended = select! {
                ended = &mut second => Some(ended),
                () = failpoints.blocked_behind(stopped) => None,
            };
            if is_cut {
                failpoints.kill(stopped).await;
            }
            failpoints.release().await;
            let second = async {
                match ended {
                    Some(ended) => ended,
                    None => second.await,
                }
            };
            tokio::join!(first, second)
        };
        let (first, second) = timeout(Duration::from_secs(30), cross).await.expect("both end");
        let first = if is_cut {
            assert!(matches!(first, Err(StoreError::Connection(_))), "{first:?}");
            meeting.recover(side, self.stage.store()).await
        } else {
            first.unwrap()
        };
        meeting.check(&mut self.books, &first.or(second.unwrap()).unwrap()).await;
        self.again += meeting.again.get();
    }

    /// The first side is done, and its host learns of it when the other side is done too.
    async fn unanswered(&mut self, side: Side) {
        self.cases += 1;
        let meeting = Meeting::prepare(&self.stage, self.lane, self.plan, self.cases).await;
        meeting.run(side, self.stage.store()).await.unwrap();
        let second = meeting.run(side.other(), self.stage.store()).await.unwrap();
        let first = meeting.recover(side, self.stage.store()).await;
        meeting.check(&mut self.books, &first.or(second).unwrap()).await;
    }
}
