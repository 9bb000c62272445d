//! Mail is taken in once, in the order of its numbers.

use wasaga_domain::mail::{Mail, MailContent, Verb};
use wasaga_engine::decide::Event;

use crate::build::{Run, done, permanent, reply_message, steps, verb, wait};

fn mail(number: i64, content: MailContent) -> Mail {
    Mail { number, content }
}

fn resume() -> MailContent {
    verb(Verb::Resume)
}

fn cancel() -> MailContent {
    verb(Verb::Cancel)
}

fn reply(correlation: &str) -> MailContent {
    MailContent::Reply { step: 0, correlation: correlation.into(), message: reply_message() }
}

#[test]
fn a_piece_that_was_seen_is_not_taken_in_again() {
    let mut run = Run::of(steps("a"));
    let both = vec![mail(1, resume()), mail(2, reply("a"))];
    run.happens(Event::Mail(both.clone()));
    run.happens(Event::Mail(both));
    assert_eq!(run.journal, ["resumed", "late_message a"]);
    assert_eq!(run.state.mail_seen, 2);
}

#[test]
fn pieces_follow_each_other() {
    let mut run = Run::of(steps("a b"));
    run.ends(wait("a", true));
    run.happens(Event::Mail(vec![mail(1, reply("a")), mail(2, cancel())]));
    assert_eq!(run.journal[1..], ["cancelled", "undoing"]);
    assert_eq!(run.undone(), "a");
}

#[test]
fn a_reply_after_a_cancel_is_late() {
    let mut run = Run::of(steps("a"));
    run.ends(wait("a", true));
    run.happens(Event::Mail(vec![mail(1, cancel()), mail(2, reply("a"))]));
    assert_eq!(run.journal[1..], ["cancelled", "undoing", "undo late_message a"]);
}

#[test]
fn a_reply_during_the_undo_is_late() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).ends(permanent()).reply(1, "b");
    assert_eq!(run.journal.last().unwrap(), "undo late_message b");
    assert_eq!(run.runs(), "undo a 1");
}

#[test]
fn a_reply_for_a_step_that_the_saga_has_no_more_is_late_for_the_saga() {
    let mut run = Run::of(steps("a"));
    assert_eq!(run.reply(1, "b").journal, ["late_message"]);
}
