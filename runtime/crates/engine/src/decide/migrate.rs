//! A saga goes on under another version of its definition: a map of steps says which is which. What cannot be told apart
//! from what has run is refused by name.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use wasaga_domain::{
    clock::UnixMillis,
    definition::Definition,
    journal::EntryKind,
    mail::Audit,
    outcome::ErrorDetail,
    state::{Activity, Course, State},
};

use super::{Turn, pivot::is_past_pivot};

/// Somebody asks to move a saga.
#[derive(Clone, Debug, PartialEq)]
pub struct Migrate {
    /// The number of the mail that says so.
    pub number: i64,
    /// Where to, or why that is not to be had.
    pub to: Result<Arc<Definition>, String>,
    /// New names of steps, by the old ones; a step that is not named keeps its name.
    pub map: BTreeMap<String, String>,
    /// Who, and why.
    pub by: Audit,
}

/// A saga was moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// Where to.
    pub definition: Arc<Definition>,
    /// For each step of the old definition its place in the new one, where it has one.
    pub places: Vec<Option<u16>>,
}

impl Turn<'_> {
    pub(super) fn migrate(&mut self, request: Migrate) {
        // The call that a stopping saga was to wait for may be lost.
        self.turn_back();
        let Migrate { number, to, map, by } = request;
        if number <= self.decision.state.mail_seen {
            return;
        }
        self.state().mail_seen = number;
        let from = self.definition;
        let moved = to.map_err(|why| vec![why]).and_then(|to| {
            let (state, places) = migrate(from, &self.decision.state, &to, &map, self.now.at)?;
            Ok((state, Moved { definition: to, places }))
        });
        match moved {
            Ok((mut state, moved)) => {
                for (before, open) in self.decision.state.open.iter().zip(&mut state.open) {
                    if matches!(open.activity, Activity::Wait { .. }) && before.step != open.step {
                        open.was.push(before.step);
                    }
                }
                let version = moved.definition.version;
                let what = format!("from version {} to {version}: {}", from.version, by.reason);
                self.decision.state = state;
                self.decision.moved = Some(moved);
                self.audit(EntryKind::Migrated, None, &by, ErrorDetail::new("migrate", what));
            }
            Err(refusals) => {
                let what = format!("migrate was declined: {}", refusals.join("; "));
                self.audit(EntryKind::Declined, None, &by, ErrorDetail::new("migrate", what));
            }
        }
    }
}

