//! What an operator can ask a running daemon, and the answer. The same for socket, HTTP and chat.

use serde::{Deserialize, Serialize};

/// A command's number within a process, so that its answer finds the asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandId(pub u64);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// How things stand.
    Status,
    /// No new orders; quotes are cancelled and that is proved, unless they are to stay.
    Pause {
        /// Leave resting orders alone.
        #[serde(default)]
        keep_orders: bool,
    },
    /// Trade again.
    Resume,
    /// Cancel everything of ours, prove it, then stay paused.
    CancelAll,
    /// End a latch (a day's loss over the limit): from here the day's loss counts anew.
    Rearm,
    /// The ordered stop.
    Stop,
    /// The ordered stop, then a new start.
    Restart,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandAnswer {
    /// Whether it was done (or begun, for a stop).
    pub ok: bool,
    /// In words, for a person.
    pub text: String,
    /// For programs.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub data: serde_json::Value,
}
