//! Takes what calls and commits report, and sees that what follows is written.

use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use wasaga_domain::{ids::PluginName, outcome::Failure, ports::TaskReport};
use wasaga_store::{
    lanes::Lane,
    task_in::{Reply, TaskEnd, TaskResult},
};

use super::{
    super::{
        board::Queued,
        commit::{self, Delivery, Ended, Fate},
        end::{self, Next},
    },
    Actor, BATCH, Call, Event,
    dispatch::absent_for,
};

impl Actor {
    pub(super) fn on(&mut self, event: Event) {
        match event {
            Event::Reported { life, call, report } => {
                self.call_ended(&call.plugin);
                if life == self.life {
                    self.reported(*call, report);
                }
            }
            Event::Written { life, fates } if life == self.life => {
                self.writing = false;
                for (ended, fate) in fates {
                    self.settle(ended, fate);
                }
            }
            Event::GuestWritten { life, call, ended, fate } if life == self.life => match fate {
                Fate::Refused(detail) => {
                    let outcome = Err(Failure::Retryable { detail, after: None });
                    let report = TaskReport {
                        outcome,
                        digest: ended.end.digest,
                        transaction: None,
                        took: Duration::ZERO,
                    };
                    self.reported(*call, report);
                }
                fate => self.settle(ended, fate),
            },
            Event::Delivered { life, fates } if life == self.life => {
                self.delivering = false;
                for (delivery, fate) in fates {
                    self.delivered(delivery, fate);
                }
            }
            Event::Written { .. } | Event::GuestWritten { .. } | Event::Delivered { .. } => {}
        }
    }

    fn reported(&mut self, call: Call, report: TaskReport) {
        if !report.took.is_zero() {
            histogram!("wasaga_task_seconds", "flow" => self.flow.as_str(), "plugin" => call.plugin.to_string())
                .record(report.took);
        }
        let lane = call.lane;
        let Some(host) = self.host.filter(|_| self.holds(lane)) else {
            return;
        };
        let attempts = call.task.attempts + 1;
        let chance = rand::random();
        match end::after(
            report.outcome,
            attempts,
            self.flow,
            &call.idempotency_key,
            &self.limits.retry,
            chance,
        ) {
            Next::NotNow(detail) => {
                self.count(call.plugin.as_str(), "unavailable");
                tracing::debug!(plugin = %call.plugin, task = %call.task.id, detail.message, "put off");
                // Written down, or it would count as interrupted should its host be lost meanwhile.
                let delay = absent_for(self.board.miss(&call.key));
                let result = TaskResult::Wait(delay, end::storable(detail));
                let Queued { id, attempts, .. } = call.task;
                let end = TaskEnd { id, lane, result, attempts, digest: None };
                self.ended.push(Ended { key: call.key, end });
            }
            Next::End(result) => {
                self.count(call.plugin.as_str(), result_name(&result));
                if let TaskResult::Error(reason) = &result {
                    tracing::warn!(flow = self.flow.as_str(), plugin = %call.plugin, task = %call.task.id,
                        reason.code, reason.message, "a task is given up: see the dead letters");
                }
                let is_done = matches!(result, TaskResult::Ready(_));
                let end =
                    TaskEnd { id: call.task.id, lane, result, attempts, digest: report.digest };
                let ended = Ended { key: call.key.clone(), end };
                match report.transaction.filter(|_| is_done) {
                    None => self.ended.push(ended),
                    Some(guest) => {
                        let (life, sender, store) =
                            (self.life, self.sender.clone(), self.parts.store.clone());
                        self.commits.spawn(async move {
                            let fate = commit::write_guest(&store, host, &ended.end, guest).await;
                            let call = Box::new(call);
                            let _ = sender.send(Event::GuestWritten { life, call, ended, fate });
                        });
                    }
                }
            }
        }
    }

