//! The accounts, and what was written down of transfers.

use super::Check;

pub(super) const CHECKS: [Check; 3] = [
    (
        4,
        "all accounts together have a million cents",
        "select sum(cents) as cents from plugin_payout.accounts having sum(cents) <> 1000000",
    ),
    (
        3,
        "an account has what completed transfers brought",
        "select a.account, a.cents, sum(t.cents) as brought
         from plugin_payout.accounts a
         left join (
             select convert_from(input, 'UTF8')::jsonb ->> 'account' as account,
                 (convert_from(input, 'UTF8')::jsonb ->> 'cents')::bigint as cents
             from wasaga.sagas where definition = 'transfer' and status = 'completed'
         ) t using (account)
         where a.account <> 'till' group by 1, 2 having a.cents <> coalesce(sum(t.cents), 0)",
    ),
    (
        2,
        "what is published of transfers is written down",
        "select published.idempotency_key, heard.event_id
         from (select * from wasaga.task_out where topic = 'payout.transfers') published
         full join plugin_payout.transfer_events heard on heard.event_id = published.idempotency_key
         where heard.event_id is null or published.id is null",
    ),
];
