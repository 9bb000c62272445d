//! `[flows]`: how much the task flows take at once; `[plugins.NAME.flows]`: the same of one plugin.

use std::time::Duration;

use serde::Deserialize;
use wasaga_domain::retry::RetryPolicy;
use wasaga_engine::inbox::{FlowLimits, InboxOptions};
use wasaga_kafka::{ConsumerOptions, PublisherOptions, RelayOptions};

use super::{Config, at_least};

/// How much the task flows take at once.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flows {
    /// In tasks that are worked on at once.
    pub r#in: usize,
    /// In tasks of one plugin that are worked on at once.
    pub in_per_plugin: usize,
    /// How long a call for an in task may take.
    pub in_timeout_ms: u64,
    /// When an in task that failed is tried again.
    pub in_retry: RetryPolicy,
    /// Messages that plugins see, before they are published, at once.
    pub handle_out: usize,
    /// Messages that one plugin sees, before they are published, at once.
    pub handle_out_per_plugin: usize,
    /// When a message is shown again to a plugin that failed on it.
    pub handle_out_retry: RetryPolicy,
    /// Dead letters, given up on their way in, that plugins handle at once.
    pub dead_in: usize,
    /// Dead letters, given up on their way in, that one plugin handles at once.
    pub dead_in_per_plugin: usize,
    /// Dead letters, given up on their way out, that plugins handle at once.
    pub dead_out: usize,
    /// Dead letters, given up on their way out, that one plugin handles at once.
    pub dead_out_per_plugin: usize,
    /// When a dead letter on which a plugin failed is tried again.
    pub dead_retry: RetryPolicy,
    /// How long a message is kept for a step that does not wait for it yet.
    pub early_reply_ttl_ms: u64,
    /// In tasks that wait on all hosts, from which on consumption pauses.
    pub in_waiting: u64,
    /// Larger records go to the dead letters at once; up to 128 MiB of content is kept there.
    pub in_record_bytes: usize,
    /// How long finished in tasks are kept: so long a message that comes twice is known.
    pub in_retention_ms: u64,
    /// How long published messages are kept.
    pub retention_ms: u64,
    /// How long dead letters that have ended are kept.
    pub dead_letter_retention_ms: u64,
    /// Messages on their way to the broker at once.
    pub out: usize,
    /// How long a key or a topic rests on which the broker failed, and when what a topic refuses is given up.
    pub out_retry: RetryPolicy,
    /// Messages that are published first at once; each has a connection to the database.
    pub publish_first: usize,
    /// How long the broker has to acknowledge one of them before it is stored for the relay.
    pub publish_first_ms: u64,
}

/// How much of each flow one plugin takes at once, where it is not what others take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginFlows {
    /// In place of `in_per_plugin`.
    pub r#in: Option<usize>,
    /// In place of `handle_out_per_plugin`.
    pub handle_out: Option<usize>,
    /// In place of `dead_in_per_plugin`.
    pub dead_in: Option<usize>,
    /// In place of `dead_out_per_plugin`.
    pub dead_out: Option<usize>,
}

/// One of a plugin's own limits.
pub(super) type OwnLimit = fn(&PluginFlows) -> Option<usize>;

impl Default for Flows {
    fn default() -> Self {
        let InboxOptions {
            r#in,
            handle_out,
            dead_in,
            dead_out,
            early_reply_ttl,
            attempt_timeout,
            retention: in_retention,
            letter_retention,
            ..
        } = InboxOptions::default();
        let ConsumerOptions { max_waiting, max_record_bytes, .. } = ConsumerOptions::default();
        let RelayOptions { max_messages: out, retry: out_retry, retention, .. } =
            RelayOptions::default();
        let PublisherOptions { within, at_once } = PublisherOptions::default();
        Self {
            r#in: r#in.concurrency,
            in_per_plugin: r#in.plugin_concurrency,
            in_timeout_ms: attempt_timeout.as_millis() as u64,
            in_retry: r#in.retry,
            handle_out: handle_out.concurrency,
            handle_out_per_plugin: handle_out.plugin_concurrency,
            handle_out_retry: handle_out.retry,
            dead_in: dead_in.concurrency,
            dead_in_per_plugin: dead_in.plugin_concurrency,
            dead_out: dead_out.concurrency,
            dead_out_per_plugin: dead_out.plugin_concurrency,
            dead_retry: dead_in.retry,
            early_reply_ttl_ms: early_reply_ttl.as_millis() as u64,
            in_waiting: max_waiting.cast_unsigned(),
            in_record_bytes: max_record_bytes,
            in_retention_ms: in_retention.as_millis() as u64,
            retention_ms: retention.as_millis() as u64,
            dead_letter_retention_ms: letter_retention.as_millis() as u64,
            out,
            out_retry,
            publish_first: at_once,
            publish_first_ms: within.as_millis() as u64,
        }
    }
}

