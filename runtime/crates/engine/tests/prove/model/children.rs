//! Sagas that it has started under a name.

use wasaga_domain::{
    ids::SagaId,
    outcome::{Effect, StepOutcome, WaitSource},
};

use super::{Called, Doing, Effects, Model};
use crate::outcomes::Outcome;

#[derive(Clone)]
pub(super) struct Child {
    name: String,
    saga: SagaId,
    ended: bool,
}

impl Model {
    /// Whether an outcome gives a child's name to another saga, or waits for a child that there is not.
    pub(super) fn misuses_children(&self, outcome: &Outcome) -> bool {
        let (effects, sources) = match outcome {
            Ok(StepOutcome::Done(done)) => (&done.effects, [].as_slice()),
            Ok(StepOutcome::Wait(wait)) => (&wait.effects, wait.sources.as_slice()),
            _ => return false,
        };
        let mut children = self.children.clone();
        let fit = adopt(&mut children, effects);
        let is_known = |source: &WaitSource| match source {
            WaitSource::Child(name) => children.iter().any(|child| child.name == *name),
            _ => true,
        };
        !fit || !sources.iter().all(is_known)
    }

    pub(super) fn starts(&mut self, effects: &[Effect]) {
        adopt(&mut self.children, effects);
        self.told.effects.add(effects);
    }

    /// To the first step that waits for it; whoever waits later finds it.
    pub(super) fn child_ends(&mut self, saga: SagaId) {
        let Some(child) = self.children.iter_mut().find(|child| child.saga == saga) else { return };
        child.ended = true;
        let source = WaitSource::Child(child.name.clone());
        if let Some(step) = self.first_waiting(&source) {
            self.work(step).doing = Doing::Ready(Called::Child);
            self.note("mail", "a child's end is taken");
        }
    }

    pub(super) fn has_ended(&self, sources: &[WaitSource]) -> bool {
        let awaited = |name: &String| sources.contains(&WaitSource::Child(name.clone()));
        self.children.iter().any(|child| child.ended && awaited(&child.name))
    }

    /// They turn back with their parent.
    pub(super) fn cancel_children(&mut self) {
        let running = self.children.iter().filter(|child| !child.ended);
        self.told.cancels = running.map(|child| child.saga).collect();
        if !self.told.cancels.is_empty() {
            self.note("turn", "with its children");
        }
    }
}

impl Effects {
    pub fn add<'a>(&mut self, effects: impl IntoIterator<Item = &'a Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(_) => self.messages += 1,
                Effect::Signal { .. } => self.signals += 1,
                Effect::Start(start) => self.starts.push(start.saga.id),
                Effect::Cancel(_) => {}
            }
        }
    }
}

/// Whether each name is still one saga's.
fn adopt(children: &mut Vec<Child>, effects: &[Effect]) -> bool {
    let starts = effects.iter().filter_map(|effect| match effect {
        Effect::Start(start) => Some((start.child.clone()?, start.saga.id)),
        _ => None,
    });
    for (name, saga) in starts {
        match children.iter().find(|child| child.name == name) {
            Some(child) if child.saga == saga => {}
            Some(_) => return false,
            None => children.push(Child { name, saga, ended: false }),
        }
    }
    true
}
