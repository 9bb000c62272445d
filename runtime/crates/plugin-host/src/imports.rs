//! What a guest may ask the host for, the database apart. Nothing here waits, so that a call's deadline holds.

use rand::Rng as _;

use crate::{
    bindings::wasaga::plugin::{
        ambient, config, context, http,
        logging::{self, Level},
        types::{self, ErrorDetailResult, PayloadResult},
    },
    convert,
    state::{CallState, Subject},
};

impl types::Host for CallState {}

impl context::Host for CallState {
    fn finished_steps(&mut self) -> Vec<String> {
        let Some(context) = &self.context else {
            return Vec::new();
        };
        let steps = &context.definition.steps;
        let name = |step: &u16| steps.get(usize::from(*step)).map(|step| step.name.to_string());
        context.ledger.finished().iter().filter_map(name).collect()
    }

    fn output(&mut self, step: String) -> Option<PayloadResult> {
        let context = self.context.as_ref()?;
        let place = u16::try_from(context.definition.position(&step)?).ok()?;
        context.ledger.output(place).map(convert::owned_payload)
    }

    fn cause(&mut self) -> Option<ErrorDetailResult> {
        self.context.as_ref()?.cause.as_ref().map(convert::owned_detail)
    }
}

impl logging::Host for CallState {
    fn log(&mut self, level: Level, mut message: String) {
        cut(&mut message, self.limits.log_line_bytes);
        if self.log.lines < self.limits.log_lines {
            self.log.lines += 1;
            self.emit(level, &message);
        } else if self.log.lines == self.limits.log_lines {
            self.log.lines += 1;
            self.emit(Level::Warn, "the call logs too much: its further lines are dropped");
        }
        if level == Level::Error {
            self.log.last_error = Some(message);
        }
    }
}

/// Cuts a text off, between two characters.
fn cut(text: &mut String, bytes: usize) {
    text.truncate(text.floor_char_boundary(bytes));
}

/// One tracing event; its level and the names of its fields are constants there.
macro_rules! emit {
    ($macro:ident, $state:expr, $message:expr) => {{
        let plugin = $state.access.name();
        match &$state.subject {
            Subject::Plugin => tracing::$macro!(target: "guest", plugin, "{}", $message),
            Subject::Step { saga, step, attempt } => {
                tracing::$macro!(target: "guest", plugin, %saga, %step, attempt, "{}", $message);
            }
            Subject::Task { task, attempt } => {
                tracing::$macro!(target: "guest", plugin, %task, attempt, "{}", $message);
            }
        }
    }};
}

impl CallState {
    fn emit(&self, level: Level, message: &str) {
        match level {
            Level::Trace => emit!(trace, self, message),
            Level::Debug => emit!(debug, self, message),
            Level::Info => emit!(info, self, message),
            Level::Warn => emit!(warn, self, message),
            Level::Error => emit!(error, self, message),
        }
    }
}

impl config::Host for CallState {
    fn get(&mut self, key: String) -> Option<String> {
        self.access.config(&key).map(str::to_owned)
    }
}

impl ambient::Host for CallState {
    fn now_ms(&mut self) -> u64 {
        u64::try_from(self.clock.now().0).unwrap_or(0)
    }

    fn random_bytes(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        let limit = self.limits.random_bytes;
        if length > limit {
            let what = format!("random-bytes({length}): limit {limit} bytes a call");
            self.memory.hit = Some(what.clone());
            return Err(wasmtime::Error::msg(what));
        }
        let mut bytes = vec![0; length as usize];
        rand::rng().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}

impl http::Host for CallState {
    fn send(&mut self, _: http::Request) -> Result<http::Response, http::Error> {
        Err(http::Error::Denied("not supported yet: http".into()))
    }
}
