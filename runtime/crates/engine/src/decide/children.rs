//! Sagas that a saga starts under a name of its own: it may wait for their ends, and cancels them when it turns back.

use wasaga_domain::{
    outcome::{Arrival, ChildEnd, Effect, ErrorDetail, Failure, StepOutcome, WaitSource},
    state::{Activity, Child},
};

use super::{Turn, mail::waits_for};

impl Turn<'_> {
    /// What is wrong with an outcome that takes a child's name for two sagas, or waits for a child that there is not.
    pub(super) fn misfit(&self, outcome: &Result<StepOutcome, Failure>) -> Option<ErrorDetail> {
        let (effects, sources): (&[Effect], &[WaitSource]) = match outcome {
            Ok(StepOutcome::Done(done)) => (&done.effects, &[]),
            Ok(StepOutcome::Wait(wait)) => (&wait.effects, &wait.sources),
            _ => return None,
        };
        let mut known: Vec<_> = self
            .decision
            .state
            .children
            .iter()
            .map(|child| (child.name.as_str(), child.saga))
            .collect();
        for effect in effects {
            let Effect::Start(start) = effect else { continue };
            let Some(name) = start.child.as_deref() else { continue };
            if known.iter().any(|(taken, saga)| *taken == name && *saga != start.saga.id) {
                let what =
                    format!("it starts another saga as its child {name:?}: give it another name");
                return Some(ErrorDetail::new("child-exists", what));
            }
            known.push((name, start.saga.id));
        }
        for source in sources {
            let WaitSource::Child(name) = source else { continue };
            if !known.iter().any(|(child, _)| child == name) {
                let what = format!("it waits for its child {name:?}, which it has not started");
                return Some(ErrorDetail::new("no-such-child", what));
            }
        }
        None
    }

    /// Notes the children that an attempt starts.
    pub(super) fn adopt(&mut self, effects: &[Effect]) {
        for effect in effects {
            let Effect::Start(start) = effect else { continue };
            let Some(name) = &start.child else { continue };
            let children = &mut self.decision.state.children;
            if !children.iter().any(|child| child.name == *name) {
                children.push(Child { name: name.clone(), saga: start.saga.id, end: None });
            }
        }
    }

    /// An end goes to the step that waits for it, or is kept for one that will.
    pub(super) fn child_ended(&mut self, end: ChildEnd) {
        let Some(child) = self.state().children.iter_mut().find(|child| child.saga == end.saga)
        else {
            return;
        };
        child.end = Some(end.clone());
        let name = child.name.clone();
        let source = WaitSource::Child(name.clone());
        if let Some(open) = self.state().open.iter_mut().find(|open| waits_for(open, &source)) {
            open.activity = Activity::Resume(Arrival::Child { name, end: Box::new(end) });
        }
    }

    /// The end of a child that came before its wait.
    pub(super) fn early_end(&self, sources: &[WaitSource]) -> Option<Arrival> {
        self.decision.state.children.iter().find_map(|child| {
            let awaited = sources.contains(&WaitSource::Child(child.name.clone()));
            let end = Box::new(child.end.clone().filter(|_| awaited)?);
            Some(Arrival::Child { name: child.name.clone(), end })
        })
    }

    /// Cancels those that have not ended.
    pub(super) fn cancel_children(&mut self) {
        let running = self.decision.state.children.iter().filter(|child| child.end.is_none());
        self.decision.cancels.extend(running.map(|child| child.saga));
    }
}
