//! Who is registered.

use super::Check;

pub(super) const CHECKS: [Check; 1] = [(
    3,
    "whoever is registered and has a name is counted once",
    "with named as (
         select upper(left(convert_from(input, 'UTF8')::jsonb ->> 'name', 1)) as letter
         from wasaga.sagas where definition = 'registration' and status = 'completed'
     ), expected as (
         select letter, count(*) as people from named where letter <> '' group by 1
     )
     select letter, e.people as registered, r.people as counted
     from expected e full join plugin_intake.registered r using (letter)
     where e.people is distinct from r.people",
)];
