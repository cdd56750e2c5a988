//! Why a process stops.

use super::event::SignalName;

/// What began the stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// A signal.
    Signal(SignalName),
    /// The operator's `stop`.
    Command,
    /// The operator's `restart`.
    Restart,
    /// The start did not get through: why, and what to do.
    StartFailed(String),
    /// The trading machine panicked: where and with which words.
    CorePanic(String),
}

impl StopCause {
    /// The word in the report.
    pub fn reason(&self) -> &'static str {
        match self {
            StopCause::Signal(_) => "signal",
            StopCause::Command => "command",
            StopCause::Restart => "restart",
            StopCause::StartFailed(_) => "start_failed",
            StopCause::CorePanic(_) => "core_panic",
        }
    }

    /// The signal, if it was one.
    pub fn signal(&self) -> Option<SignalName> {
        match self {
            StopCause::Signal(signal) => Some(*signal),
            StopCause::Command | StopCause::Restart | StopCause::StartFailed(_) | StopCause::CorePanic(_) => None,
        }
    }
}
