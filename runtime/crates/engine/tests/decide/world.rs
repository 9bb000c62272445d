//! A small model of the world: what the steps of one saga really did, or may have done, as far as it was committed. It
//! is told what was called, what the guest answered and what the operator asked, and knows nothing of `decide`.

use wasaga_domain::{
    attempt::Direction,
    clock::UnixMillis,
    definition::{Definition, Step},
    manifest::OnUndoFailure,
    outcome::{Failure, StepOutcome},
    retry::RetryPolicy,
};

use crate::build::Outcome;

/// What a guest was called for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Called {
    /// `execute` or `compensate`.
    Fresh,
    /// `resume` with a message.
    Message,
    /// `resume` because nothing came.
    TimedOut,
}

/// What became of a step.
#[derive(Clone, Debug, Default)]
struct Truth {
    /// An earlier attempt may have had its effect.
    may: bool,
    /// This attempt sent, wrote or waited for something that was not answered for good.
    pending: bool,
    /// This attempt waits, or waited and has not ended.
    parked: bool,
    failures: u32,
    /// No attempt may begin before.
    not_before: UnixMillis,
}

#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct World {
    definition: Definition,
    truths: Vec<Truth>,
    /// The step that goes forward.
    cursor: usize,
    /// Steps that had or may have had their effect, in the order of completion.
    effects: Vec<u16>,
    /// What is still to be undone, last one first.
    to_undo: Vec<u16>,
    /// Undos that gave up and were passed over.
    left: Vec<u16>,
    /// The saga has a reason to turn back.
    failing: bool,
    turned: bool,
    stuck: bool,
    undid: bool,
    /// An operator wanted it to go on at once.
    hurried: bool,
}

impl World {
    pub fn new(definition: &Definition) -> Self {
        Self {
            definition: definition.clone(),
            truths: vec![Truth::default(); definition.steps.len()],
            cursor: 0,
            effects: Vec::new(),
            to_undo: Vec::new(),
            left: Vec::new(),
            failing: false,
            turned: false,
            stuck: false,
            undid: false,
            hurried: false,
        }
    }

    fn step(&self, step: u16) -> &Step {
        &self.definition.steps[usize::from(step)]
    }

    fn policy(&self, step: u16, direction: Direction) -> &RetryPolicy {
        match (direction, &self.step(step).undo) {
            (Direction::Undo, Some(undo)) => &undo.retry,
            (Direction::Undo, None) => panic!("step {step} has no undo"),
            (Direction::Forward, _) => &self.step(step).retry,
        }
    }

    /// A guest is about to be called: is this the step whose turn it is?
    pub fn check_call(&self, step: u16, direction: Direction, called: Called, now: UnixMillis) {
        let truth = &self.truths[usize::from(step)];
        match direction {
            Direction::Forward => {
                assert!(!self.failing && !self.turned, "step {step} goes forward after a failure");
                assert_eq!(usize::from(step), self.cursor, "out of order, or done before");
            }
            Direction::Undo => {
                assert!(self.turned && !self.stuck, "undo of {step} without a reason");
                assert_eq!(Some(&step), self.to_undo.last(), "the undo is not exact");
            }
        }
        let policy = self.policy(step, direction);
        assert!(
            policy.max_attempts().is_none_or(|max| truth.failures < max),
            "one attempt too many"
        );
        if called == Called::Fresh && !self.hurried {
            assert!(now >= truth.not_before, "before its back-off is over");
        }
        assert!(called == Called::Fresh || truth.parked, "a resume without a wait");
    }

    /// The end of an attempt was committed.
    pub fn ended(
        &mut self,
        step: u16,
        direction: Direction,
        called: Called,
        outcome: &Outcome,
        wrote: bool,
        now: UnixMillis,
    ) {
        if matches!(outcome, Err(Failure::Unavailable(_))) {
            return;
        }
        self.hurried = false;
        if let Ok(StepOutcome::Wait(wait)) = outcome {
            let truth = &mut self.truths[usize::from(step)];
            truth.may |= called == Called::TimedOut && truth.pending;
            truth.pending |= wrote || !wait.effects.is_empty() || called != Called::Fresh;
            truth.parked = true;
            return;
        }
        match direction {
            Direction::Forward => self.forward(step, called, outcome, now),
            Direction::Undo => self.back(step, outcome, now),
        }
    }

