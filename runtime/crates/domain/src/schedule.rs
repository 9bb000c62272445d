//! When a definition's sagas start by themselves: a cron expression, read in UTC.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, Zoned, tz::TimeZone};
use serde_json::{Map, Value};

use crate::{
    clock::UnixMillis,
    manifest::{Misfire, ScheduleTrigger},
    payload::Payload,
};

/// When an expression never comes true again.
const NEVER: UnixMillis = UnixMillis(253_402_300_799_000);

/// A schedule whose expression is known to be one.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    misfire: Misfire,
    input: Value,
}

impl Schedule {
    /// Refused with a sentence where the expression is none, or never comes true.
    pub fn new(trigger: &ScheduleTrigger) -> Result<Self, String> {
        let refused = |what: &str| {
            format!(
                "schedule {:?}: {what}: write minute, hour, day of month, month and day of week, as \
                 \"0 3 * * *\", with the second before them where it matters; times are UTC",
                trigger.cron
            )
        };
        let parser =
            CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(&trigger.cron).map_err(|error| {
            let error = error.to_string();
            refused(error.trim_end_matches('.'))
        })?;
        let input = trigger.input.clone().unwrap_or_else(|| Map::new().into());
        let schedule = Self { cron, misfire: trigger.misfire, input };
        if schedule.next(UnixMillis(0)) == NEVER {
            return Err(refused("no such day ever comes"));
        }
        Ok(schedule)
    }

    /// What becomes of occurrences that no host was there for.
    pub fn misfire(&self) -> Misfire {
        self.misfire
    }

    /// The first occurrence after this instant.
    pub fn next(&self, after: UnixMillis) -> UnixMillis {
        let next =
            zoned(after).and_then(|after| self.cron.find_next_occurrence(&after, false).ok());
        next.map_or(NEVER, |next| millis(&next))
    }

    /// The last occurrence before this instant.
    pub fn last(&self, before: UnixMillis) -> Option<UnixMillis> {
        // An occurrence in the second that `before` is a part of is before it too.
        let before = zoned(UnixMillis(before.0.saturating_add(999)))?;
        self.cron.find_previous_occurrence(&before, false).ok().map(|last| millis(&last))
    }

    /// The input of the saga that runs for this occurrence: always the same.
    pub fn input(&self, at: UnixMillis) -> Payload {
        let mut input = self.input.clone();
        if let Value::Object(fields) = &mut input {
            fields.insert("scheduled_at".into(), at.to_string().into());
        }
        Payload::json(input.to_string())
    }
}

fn zoned(at: UnixMillis) -> Option<Zoned> {
    Timestamp::from_millisecond(at.0).ok().map(|at| at.to_zoned(TimeZone::UTC))
}

fn millis(at: &Zoned) -> UnixMillis {
    UnixMillis(at.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schedule(trigger: Value) -> Result<Schedule, String> {
        let trigger: ScheduleTrigger =
            serde_json::from_value(trigger).map_err(|e| e.to_string())?;
        Schedule::new(&trigger)
    }

    fn at(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<Timestamp>().expect("an instant").as_millisecond())
    }

    #[test]
    fn text_and_object_are_read() {
        let schedule = schedule(json!("0 3 * * *")).expect("a schedule");
        assert_eq!(schedule.misfire(), Misfire::Once);
        let night = at("2024-02-29T03:00:00Z");
        assert_eq!(schedule.next(at("2024-02-28T03:00:00Z")), night);
        assert_eq!(night.to_string(), "2024-02-29T03:00:00Z");
        assert_eq!(&schedule.input(night).data[..], br#"{"scheduled_at":"2024-02-29T03:00:00Z"}"#);

        let full = json!({"cron": "*/30 0 3 * * MON", "misfire": "all", "input": {"full": true}});
        let schedule = self::schedule(full).expect("a schedule");
        assert_eq!(schedule.misfire(), Misfire::All);
        let first = at("2024-03-04T03:00:00Z");
        assert_eq!(schedule.next(night), first);
        assert_eq!(schedule.next(first), at("2024-03-04T03:00:30Z"));
        let input: Value = serde_json::from_slice(&schedule.input(first).data).expect("JSON");
        assert_eq!(input, json!({"full": true, "scheduled_at": "2024-03-04T03:00:00Z"}));
        let listed = self::schedule(json!({"cron": "@hourly", "input": [1]})).expect("a schedule");
        assert_eq!(&listed.input(first).data[..], b"[1]");
    }

    #[test]
    fn parts_of_seconds_are_no_occurrences() {
        let schedule = schedule(json!("* * * * * *")).expect("a schedule");
        let whole = at("2024-01-01T00:00:10Z");
        assert_eq!(schedule.next(UnixMillis(whole.0 - 1)), whole);
        assert_eq!(schedule.next(UnixMillis(whole.0 + 1)), at("2024-01-01T00:00:11Z"));
        assert_eq!(schedule.last(UnixMillis(whole.0 + 1)), Some(whole));
        assert_eq!(schedule.last(whole), Some(at("2024-01-01T00:00:09Z")));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for (trigger, says) in [
            (json!("61 * * * *"), "schedule \"61 * * * *\": "),
            (json!("0 3 * *"), "schedule \"0 3 * *\": "),
            (json!(""), "schedule \"\": "),
            (json!("nightly"), "schedule \"nightly\": "),
            (json!("0 0 30 2 *"), "no such day ever comes"),
            (json!("0 0 3 * * * 2030"), "schedule \"0 0 3 * * * 2030\": "),
            (json!({"cron": "* * * * *", "misfire": "never"}), "misfire (skip, once or all)"),
            (json!({"cron": "* * * * *", "colour": 1}), "an object of cron, misfire"),
            (json!(7), "a schedule is a cron expression"),
        ] {
            let fault = schedule(trigger).expect_err("it is refused");
            assert!(fault.contains(says), "{fault}");
        }
    }
}
