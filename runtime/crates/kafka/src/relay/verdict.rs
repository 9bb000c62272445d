//! What follows when the broker does not take a record.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode as Code};
use serde_json::{Value, json};

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The broker could not be asked, or not answer: again, without end.
    Again,
    /// The broker won't have it in this topic; a topic or a right may come: again, a limited number of times.
    Refused,
    /// The record itself is at fault: never again.
    Never,
    /// The producer is at its end: again, with another one.
    NewProducer,
}

impl Verdict {
    pub(super) fn of(error: &KafkaError) -> Self {
        if matches!(error, KafkaError::Nul(_)) {
            return Self::Never;
        }
        match error.rdkafka_error_code() {
            Some(
                Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::PolicyViolation
                | Code::InvalidRequiredAcks
                | Code::UnsupportedVersion,
            ) => Self::Refused,
            Some(
                Code::MessageSizeTooLarge
                | Code::MessageBatchTooLarge
                | Code::InvalidMessageSize
                | Code::InvalidTopic
                | Code::InvalidRecord
                | Code::InvalidTimestamp
                | Code::InvalidArgument
                | Code::UnsupportedForMessageFormat,
            ) => Self::Never,
            Some(Code::Fatal | Code::OutOfOrderSequenceNumber | Code::UnknownProducerId) => {
                Self::NewProducer
            }
            _ => Self::Again,
        }
    }
}

/// Why a record was not taken.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) verdict: Verdict,
    /// As `task_out.error` and `dead_letter_out.reason` have it.
    pub(super) reason: Value,
}

impl Failure {
    /// A row that can't be a record.
    pub(super) fn of_row(message: &str) -> Self {
        let reason = json!({ "code": "not-a-record", "message": message });
        Self { verdict: Verdict::Never, reason }
    }
}

impl From<&KafkaError> for Failure {
    fn from(error: &KafkaError) -> Self {
        let code = error.rdkafka_error_code().map_or("Record".into(), |code| format!("{code:?}"));
        let reason =
            json!({ "code": format!("kafka{}", kebab(&code)), "message": error.to_string() });
        Self { verdict: Verdict::of(error), reason }
    }
}

fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            kebab.push('-');
        }
        kebab.push(c.to_ascii_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_what_follows() {
        let of = |code| Verdict::of(&KafkaError::MessageProduction(code));
        assert_eq!(of(Code::MessageTimedOut), Verdict::Again);
        assert_eq!(of(Code::NotEnoughReplicas), Verdict::Again);
        assert_eq!(of(Code::UnknownTopic), Verdict::Refused);
        assert_eq!(of(Code::MessageSizeTooLarge), Verdict::Never);
        assert_eq!(of(Code::Fatal), Verdict::NewProducer);
        let failure = Failure::from(&KafkaError::MessageProduction(Code::MessageSizeTooLarge));
        assert_eq!(failure.reason["code"], "kafka-message-size-too-large");
    }
}
