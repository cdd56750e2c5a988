//! What the daemon leaves in its state directory, read as plain JSON: state, journal, report, locks.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde_json::Value;

use super::exact::Exact;

const SUM_DIGITS: usize = 16;

/// A text field.
pub(crate) fn text(value: &Value, key: &str) -> Result<String, String> {
    value[key].as_str().map(str::to_owned).ok_or_else(|| format!("`{key}` is missing"))
}

/// A decimal field.
pub(crate) fn amount(value: &Value, key: &str) -> Result<Exact, String> {
    let text = text(value, key)?;
    Exact::parse(&text).ok_or_else(|| format!("`{key}` is `{text}`, no plain decimal number"))
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `state.json`, if it is whole: its last line is the checksum of all bytes before that line.
pub(crate) fn read_state(path: &Path) -> Result<Value, String> {
    let whole = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    check_state(&whole).map_err(|what| format!("{}: {what}", path.display()))
}

pub(crate) fn check_state(whole: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(whole).map_err(|error| format!("no JSON: {error}"))?;
    let start = whole.trim_end_matches('\n').rfind('\n').map_or(0, |end| end + 1);
    let (before, last_line) = whole.split_at(start);
    if !last_line.trim_start().starts_with("\"checksum\"") {
        return Err("its last line is not the checksum".to_owned());
    }
    if value["checksum"] != sha256(before.as_bytes()) {
        return Err("its checksum does not fit".to_owned());
    }
    Ok(value)
}

/// The journal's records that are left, and what is wrong with them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    pub(crate) records: BTreeMap<u64, Value>,
    pub(crate) findings: Vec<String>,
}

impl Journal {
    /// Reads every segment. A bad last line of a segment is what a kill leaves, and no finding unless the daemon ended
    /// by itself.
    pub(crate) fn read(folder: &Path, ended_by_itself: bool) -> Journal {
        let mut journal = Journal::default();
        for path in entries(folder) {
            let name = path.display().to_string();
            match std::fs::read_to_string(&path) {
                Ok(content) => journal.segment(&name, &content, ended_by_itself),
                Err(error) => journal.findings.push(format!("{name}: {error}")),
            }
        }
        journal
    }

    fn segment(&mut self, name: &str, content: &str, ended_by_itself: bool) {
        let lines: Vec<&str> = content.split_inclusive('\n').collect();
        for (number, line) in lines.iter().enumerate() {
            let torn = number + 1 == lines.len() && !ended_by_itself;
            match check_line(line) {
                Err(_) if torn => {}
                Err(what) => self.findings.push(format!("{name}:{}: {what}", number + 1)),
                Ok(line) if number == 0 && line.get("head").is_some() => {}
                Ok(mut line) => {
                    let seq = line["seq"].as_u64().unwrap_or_default();
                    if self.records.last_key_value().is_some_and(|(last, _)| *last + 1 != seq) {
                        self.findings.push(format!("{name}:{}: record {seq} does not follow", number + 1));
                    }
                    self.records.insert(seq, line["rec"].take());
                }
            }
        }
    }

    /// Records of a kind, in order.
    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (u64, &'a Value)> {
        self.records.iter().filter(move |(_, record)| record["kind"] == kind).map(|(seq, record)| (*seq, record))
    }
}

fn check_line(line: &str) -> Result<Value, String> {
    let line = line.strip_suffix('\n').ok_or("its end is missing")?;
    let (body, sum) = line.rsplit_once(",\"sum\":\"").ok_or("it has no checksum")?;
    if sum.strip_suffix("\"}") != sha256(body.as_bytes()).get(..SUM_DIGITS) {
        return Err("its checksum does not fit".to_owned());
    }
    serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))
}

/// The state of every order that had not ended before a moment (RFC 3339 with milliseconds, as in the records), as the
/// daemon had recorded it: the saved state with the journal after it. With the state read just before a signal and the
/// journal after, it says what the signal met. What was recorded in the very millisecond does not count: a stop begins
/// within one, and its own moves must not be taken for what it found.
pub(crate) fn states_recorded(state: Option<&Value>, journal: &Journal, before: &str) -> BTreeMap<String, String> {
    let mut states = BTreeMap::new();
    let mut saved_seq = 0;
    if let Some(state) = state {
        saved_seq = state["journal_seq"].as_u64().unwrap_or_default();
        for (id, order) in state["orders"]["open"].as_object().into_iter().flatten() {
            states.insert(id.clone(), order["state"].as_str().unwrap_or("?").to_owned());
        }
    }
    for (_, record) in journal.records.range(saved_seq + 1..) {
        let name = match record["kind"].as_str() {
            Some("intent") => "NEW",
            Some("found") => "UNKNOWN",
            Some("moved") => record["state"].as_str().unwrap_or("?"),
            _ => continue,
        };
        // All times have the same form, so their texts stand in the order of time.
        if let (Some(id), Some(at)) = (record["client_id"].as_str(), record["at"].as_str())
            && at < before
        {
            states.insert(id.to_owned(), name.to_owned());
        }
    }
    states.retain(|_, name| !["FILLED", "CANCELED", "REJECTED", "EXPIRED"].contains(&name.as_str()));
    states
}

/// Whether nobody holds the lock file.
pub(crate) fn is_unlocked(path: &Path) -> Result<bool, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    // Given back when `file` is dropped.
    Ok(rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

/// Everything in the folder that group or others may touch.
pub(crate) fn open_to_others(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(folder).into_iter().chain([folder.to_owned()]) {
        let Ok(data) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        if data.permissions().mode() & 0o077 != 0 {
            found.push(path.clone());
        }
        if data.is_dir() && path != folder {
            found.extend(open_to_others(&path));
        }
    }
    found.dedup();
    found
}

/// What lies in a folder, sorted; nothing where it does not exist.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = listed.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    paths
}
