//! What a guest may ask the host for without waiting, so that a call's deadline holds.

use wasaga_domain::ports::CallContext;

use crate::{
    bindings::wasaga::plugin::{
        ambient, config, context,
        logging::{self, Level},
        types::{self, ErrorDetailResult, PayloadResult},
    },
    convert,
    limits::{told, told_bytes},
    state::{CallState, Subject},
};

impl types::Host for CallState {}

impl context::Host for CallState {
    fn finished_steps(&mut self) -> wasmtime::Result<Vec<String>> {
        self.called()?;
        let Some(context) = &self.context else {
            return Ok(Vec::new());
        };
        let steps = &context.definition.steps;
        let name = |step: &u16| steps.get(usize::from(*step)).map(|step| step.name.to_string());
        Ok(context.ledger.finished().iter().filter_map(name).collect())
    }

    fn output(&mut self, step: String) -> wasmtime::Result<Option<PayloadResult>> {
        self.called()?;
        let output = |context: &CallContext| {
            let place = u16::try_from(context.definition.position(&step)?).ok()?;
            context.ledger.output(place).map(convert::owned_payload)
        };
        Ok(self.context.as_ref().and_then(output))
    }

    fn cause(&mut self) -> wasmtime::Result<Option<ErrorDetailResult>> {
        self.called()?;
        let cause = self.context.as_ref().and_then(|context| context.cause.as_ref());
        Ok(cause.map(convert::owned_detail))
    }
}

impl logging::Host for CallState {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.called()?;
        let mut message = self.access.secrets.redacted(message);
        cut(&mut message, self.limits.log_line_bytes);
        if self.log.lines < self.limits.log_lines {
            self.log.lines += 1;
            self.emit(level, &message);
        } else if self.log.lines == self.limits.log_lines {
            self.log.lines += 1;
            let limit = told(self.limits.log_lines, "log_lines");
            let dropped = format!("the call logs too much, its further lines are dropped: {limit}");
            self.emit(Level::Warn, &dropped);
        }
        if level == Level::Error {
            self.log.last_error = Some(message);
        }
        Ok(())
    }
}

/// Cuts a line off, between two characters, and says so.
fn cut(line: &mut String, limit: usize) {
    if line.len() > limit {
        let kept = line.floor_char_boundary(limit);
        let dropped = line.len() - kept;
        line.truncate(kept);
        let limit = told_bytes(limit, "log_line_bytes");
        let said = format!(" … {dropped} more bytes: {limit}");
        line.push_str(&said);
    }
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
    /// Logs in the name of the attempt.
    pub(crate) fn emit(&self, level: Level, message: &str) {
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
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        self.called()?;
        Ok(self.access.config(&key))
    }
}

impl ambient::Host for CallState {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.called()?;
        Ok(u64::try_from(self.clock.now().0).unwrap_or(0))
    }

    fn random_bytes(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        self.called()?;
        let limit = self.limits.random_bytes;
        if length > limit {
            let limit = told_bytes(limit, "random_bytes");
            return Err(self.refuse(format!("random-bytes({length}): {limit}")));
        }
        let mut bytes = vec![0; length as usize];
        self.chance.fill(&mut bytes);
        Ok(bytes)
    }
}
