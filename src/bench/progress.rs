//! What is going on, on standard error, while it goes on.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often a line is written where lines cannot be written over.
const SELDOM: Duration = Duration::from_secs(5);

/// The lines of progress.
pub(super) struct Progress {
    overwrites: bool,
    last: Mutex<Option<Instant>>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            overwrites: std::io::stderr().is_terminal(),
            last: Mutex::new(None),
        }
    }

    /// Something new begins.
    pub(super) fn begin(&self, text: &str) {
        self.write(&format!("{text}\n"));
        self.set_last(None);
    }

    /// How it stands; on a terminal the next line takes its place.
    pub(super) fn tick(&self, text: &str) {
        if self.overwrites {
            self.write(&format!("  {text}\r"));
            return;
        }
        let is_due = match self.last.lock() {
            Ok(last) => last.is_none_or(|last| last.elapsed() >= SELDOM),
            Err(_) => true,
        };
        if is_due {
            self.set_last(Some(Instant::now()));
            self.write(&format!("  {text}\n"));
        }
    }

    fn set_last(&self, at: Option<Instant>) {
        if let Ok(mut last) = self.last.lock() {
            *last = at;
        }
    }

    fn write(&self, text: &str) {
        const CLEAR: &str = "\r\x1b[K";
        let clear = if self.overwrites { CLEAR } else { "" };
        // Nobody reads it, then.
        let _ = write!(std::io::stderr(), "{clear}{text}");
    }
}
