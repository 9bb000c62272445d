//! A trip: quoted, its flight, hotel and car booked side by side, paid, ticketed. When one of the bookings fails, the
//! others are cancelled, side by side too; once it is paid there is no way back.

mod definition;

use serde::{Deserialize, Serialize};
use trip_kit::{COMMANDS, Command, KEY, REPLIES, Reply};
use wasaga_guest::{context, manifest::Manifest, prelude::*};

struct Trip;

/// The saga's input.
#[derive(Deserialize)]
struct Input {
    traveller: String,
    card: String,
    flight: String,
    hotel: String,
    car: String,
}

#[derive(Deserialize, Serialize)]
struct Quote {
    cents: u32,
}

/// A booking's output, and what undoes it.
#[derive(Deserialize, Serialize)]
struct Booking {
    reference: i64,
}

impl Plugin for Trip {
    fn manifest() -> Manifest {
        definition::manifest()
    }
}

impl Steps for Trip {
    fn execute(task: &StepTask) -> Result<Outcome, Failure> {
        let trip: Input = task.input_json()?;
        match task.step() {
            "quote" => done_json(&Quote { cents: 45_000 }).into(),
            "flight" => book(task, trip.flight),
            "hotel" => book(task, trip.hotel),
            "car" => book(task, trip.car),
            "pay" if trip.card == "declined" => {
                Err(Failure::permanent("card-declined", "the bank declined the card"))
            }
            "pay" => done_json(&context::require_output::<Quote>("quote")?).into(),
            "ticket" => ticket(task, &trip.traveller),
            _ => Err(task.unknown_step()),
        }
    }

    fn resume(
        task: &StepTask,
        _: Option<Payload>,
        _: Option<Payload>,
        arrival: Arrival,
    ) -> Result<Outcome, Failure> {
        let Arrival::Message((_, reply)) = arrival else {
            return Err(Failure::unknown("no-reply", "the agency has not answered"));
        };
        // What can't be read says nothing of what was done.
        let reply = reply.parse().map_err(|failure| Failure::Unknown(failure.detail().clone()))?;
        match (task.attempt.direction, reply) {
            (Direction::Forward, Reply::Booked { reference }) => {
                let booking = Booking { reference };
                done_json(&booking).undo_json(&booking).into()
            }
            (Direction::Forward, Reply::Refused { code, reason }) => {
                Err(Failure::permanent(code, reason))
            }
            (Direction::Undo, Reply::Cancelled) => done_empty().into(),
            (Direction::Undo, Reply::Refused { code, reason }) => {
                Err(Failure::retryable(code, reason))
            }
            (_, reply) => Err(Failure::unknown("unexpected-reply", format!("{reply:?}"))),
        }
    }

    fn compensate(task: &StepTask, undo: Option<Payload>) -> Result<Outcome, Failure> {
        let booking: Option<Booking> = undo.map(|undo| undo.parse()).transpose()?;
        let forward_key = task.attempt.forward_key.clone();
        let reference = booking.map(|booking| booking.reference);
        ask(task, &Command::Cancel { forward_key, reference })
    }
}

fn book(task: &StepTask, what: String) -> Result<Outcome, Failure> {
    ask(task, &Command::Book { kind: task.step().to_owned(), what })
}

fn ask(task: &StepTask, command: &Command) -> Result<Outcome, Failure> {
    let key = task.idempotency_key();
    let message = Message::new(COMMANDS).key(task.business_key()).header(KEY, key).json(command);
    wait().message(REPLIES, key).send(message).into()
}

/// A traveller with two names on one passport needs a few attempts, and one without a passport never gets a ticket.
fn ticket(task: &StepTask, traveller: &str) -> Result<Outcome, Failure> {
    match traveller {
        "two-names" if task.attempt.number < 4 => {
            Err(Failure::retryable("names-differ", "the passport has another name"))
        }
        "no-passport" => Err(Failure::permanent("no-passport", "there is nobody to fly")),
        _ => done_json(&format!("ticket of {traveller}")).into(),
    }
}

wasaga_guest::saga_plugin!(Trip);