    fn forward(&mut self, step: u16, called: Called, outcome: &Outcome, now: UnixMillis) {
        let exhausted = self.fails(step, Direction::Forward, outcome, now);
        let truth = &mut self.truths[usize::from(step)];
        // A time-out leaves open whether what was sent was done; an answer does not.
        let in_doubt = called == Called::TimedOut && truth.pending;
        match outcome {
            Ok(StepOutcome::Done(_)) | Err(Failure::Unknown(_)) => truth.may = true,
            Err(Failure::Permanent(_)) if called == Called::Message => truth.may = false,
            _ => truth.may |= in_doubt,
        }
        (truth.pending, truth.parked) = (false, false);
        if matches!(outcome, Ok(StepOutcome::Done(_) | StepOutcome::Skipped)) {
            if truth.may {
                self.effects.push(step);
            }
            self.cursor += 1;
        } else {
            self.failing |= exhausted;
        }
    }

    fn back(&mut self, step: u16, outcome: &Outcome, now: UnixMillis) {
        let exhausted = self.fails(step, Direction::Undo, outcome, now);
        self.truths[usize::from(step)].parked = false;
        if matches!(outcome, Ok(StepOutcome::Done(_))) {
            assert_eq!(self.to_undo.pop(), Some(step), "undone without being asked");
            self.undid = true;
        } else if exhausted {
            match self.step(step).undo.as_ref().map(|undo| undo.on_failure) {
                Some(OnUndoFailure::GoOn) => {
                    self.to_undo.pop();
                    self.left.push(step);
                    self.undid = true;
                }
                _ => self.stuck = true,
            }
        }
    }

    /// Counts a failure; whether it was the last attempt.
    fn fails(
        &mut self,
        step: u16,
        direction: Direction,
        outcome: &Outcome,
        now: UnixMillis,
    ) -> bool {
        let policy = self.policy(step, direction).clone();
        let truth = &mut self.truths[usize::from(step)];
        let hint = match outcome {
            Err(Failure::Retryable { after, .. }) => *after,
            Err(Failure::Unknown(_)) => None,
            Ok(StepOutcome::Rejected(_)) | Err(_) => return true,
            Ok(_) => return false,
        };
        truth.failures += 1;
        match policy.delay(truth.failures, hint, 1.0) {
            Some(shortest) => truth.not_before = now.after(shortest),
            None => return true,
        }
        false
    }

    /// Somebody's wish to cancel was committed.
    pub fn cancelled(&mut self) {
        if !self.turned {
            self.failing = true;
        }
    }

    /// Somebody's wish to go on was committed.
    pub fn resumed(&mut self) {
        self.hurried = true;
        if self.stuck {
            self.stuck = false;
            let step = self.to_undo.last().expect("something is stuck");
            self.truths[usize::from(*step)].failures = 0;
        } else if self.turned && self.to_undo.is_empty() {
            let left = std::mem::take(&mut self.left);
            for step in &left {
                self.truths[usize::from(*step)].failures = 0;
            }
            self.to_undo =
                self.effects.iter().copied().filter(|step| left.contains(step)).collect();
        }
    }

    /// The saga began to be undone, and so much is to be undone: exactly what happened or may have happened.
    pub fn turns_back(&mut self) {
        assert!(self.failing && !self.turned, "it turned back without a reason");
        self.turned = true;
        if let Some(truth) = self.truths.get(self.cursor)
            && (truth.may || truth.parked)
        {
            self.effects.push(self.cursor as u16);
        }
        let has_undo = |step: &u16| self.definition.steps[usize::from(*step)].undo.is_some();
        self.to_undo = self.effects.iter().copied().filter(has_undo).collect();
        for truth in &mut self.truths {
            *truth = Truth::default();
        }
    }

    /// Whether nothing more is called before an operator has looked; `interruptions` lost leases in a row.
    pub fn check_attention(&self, interruptions: u16) {
        let left = self.turned && self.to_undo.is_empty() && !self.left.is_empty();
        assert!(self.stuck || left || interruptions > 2, "attention without a reason");
    }

    /// The saga ended: is it all done, or all undone?
    pub fn check_end(&self, status: &str) {
        match status {
            "completed" => {
                assert!(!self.failing && !self.turned, "completed, though it failed");
                assert_eq!(self.cursor, self.truths.len(), "completed before its end");
            }
            "compensated" | "failed" => {
                assert!(self.turned, "it ended without turning back");
                assert!(self.to_undo.is_empty() && self.left.is_empty(), "something still stands");
                assert_eq!(self.undid, status == "compensated");
            }
            other => panic!("{other} is no end"),
        }
    }
}
