//! What the history of a saga that has ended has to look like, whatever has happened.

use std::collections::BTreeMap;

use wasaga_domain::{
    attempt::Direction,
    journal::{Entry, EntryKind},
    mail::MailContent,
};

use super::Simulation;
use crate::store::Store;

const ENDS: [EntryKind; 3] = [EntryKind::Completed, EntryKind::Compensated, EntryKind::SagaFailed];

impl<S: Store> Simulation<S> {
    pub(super) fn check_history(&self) {
        let journal = self.store.memory().journal.iter().map(|journalled| &journalled.entry);
        let journal: Vec<_> = journal.collect();
        self.check_mail(&journal);
        check_end(&journal);
        check_attempts(&journal);
        check_undone(&journal);
        self.check_undo(&journal);
    }

    /// Each request is in the history once.
    fn check_mail(&self, journal: &[&Entry]) {
        let memory = self.store.memory();
        assert_eq!(memory.state().mail_seen, memory.mail_number(), "mail that nobody read");
        let is_request = |content: &MailContent| matches!(content, MailContent::Verb { .. });
        let asked = memory.mail.iter().filter(|mail| is_request(&mail.content));
        let told = journal.iter().filter(|entry| entry.by.is_some());
        assert_eq!(asked.count(), told.count(), "requests, and what became of them");
    }

    /// What succeeded is undone, unless an undo gave up or an operator had a hand in it, and along the graph backwards.
    fn check_undo(&self, journal: &[&Entry]) {
        let excuses = |entry: &&Entry| match entry.kind {
            EntryKind::Completed | EntryKind::PassedOver | EntryKind::Resolved => true,
            kind => kind == EntryKind::Failed && entry.direction == Direction::Undo,
        };
        if journal.iter().any(excuses) {
            return;
        }
        let success = |step: u16, direction: Direction| {
            journal.iter().position(|entry| {
                (entry.kind, entry.step, entry.direction)
                    == (EntryKind::Succeeded, Some(step), direction)
            })
        };
        for (place, step) in (0..).zip(&self.definition.steps) {
            if success(place, Direction::Forward).is_none() || step.undo.is_none() {
                continue;
            }
            let undone = success(place, Direction::Undo).expect("a step that succeeded is undone");
            let before = step.after.iter().filter_map(|&before| success(before, Direction::Undo));
            assert!(before.min().is_none_or(|before| undone < before), "undone too late");
        }
    }
}

/// A saga has one end, which only mail may follow.
fn check_end(journal: &[&Entry]) {
    let end = journal.iter().position(|entry| ENDS.contains(&entry.kind)).expect("an end");
    let is_mail = |entry: &&Entry| entry.by.is_some() || entry.kind == EntryKind::LateMessage;
    assert!(journal[end + 1..].iter().all(is_mail), "something follows the end");
}

/// Attempts grow, and nothing follows a success.
fn check_attempts(journal: &[&Entry]) {
    let mut last = BTreeMap::new();
    for entry in journal.iter().filter(|entry| entry.attempt > 0) {
        let now = (entry.kind, entry.attempt);
        let before = last.insert((entry.step, entry.direction.as_str()), now);
        let Some((kind, attempt)) = before else { continue };
        assert!(kind != EntryKind::Succeeded, "{entry:?} follows a success");
        // An undo that was left over begins anew.
        let again = u32::from(kind == EntryKind::Retrying);
        let grows = entry.attempt >= attempt + again || kind == EntryKind::Failed;
        assert!(grows, "attempt {entry:?} follows attempt {attempt}");
    }
}

/// Only what has happened, or may have, is undone: a success, a wait, an unknown outcome.
fn check_undone(journal: &[&Entry]) {
    let undone = journal.iter().filter(|entry| entry.direction == Direction::Undo);
    for step in undone.filter(|entry| entry.attempt > 0).map(|entry| entry.step) {
        let may_have_happened = |entry: &&Entry| {
            let unknown = || entry.error.as_ref().is_some_and(|why| why.code == "unknown");
            let happened = matches!(entry.kind, EntryKind::Succeeded | EntryKind::Waiting);
            entry.step == step && entry.direction == Direction::Forward && (happened || unknown())
        };
        assert!(journal.iter().any(may_have_happened), "{step:?} is undone, and did nothing");
    }
}
