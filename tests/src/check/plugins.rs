//! Promises 7 and 8: guests are contained, and code swaps never strand a saga.

use super::Check;

pub(super) const CHECKS: [Check; 3] = [
    (
        7,
        "what a guest returned is within its bounds",
        "select saga_id, number from wasaga.journal
         where greatest(octet_length(output), octet_length(undo), octet_length(memo)) > 1048576",
    ),
    (
        8,
        "only what ran has a digest, and that of a known module",
        "select j.saga_id, j.number from wasaga.journal j
         where (j.kind = 'succeeded' and j.digest is null)
            or (j.digest is not null and not exists (select from wasaga.modules m where m.digest = j.digest))",
    ),
    (
        8,
        "a saga's definition is known",
        "select s.id, s.definition, s.version from wasaga.sagas s
         where not exists (select from wasaga.definitions d where d.name = s.definition and d.version = s.version)",
    ),
];
