//! The gate: one flag that every worker reads between "it may have left" and its first byte.
//!
//! Always holds: it shuts once and for good; whatever raises exposure and reads it shut ends unsent. The flag is the
//! one the signal handlers set, so it shuts before anybody wakes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The gate of this process.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// The flag, for the signal handlers.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.0
    }

    /// Shuts it, for good.
    pub fn shut(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it is shut.
    pub fn is_shut(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
