//! The expenses.

use super::Check;

pub(super) const CHECKS: [Check; 1] = [(
    4,
    "an expense is paid when its saga is completed, and dropped when it turned back",
    "select s.business_key, s.status, e.status as expense
     from wasaga.sagas s left join plugin_approval.expenses e on e.expense_id = s.business_key
     where s.definition = 'expense'
         and e.status is distinct from case s.status when 'completed' then 'paid' when 'compensated' then 'dropped' end",
)];
