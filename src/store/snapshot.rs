//! `state.json` and the generation before it: plain JSON whose last line is a checksum of all lines before it.
//!
//! Always holds: a file gets the name `state.json` only when all of it is synced, and the one it replaces is kept as
//! `state.prev.json`; at every moment at least one of them is whole.
//! Never does: overwrite a damaged file; it is moved aside by the store thread before the next save.

use super::disk::{Disk, DiskError, about, remove_if_there, rename_synced, sha256_hex, write_synced};
use crate::domain::order::Lsn;
use crate::domain::snapshot::{STATE_VERSION, State};

/// The newest generation.
pub const STATE: &str = "state.json";
/// The generation before it.
pub const PREVIOUS: &str = "state.prev.json";
const STATE_NEW: &str = "state.json.new";
const PREVIOUS_NEW: &str = "state.prev.json.new";
const LAST_LINE_START: &str = "  \"checksum\": \"";

/// Why a file is not a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its content is not what was written.
    Damaged(String),
    /// A newer program wrote it.
    Newer(u32),
}

/// One of the two files.
#[derive(Clone, Debug, PartialEq)]
pub enum Generation {
    /// There is no such file.
    Absent,
    /// It is whole.
    Good(Box<State>),
    /// It is there, and broken: why.
    Damaged(String),
    /// It is there, and the system does not let us read it: why.
    Unreadable(String),
    /// It is whole, and a newer program wrote it.
    Newer(u32),
}

/// The bytes of the file.
pub fn encode(state: &State) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(state)?;
    // Pretty JSON of a struct with fields ends with an end of line and a brace.
    bytes.truncate(bytes.len().saturating_sub(2));
    bytes.extend_from_slice(b",\n");
    let checksum = sha256_hex(&bytes);
    bytes.extend_from_slice(format!("{LAST_LINE_START}{checksum}\"}}\n").as_bytes());
    Ok(bytes)
}

/// The state in these bytes.
pub fn decode(bytes: &[u8]) -> Result<State, Unreadable> {
    let damaged = |why: &str| Err(Unreadable::Damaged(why.to_owned()));
    if bytes.is_empty() {
        return damaged("it is empty");
    }
    let Some(lines) = bytes.strip_suffix(b"\n") else {
        return damaged("its end is missing");
    };
    let Some(last_line) = lines.iter().rposition(|&byte| byte == b'\n').map(|end| end + 1) else {
        return damaged("its end is missing");
    };
    let (body, last_line) = lines.split_at(last_line);
    let checksum = last_line.strip_prefix(LAST_LINE_START.as_bytes());
    let Some(checksum) = checksum.and_then(|line| line.strip_suffix(b"\"}")) else {
        return damaged("its last line is not the checksum");
    };
    if sha256_hex(body).as_bytes() != checksum {
        return damaged("its checksum does not fit");
    }
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let version: Version = match serde_json::from_slice(bytes) {
        Ok(version) => version,
        Err(error) => return damaged(&format!("it has no version ({error})")),
    };
    if version.version > STATE_VERSION {
        return Err(Unreadable::Newer(version.version));
    }
    serde_json::from_slice(bytes).map_err(|error| Unreadable::Damaged(format!("it is not a state ({error})")))
}

/// Reads one of the two files.
pub fn read<D: Disk>(disk: &mut D, name: &str) -> Generation {
    let read = disk.read(name);
    match about(disk, "read", name, read) {
        Ok(bytes) => match decode(&bytes) {
            Ok(state) => Generation::Good(Box::new(state)),
            Err(Unreadable::Damaged(why)) => Generation::Damaged(why),
            Err(Unreadable::Newer(version)) => Generation::Newer(version),
        },
        Err(error) if error.is_absent() => Generation::Absent,
        // The disk itself lost it: that is damage. Anything else may be mended by the operator.
        Err(error) if error.error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
            Generation::Damaged(error.to_string())
        }
        Err(error) => Generation::Unreadable(error.to_string()),
    }
}

/// What the two files on disk hold, as far as is known to have survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Generations {
    /// The last record in `state.json`; nothing where no good one is there.
    pub current: Option<Lsn>,
    /// The last record in `state.prev.json`.
    pub previous: Option<Lsn>,
}

impl Generations {
    /// The last record that both hold: the journal is needed only after it.
    pub fn contained(&self) -> Option<Lsn> {
        Some(self.current?.min(self.previous?))
    }

    /// Writes a new generation; the newest becomes the one before. After an error either may be on disk, both whole.
    pub fn save<D: Disk>(&mut self, disk: &mut D, state: &State) -> Result<(), DiskError> {
        let encoded = encode(state).map_err(std::io::Error::from);
        let bytes = about(disk, "write", STATE_NEW, encoded)?;
        write_synced(disk, STATE_NEW, &bytes)?;
        if self.current.is_some() {
            keep_previous(disk)?;
        }
        rename_synced(disk, STATE_NEW, STATE)?;
        self.previous = self.current.or(self.previous);
        self.current = Some(state.journal_seq);
        Ok(())
    }
}

/// Gives the newest generation the other name as well, so that neither name is ever without a file.
fn keep_previous<D: Disk>(disk: &mut D) -> Result<(), DiskError> {
    use std::io::ErrorKind::{PermissionDenied, Unsupported};
    remove_if_there(disk, PREVIOUS_NEW)?;
    match disk.link(STATE, PREVIOUS_NEW) {
        Ok(()) => {
            let renamed = disk.rename(PREVIOUS_NEW, PREVIOUS);
            about(disk, "rename", PREVIOUS_NEW, renamed)
        }
        // A file system without second names. For a moment there is only the generation before.
        Err(error) if matches!(error.kind(), PermissionDenied | Unsupported) => {
            let renamed = disk.rename(STATE, PREVIOUS);
            about(disk, "rename", STATE, renamed)
        }
        linked => about(disk, "link", STATE, linked),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::{fold, records};
    use super::*;

    #[test]
    fn a_state_survives_its_file_and_the_file_is_json_with_the_checksum_last() {
        let state = fold(&records(60));
        let bytes = encode(&state).unwrap();
        assert_eq!(decode(&bytes), Ok(state));
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let last_line = text.lines().last().unwrap();
        let before = text.len() - last_line.len() - 1;
        assert_eq!(json["checksum"], sha256_hex(&text.as_bytes()[..before]));
    }

    #[test]
    fn every_flipped_bit_and_every_length_is_noticed() {
        let bytes = encode(&fold(&records(4))).unwrap();
        for index in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..index]), Err(Unreadable::Damaged(_))), "cut at {index}");
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[index] ^= 1 << bit;
                assert!(matches!(decode(&bytes), Err(Unreadable::Damaged(_))), "bit {bit} of byte {index}");
            }
        }
        let longer = [&bytes[..], b"\n"].concat();
        assert!(matches!(decode(&longer), Err(Unreadable::Damaged(_))));
    }

    #[test]
    fn a_newer_form_is_told_from_damage() {
        let mut state = fold(&records(4));
        state.version = STATE_VERSION + 1;
        assert_eq!(decode(&encode(&state).unwrap()), Err(Unreadable::Newer(STATE_VERSION + 1)));
    }
}
