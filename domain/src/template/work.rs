//! What a template may cost.

use std::cell::Cell;

/// The longest template, in bytes.
pub(super) const MAX_SOURCE: usize = 16 * 1024;
/// The longest rendering, in bytes.
pub(super) const MAX_OUTPUT: usize = 1024 * 1024;
/// How deep evaluation may nest, and how deep values may.
pub(super) const MAX_DEPTH: usize = 150;
/// Bytes and elements that functions may make or read in one rendering.
const MAX_WORK: usize = 8 * 1024 * 1024;

/// What a step costs that is more than copying a byte.
pub(super) const STEP: usize = 16;

/// Counts the work of one rendering, so that every template ends, and soon.
#[derive(Debug)]
pub(super) struct Work {
    left: Cell<usize>,
    depth: Cell<usize>,
    /// The limit that was met, if any. No function may make a lesser error of it.
    exceeded: Cell<Option<&'static str>>,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            left: Cell::new(MAX_WORK),
            depth: Cell::new(0),
            exceeded: Cell::new(None),
        }
    }
}

impl Work {
    pub(super) fn charge(&self, amount: usize) -> Result<(), String> {
        match self.left.get().checked_sub(amount) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => self.exceed("the template takes too much work"),
        }
    }

    pub(super) fn step(&self) -> Result<(), String> {
        self.charge(STEP)
    }

    pub(super) fn enter(&self) -> Result<(), String> {
        self.depth.set(self.depth.get() + 1);
        if self.depth.get() > MAX_DEPTH {
            self.exceed("the template nests too deep")
        } else {
            Ok(())
        }
    }

    pub(super) fn leave(&self) {
        self.depth.set(self.depth.get().saturating_sub(1));
    }

    pub(super) fn depth(&self) -> usize {
        self.depth.get()
    }

    /// Returns to a depth, after nested evaluation was left early.
    pub(super) fn set_depth(&self, depth: usize) {
        self.depth.set(depth);
    }

    fn exceed(&self, limit: &'static str) -> Result<(), String> {
        self.exceeded.set(Some(limit));
        Err(limit.to_owned())
    }

    /// An error where a limit was met, whatever came of it since.
    pub(super) fn check(&self) -> Result<(), String> {
        self.exceeded
            .get()
            .map_or(Ok(()), |limit| Err(limit.to_owned()))
    }
}
