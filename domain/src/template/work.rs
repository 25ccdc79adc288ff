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

/// Counts the work of one rendering, so that every template ends, and soon.
#[derive(Debug)]
pub(super) struct Work {
    left: Cell<usize>,
    depth: Cell<usize>,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            left: Cell::new(MAX_WORK),
            depth: Cell::new(0),
        }
    }
}

impl Work {
    pub(super) fn charge(&self, amount: usize) -> Result<(), String> {
        let left = self
            .left
            .get()
            .checked_sub(amount)
            .ok_or("the template takes too much work")?;
        self.left.set(left);
        Ok(())
    }

    pub(super) fn enter(&self) -> Result<(), String> {
        self.depth.set(self.depth.get() + 1);
        Self::check_depth(self.depth.get())
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

    fn check_depth(depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            Err("the template nests too deep".to_owned())
        } else {
            Ok(())
        }
    }
}
