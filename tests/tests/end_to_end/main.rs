//! The whole thing, from an HTTP request to its end: each test has a world of its own (see `wasaga_tests`).

mod approval;
mod bad_input;
mod checker;
mod codecs;
mod contracts;
mod crashes;
mod greeting;
mod intake;
mod letters;
mod messages;
mod orders;
mod outages;
mod outbox_clients;
mod outbox_http;
mod outbox_service;
mod payout;
mod plugins;
mod pooler;
mod relay;
mod rights;
mod sdks;
mod steps;
mod trip;
