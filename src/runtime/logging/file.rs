//! The log file: rotated by size, tolerant of a disk that refuses.
//!
//! Always holds: a line is in the file whole or is counted as lost; after a torn write the next line starts anew.
//! Never does: give up. A file that refused is opened again after a while, and one that was removed is made again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use super::FILE_NAME;
use crate::domain::time::Boot;

/// What the writer should tell people about the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileNews {
    /// It began to refuse.
    Refuses(String),
    /// It takes lines again; so many are missing.
    Recovered { lost: u64 },
}

/// The file being written and those put aside.
#[derive(Debug)]
pub(super) struct LogFile {
    folder: PathBuf,
    bytes_max: u64,
    kept: u32,
    retry_after: Duration,
    file: Option<File>,
    bytes: u64,
    /// The last write ended in the middle of a line.
    torn: bool,
    lost: u64,
    not_before: Boot,
}

impl LogFile {
    pub(super) fn new(folder: PathBuf, bytes_max: u64, kept: u32, retry_after: Duration) -> LogFile {
        LogFile {
            folder,
            bytes_max,
            kept,
            retry_after,
            file: None,
            bytes: 0,
            torn: false,
            lost: 0,
            not_before: Boot::ZERO,
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(FILE_NAME)
    }

    /// Appends a line, which ends with a line break.
    pub(super) fn append(&mut self, at: Boot, line: &str) -> Option<FileNews> {
        let was_refusing = self.lost > 0;
        if was_refusing && at < self.not_before {
            self.lost += 1;
            return None;
        }
        match self.try_append(line) {
            Ok(()) if was_refusing => {
                let lost = std::mem::take(&mut self.lost);
                Some(FileNews::Recovered { lost })
            }
            Ok(()) => None,
            Err(error) => {
                self.lost += 1;
                self.not_before = at.after(self.retry_after);
                self.file = None;
                (!was_refusing).then(|| FileNews::Refuses(format!("{}: {error}", self.path().display())))
            }
        }
    }

    /// Notices a file that somebody removed, so that the next line goes into a new one.
    pub(super) fn look_after(&mut self) {
        let removed = |file: &File| file.metadata().is_ok_and(|found| found.nlink() == 0);
        if self.file.as_ref().is_some_and(removed) {
            self.file = None;
        }
    }

    fn try_append(&mut self, line: &str) -> io::Result<()> {
        let bytes = line.len() as u64;
        if self.file.is_some() && self.bytes > 0 && self.bytes + bytes > self.bytes_max {
            self.rotate();
        }
        if self.file.is_none() {
            self.open()?;
        }
        let Some(file) = &mut self.file else {
            return Ok(()); // `open` has just set it.
        };
        if self.torn {
            file.write_all(b"\n")?;
        }
        self.torn = true;
        file.write_all(line.as_bytes())?;
        self.torn = false;
        self.bytes += bytes;
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(self.path())?;
        self.bytes = file.metadata()?.len();
        self.file = Some(file);
        if self.bytes > self.bytes_max {
            self.rotate();
            if self.file.is_none() {
                return self.open();
            }
        }
        Ok(())
    }

    /// Puts the file aside. Where that fails, the same file is written on, and tried again after as much more.
    fn rotate(&mut self) {
        let aside = |number: u32| self.folder.join(format!("{FILE_NAME}.{number}"));
        for number in (1..self.kept).rev() {
            // What is missing need not move.
            let _ = fs::rename(aside(number), aside(number + 1));
        }
        let done = match self.kept {
            0 => fs::remove_file(self.path()),
            _ => fs::rename(self.path(), aside(1)),
        };
        self.bytes = 0;
        if done.is_ok() {
            self.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn file(folder: &Path, bytes_max: u64, kept: u32) -> LogFile {
        LogFile::new(folder.join("logs"), bytes_max, kept, Duration::from_secs(5))
    }

    fn files_in(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn text(folder: &Path, name: &str) -> String {
        fs::read_to_string(folder.join("logs").join(name)).unwrap()
    }

    #[test]
    fn files_are_put_aside_by_size_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = file(folder.path(), 10, 3);
        for number in 1..=7 {
            assert_eq!(file.append(Boot::ZERO, &format!("line{number}\n")), None);
        }
        assert_eq!(
            files_in(&folder.path().join("logs")),
            ["lastorders.log", "lastorders.log.1", "lastorders.log.2", "lastorders.log.3"]
        );
        assert_eq!(text(folder.path(), "lastorders.log"), "line7\n");
        assert_eq!(text(folder.path(), "lastorders.log.1"), "line6\n");
        assert_eq!(text(folder.path(), "lastorders.log.2"), "line5\n");
        assert_eq!(text(folder.path(), "lastorders.log.3"), "line4\n");
    }

    #[test]
    fn a_restart_goes_on_in_the_same_file_and_keeps_others_out() {
        let folder = tempfile::tempdir().unwrap();
        file(folder.path(), 100, 2).append(Boot::ZERO, "one\n");
        file(folder.path(), 100, 2).append(Boot::ZERO, "two\n");
        assert_eq!(text(folder.path(), "lastorders.log"), "one\ntwo\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.path().join("logs")), 0o700);
        assert_eq!(mode(&folder.path().join("logs/lastorders.log")), 0o600);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_tried_again_later_and_the_loss_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("logs"), "in the way").unwrap();
        let mut file = file(folder.path(), 100, 2);
        assert!(matches!(file.append(Boot::ZERO, "a\n"), Some(FileNews::Refuses(_))));
        fs::remove_file(folder.path().join("logs")).unwrap();
        assert_eq!(file.append(Boot::from_nanos(4_999_999_999), "b\n"), None, "not yet");
        assert_eq!(file.append(Boot::from_nanos(5_000_000_000), "c\n"), Some(FileNews::Recovered { lost: 2 }));
        assert_eq!(text(folder.path(), "lastorders.log"), "c\n");
        assert_eq!(file.append(Boot::from_nanos(5_000_000_001), "d\n"), None);
    }

    #[test]
    fn a_full_disk_is_a_refusal() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.path().join("logs/lastorders.log")).unwrap();
        let mut file = file(folder.path(), 100, 2);
        assert!(matches!(file.append(Boot::ZERO, "a\n"), Some(FileNews::Refuses(_))));
        fs::remove_file(folder.path().join("logs/lastorders.log")).unwrap();
        let later = Boot::from_nanos(6_000_000_000);
        assert_eq!(file.append(later, "b\n"), Some(FileNews::Recovered { lost: 1 }));
        assert_eq!(text(folder.path(), "lastorders.log"), "\nb\n", "whatever was torn ends first");
    }

    #[test]
    fn a_file_somebody_removed_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = file(folder.path(), 100, 2);
        file.append(Boot::ZERO, "a\n");
        fs::remove_file(folder.path().join("logs/lastorders.log")).unwrap();
        file.look_after();
        file.append(Boot::ZERO, "b\n");
        assert_eq!(text(folder.path(), "lastorders.log"), "b\n");
    }

    #[test]
    fn where_putting_aside_fails_the_same_file_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = file(folder.path(), 10, 1);
        file.append(Boot::ZERO, "line1\n");
        fs::create_dir_all(folder.path().join("logs/lastorders.log.1/in the way")).unwrap();
        for number in 2..=4 {
            assert_eq!(file.append(Boot::ZERO, &format!("line{number}\n")), None);
        }
        assert_eq!(text(folder.path(), "lastorders.log"), "line1\nline2\nline3\nline4\n");
    }
}
