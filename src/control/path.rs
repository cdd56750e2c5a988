//! Unix socket addresses hold 107 bytes of path; state directories can lie deeper. A deeper one is reached through
//! `/proc/self/fd/<directory>`, which is as short as it is exact.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Bytes of a path that fit a socket address (108 with the zero at the end).
const ADDRESS_BYTES_MAX: usize = 107;

/// A path that fits a socket address, good while this value lives.
#[derive(Debug)]
pub(super) struct Address {
    path: PathBuf,
    /// Keeps the directory's descriptor, and so the path, alive.
    _directory: Option<File>,
}

impl Address {
    /// The address of a socket at this path.
    pub(super) fn of(socket: &Path) -> io::Result<Address> {
        let bytes = socket.as_os_str().as_bytes().len();
        if bytes <= ADDRESS_BYTES_MAX {
            return Ok(Address { path: socket.to_owned(), _directory: None });
        }
        let (Some(parent), Some(name)) = (socket.parent(), socket.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let directory = File::open(parent)?;
        let through = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        if !through.exists() {
            return Err(io::Error::other(format!(
                "the path has {bytes} bytes, a socket's path may have {ADDRESS_BYTES_MAX}, and the way round it needs \
                 /proc, which is not mounted: mount it or use a shorter state directory (LASTORDERS_STATE_DIR)"
            )));
        }
        Ok(Address { path: through.join(name), _directory: Some(directory) })
    }

    /// What to bind or connect to.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_path_is_used_as_it_is() {
        let path = Path::new("/tmp/control.sock");
        assert_eq!(Address::of(path).unwrap().path(), path);
    }

    #[test]
    fn a_deep_path_gets_a_short_address_that_leads_to_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(90)).join("e".repeat(90));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("file"), "here").unwrap();
        let address = Address::of(&deep.join("file")).unwrap();
        assert!(address.path().as_os_str().len() <= ADDRESS_BYTES_MAX);
        assert_eq!(std::fs::read_to_string(address.path()).unwrap(), "here");
    }

    #[test]
    fn a_deep_directory_that_is_not_there_is_not_found() {
        let path = PathBuf::from(format!("/nowhere/{}/control.sock", "x".repeat(120)));
        assert_eq!(Address::of(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
