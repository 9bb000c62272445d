//! The agency: books flights, hotels and cars, and cancels them. What is asked for decides how it goes: see
//! [`Manners`].

mod bookings;

use trip_kit::{COMMANDS, CORRELATION_ID, Command, KEY, REPLIES, Reply};
use wasaga_guest::{
    manifest::{Capabilities, Manifest},
    prelude::*,
    sql,
};

use crate::bookings::Booking;

struct Agency;

/// How the agency deals with what has this name.
#[derive(Clone, Copy, PartialEq)]
enum Manners {
    /// It books, answers, and cancels when asked to.
    Good,
    /// `sold-out`: it books nothing.
    SoldOut,
    /// `silent`: it books, and does not say so.
    Silent,
    /// `old-inn`: so does this one, and it cancels only a booking whose reference it is told.
    OldInn,
    /// `no-refund`: it cancels only for trips in the table `waivers`.
    NoRefund,
}

impl Manners {
    fn of(what: &str) -> Self {
        match what {
            "sold-out" => Self::SoldOut,
            "silent" => Self::Silent,
            "old-inn" => Self::OldInn,
            "no-refund" => Self::NoRefund,
            _ => Self::Good,
        }
    }
}

impl Plugin for Agency {
    fn manifest() -> Manifest {
        Manifest::new("agency", env!("CARGO_PKG_VERSION"))
            .handles(COMMANDS)
            .migration("bookings", bookings::TABLES)
            .capabilities(Capabilities::new().sql().topic(REPLIES))
    }
}

impl Tasks for Agency {
    fn handle_in(task: &FlowTask) -> Result<Vec<Effect>, Failure> {
        let key = task.message.require_header(KEY)?;
        let trip = task.message.key.clone().unwrap_or_default();
        let reply = match task.message.parse()? {
            Command::Book { kind, what } => {
                book(key, &String::from_utf8_lossy(&trip), &kind, &what)?
            }
            Command::Cancel { forward_key, reference } => Some(cancel(&forward_key, reference)?),
        };
        let message =
            |reply| Message::new(REPLIES).key(trip).header(CORRELATION_ID, key).json(&reply);
        Ok(reply.map(message).map(send).into_iter().collect())
    }
}

fn book(key: &str, trip: &str, kind: &str, what: &str) -> Result<Option<Reply>, sql::Error> {
    let manners = Manners::of(what);
    if manners == Manners::SoldOut {
        return Ok(Some(refused("sold-out", format!("there is no {kind} left"))));
    }
    let Booking { reference, cancelled, .. } = bookings::book(key, trip, kind, what)?;
    Ok(match manners {
        _ if cancelled => Some(refused("cancelled", "it was cancelled before it was booked")),
        Manners::Silent | Manners::OldInn => None,
        _ => Some(Reply::Booked { reference }),
    })
}

fn cancel(key: &str, told: Option<i64>) -> Result<Reply, sql::Error> {
    let Some(Booking { reference, trip, what, .. }) = bookings::find(key)? else {
        bookings::forestall(key)?;
        return Ok(Reply::Cancelled);
    };
    match Manners::of(&what) {
        Manners::OldInn if told != Some(reference) => {
            return Ok(refused("no-reference", format!("{what} knows no booking {told:?}")));
        }
        Manners::NoRefund if !bookings::is_waived(&trip)? => {
            return Ok(refused("no-refund", format!("{what} gives no money back")));
        }
        _ => bookings::cancel(key)?,
    }
    Ok(Reply::Cancelled)
}

fn refused(code: &str, reason: impl Into<String>) -> Reply {
    Reply::Refused { code: code.into(), reason: reason.into() }
}

wasaga_guest::task_plugin!(Agency);
