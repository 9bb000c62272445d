//! What operators may do.

use wasaga_domain::mail::Verb;

use super::{Doing, Model, Moment, Undo, Way, Work};

impl Model {
    pub(super) fn asked(&mut self, verb: &Verb, now: Moment) {
        let place = |step: &String| self.definition.position(step).map(|place| place as u16);
        let of = if self.has_only_leftovers() { "left over" } else { "verb" };
        let done = match verb {
            Verb::Cancel => self.cancel(now),
            Verb::Pause => self.pause(),
            Verb::Resume => self.resume(),
            Verb::Retry { step, .. } => place(step).is_some_and(|step| self.retry(step, now)),
            Verb::Skip { step } => place(step).is_some_and(|step| self.skip(step, now)),
            Verb::SupplyUndo { step, undo } => {
                let step = place(step).filter(|_| self.way == Way::Back);
                let step = step.filter(|step| self.retry(*step, now));
                if let Some(step) = step {
                    self.truth(step).undo = Some(undo.clone());
                }
                step.is_some()
            }
            Verb::Resolve => self.resolve(now),
            Verb::Migrate(_) => panic!("nobody moves it to another definition"),
        };
        if done {
            self.note(of, verb.name());
        } else {
            self.told.declined += 1;
            self.note("declined", verb.name());
        }
    }

    fn cancel(&mut self, now: Moment) -> bool {
        if self.is_past_pivot() {
            return false;
        }
        if self.way == Way::Forward {
            let calls = !now.calling.is_empty();
            self.note("turn", if calls { "cancelled during a call" } else { "cancelled" });
            (self.way, self.paused, self.gave_up) = (Way::Stopping, false, false);
        }
        true
    }

    fn pause(&mut self) -> bool {
        let goes = !matches!(self.way, Way::Ended(_));
        if goes {
            self.paused = true;
            self.note("pause", if self.way == Way::Back { "on the way back" } else { "forward" });
        }
        goes
    }

    fn resume(&mut self) -> bool {
        let held = self.is_held();
        if self.has_only_leftovers() {
            for (step, _) in self.leftovers().collect::<Vec<_>>() {
                self.settle(step, Undo::Owed);
            }
        }
        (self.paused, self.gave_up) = (false, false);
        for work in self.truths.iter_mut().filter_map(|truth| truth.work.as_mut()) {
            match work.doing {
                Doing::GaveUp => work.tries_anew(),
                Doing::Waits { .. } if held => {}
                _ => work.wakes(),
            }
        }
        true
    }

    fn retry(&mut self, step: u16, now: Moment) -> bool {
        if self.is_leftover(step) {
            self.settle(step, Undo::Owed);
            return true;
        }
        if !self.has_given_up(step, now) {
            return false;
        }
        self.attended(step);
        let work = self.work(step);
        match work.doing {
            Doing::GaveUp => work.tries_anew(),
            // It never returned: what came for it is handed over again.
            _ => work.failures = 0,
        }
        true
    }

    fn skip(&mut self, step: u16, now: Moment) -> bool {
        if self.is_leftover(step) {
            self.settle(step, Undo::Settled);
            return true;
        }
        if !self.has_given_up(step, now) {
            return false;
        }
        self.attended(step);
        if self.way == Way::Back {
            self.settle(step, Undo::Settled);
            return true;
        }
        let may_have_happened = self.work(step).may_have_happened();
        if self.definition.steps[usize::from(step)].pivot {
            self.note("pivot", "passed over");
        }
        self.pass(step, may_have_happened);
        true
    }

    fn resolve(&mut self, now: Moment) -> bool {
        if !self.asks() || !now.calling.is_empty() {
            return false;
        }
        let past_pivot = self.is_past_pivot();
        if past_pivot {
            self.note("pivot", "resolved");
        }
        for step in 0..self.truths.len() as u16 {
            self.settle(step, Undo::Settled);
        }
        self.ends_as(match (past_pivot, self.undid) {
            (true, _) => "completed",
            (false, true) => "compensated",
            (false, false) => "failed",
        });
        true
    }

    fn is_leftover(&self, step: u16) -> bool {
        self.has_only_leftovers() && self.leftovers().any(|(leftover, _)| leftover == step)
    }

    /// The saga goes on, unless another step waits for an operator.
    fn attended(&mut self, step: u16) {
        let gave_up =
            |(other, work): (u16, &Work)| other != step && matches!(work.doing, Doing::GaveUp);
        let others = self.works().any(gave_up);
        self.gave_up &= others;
    }
}
