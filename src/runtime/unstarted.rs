//! A start that fails before anything could be read: which exit code is true then.
//!
//! Always holds: code 1 says that nothing of ours is open, so it needs a sign of that: a directory nobody has traded in,
//! or the complete report of a last run that left nothing. A start moves that report away before the first order.
//! Never does: change anything, or take a lock; whatever stands in the way of the start may stand in the way here too.

use std::io::{Error, ErrorKind};
use std::path::Path;

use serde_json::Value;

use crate::store::report::LAST;

/// Everything an earlier run leaves.
const TRACES: [&str; 3] = ["state.json", "state.prev.json", "journal"];

/// What to say besides when orders may be open.
pub const MAY_BE_OPEN: &str =
    "\nThe last run here did not end clean: orders of ours may be open at the venue, and nobody looks after them now";

/// Whether a run in this directory may have left orders on a book.
pub fn may_have_left_orders(directory: &Path) -> bool {
    match std::fs::read(directory.join(LAST)) {
        Ok(bytes) => !serde_json::from_slice(&bytes).is_ok_and(|report: Value| left_nothing(&report)),
        Err(error) if is_absent(&error) => TRACES.iter().any(|name| !is_missing_or_empty(&directory.join(name))),
        Err(_) => true,
    }
}

/// Read field by field, so that the report of another version counts too.
fn left_nothing(report: &Value) -> bool {
    let none = |key: &str| report["orders"][key].as_array().is_some_and(Vec::is_empty);
    let is_clean = report["exit_code"].as_u64().is_some_and(|code| code != 3);
    report["complete"] == true && is_clean && none("kept") && none("remaining")
}

fn is_absent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn is_missing_or_empty(path: &Path) -> bool {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()),
        Ok(_) => false,
        Err(error) => is_absent(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(complete: bool, exit_code: u8, kept: &[&str]) -> String {
        let orders = serde_json::json!({"remaining": [], "kept": kept});
        serde_json::json!({"complete": complete, "exit_code": exit_code, "orders": orders}).to_string()
    }

    #[test]
    fn only_a_complete_report_or_an_untouched_directory_shows_that_nothing_is_open() {
        for (report, state, may) in [
            (None, None, false),
            (None, Some("{}"), true),
            (Some(report(true, 0, &[])), Some("{}"), false),
            (Some(report(true, 1, &[])), Some("{}"), false),
            (Some(report(true, 75, &[])), Some("{}"), false),
            (Some(report(true, 3, &[])), Some("{}"), true),
            (Some(report(false, 0, &[])), Some("{}"), true),
            (Some(report(true, 0, &["an order"])), Some("{}"), true),
            (Some("{}".to_owned()), None, true),
            (Some("half a rep".to_owned()), None, true),
        ] {
            let folder = tempfile::tempdir().unwrap();
            if let Some(report) = &report {
                std::fs::write(folder.path().join(LAST), report).unwrap();
            }
            if let Some(state) = state {
                std::fs::write(folder.path().join("state.json"), state).unwrap();
            }
            assert_eq!(may_have_left_orders(folder.path()), may, "{report:?} {state:?}");
        }
    }

    #[test]
    fn a_journal_without_a_state_is_a_trace_and_an_empty_folder_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!may_have_left_orders(&folder.path().join("none")));
        std::fs::create_dir(folder.path().join("journal")).unwrap();
        assert!(!may_have_left_orders(folder.path()));
        std::fs::write(folder.path().join("journal/1.jsonl"), "").unwrap();
        assert!(may_have_left_orders(folder.path()));
    }
}
