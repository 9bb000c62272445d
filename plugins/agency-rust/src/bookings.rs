//! The tables `bookings` and `waivers`. One row a key, so that what comes twice is booked once, and what is cancelled
//! first is not booked at all.

use wasaga_guest::sql;

pub const TABLES: &str = "
create table bookings (
    key text primary key,
    reference bigint not null generated always as identity,
    trip_id text not null,
    kind text not null,
    what text not null,
    status text not null default 'booked' check (status in ('booked', 'cancelled'))
);

create table waivers (
    trip_id text primary key
);
";

/// A row of `bookings`.
pub struct Booking {
    pub reference: i64,
    pub trip: String,
    pub what: String,
    pub cancelled: bool,
}

/// Books it, unless the key is known; the key's booking.
pub fn book(key: &str, trip: &str, kind: &str, what: &str) -> Result<Booking, sql::Error> {
    sql::execute(
        "insert into bookings (key, trip_id, kind, what) values ($1, $2, $3, $4)
         on conflict (key) do nothing",
        &[&key, &trip, &kind, &what],
    )?;
    find(key)?.ok_or_else(|| sql::Error::new("P0002", "the booking is gone"))
}

/// The key's booking.
pub fn find(key: &str) -> Result<Option<Booking>, sql::Error> {
    let rows = sql::query(
        "select reference, trip_id, what, status = 'cancelled' as cancelled from bookings
         where key = $1 for update",
        &[&key],
    )?;
    let booking = |row: sql::Row<'_>| {
        Ok(Booking {
            reference: row.get("reference")?,
            trip: row.get("trip_id")?,
            what: row.get("what")?,
            cancelled: row.get("cancelled")?,
        })
    };
    rows.optional()?.map(booking).transpose()
}

/// Cancels the key's booking.
pub fn cancel(key: &str) -> Result<(), sql::Error> {
    sql::execute("update bookings set status = 'cancelled' where key = $1", &[&key])?;
    Ok(())
}

/// Refuses what may still come under this key.
pub fn forestall(key: &str) -> Result<(), sql::Error> {
    sql::execute(
        "insert into bookings (key, trip_id, kind, what, status) values ($1, '', '', '', 'cancelled')",
        &[&key],
    )?;
    Ok(())
}

/// Whether an operator has the agency refund this trip.
pub fn is_waived(trip: &str) -> Result<bool, sql::Error> {
    let rows = sql::query("select trip_id from waivers where trip_id = $1", &[&trip])?;
    Ok(!rows.is_empty())
}
