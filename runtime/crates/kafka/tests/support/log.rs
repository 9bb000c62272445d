//! What the code under test logs.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing_subscriber::filter::LevelFilter;

/// The log of what runs on this thread, for as long as this value lives.
pub struct Log {
    text: Text,
    _guard: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn of_this_thread() -> Self {
        let text = Text::default();
        let writer = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::DEBUG)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// How many lines hold all of this.
    pub fn count(&self, parts: &[&str]) -> usize {
        let text = self.text.0.lock().expect("nobody panicked");
        let text = String::from_utf8_lossy(&text);
        text.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
    }
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
