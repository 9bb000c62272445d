//! Which occurrences are due, against a model that tries every second or minute.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use wasaga_domain::{
    clock::UnixMillis,
    manifest::{Misfire, ScheduleTrigger},
    schedule::Schedule,
};
use wasaga_engine::schedules::{Bounds, Due, due};

/// Saturday, the first second of a leap year's February 24.
const START: i64 = 1_708_732_800_000;

/// One field of an expression.
#[derive(Clone, Copy, Debug)]
enum Field {
    Any,
    At(i64),
    Every(i64),
}

impl Field {
    fn text(self) -> String {
        match self {
            Self::Any => "*".into(),
            Self::At(value) => value.to_string(),
            Self::Every(step) => format!("*/{step}"),
        }
    }

    fn holds(self, value: i64) -> bool {
        match self {
            Self::Any => true,
            Self::At(at) => value == at,
            Self::Every(step) => value % step == 0,
        }
    }
}

fn field(range: std::ops::Range<i64>) -> impl Strategy<Value = Field> {
    let step = 2..range.end;
    prop_oneof![Just(Field::Any), range.prop_map(Field::At), step.prop_map(Field::Every)]
}

/// Second, minute, hour and weekday, with what it says.
#[derive(Clone, Debug)]
struct Expression {
    fields: [Field; 4],
    misfire: Misfire,
}

impl Expression {
    fn schedule(&self) -> Schedule {
        let [second, minute, hour, weekday] = self.fields.map(Field::text);
        let cron = format!("{second} {minute} {hour} * * {weekday}");
        Schedule::new(&ScheduleTrigger { cron, misfire: self.misfire, input: None }).expect("one")
    }

    fn holds(&self, at: i64) -> bool {
        let at =
            Timestamp::from_second(at / 1000).expect("in range").to_zoned(jiff::tz::TimeZone::UTC);
        let weekday = at.weekday().to_sunday_zero_offset();
        let values = [at.second(), at.minute(), at.hour(), weekday].map(i64::from);
        self.fields.iter().zip(values).all(|(field, value)| field.holds(value))
    }

    /// The step in which a model has to walk.
    fn step(&self) -> i64 {
        if matches!(self.fields[0], Field::At(0)) { 60_000 } else { 1000 }
    }

    /// From this instant on, without end.
    fn occurrences(&self, from: i64) -> impl Iterator<Item = i64> {
        let step = self.step();
        let first = (from + step - 1) / step;
        (first..).map(move |at| at * step).filter(|at| self.holds(*at))
    }
}

/// By the second within minutes, or by the minute within days, with the milliseconds of its window.
fn expression() -> impl Strategy<Value = (Expression, i64)> {
    let misfire = prop_oneof![Just(Misfire::Skip), Just(Misfire::Once), Just(Misfire::All)];
    let fine = (field(0..60), field(0..60))
        .prop_map(|(second, minute)| ([second, minute, Field::Any, Field::Any], 2 * 3_600_000));
    let coarse = (field(0..60), field(0..24), field(0..7)).prop_map(|(minute, hour, weekday)| {
        ([Field::At(0), minute, hour, weekday], 8 * 24 * 3_600_000)
    });
    (prop_oneof![fine, coarse], misfire)
        .prop_map(|((fields, window), misfire)| (Expression { fields, misfire }, window))
}

fn model(expression: &Expression, from: i64, now: i64, bounds: Bounds) -> Due {
    let punctual_from = now - bounds.tolerance.as_millis() as i64;
    let all: Vec<i64> = expression.occurrences(from).take_while(|at| *at <= now).collect();
    let (missed, punctual): (Vec<i64>, Vec<i64>) = all.iter().partition(|at| **at < punctual_from);
    let (wanted, missed) = match expression.misfire {
        Misfire::All => (all.clone(), 0),
        Misfire::Skip => (punctual, missed.len()),
        Misfire::Once => {
            let last = missed.last().copied();
            (last.into_iter().chain(punctual).collect(), missed.len().saturating_sub(1))
        }
    };
    let starts: Vec<i64> = wanted.iter().copied().take(bounds.batch).collect();
    let next = wanted.get(starts.len()).copied();
    let next = next.or_else(|| expression.occurrences(now.max(from - 1) + 1).next());
    let starts = starts.into_iter().map(UnixMillis).collect();
    Due { starts, missed, next: UnixMillis(next.expect("it never ends")) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn it_says_what_the_model_says(
        (expression, window) in expression(),
        from in 0..2000_i64,
        late in 0.0..1.0_f64,
        tolerance in 0.0..1.0_f64,
        batch in 1..200_usize,
    ) {
        let from = START + from;
        let now = from - 1000 + (window as f64 * late) as i64;
        let tolerance = Duration::from_millis((window as f64 * tolerance * late) as u64);
        let bounds = Bounds { tolerance, batch };
        let is = due(&expression.schedule(), UnixMillis(from), UnixMillis(now), bounds);
        let expected = model(&expression, from, now, bounds);
        // Only so many are counted one by one.
        prop_assert_eq!(is, Due { missed: expected.missed.min(10_000), ..expected });
    }

    #[test]
    fn whenever_one_looks_all_means_each_once(
        (expression, window) in expression(),
        looks in prop::collection::vec(0.0..0.3_f64, 1..20),
        batch in 1..50_usize,
    ) {
        let expression = Expression { misfire: Misfire::All, ..expression };
        let bounds = Bounds { tolerance: Duration::from_mins(1), batch };
        let (mut now, mut next, mut started) = (START, UnixMillis(START), Vec::new());
        for look in looks {
            now = (now + (window as f64 * look) as i64).min(START + window);
            let due = due(&expression.schedule(), next, UnixMillis(now), bounds);
            started.extend(due.starts.iter().map(|at| at.0));
            next = due.next;
        }
        let expected: Vec<i64> =
            expression.occurrences(START).take_while(|at| *at < next.0).collect();
        prop_assert_eq!(started, expected);
    }
}
