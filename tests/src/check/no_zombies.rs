//! Promise 5: a host that lost its lease commits nothing.

use super::Check;

pub(super) const CHECKS: [Check; 1] = [(
    5,
    "an attempt ends once",
    "select saga_id, step, direction, attempt, count(*) as times from checked.attempts
     where kind <> 'waiting' group by 1, 2, 3, 4 having count(*) > 1",
)];
