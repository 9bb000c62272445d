//! Where the saga goes: forward, back, or not at all.

use wasaga_domain::clock::UnixMillis;

use super::{Doing, Effect, Model, Moment, Undo, Way, Work};

/// So often in a row a host may be lost while it runs a saga.
const LOST_HOSTS: u16 = 2;

impl Model {
    /// What has to follow, whatever has happened.
    pub(super) fn follow(&mut self, now: Moment) {
        if self.way == Way::Stopping && now.calling.is_empty() {
            self.turn();
        }
        match self.way {
            Way::Forward => {
                self.open_steps();
                if self.truths.iter().all(|truth| truth.passed) {
                    self.ends_as("completed");
                }
            }
            Way::Back => {
                self.open_undos();
                if self.owed().next().is_none() && self.leftovers().next().is_none() {
                    self.ends_as(if self.undid { "compensated" } else { "failed" });
                } else if self.has_only_leftovers() {
                    self.note("attention", "something is left over");
                }
            }
            Way::Unopened | Way::Stopping | Way::Ended(_) => {}
        }
    }

    pub(super) fn ends_as(&mut self, how: &'static str) {
        if self.paused {
            self.note("pause", "the saga ended meanwhile");
        }
        self.way = Way::Ended(how);
        (self.paused, self.gave_up) = (false, false);
    }

    /// All guests have returned. What is open and may have happened is undone before all that was done.
    fn turn(&mut self) {
        if self.gave_up {
            self.note("turn", "while it asked for an operator");
        }
        (self.way, self.gave_up) = (Way::Back, false);
        self.cancel_children();
        let began = self.tick();
        let mut open: Vec<_> = self.works().map(|(step, work)| (work.began, step)).collect();
        open.sort_unstable();
        for (_, step) in open {
            let done = self.tick();
            let work = self.truth(step).work.take().expect("it is open");
            if work.may_have_happened() {
                self.note("doubt", if work.doubt { "undone" } else { "a wait undone" });
                self.truth(step).effect = Some(Effect { began, done, undo: Undo::Owed });
            }
        }
    }

    /// No way leads back from a pivot that has passed, nor from one that may have happened and can't be undone.
    pub fn is_past_pivot(&self) -> bool {
        let goes_on = matches!(self.way, Way::Forward | Way::Ended("completed"));
        let pivots = (0..).zip(&self.definition.steps).filter(|(_, step)| step.pivot);
        let mut pivots = pivots.map(|(step, _)| step);
        goes_on
            && pivots.any(|step| self.truths[usize::from(step)].passed || self.is_in_doubt(step))
    }

    fn is_in_doubt(&self, step: u16) -> bool {
        let work = self.truths[usize::from(step)].work.as_ref();
        self.is_final_alone(step) && work.is_some_and(Work::may_have_happened)
    }

    /// Whether this is a pivot that can't be undone.
    pub(super) fn is_final_alone(&self, step: u16) -> bool {
        let step = &self.definition.steps[usize::from(step)];
        step.pivot && step.undo.is_none()
    }

    pub(super) fn check_deadline(&mut self, now: Moment) {
        let over = self.deadline.is_some_and(|deadline| deadline <= now.at);
        if !over || self.way != Way::Forward || self.is_held() {
            return;
        }
        if self.is_past_pivot() {
            self.note("pivot", "the deadline is ignored");
        } else {
            self.note("turn", "the deadline is over");
            self.way = Way::Stopping;
        }
    }

    pub(super) fn due(&self) -> Option<UnixMillis> {
        if self.is_held() {
            return None;
        }
        let deadline = self.deadline.filter(|_| self.way == Way::Forward && !self.is_past_pivot());
        self.works().filter_map(|(_, work)| work.due()).chain(deadline).min()
    }

    /// Time has passed.
    pub fn time_passes(&mut self, now: Moment) {
        self.begin();
        if self.is_held() {
            return;
        }
        self.check_deadline(now);
        for work in self.truths.iter_mut().filter_map(|truth| truth.work.as_mut()) {
            if work.due().is_some_and(|due| due <= now.at) {
                work.wakes();
            }
        }
        self.follow(now);
    }

    /// A host took the saga; `lost`: so many before it were lost in a row.
    pub fn taken(&mut self, lost: u16, now: Moment) {
        self.begin();
        if lost > LOST_HOSTS && !self.calls().is_empty() {
            self.note("attention", "its hosts were lost");
            self.gave_up = true;
        }
        self.follow(now);
    }

    /// Whether the step has given up, or nothing else can say what becomes of it.
    pub(super) fn has_given_up(&self, step: u16, now: Moment) -> bool {
        let work = self.truths[usize::from(step)].work.as_ref();
        work.is_some_and(|work| match work.doing {
            Doing::GaveUp => true,
            Doing::Ready(_) => self.asks() && !now.calling.contains(&step),
            _ => false,
        })
    }
}
