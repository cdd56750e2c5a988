//! The seam between the store and the disk: the few things it does to files, one by one, so that a test can fail or
//! cut off each of them.
//!
//! Always holds: names are relative to the state directory; a file is made afresh, written, synced, and only then
//! given its real name.
//! Never does: write into a file that already has its real name, except to append to the journal's newest.

use std::fmt;
use std::io::{self, ErrorKind};

/// What the store asks of a disk.
pub trait Disk {
    /// A file open for appending.
    type File;

    /// The whole file.
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>>;
    /// The names in a folder (`""` is the state directory itself), sorted.
    fn list(&mut self, folder: &str) -> io::Result<Vec<String>>;
    /// A new, empty file, for its owner alone. Fails where one of that name exists.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;
    /// Appends; may take less than it was given.
    fn write(&mut self, file: &mut Self::File, bytes: &[u8]) -> io::Result<usize>;
    /// Returns once the content survives a power cut. After an error the handle is of no use any more.
    fn sync(&mut self, file: &mut Self::File) -> io::Result<()>;
    /// Gives a file another name, in place of the file that had it.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Gives a file a second name. Fails where a file has it already.
    fn link(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Takes a name away.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Returns once the names in a folder survive a power cut.
    fn sync_folder(&mut self, folder: &str) -> io::Result<()>;
    /// The name as the operator would type it.
    fn place(&self, name: &str) -> String {
        name.to_owned()
    }
}

/// What the disk refused.
#[derive(Debug)]
pub struct DiskError {
    /// What was tried: `write`, `sync`.
    pub act: &'static str,
    /// On which file.
    pub place: String,
    /// What the system said.
    pub error: io::Error,
}

impl DiskError {
    /// Whether it says only that there is no such file.
    pub fn is_absent(&self) -> bool {
        self.error.kind() == ErrorKind::NotFound
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot {} {}: {}", self.act, self.place, self.error)?;
        let mend = match self.error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free some space there",
            ErrorKind::ReadOnlyFilesystem => "; mount its disk writable again",
            ErrorKind::PermissionDenied => "; give the file and its folder to the user who runs this",
            ErrorKind::FileTooLarge => "; raise the limit on file sizes (ulimit -f)",
            _ => "",
        };
        out.write_str(mend)
    }
}

impl std::error::Error for DiskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Adds to a bare error what was tried on which file.
pub(super) fn about<D: Disk, T>(
    disk: &D,
    act: &'static str,
    name: &str,
    result: io::Result<T>,
) -> Result<T, DiskError> {
    result.map_err(|error| DiskError { act, place: disk.place(name), error })
}

/// The folder part of a name.
fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Appends all of it, however little the disk takes at a time.
pub(super) fn write_all<D: Disk>(disk: &mut D, file: &mut D::File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match disk.write(file, bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n_written) => bytes = bytes.get(n_written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes a file that need not be there.
pub(super) fn remove_if_there<D: Disk>(disk: &mut D, name: &str) -> Result<(), DiskError> {
    match disk.remove(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => about(disk, "remove", name, result),
    }
}

/// A new file with this content, synced, under a name that nobody reads yet. A leftover of that name is unlinked, not
/// reused: a file whose sync once failed must not come back.
pub(super) fn write_synced<D: Disk>(disk: &mut D, name: &str, bytes: &[u8]) -> Result<D::File, DiskError> {
    remove_if_there(disk, name)?;
    let created = disk.create(name);
    let mut file = about(disk, "create", name, created)?;
    let written = write_all(disk, &mut file, bytes);
    about(disk, "write", name, written)?;
    let synced = disk.sync(&mut file);
    about(disk, "sync", name, synced)?;
    Ok(file)
}

/// Renames and makes the new name survive.
pub(super) fn rename_synced<D: Disk>(disk: &mut D, from: &str, to: &str) -> Result<(), DiskError> {
    let renamed = disk.rename(from, to);
    about(disk, "rename", from, renamed)?;
    let synced = disk.sync_folder(folder_of(to));
    about(disk, "sync the folder of", to, synced)
}

/// Puts new content in the place of a whole file: at every moment the old or the new one is there.
pub(super) fn replace<D: Disk>(disk: &mut D, name: &str, bytes: &[u8]) -> Result<D::File, DiskError> {
    let fresh = format!("{name}.new");
    let file = write_synced(disk, &fresh, bytes)?;
    rename_synced(disk, &fresh, name)?;
    Ok(file)
}

/// A name that begins with `wanted` and that no file has, so that evidence is never overwritten.
pub(super) fn free_name<D: Disk>(disk: &mut D, wanted: &str, ending: &str) -> Result<String, DiskError> {
    let folder = folder_of(wanted);
    let listed = disk.list(folder);
    let taken = about(disk, "list the folder of", wanted, listed)?;
    let full = |name: &String| match folder {
        "" => name.clone(),
        folder => format!("{folder}/{name}"),
    };
    let taken: Vec<String> = taken.iter().map(full).collect();
    let first = format!("{wanted}{ending}");
    if !taken.contains(&first) {
        return Ok(first);
    }
    let next = (2_u32..).map(|number| format!("{wanted}.{number}{ending}"));
    // The folder holds finitely many names, so one of these is free.
    Ok(next.into_iter().find(|name| !taken.contains(name)).unwrap_or(first))
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    use fmt::Write;
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::sim_disk::SimDisk;
    use super::*;

    #[test]
    fn a_free_name_never_covers_an_older_file() {
        let mut disk = SimDisk::new();
        for name in ["shutdowns/a.json", "shutdowns/a.2.json"] {
            write_synced(&mut disk, name, b"x").unwrap();
        }
        assert_eq!(free_name(&mut disk, "shutdowns/a", ".json").unwrap(), "shutdowns/a.3.json");
        assert_eq!(free_name(&mut disk, "shutdowns/b", ".json").unwrap(), "shutdowns/b.json");
    }

    #[test]
    fn a_refusal_names_the_file_and_what_to_do() {
        let error = DiskError { act: "write", place: "/s/state.json.new".into(), error: ErrorKind::StorageFull.into() };
        let words = error.to_string();
        assert!(words.contains("/s/state.json.new") && words.contains("free some space"), "{words}");
    }
}
