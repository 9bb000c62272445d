//! What has to be in the store, by what was committed and by what came.

use std::collections::{BTreeMap, BTreeSet};

use wasaga_domain::ids::SagaId;

use crate::{memory::Memory, model::Model};

pub struct Expected {
    /// As of the last commit.
    pub model: Model,
    /// Leases in a row that ended with their host, as far as they were taken by another.
    lost: u16,
    /// Whether the last lease ended with its host.
    died: bool,
    mail: i64,
    /// Messages that steps have sent.
    sent: usize,
    waits: BTreeMap<String, u16>,
    early: BTreeMap<String, usize>,
    /// How often each child was told to turn back.
    children: BTreeMap<SagaId, i64>,
    ended: BTreeSet<SagaId>,
}

impl Expected {
    pub fn new(model: Model) -> Self {
        Self {
            model,
            lost: 0,
            died: false,
            mail: 0,
            sent: 0,
            waits: BTreeMap::new(),
            early: BTreeMap::new(),
            children: BTreeMap::new(),
            ended: BTreeSet::new(),
        }
    }

    /// The host that holds it dies.
    pub fn dies(&mut self) {
        self.died = true;
    }

    pub fn claimed(&mut self) {
        self.lost += u16::from(std::mem::take(&mut self.died));
    }

    pub fn released(&mut self) {
        (self.lost, self.died) = (0, false);
    }

    /// A transition to this has landed; answers with how many messages were there before they were waited for. One is
    /// taken.
    pub fn lands(&mut self, model: Model) -> usize {
        (self.model, self.lost) = (model, 0);
        self.waits = self.model.awaited_messages();
        let early = self.waits.keys().filter_map(|key| self.early.get(key)).sum();
        let met = self.waits.keys().find(|key| self.early.contains_key(*key)).cloned();
        if let Some(key) = &met {
            self.take_early(key);
            self.waits.clear();
            self.mail += 1;
        }
        let effects = self.model.effects().clone();
        self.sent += effects.messages;
        for child in effects.starts {
            self.children.entry(child).or_default();
            if self.ended.contains(&child) {
                self.piece();
            }
        }
        (0..effects.signals).for_each(|_| self.piece());
        for child in self.model.cancels() {
            if let Some(told) = self.children.get_mut(child).filter(|_| !self.ended.contains(child))
            {
                *told += 1;
            }
        }
        early
    }

    fn take_early(&mut self, key: &str) {
        let kept = self.early.get_mut(key).expect("it came early");
        *kept -= 1;
        if *kept == 0 {
            self.early.remove(key);
        }
    }

    /// Nothing reaches a saga that has ended.
    fn piece(&mut self) {
        self.mail += i64::from(!self.model.is_over());
    }

    /// Whether the saga will see it; `turns_back`: only where it still can.
    pub fn posted(&mut self, turns_back: bool) -> bool {
        let out_of_reach = self.model.is_over() || (turns_back && self.model.is_past_pivot());
        self.mail += i64::from(!out_of_reach);
        !out_of_reach
    }

    /// A message has come.
    pub fn delivered(&mut self, key: &str) {
        if self.waits.remove(key).is_some() {
            self.piece();
        } else {
            *self.early.entry(key.to_owned()).or_default() += 1;
        }
    }

    pub fn child_ended(&mut self, child: SagaId) {
        self.ended.insert(child);
        self.piece();
    }

    pub fn check(&self, memory: &Memory) {
        let row = memory.row();
        let steps = memory.sent.iter().filter(|key| key.contains("/step")).count();
        let children = row.children.iter().map(|(id, child)| (*id, child.mail));
        assert_eq!(
            (row.waits, row.early, row.mail, steps, children.collect(), row.interruptions),
            (
                self.waits.clone(),
                self.early.clone(),
                self.mail,
                self.sent,
                self.children.clone(),
                self.lost
            ),
            "waits, early messages, mail, messages sent, children, lost leases (store, expected)"
        );
    }
}
