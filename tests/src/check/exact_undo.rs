//! Promise 4: what happened or may have happened is undone, in reverse order, and nothing else; and how steps come one
//! after the other at all.

use super::Check;

pub(super) const CHECKS: [Check; 8] = [
    (
        4,
        "a step begins when all that it comes after have passed",
        "select r.saga_id, r.step, before.step as before, before.passed_as
         from checked.runs r
         join checked.runs before on before.saga_id = r.saga_id and r.after ? before.step
         where r.began is not null
             and (before.passed is null or before.passed > r.began or before.passed_at > r.began_at)",
    ),
    (
        // ADR 8. What is not known to have been done is the latest news.
        4,
        "a step's undo begins when the undo of all that began after it was done has ended",
        "select a.saga_id, a.step as undone_first, b.step as began_later
         from checked.effects a join checked.effects b on b.saga_id = a.saga_id and b.step <> a.step
         where a.undo_began is not null and a.did is not null and b.undoes
             and (b.did is null or b.opened >= a.did)
             and (b.undone is null or b.undone > a.undo_began or b.undone_at > a.undo_began_at)",
    ),
    (
        4,
        "whatever was done is undone when a saga turns back, unless an operator settled it",
        "select r.saga_id, r.step
         from checked.runs r
         where r.status in ('compensated', 'failed') and r.passed_as = 'succeeded' and r.undoes
             and not exists (select from wasaga.journal j where j.saga_id = r.saga_id
                 and (j.kind = 'resolved' or (j.step = r.step and j.direction = 'undo'
                     and j.kind in ('succeeded', 'passed_over'))))",
    ),
    (
        4,
        "only what began is undone",
        "select saga_id, step from checked.runs
         where undo_began is not null and (began is null or began > undo_began)",
    ),
    (
        4,
        "a saga that turned back goes forward no more",
        "select back.saga_id, forth.step
         from wasaga.journal back join wasaga.journal forth using (saga_id)
         where back.kind = 'undoing' and forth.number > back.number
             and forth.direction = 'forward' and forth.kind = 'succeeded'",
    ),
    (
        4,
        "a completed saga has undone nothing, and passed every step that no operator settled",
        "select r.saga_id, r.step, r.undo_began from checked.runs r
         where r.status = 'completed' and (r.undo_began is not null or (r.passed is null
             and not exists (select from wasaga.journal j where j.saga_id = r.saga_id and j.kind = 'resolved')))",
    ),
    (
        4,
        "nothing is undone past a pivot",
        "select r.saga_id, r.step from checked.runs r
         join wasaga.journal back on back.saga_id = r.saga_id and back.kind = 'undoing'
         where r.pivot and r.passed is not null",
    ),
    (
        4,
        "only a guarded step is skipped, and then it is not done",
        "select r.saga_id, r.step from checked.runs r
         join wasaga.journal j on j.saga_id = r.saga_id and j.step = r.step and j.kind = 'skipped'
         where not r.guarded or exists (select from wasaga.journal done
             where done.saga_id = r.saga_id and done.step = r.step and done.kind = 'succeeded'
                 and done.direction = 'forward')",
    ),
];
