//! A commit and a delivery that meet: what each is to do, and how its host goes about it.

use std::{cell::Cell, time::Duration};

use serde_json::json;
use wasaga_domain::{ids::TaskId, message::Message};
use wasaga_store::{
    Store, StoreError,
    commit::{Position, RegisteredWait, Transition, Verdict},
    lanes::{Flow, Lane},
    task_in::Reply,
    task_in_insert::{Move, NewTaskIn},
    task_out::Excluded,
};

use crate::stage::{Stage, TOPIC, command, ending, new_saga, step, waiting};

/// What is to meet. Sagas and keys have names of their own each time.
#[derive(Clone, Copy)]
pub struct Plan {
    /// The commit's batch.
    pub sagas: &'static [Part],
    /// Keys of messages that came before.
    pub early: &'static [&'static str],
    /// Keys of the messages that come now, in one delivery.
    pub replies: &'static [&'static str],
}

/// A saga of the batch, leased to the host.
pub struct Part {
    /// What it waited for until its time came.
    pub waited: &'static [&'static str],
    pub then: Then,
}

/// What a saga commits.
pub enum Then {
    /// It waits for these keys.
    Parks(&'static [&'static str]),
    Ends,
    GoesOn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Commit,
    Delivery,
}

impl Side {
    pub fn other(self) -> Self {
        match self {
            Self::Commit => Self::Delivery,
            Self::Delivery => Self::Commit,
        }
    }
}

/// How a side ended: a commit with verdicts.
pub type Ended = Option<Vec<Verdict>>;

pub struct Meeting<'a> {
    pub plan: Plan,
    /// Sets its keys and its partition apart.
    pub case: i32,
    pub transitions: Vec<Transition>,
    /// What was sent to the sagas, first to last.
    pub sent: Vec<String>,
    /// Deliveries that had to be done again.
    pub again: Cell<usize>,
    stage: &'a Stage,
    replies: Vec<Reply>,
}

impl<'a> Meeting<'a> {
    pub async fn prepare(stage: &'a Stage, lane: Lane, plan: Plan, case: i32) -> Self {
        let (sent, mut early) = messages(stage, lane, &plan, case).await;
        let replies = early.split_off(plan.early.len());
        if !early.is_empty() {
            stage.store().replies_deliver(stage.host, &early, TTL).await.unwrap();
        }
        let transitions = sagas(stage, &plan, case).await;
        Self { plan, case, transitions, sent, again: Cell::new(0), stage, replies }
    }

    pub async fn run(&self, side: Side, store: &Store) -> Result<Ended, StoreError> {
        let host = self.stage.host;
        if side == Side::Commit {
            return store.sagas_commit(host, &self.transitions).await.map(Some);
        }
        loop {
            match store.replies_deliver(host, &self.replies, TTL).await {
                // What the inbox does at once. Any other conflict, a deadlock above all, is a fault.
                Err(StoreError::Conflict(error)) if error.to_string().contains("meanwhile") => {
                    self.again.update(|again| again + 1);
                }
                delivered => {
                    assert!(delivered?.is_some(), "the lane is the host's");
                    return Ok(None);
                }
            }
        }
    }

    /// What the host does when it heard no answer: it reads what became of it, and does again what did not happen.
    pub async fn recover(&self, side: Side, store: &Store) -> Ended {
        if side == Side::Delivery {
            let tasks: Vec<_> = self.replies.iter().map(|reply| reply.task).collect();
            let positions = store.tasks_position(Flow::In, &tasks).await.unwrap();
            if positions.iter().all(|position| position.ended) {
                return None;
            }
            return self.run(side, store).await.unwrap();
        }
        let sagas: Vec<_> = self.transitions.iter().map(|transition| transition.saga).collect();
        let positions = store.sagas_position(&sagas).await.unwrap();
        let fates: Vec<_> =
            self.transitions.iter().zip(positions).map(|(t, p)| self.fate(t, p.unwrap())).collect();
        let open = self.transitions.iter().zip(&fates).filter(|(_, fate)| fate.is_none());
        let open: Vec<_> = open.map(|(transition, _)| transition.clone()).collect();
        let mut verdicts = Vec::new().into_iter();
        if !open.is_empty() {
            verdicts = store.sagas_commit(self.stage.host, &open).await.unwrap().into_iter();
        }
        Some(fates.into_iter().map(|fate| fate.or_else(|| verdicts.next()).unwrap()).collect())
    }

