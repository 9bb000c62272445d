//! The agency's bookings.

use super::Check;

pub(super) const CHECKS: [Check; 1] = [(
    // An undo that an operator passed over, and what is left of a saga that was resolved, was settled by hand.
    4,
    "a trip has its bookings when it is completed, and none when it turned back",
    "select r.saga_id, r.status, r.step, b.status as booking
     from checked.runs r
     join wasaga.sagas s on s.id = r.saga_id
     left join plugin_agency.bookings b on b.trip_id = s.business_key and b.kind = r.step
     where r.definition = 'trip' and r.step in ('flight', 'hotel', 'car') and s.ended
         and coalesce(b.status = 'booked', false) <> (r.status = 'completed')
         and not exists (select from wasaga.journal j where j.saga_id = r.saga_id and (j.kind = 'resolved'
             or (j.kind = 'passed_over' and j.step = r.step)))",
)];
