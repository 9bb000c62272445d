//! What operators ask for. Each request is in the history, with who asked and why; one that is not possible is
//! declined there.

use wasaga_domain::{
    clock::UnixMillis,
    ids::Digest,
    journal::{Entry, EntryKind},
    mail::{Audit, Verb},
    outcome::{Arrival, ErrorDetail},
    payload::Payload,
    state::{Activity, Course, OpenStep},
};

use super::Turn;

impl Turn<'_> {
    pub(super) fn verb(&mut self, verb: Verb, by: Audit) {
        let name = verb.name();
        let before = self.decision.entries.len();
        let done = match verb {
            Verb::Cancel => self.cancel(&by),
            Verb::Pause => self.pause(&by),
            Verb::Resume => {
                self.resume(&by);
                Ok(())
            }
            Verb::Retry { step, module } => {
                self.place(&step).and_then(|step| self.retry_step(step, module, &by))
            }
            Verb::Skip { step } => self.place(&step).and_then(|step| self.pass_over(step, &by)),
            Verb::SupplyUndo { step, undo } => {
                self.place(&step).and_then(|step| self.supply_undo(step, undo, &by))
            }
            Verb::Resolve => self.resolve(&by),
            Verb::Migrate(_) => Err("it is no mail among others".into()),
        };
        if let Err(why) = done {
            self.decision.entries.truncate(before);
            let what = format!("{name} was declined: {why}");
            self.audit(EntryKind::Declined, None, &by, ErrorDetail::new(name, what));
        }
    }

    /// A saga that goes forward turns back: at once, or when the guests that are being called have returned.
    fn cancel(&mut self, by: &Audit) -> Result<(), String> {
        if self.is_past_pivot() {
            return Err("it is past its pivot, and only goes forward".into());
        }
        let cause = ErrorDetail::new("cancelled", &by.reason);
        self.audit(EntryKind::Cancelled, None, by, cause.clone());
        if self.decision.state.course == Course::Forward {
            let state = self.state();
            (state.attention, state.paused) = (None, false);
            state.course = Course::Stopping(cause);
            self.turn_back();
        }
        Ok(())
    }

    fn pause(&mut self, by: &Audit) -> Result<(), String> {
        if self.decision.state.is_over() {
            return Err("it has ended".into());
        }
        self.state().paused = true;
        self.audit(EntryKind::Paused, None, by, ErrorDetail::new("paused", &by.reason));
        Ok(())
    }

    /// Whatever waits for time goes on now; what gave up is tried again from its first attempt.
    fn resume(&mut self, by: &Audit) {
        self.audit(EntryKind::Resumed, None, by, ErrorDetail::new("resumed", &by.reason));
        let state = self.state();
        let attention = state.attention.take().is_some();
        let held = std::mem::take(&mut state.paused) || attention;
        for open in &mut state.open {
            open.put_off_no_longer(UnixMillis(i64::MAX));
            match open.activity {
                Activity::Stuck => {
                    open.attempt += 1;
                    open.failures = 0;
                    open.activity = Activity::Run;
                }
                Activity::BackOff(_) => open.activity = Activity::Run,
                Activity::Wait { sent, .. } if !held => {
                    open.uncertain |= sent;
                    open.activity = Activity::Resume(Arrival::TimedOut);
                }
                _ => {}
            }
        }
        if attention && state.open.is_empty() {
            let leftovers = std::mem::take(&mut state.leftovers);
            state.undone.retain(|step| !leftovers.contains(step));
            self.undo_next();
        }
    }

    /// One step that gave up is tried again, by this module where one is named.
    fn retry_step(&mut self, step: u16, module: Option<Digest>, by: &Audit) -> Result<(), String> {
        let on = module.map(|module| format!(" (by module {module})")).unwrap_or_default();
        let asked = ErrorDetail::new("retry", format!("{}{on}", by.reason));
        if self.is_leftover(step) {
            self.audit(EntryKind::Resumed, Some(step), by, asked);
            let state = self.state();
            state.attention = None;
            state.leftovers.retain(|&left| left != step);
            state.undone.retain(|&undone| undone != step);
            self.undo_next();
            if let Some(open) = self.open(step) {
                open.module = module;
            }
            return Ok(());
        }
        self.gave_up(step)?;
        self.audit(EntryKind::Resumed, Some(step), by, asked);
        self.attend(step);
        if let Some(open) = self.open(step) {
            (open.attempt, open.failures) = (open.attempt + 1, 0);
            open.module = module;
            // What came for it, and was not handed over, still is.
            if open.activity == Activity::Stuck {
                open.activity = Activity::Run;
            }
        }
        Ok(())
    }

    /// A step that gave up is left as it is, and the saga goes on without it.
    fn pass_over(&mut self, step: u16, by: &Audit) -> Result<(), String> {
        let asked = ErrorDetail::new("skip", &by.reason);
        if self.is_leftover(step) {
            self.audit(EntryKind::PassedOver, Some(step), by, asked);
            self.state().attention = None;
            self.state().leftovers.retain(|&left| left != step);
            self.undo_next();
            return Ok(());
        }
        self.gave_up(step)?;
        self.audit(EntryKind::PassedOver, Some(step), by, asked);
        self.attend(step);
        if matches!(self.decision.state.course, Course::Undo(_)) {
            self.undone(step);
        } else {
            let happened =
                self.open(step).is_some_and(|open| open.uncertain || open.is_unsettled());
            self.pass(step, happened);
        }
        Ok(())
    }

    /// The undo that gave up is tried again with what the operator says it needs to know.
    fn supply_undo(&mut self, step: u16, undo: Payload, by: &Audit) -> Result<(), String> {
        if !matches!(self.decision.state.course, Course::Undo(_)) {
            return Err("it is not being undone".into());
        }
        let before = self.decision.entries.len();
        self.retry_step(step, None, by)?;
        self.decision.entries.truncate(before);
        self.audit(
            EntryKind::UndoSupplied,
            Some(step),
            by,
            ErrorDetail::new("supply-undo", &by.reason),
        );
        if let Some(entry) = self.decision.entries.last_mut() {
            entry.undo = Some(undo);
        }
        Ok(())
    }

    /// Ends the saga that asks for an operator, as if what is left had been done.
    fn resolve(&mut self, by: &Audit) -> Result<(), String> {
        if self.decision.state.attention.is_none() {
            return Err("it asks for no operator".into());
        }
        if !self.now.calling.is_empty() {
            return Err("a step of it is still running".into());
        }
        let cause = ErrorDetail::new("resolved", &by.reason);
        self.audit(EntryKind::Resolved, None, by, cause.clone());
        let past_pivot = self.is_past_pivot();
        let state = self.state();
        state.attention = None;
        state.paused = false;
        state.open.clear();
        state.leftovers.clear();
        if past_pivot {
            state.course = Course::Completed;
            self.note(EntryKind::Completed, None);
        } else {
            if state.course == Course::Forward {
                state.course = Course::Undo(cause);
            }
            self.end_undone();
        }
        Ok(())
    }

    fn place(&self, step: &str) -> Result<u16, String> {
        let place = self.definition.position(step);
        place.map(|place| place as u16).ok_or_else(|| format!("it has no step {step:?}"))
    }

    fn is_leftover(&self, step: u16) -> bool {
        let state = &self.decision.state;
        state.attention.is_some() && state.open.is_empty() && state.leftovers.contains(&step)
    }

    /// Whether an operator may say what becomes of the step: nothing else will.
    fn gave_up(&self, step: u16) -> Result<(), String> {
        let state = &self.decision.state;
        let open = state.open.iter().find(|open| open.step == step);
        let interrupted = state.attention.is_some() && !self.now.calling.contains(&step);
        let gave_up = open
            .is_some_and(|open| open.activity == Activity::Stuck || (interrupted && open.runs()));
        let name = &self.step(step).name;
        gave_up.then_some(()).ok_or_else(|| format!("its step {name:?} has not given up"))
    }

    /// The operator has looked at this step: the saga goes on, unless another one waits for that too.
    fn attend(&mut self, step: u16) {
        let stuck = |open: &OpenStep| open.step != step && open.activity == Activity::Stuck;
        let state = self.state();
        if !state.open.iter().any(stuck) {
            state.attention = None;
        }
    }

    pub(super) fn audit(
        &mut self,
        kind: EntryKind,
        step: Option<u16>,
        by: &Audit,
        error: ErrorDetail,
    ) {
        let direction = self.decision.state.direction();
        let entry = Entry::of_saga(kind, direction, self.now.at).with_error(error);
        self.decision.entries.push(Entry { step, by: by.by.clone(), ..entry });
    }
}