impl Config {
    /// What the inbox is started with.
    pub fn inbox(&self) -> InboxOptions {
        let flows = &self.flows;
        let limits =
            |concurrency, plugin_concurrency, own: OwnLimit, retry: &RetryPolicy| FlowLimits {
                concurrency,
                plugin_concurrency,
                plugin_overrides: self.plugins.own_limits(own),
                retry: retry.clone(),
            };
        InboxOptions {
            r#in: limits(flows.r#in, flows.in_per_plugin, |own| own.r#in, &flows.in_retry),
            handle_out: limits(
                flows.handle_out,
                flows.handle_out_per_plugin,
                |own| own.handle_out,
                &flows.handle_out_retry,
            ),
            dead_in: limits(
                flows.dead_in,
                flows.dead_in_per_plugin,
                |own| own.dead_in,
                &flows.dead_retry,
            ),
            dead_out: limits(
                flows.dead_out,
                flows.dead_out_per_plugin,
                |own| own.dead_out,
                &flows.dead_retry,
            ),
            early_reply_ttl: Duration::from_millis(self.flows.early_reply_ttl_ms),
            attempt_timeout: Duration::from_millis(self.flows.in_timeout_ms),
            retention: Duration::from_millis(self.flows.in_retention_ms),
            letter_retention: Duration::from_millis(self.flows.dead_letter_retention_ms),
            poll: Duration::from_millis(self.engine.sweep_ms),
            grace: self.engine.grace(),
        }
    }

    /// What the relay is started with.
    pub fn relay(&self) -> RelayOptions {
        RelayOptions {
            lease: self.engine.lease(),
            sweep: Duration::from_millis(self.engine.sweep_ms),
            max_messages: self.flows.out,
            retry: self.flows.out_retry.clone(),
            retention: Duration::from_millis(self.flows.retention_ms),
            stop_within: self.engine.grace(),
            ..RelayOptions::default()
        }
    }

    /// What the consumer is started with.
    pub fn consumer(&self) -> ConsumerOptions {
        ConsumerOptions {
            group: self.kafka.group.clone(),
            max_waiting: self.flows.in_waiting.cast_signed(),
            max_record_bytes: self.flows.in_record_bytes,
            ..ConsumerOptions::default()
        }
    }

    /// What publishes first is started with.
    pub fn publisher(&self) -> PublisherOptions {
        PublisherOptions {
            within: Duration::from_millis(self.flows.publish_first_ms),
            at_once: self.flows.publish_first,
        }
    }
}

impl Flows {
    pub(super) fn fault(&self) -> Option<String> {
        let limits = [
            ("flows.in", self.r#in),
            ("flows.in_per_plugin", self.in_per_plugin),
            ("flows.in_timeout_ms", self.in_timeout_ms as usize),
            ("flows.handle_out", self.handle_out),
            ("flows.handle_out_per_plugin", self.handle_out_per_plugin),
            ("flows.dead_in", self.dead_in),
            ("flows.dead_in_per_plugin", self.dead_in_per_plugin),
            ("flows.dead_out", self.dead_out),
            ("flows.dead_out_per_plugin", self.dead_out_per_plugin),
            ("flows.out", self.out),
            ("flows.publish_first", self.publish_first),
        ];
        let policies = [
            ("flows.in_retry", &self.in_retry),
            ("flows.handle_out_retry", &self.handle_out_retry),
            ("flows.dead_retry", &self.dead_retry),
        ];
        let times = [
            ("flows.early_reply_ttl_ms", self.early_reply_ttl_ms, 1_000),
            ("flows.in_retention_ms", self.in_retention_ms, 60_000),
            ("flows.retention_ms", self.retention_ms, 60_000),
            ("flows.dead_letter_retention_ms", self.dead_letter_retention_ms, 1_000),
        ];
        let times = times.into_iter().find_map(|(key, ms, least)| at_least(key, ms, least));
        let spans = [
            ("flows.in_waiting", self.in_waiting, 100..=10_000_000),
            ("flows.in_record_bytes", self.in_record_bytes as u64, 1_024..=10_485_760),
            ("flows.publish_first_ms", self.publish_first_ms, 100..=60_000),
        ];
        let spans = spans.into_iter().find_map(|(key, value, span)| {
            let says = || format!("{key} = {value}: must be {} to {}", span.start(), span.end());
            (!span.contains(&value)).then(says)
        });
        let limits = limits.into_iter().find_map(|(key, limit)| at_least(key, limit, 1));
        limits
            .or(times)
            .or(spans)
            .or_else(|| {
                let fault = |(key, policy): (&str, &RetryPolicy)| {
                    policy.fault().map(|fault| format!("{key}: {fault}"))
                };
                policies.into_iter().find_map(fault)
            })
            .or_else(|| {
                let fault = RelayOptions::retry_fault(&self.out_retry);
                fault.map(|fault| format!("flows.out_retry: {fault}"))
            })
    }
}

impl PluginFlows {
    pub(super) fn fault(&self, plugin: &str) -> Option<String> {
        let limits = [
            ("in", self.r#in),
            ("handle_out", self.handle_out),
            ("dead_in", self.dead_in),
            ("dead_out", self.dead_out),
        ];
        limits.into_iter().find_map(|(flow, limit)| {
            at_least(&format!("plugins.{plugin}.flows.{flow}"), limit?, 1)
        })
    }
}
