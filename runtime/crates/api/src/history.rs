//! A saga's history for its reader: one item a step and direction, made from the journal (what ended) and the state
//! (what is open now).

use serde::Serialize;
use wasaga_domain::{
    attempt::Direction,
    clock::UnixMillis,
    journal::EntryKind,
    state::{Activity, OpenStep},
};
use wasaga_store::saga_read::{JournalRow, SagaRow};

use crate::payload::ErrorView;

/// Where a step stands, forward or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// An attempt runs, or is about to.
    Running,
    /// The attempt waits for a message or for time.
    Waiting,
    /// The last attempt failed; another follows.
    Retrying,
    /// Done.
    Completed,
    /// The guard skipped it.
    Skipped,
    /// It gave up. Of an undo: an operator has to look, or it was passed over.
    Failed,
    /// It was left without an answer when the saga turned back: it may have happened, and its undo follows.
    Unknown,
    /// Its undo runs, or is about to.
    Compensating,
    /// It is undone.
    Compensated,
}

/// A step in one direction.
#[derive(Debug, Serialize)]
pub(crate) struct Item {
    step_name: String,
    direction: Direction,
    status: Standing,
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    retry_attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// A journal entry as it is.
#[derive(Debug, Serialize)]
pub(crate) struct Event {
    number: u32,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    direction: Direction,
    attempt: u32,
    started_at: String,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

impl From<&JournalRow> for Event {
    fn from(entry: &JournalRow) -> Self {
        Self {
            number: entry.number,
            kind: entry.kind.as_str(),
            step: entry.step.clone(),
            direction: entry.direction,
            attempt: entry.attempt,
            started_at: entry.started_at.to_string(),
            at: entry.at.to_string(),
            error: entry.error.as_ref().map(ErrorView::from),
            digest: entry.digest.map(|digest| digest.to_string()),
            by: entry.by.clone(),
        }
    }
}

/// The items, in the order in which they started.
pub(crate) fn history(saga: &SagaRow, journal: &[JournalRow]) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for entry in journal {
        let (Some(step), Some((status, ended))) = (&entry.step, standing(entry)) else {
            continue;
        };
        let item = item(&mut items, step, entry.direction, entry.started_at);
        item.status = status;
        item.completed_at = ended.then(|| entry.at.to_string());
        item.retry_attempt = entry.attempt.saturating_sub(1);
        item.error = entry.error.as_ref().map(ErrorView::from);
        if let Some(digest) = entry.digest {
            item.digest = Some(digest.to_string());
        }
    }
    // What is not open any more is not going on either.
    for item in &mut items {
        item.status = match item.status {
            Standing::Running | Standing::Waiting => Standing::Unknown,
            Standing::Retrying => Standing::Failed,
            ended => ended,
        };
    }
    let direction = saga.state.direction();
    for open in &saga.state.open {
        let named = || saga.steps.get(usize::from(open.step)).map(String::as_str);
        let Some(step) = saga.state.first_name(open.step).or_else(named) else {
            continue;
        };
        let item = item(&mut items, step, direction, open.since);
        item.status = open_standing(open, direction);
        item.retry_attempt = open.attempt.saturating_sub(1);
        if item.status != Standing::Failed {
            item.completed_at = None;
        }
    }
    items
}

fn item<'a>(
    items: &'a mut Vec<Item>,
    step: &str,
    direction: Direction,
    started: UnixMillis,
) -> &'a mut Item {
    let known = |item: &Item| item.step_name == step && item.direction == direction;
    let place = items.iter().position(known).unwrap_or_else(|| {
        items.push(Item {
            step_name: step.to_owned(),
            direction,
            status: Standing::Running,
            started_at: started.to_string(),
            completed_at: None,
            retry_attempt: 0,
            error: None,
            digest: None,
        });
        items.len() - 1
    });
    &mut items[place]
}