    /// Writes all ends that have gathered, in one transaction, whenever the last one is done.
    pub(super) fn write(&mut self) {
        while self.commits.try_join_next().is_some() {}
        let Some(host) = self.host.filter(|_| !self.writing && !self.ended.is_empty()) else {
            return;
        };
        self.writing = true;
        let rest = self.ended.split_off(self.ended.len().min(BATCH));
        let ended = std::mem::replace(&mut self.ended, rest);
        let (life, sender, store) = (self.life, self.sender.clone(), self.parts.store.clone());
        self.commits.spawn(async move {
            let fates = commit::write_ends(&store, host, ended).await;
            let _ = sender.send(Event::Written { life, fates });
        });
    }

    /// Whether the lane still is this host's under the same lease: what was begun under another is forgotten.
    fn holds(&self, lane: Lane) -> bool {
        self.lanes.get(lane.number) == Some(lane)
    }

    fn settle(&mut self, ended: Ended, fate: Fate) {
        let (Ended { key, end }, now) = (ended, Instant::now());
        if !self.holds(end.lane) {
            return;
        }
        match fate {
            Fate::Committed => match end.result {
                TaskResult::Ready(effects) => {
                    if effects.iter().any(|keyed| keyed.effect.is_message()) {
                        self.parts.outbox.notify_one();
                    }
                    if effects.iter().any(|keyed| !keyed.effect.is_message()) {
                        self.parts.sagas.notify_one();
                    }
                    self.board.end(&key, end.id);
                }
                TaskResult::Error(_) => self.board.end(&key, end.id),
                TaskResult::Wait(delay, _) => {
                    self.board.again(&key, end.id, end.attempts, now + delay);
                }
            },
            // The lane is another's, or the task ended before; should neither be so, it is found again.
            Fate::Lost => {
                self.lanes.doubt();
                self.board.end(&key, end.id);
                return self.board.hold(&key, now + self.options.poll, now);
            }
            Fate::Undone => {}
            // What it wanted to write does not fit. A failure fits.
            Fate::Refused(detail) => {
                let detail = end::storable(detail);
                let result = match self.limits.retry.delay(end.attempts, None, rand::random()) {
                    Some(delay) if matches!(end.result, TaskResult::Ready(_)) => {
                        TaskResult::Wait(delay, detail)
                    }
                    _ => TaskResult::Error(detail),
                };
                self.ended.push(Ended { key, end: TaskEnd { result, ..end } });
                return;
            }
        }
        self.board.place(&key, now);
    }

    fn delivered(&mut self, delivery: Delivery, fate: Fate) {
        let (Delivery { key, reply }, now) = (delivery, Instant::now());
        if !self.holds(reply.lane) {
            return;
        }
        match fate {
            Fate::Committed => {
                self.count("", "ready");
                self.board.end(&key, reply.task);
                self.board.place(&key, now);
            }
            Fate::Lost | Fate::Undone => {
                self.lanes.doubt();
                self.board.hold(&key, now + self.options.poll, now);
            }
            Fate::Refused(reason) => {
                self.count("", "error");
                let result = TaskResult::Error(end::storable(reason));
                let Reply { task: id, lane, attempts, .. } = reply;
                self.ended
                    .push(Ended { key, end: TaskEnd { id, lane, result, attempts, digest: None } });
            }
        }
    }

    /// Counts an attempt; replies, which no plugin handles, count under no name.
    pub(super) fn count(&self, plugin: &str, result: &'static str) {
        let flow = self.flow.as_str();
        counter!("wasaga_tasks_total", "flow" => flow, "plugin" => plugin.to_owned(), "result" => result)
            .increment(1);
    }

    fn call_ended(&mut self, plugin: &PluginName) {
        if let Some(calls) = self.calls.get_mut(plugin) {
            *calls -= 1;
            if *calls == 0 {
                self.calls.remove(plugin);
            }
        }
    }
}

fn result_name(result: &TaskResult) -> &'static str {
    match result {
        TaskResult::Ready(_) => "ready",
        TaskResult::Wait(..) => "retry",
        TaskResult::Error(_) => "error",
    }
}
