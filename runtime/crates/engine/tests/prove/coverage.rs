//! How often which thing happened: a proof in which something never happens says nothing about it.

use std::{collections::BTreeMap, fmt};

use wasaga_domain::{
    journal::EntryKind,
    state::Status::{
        self, Compensated, Compensating, Completed, Failed, NeedsAttention, Paused, Pending,
        Running, Waiting,
    },
};

use crate::model::Called;

const OUTCOMES: &[&str] =
    &["done", "waits", "skipped", "rejected", "retryable", "permanent", "unknown", "unavailable"];

/// What has to happen beside all statuses, journal entries and calls.
const WANTED: &[(&str, &[&str])] = &[
    ("start", &["by a host", "by a host that dies", "by SQL"]),
    (
        "activity",
        &["run", "resume", "back-off", "put off", "put off with what came", "wait", "stuck"],
    ),
    ("event", &["opened", "claimed", "due", "mail", "finished"]),
    ("forward", OUTCOMES),
    ("stopping", OUTCOMES),
    ("undo", &["done", "waits", "retryable", "permanent", "unknown", "unavailable"]),
    ("undo", &["gave up, and the others went on"]),
    ("verb", &["cancel", "pause", "resume", "retry", "skip", "supply-undo", "resolve"]),
    ("declined", &["cancel", "pause", "retry", "skip", "supply-undo", "resolve"]),
    ("left over", &["resume", "retry", "skip", "supply-undo", "resolve"]),
    (
        "mail",
        &[
            "read again",
            "a reply is early",
            "replies are early",
            "a reply is taken",
            "a reply is late",
            "a child's end is taken",
            "a signal is taken",
            "a signal is kept",
            "a kept signal is taken",
            "a signal is late",
            "a signal is dropped",
            "comes before the saga parks",
            "costs a guest its SQL",
        ],
    ),
    (
        "turn",
        &[
            "a step failed",
            "another step failed meanwhile",
            "cancelled",
            "cancelled during a call",
            "the deadline is over",
            "its input was refused",
            "with its children",
            "while it asked for an operator",
        ],
    ),
    ("children", &["misused"]),
    ("doubt", &["undone", "a wait undone", "ended by an answer"]),
    (
        "pivot",
        &[
            "tried without end",
            "asks for an operator",
            "an answer ended the doubt",
            "passed after the reason to turn back",
            "the deadline is ignored",
            "passed over",
            "resolved",
        ],
    ),
    ("attention", &["an undo gave up", "its hosts were lost", "something is left over"]),
    (
        "pause",
        &["forward", "on the way back", "a guest returned meanwhile", "the saga ended meanwhile"],
    ),
    ("at once", &["two calls", "three calls", "two undos", "three undos"]),
    (
        "guests",
        &["return in another order", "return during a commit", "are lost with their host", "write"],
    ),
    (
        "host",
        &[
            "dies before it hears of its claim",
            "dies before a commit",
            "dies after a commit",
            "dies while it parks the saga",
            "does not hear of its commit",
            "is heard twice",
            "stops",
            "stops during a call",
            "is refused its data",
            "loses a guest's commit",
        ],
    ),
    (
        "zombie",
        &[
            "commits late",
            "commits in time, but for its lease",
            "goes on",
            "releases",
            "claims",
            "is dead, and its lease is not taken yet",
        ],
    ),
    ("refused at once", &["cancel"]),
];

/// What one commit may make of a status. A turn back is an entry of its own: whatever was undone was `compensating`, and
/// what is `compensating` has something to undo.
const MOVES: &[(Status, &[Status])] = &[
    (Pending, &[Running, Waiting, Paused, Compensating, Completed, Failed, NeedsAttention]),
    (Running, &[Waiting, Paused, Compensating, Completed, Failed, NeedsAttention]),
    (Waiting, &[Running, Paused, Compensating, Completed, Failed, NeedsAttention]),
    (Paused, &[Running, Waiting, Compensating, Completed, Compensated, Failed, NeedsAttention]),
    (Compensating, &[Paused, Compensated, NeedsAttention]),
    (NeedsAttention, &[Running, Waiting, Paused, Compensating, Completed, Compensated, Failed]),
];

/// What a short run reaches as well.
const COMMON: [&str; 6] = ["status", "start", "forward", "undo", "guests", "zombie"];

#[derive(Default)]
pub struct Coverage {
    seen: BTreeMap<(&'static str, &'static str), u64>,
    moves: BTreeMap<(&'static str, &'static str), u64>,
}

impl Coverage {
    pub fn saw(&mut self, of: &'static str, what: &'static str) {
        *self.seen.entry((of, what)).or_default() += 1;
    }

    /// A commit has made one status of another.
    pub fn moved(&mut self, from: Status, to: Status) {
        *self.moves.entry((from.as_str(), to.as_str())).or_default() += 1;
    }

    pub fn add(&mut self, other: &Self) {
        for (what, times) in &other.seen {
            *self.seen.entry(*what).or_default() += times;
        }
        for (what, times) in &other.moves {
            *self.moves.entry(*what).or_default() += times;
        }
    }

    /// What never happened, and moves of a status that are not listed.
    pub fn faults(&self) -> Vec<String> {
        let moves = MOVES.iter().flat_map(|(from, all)| all.iter().map(|to| (*from, *to)));
        let moves: Vec<_> = moves.map(|(from, to)| (from.as_str(), to.as_str())).collect();
        let lacking = moves.iter().filter(|of| !self.moves.contains_key(of));
        let lacking = lacking.map(|(from, to)| format!("never happened: {from} -> {to}"));
        let strange = self.moves.keys().filter(|of| !moves.contains(of));
        let strange = strange.map(|(from, to)| format!("not in the list: {from} -> {to}"));
        self.never(|_| true).into_iter().chain(lacking).chain(strange).collect()
    }

    /// What never happened of what a short run reaches as well.
    pub fn common_faults(&self) -> Vec<String> {
        self.never(|of| COMMON.contains(&of))
    }

    fn never(&self, of: impl Fn(&str) -> bool) -> Vec<String> {
        let listed = WANTED.iter().flat_map(|(of, all)| all.iter().map(move |what| (*of, *what)));
        let statuses = Status::ALL.map(|status| ("status", status.as_str()));
        // Nobody moves these sagas to another definition.
        let entries = EntryKind::ALL.into_iter().filter(|kind| *kind != EntryKind::Migrated);
        let entries = entries.map(|kind| ("entry", kind.as_str()));
        let calls = ["call", "undo call"].into_iter();
        let calls = calls.flat_map(|of| Called::ALL.map(|called| (of, called.as_str())));
        let wanted = listed.chain(statuses).chain(entries).chain(calls);
        let never = wanted.filter(|what| of(what.0) && !self.seen.contains_key(what));
        never.map(|(of, what)| format!("never happened: {of}: {what}")).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((of, what), times) in &self.seen {
            writeln!(f, "{times:>10}  {of}: {what}")?;
        }
        for ((from, to), times) in &self.moves {
            writeln!(f, "{times:>10}  {from} -> {to}")?;
        }
        Ok(())
    }
}