/// The same state in terms of another definition, and for each step of the old one its place there; or all reasons why
/// there is none.
pub fn migrate(
    from: &Definition,
    state: &State,
    to: &Definition,
    names: &BTreeMap<String, String>,
    now: UnixMillis,
) -> Result<(State, Vec<Option<u16>>), Vec<String>> {
    let target = |step: &str| names.get(step).map_or(step.to_owned(), String::clone);
    let place = |step: &str| to.position(&target(step)).map(|place| place as u16);
    let places: Vec<_> = from.steps.iter().map(|step| place(&step.name)).collect();
    let check = Check { from, state, to, places: &places };
    let mut refusals = check.unknown(names);
    let begun = check.begun();
    refusals.extend(begun.iter().filter_map(|&step| check.has_no_place(step, &target)));
    refusals.extend(check.collisions(&begun));
    if refusals.is_empty() {
        refusals.extend(begun.iter().filter_map(|&step| check.undo_differs(step)));
        if state.cause().is_none() {
            refusals.extend(begun.iter().filter_map(|&step| check.comes_too_early(step)));
            refusals.extend(check.contradictions());
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let moved = check.moved(&begun, now);
    if state.pivoted && !is_past_pivot(to, &moved) {
        return Err(vec![format!("it is past its pivot, and in version {} it is not", to.version)]);
    }
    check.shared_key(&moved).map_or(Ok((moved, places)), |shared| Err(vec![shared]))
}

/// What stands against a move.
struct Check<'a> {
    from: &'a Definition,
    state: &'a State,
    to: &'a Definition,
    places: &'a [Option<u16>],
}

impl Check<'_> {
    fn old_name(&self, step: u16) -> &str {
        &self.from.steps[usize::from(step)].name
    }

    fn new_name(&self, place: u16) -> &str {
        &self.to.steps[usize::from(place)].name
    }

    fn place(&self, step: u16) -> u16 {
        self.places[usize::from(step)].expect("steps without a place were refused")
    }

    /// Steps that have been called, or passed.
    fn begun(&self) -> Vec<u16> {
        let open = self.state.open.iter().map(|open| open.step);
        let mut begun: Vec<_> = open.chain(self.passed()).collect();
        begun.sort_unstable();
        begun.dedup();
        begun
    }

    fn passed(&self) -> impl Iterator<Item = u16> {
        self.state.done.iter().chain(&self.state.skipped).copied()
    }

    fn standing(&self, step: u16) -> &'static str {
        if self.state.done.contains(&step) {
            "is done"
        } else if self.state.skipped.contains(&step) {
            "was passed"
        } else {
            "has begun"
        }
    }

    /// Names of the map that no step has.
    fn unknown(&self, names: &BTreeMap<String, String>) -> Vec<String> {
        let mut unknown = Vec::new();
        let mut look = |definition: &Definition, name: &String| {
            if definition.position(name).is_none() {
                unknown.push(format!("version {} has no step {name:?}", definition.version));
            }
        };
        for (old, new) in names {
            look(self.from, old);
            look(self.to, new);
        }
        if self.state.is_over() {
            unknown.push("it has ended".into());
        }
        unknown
    }

    fn has_no_place(&self, step: u16, target: &impl Fn(&str) -> String) -> Option<String> {
        let (old, standing) = (self.old_name(step), self.standing(step));
        let none = self.places[usize::from(step)].is_none();
        none.then(|| {
            let version = self.to.version;
            format!(
                "its step {old:?} {standing}, and version {version} has no step {:?}",
                target(old)
            )
        })
    }

    /// Steps that would be one.
    fn collisions(&self, begun: &[u16]) -> Vec<String> {
        let mut taken: BTreeMap<u16, u16> = BTreeMap::new();
        let mut collisions = Vec::new();
        for &step in begun {
            let Some(place) = self.places[usize::from(step)] else { continue };
            if let Some(other) = taken.insert(place, step) {
                let (one, other, new) =
                    (self.old_name(other), self.old_name(step), self.new_name(place));
                collisions.push(format!("its steps {one:?} and {other:?} would both be {new:?}"));
            }
        }
        collisions
    }

    /// A step whose effect may stand needs its undo; and what is passed on the way back is not undone later.
    fn undo_differs(&self, step: u16) -> Option<String> {
        let state = self.state;
        let open = state.open.iter().find(|open| open.step == step);
        let in_doubt = open.is_some_and(|open| open.uncertain || open.is_unsettled());
        let undone = state.undone.contains(&step) && !state.leftovers.contains(&step);
        let stands = (state.done.contains(&step) && !undone) || in_doubt;
        let has_undo =
            |definition: &Definition, step: u16| definition.steps[usize::from(step)].undo.is_some();
        let (was, is) = (has_undo(self.from, step), has_undo(self.to, self.place(step)));
        let (old, version) = (self.old_name(step), self.to.version);
        match (was, is) {
            (true, false) if stands => Some(format!(
                "its step {old:?} may have to be undone, and version {version} has no undo for it"
            )),
            (false, true) if state.cause().is_some() => Some(format!(
                "it is being undone without its step {old:?}, which version {version} has an undo for"
            )),
            _ => None,
        }
    }

    /// What the new definition wants before a step has passed.
    fn comes_too_early(&self, step: u16) -> Option<String> {
        let place = self.place(step);
        let passed: HashSet<_> = self.passed().map(|step| self.place(step)).collect();
        let after = &self.to.steps[usize::from(place)].after;
        let missing = after.iter().find(|before| !passed.contains(before))?;
        Some(format!(
            "its step {:?} {}, and version {} wants {:?} before it, which has not passed",
            self.old_name(step),
            self.standing(step),
            self.to.version,
            self.new_name(*missing),
        ))
    }

    /// Steps that were done in an order that the new definition does not allow.
    fn contradictions(&self) -> Vec<String> {
        let mut contradictions = Vec::new();
        for (number, &first) in self.state.done.iter().enumerate() {
            let before = ancestors(self.to, self.place(first));
            for &then in &self.state.done[number + 1..] {
                if before.contains(&self.place(then)) {
                    contradictions.push(format!(
                        "its step {:?} was done before {:?}, and version {} wants them the other way round",
                        self.old_name(first),
                        self.old_name(then),
                        self.to.version,
                    ));
                }
            }
        }
        contradictions
    }

    fn moved(&self, begun: &[u16], now: UnixMillis) -> State {
        // The code of the version before may not know the new one's steps.
        let mut moved = State { pins: self.to.pins.clone(), ..self.state.clone() };
        for open in &mut moved.open {
            open.step = self.place(open.step);
        }
        let State { done, skipped, undone, leftovers, .. } = &mut moved;
        for step in [done, skipped, undone, leftovers].into_iter().flatten() {
            *step = self.place(*step);
        }
        moved.began_as = begun
            .iter()
            .map(|&step| (self.place(step), self.state.name_of(self.from, step).to_owned()))
            .filter(|(place, name)| self.new_name(*place) != name)
            .collect();
        moved.began_as.sort_unstable();
        if moved.course == Course::Forward {
            moved.open_next(self.to, now);
        }
        moved
    }

    /// A name under which two steps would call their guests with the same idempotency keys.
    fn shared_key(&self, moved: &State) -> Option<String> {
        let mut names = HashSet::new();
        let shared = (0..self.to.steps.len() as u16)
            .map(|place| moved.name_of(self.to, place))
            .find(|name| !names.insert(*name))?;
        Some(format!(
            "its step {shared:?} would get another name, and version {} has another step of that name, which \
             would share its idempotency keys",
            self.to.version
        ))
    }
}

/// All that has to pass before this step.
fn ancestors(definition: &Definition, step: u16) -> HashSet<u16> {
    let mut found = HashSet::new();
    let mut next = vec![step];
    while let Some(step) = next.pop() {
        let after = &definition.steps[usize::from(step)].after;
        next.extend(after.iter().filter(|before| found.insert(**before)));
    }
    found
}
