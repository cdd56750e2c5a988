//! The file behind a local exchange's ledger.
//!
//! Always holds: one process writes it at a time; a line that was not written whole goes on where it broke off; only
//! the owner may read it.
//! Never does: forget a line, or begin a new file in place of a damaged one.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// An open ledger and what is still to be written to it.
#[derive(Debug)]
pub(super) struct LedgerFile {
    file: File,
    unwritten: Vec<u8>,
}

impl LedgerFile {
    /// Opens or makes the file and its folder, takes it for this process alone, and gives what stands in it.
    pub(super) fn open(place: &Path) -> io::Result<(LedgerFile, Vec<u8>)> {
        if let Some(folder) = place.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(place)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| io::Error::other("another process has it open; end that one or name another file"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok((LedgerFile { file, unwritten: Vec::new() }, bytes))
    }

    /// Cuts a torn end off before anything is appended.
    pub(super) fn cut(&mut self, whole_bytes: usize) -> io::Result<()> {
        self.file.set_len(whole_bytes as u64)
    }

    /// Adds a line, to be written by `write`.
    pub(super) fn push(&mut self, line: &str) {
        self.unwritten.extend_from_slice(line.as_bytes());
        self.unwritten.push(b'\n');
    }

    /// Writes everything that is waiting. On an error the rest waits for the next call.
    pub(super) fn write(&mut self) -> io::Result<()> {
        while !self.unwritten.is_empty() {
            match self.file.write(&self.unwritten) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n_written) => drop(self.unwritten.drain(..n_written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Everything to the disk itself, at the end of a run.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_there_again_and_a_torn_end_can_be_cut() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("deep/er/ledger.jsonl");
        let (mut ledger, before) = LedgerFile::open(&place).unwrap();
        assert!(before.is_empty());
        ledger.push("one");
        ledger.push("two");
        ledger.sync().unwrap();
        drop(ledger);
        std::fs::OpenOptions::new().append(true).open(&place).unwrap().write_all(b"to").unwrap();
        let (mut ledger, before) = LedgerFile::open(&place).unwrap();
        assert_eq!(before, b"one\ntwo\nto");
        ledger.cut(8).unwrap();
        ledger.push("three");
        ledger.write().unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"one\ntwo\nthree\n");
    }

    #[test]
    fn a_ledger_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("ledger.jsonl");
        let first = LedgerFile::open(&place).unwrap();
        assert!(LedgerFile::open(&place).unwrap_err().to_string().contains("another process"));
        drop(first);
        assert!(LedgerFile::open(&place).is_ok());
    }

    #[test]
    fn what_cannot_be_written_waits() {
        let full = File::options().append(true).open("/dev/full").unwrap();
        let mut ledger = LedgerFile { file: full, unwritten: Vec::new() };
        ledger.push("kept");
        assert!(ledger.write().is_err());
        assert_eq!(ledger.unwritten, b"kept\n");
    }
}