    fn fate(&self, transition: &Transition, position: Position) -> Option<Verdict> {
        assert_eq!(position.epoch, transition.epoch, "nobody else takes it up");
        let is_held = position.host == Some(self.stage.host);
        let mail = if is_held { position.mail } else { transition.seen };
        (position.sequence == transition.next_sequence()).then_some(Verdict::Committed { mail })
    }
}

const TTL: Duration = Duration::from_mins(1);

fn correlation(case: i32, key: &str) -> String {
    format!("{case}/{key}")
}

/// The values and the stored records of all messages.
async fn messages(stage: &Stage, lane: Lane, plan: &Plan, case: i32) -> (Vec<String>, Vec<Reply>) {
    let keys: Vec<_> = plan.early.iter().chain(plan.replies).collect();
    let sent: Vec<_> = keys.iter().enumerate().map(|(n, key)| format!("{key}#{n}")).collect();
    let record = |(offset, value): (i64, &String)| NewTaskIn {
        lane: lane.number,
        topic: TOPIC.into(),
        partition: case,
        offset,
        key: None,
        headers: json!([]),
        value: Some(value.clone().into()),
        message_id: None,
        produced_at: None,
        refused: None,
    };
    let records: Vec<_> = (0..).zip(&sent).map(record).collect();
    let all = Move { topic: TOPIC.into(), partition: case, expected: None, next: 100 };
    let inserted = stage.store().task_in_insert("cluster", &[all], &records).await.unwrap();
    assert_eq!(inserted.made, [true]);
    let nothing = Excluded::default();
    let tasks =
        stage.store().tasks_find(Flow::In, &[lane.number], &[], &nothing, 100).await.unwrap();
    assert_eq!(tasks.len(), sent.len(), "those of the cases before have ended");
    let reply = |((task, key), value): ((TaskId, &&str), &String)| {
        let value = Some(value.clone().into());
        let message = Message { topic: TOPIC.into(), key: None, headers: Vec::new(), value };
        Reply { task, lane, attempts: 1, correlation: correlation(case, key), message }
    };
    let tasks = tasks.iter().map(|task| task.id);
    let replies = tasks.zip(keys).zip(&sent).map(reply).collect();
    (sent, replies)
}

/// Starts the sagas; answers with what they want to commit.
async fn sagas(stage: &Stage, plan: &Plan, case: i32) -> Vec<Transition> {
    let new: Vec<_> =
        (0..plan.sagas.len()).map(|n| new_saga(&correlation(case, &n.to_string()))).collect();
    stage.store().sagas_start(stage.host, &new).await.unwrap();
    let parks = |transition: Transition, keys: &[&str]| {
        let wait = |key: &&str| RegisteredWait {
            topic: TOPIC.into(),
            correlation: correlation(case, key),
            step: 0,
        };
        Transition { waits: keys.iter().map(wait).collect(), ..transition }
    };
    let mut transitions = Vec::new();
    let mut before = Vec::new();
    for (part, saga) in plan.sagas.iter().zip(new.iter().map(|saga| saga.id)) {
        let mut transition = match part.then {
            Then::Parks(keys) => parks(waiting(saga, ""), keys),
            Then::Ends => ending(saga),
            Then::GoesOn => step(saga),
        };
        transition.effects = vec![command()];
        if !part.waited.is_empty() {
            let due = Some(Duration::ZERO);
            before.push(Transition { due, ..parks(waiting(saga, ""), part.waited) });
            (transition.epoch, transition.sequence, transition.clears) = (2, 1, true);
        }
        transitions.push(transition);
    }
    if !before.is_empty() {
        stage.store().sagas_commit(stage.host, &before).await.unwrap();
        let claimed = stage.store().sagas_claim_due(stage.host, 100).await.unwrap();
        assert_eq!(claimed.len(), before.len(), "those of the cases before are not due");
    }
    transitions
}
