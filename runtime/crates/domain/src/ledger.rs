//! What has been done and how to undo it: the journal's payloads, as running steps need them.

use std::collections::HashMap;

use crate::{
    attempt::Direction,
    journal::{Entry, EntryKind},
    payload::Payload,
};

/// The payloads a saga's steps have left, by the step's place in the definition.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    finished: Vec<u16>,
    outputs: HashMap<u16, Payload>,
    undo: HashMap<u16, Payload>,
    waits: HashMap<(u16, Direction), Parked>,
}

/// What a waiting attempt left for its resume.
#[derive(Clone, Debug, Default)]
pub struct Parked {
    /// Handed back to `resume`.
    pub memo: Option<Payload>,
    /// What it said its undo would need.
    pub undo: Option<Payload>,
}

impl Ledger {
    /// Takes up a journal entry; entries come in the journal's order.
    pub fn record(&mut self, entry: &Entry) {
        let Some(step) = entry.step else { return };
        match (entry.kind, entry.direction) {
            (EntryKind::Succeeded, Direction::Forward) => {
                self.finished.push(step);
                if let Some(output) = &entry.output {
                    self.outputs.insert(step, output.clone());
                }
                self.replace_undo(step, entry.undo.clone());
            }
            (EntryKind::UndoSupplied, _) => self.replace_undo(step, entry.undo.clone()),
            (EntryKind::Waiting, direction) => {
                if direction == Direction::Forward {
                    self.replace_undo(step, entry.undo.clone());
                }
                let parked = Parked { memo: entry.memo.clone(), undo: entry.undo.clone() };
                self.waits.insert((step, direction), parked);
            }
            _ => {}
        }
    }

    /// The same, of steps that are in other places now; what has none is left out.
    #[must_use]
    pub fn moved(&self, places: &[Option<u16>]) -> Self {
        let place = |step: u16| places.get(usize::from(step)).copied().flatten();
        let payloads = |payloads: &HashMap<u16, Payload>| {
            let moved = payloads.iter();
            moved.filter_map(|(step, payload)| Some((place(*step)?, payload.clone()))).collect()
        };
        let waits = self.waits.iter().filter_map(|((step, direction), parked)| {
            Some(((place(*step)?, *direction), parked.clone()))
        });
        Self {
            finished: self.finished.iter().filter_map(|step| place(*step)).collect(),
            outputs: payloads(&self.outputs),
            undo: payloads(&self.undo),
            waits: waits.collect(),
        }
    }

    fn replace_undo(&mut self, step: u16, undo: Option<Payload>) {
        match undo {
            Some(undo) => self.undo.insert(step, undo),
            None => self.undo.remove(&step),
        };
    }

    /// Finished steps, in the order in which they finished.
    pub fn finished(&self) -> &[u16] {
        &self.finished
    }

    /// What a step returned.
    pub fn output(&self, step: u16) -> Option<&Payload> {
        self.outputs.get(&step)
    }

    /// What a step's undo needs to know.
    pub fn undo(&self, step: u16) -> Option<&Payload> {
        self.undo.get(&step)
    }

    /// What a step's last wait in this direction left.
    pub fn parked(&self, step: u16, direction: Direction) -> Option<&Parked> {
        self.waits.get(&(step, direction))
    }
}