/// What an entry about a step says of it, and whether that ends it; nothing, where it changes nothing.
fn standing(entry: &JournalRow) -> Option<(Standing, bool)> {
    Some(match (entry.kind, entry.direction) {
        (EntryKind::Succeeded, Direction::Forward) => (Standing::Completed, true),
        (EntryKind::Succeeded, Direction::Undo) => (Standing::Compensated, true),
        (EntryKind::Skipped | EntryKind::PassedOver, _) => (Standing::Skipped, true),
        (EntryKind::Waiting, _) => (Standing::Waiting, false),
        (EntryKind::Retrying, _) => (Standing::Retrying, false),
        (EntryKind::Failed, _) => (Standing::Failed, true),
        _ => return None,
    })
}

fn open_standing(open: &OpenStep, direction: Direction) -> Standing {
    match (&open.activity, direction) {
        (Activity::Run | Activity::PutOff { .. } | Activity::Resume(_), Direction::Forward) => {
            Standing::Running
        }
        (Activity::Run | Activity::PutOff { .. } | Activity::Resume(_), Direction::Undo) => {
            Standing::Compensating
        }
        (Activity::BackOff(_), _) => Standing::Retrying,
        (Activity::Wait { .. }, _) => Standing::Waiting,
        (Activity::Stuck, _) => Standing::Failed,
    }
}

#[cfg(test)]
mod tests {
    use wasaga_domain::{
        ids::SagaId,
        outcome::ErrorDetail,
        payload::Payload,
        state::{Course, State, Status},
    };

    use super::*;

    fn saga(state: State) -> SagaRow {
        SagaRow {
            id: SagaId::derived("order", "1"),
            definition: "order".into(),
            version: 1,
            business_key: None,
            status: Status::Running,
            state,
            sequence: 0,
            input: Payload::json("{}"),
            created_at: UnixMillis(0),
            updated_at: UnixMillis(0),
            steps: vec!["reserve".into(), "pay".into()],
            archived: false,
        }
    }

    fn state() -> State {
        serde_json::from_str(r#"{"course": "forward"}"#).unwrap()
    }

    fn entry(kind: EntryKind, step: &str, direction: Direction, attempt: u32) -> JournalRow {
        JournalRow {
            number: 1,
            kind,
            step: Some(step.into()),
            direction,
            attempt,
            started_at: UnixMillis(1_000),
            at: UnixMillis(2_000),
            output: None,
            undo: None,
            memo: None,
            error: None,
            digest: None,
            by: None,
        }
    }

    fn told(items: &[Item]) -> Vec<(&str, Direction, Standing, u32)> {
        let told = items.iter();
        told.map(|item| (&*item.step_name, item.direction, item.status, item.retry_attempt))
            .collect()
    }

    #[test]
    fn what_ended_comes_from_the_journal_and_what_runs_from_the_state() {
        let mut state = state();
        state.open = vec![OpenStep { attempt: 2, ..OpenStep::first(1, UnixMillis(2_000)) }];
        let journal = [
            entry(EntryKind::Retrying, "reserve", Direction::Forward, 1),
            entry(EntryKind::Succeeded, "reserve", Direction::Forward, 2),
            entry(EntryKind::Retrying, "pay", Direction::Forward, 1),
        ];
        let items = history(&saga(state), &journal);
        assert_eq!(
            told(&items),
            [
                ("reserve", Direction::Forward, Standing::Completed, 1),
                ("pay", Direction::Forward, Standing::Running, 1),
            ]
        );
        assert_eq!(items[0].completed_at.as_deref(), Some("1970-01-01T00:00:02Z"));
        assert_eq!(items[1].completed_at, None);
    }

    #[test]
    fn a_wait_that_was_cancelled_is_unknown_and_undone_beside_it() {
        let mut state = state();
        state.course = Course::Undo(ErrorDetail::new("cancelled", "by hand"));
        state.open = vec![OpenStep::first(0, UnixMillis(2_000))];
        let journal = [entry(EntryKind::Waiting, "reserve", Direction::Forward, 1)];
        assert_eq!(
            told(&history(&saga(state), &journal)),
            [
                ("reserve", Direction::Forward, Standing::Unknown, 0),
                ("reserve", Direction::Undo, Standing::Compensating, 0),
            ]
        );
    }
}
