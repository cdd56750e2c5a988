//! The state directory on a real disk: who may look into it, and the file operations in it.
//!
//! Always holds: every operation starts from the one open directory, so moving or replacing the path afterwards
//! changes nothing; folders are 0700, files 0600, descriptors close on exec, links are not followed.
//! Never does: tighten a folder that holds other people's things; that is refused instead.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode as Permissions, OFlags, Stat};

use super::disk::Disk;
use crate::domain::settings::Mode;

/// The folders a state directory has.
pub const SUBFOLDERS: [&str; 4] = ["journal", "shutdowns", "paper", "logs"];
const PRIVATE_FOLDER: Permissions = Permissions::RWXU;
const PRIVATE_FILE: Permissions = Permissions::RUSR.union(Permissions::WUSR);
const FOLDER_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Why a directory is not fit to hold state.
#[derive(Debug, thiserror::Error)]
pub enum UnfitDirectory {
    /// The system refused.
    #[error("cannot {act} {place}: {error}; choose a directory of your own with LASTORDERS_STATE_DIR")]
    System {
        /// What was tried.
        act: &'static str,
        /// On what.
        place: String,
        /// What it said.
        error: io::Error,
    },
    /// Not a directory, or a link to one.
    #[error(
        "{place} is a symbolic link or no directory; name the directory itself, so that nobody can point it elsewhere"
    )]
    NotADirectory {
        /// What.
        place: String,
    },
    /// Somebody else's.
    #[error("{place} belongs to user {owner}, this runs as user {me}; run it as its owner or choose another directory")]
    Foreign {
        /// What.
        place: String,
        /// The owner's number.
        owner: u32,
        /// Our number.
        me: u32,
    },
    /// Others may read or change it.
    #[error("{place} is open to other users (mode {mode:04o}); close it with: chmod 700 {place}")]
    Open {
        /// What.
        place: String,
        /// Its mode.
        mode: u32,
    },
    /// A file system whose locks do not hold between machines.
    #[error("{place} lies on a network file system ({kind}); LIVE needs a local disk")]
    Network {
        /// What.
        place: String,
        /// Which.
        kind: &'static str,
    },
}

/// An open state directory.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    folder: Arc<OwnedFd>,
    path: PathBuf,
}

/// This machine's name.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl StateDirectory {
    /// Opens the directory for a run, making it and its folders where they are missing. In LIVE nobody else may be
    /// able to look into it.
    pub fn open(path: &Path, mode: Mode) -> Result<StateDirectory, UnfitDirectory> {
        StateDirectory::open_folder(path, mode, &SUBFOLDERS)
    }

    /// The same with other folders in it.
    pub(super) fn open_folder(path: &Path, mode: Mode, subfolders: &[&str]) -> Result<StateDirectory, UnfitDirectory> {
        let made = make_missing(path)?;
        let directory = StateDirectory::open_existing(path)?;
        let stat = directory.own(directory.folder.as_fd(), &directory.shown(""))?;
        let permissions = Permissions::from_raw_mode(stat.st_mode);
        let others = Permissions::RWXG.union(Permissions::RWXO);
        if permissions.intersects(others) {
            let theirs_to_write = Permissions::WGRP.union(Permissions::WOTH);
            if mode != Mode::Live && directory.is_ours_or_empty()? {
                let changed = rustix::fs::fchmod(&directory.folder, PRIVATE_FOLDER);
                directory.system("close to others", "", changed)?;
            } else if mode == Mode::Live || permissions.intersects(theirs_to_write) {
                return Err(UnfitDirectory::Open { place: directory.shown(""), mode: permissions.bits() & 0o7777 });
            }
        }
        if let (Mode::Live, Some(kind)) = (mode, directory.network_file_system()) {
            let place = directory.shown("");
            return Err(UnfitDirectory::Network { place, kind });
        }
        for name in subfolders {
            directory.make_subfolder(name)?;
        }
        let synced = rustix::fs::fsync(&directory.folder);
        directory.system("sync", "", synced)?;
        for parent in made {
            // The names of the folders just made must survive too. A parent that cannot be opened can only have
            // been there before.
            if let Ok(parent) = File::open(parent) {
                let synced = parent.sync_all();
                directory.io("sync the folder of", "", synced)?;
            }
        }
        Ok(directory)
    }

    /// Opens the directory to look into it (`report`, `status`): makes nothing, changes nothing.
    pub fn open_existing(path: &Path) -> Result<StateDirectory, UnfitDirectory> {
        // Without the trailing slash, which would make the system follow a link.
        let path: PathBuf = path.components().collect();
        let folder = rustix::fs::openat(CWD, &path, FOLDER_FLAGS, Permissions::empty()).map_err(|errno| {
            let place = path.display().to_string();
            match errno {
                rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => UnfitDirectory::NotADirectory { place },
                errno => UnfitDirectory::System { act: "open", place, error: errno.into() },
            }
        })?;
        Ok(StateDirectory { folder: Arc::new(folder), path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something in it.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The name of the network file system it lies on, if it does: locks there do not hold between machines.
    pub fn network_file_system(&self) -> Option<&'static str> {
        #[cfg(target_os = "linux")]
        {
            let stat = rustix::fs::fstatfs(&self.folder).ok()?;
            match u32::try_from(stat.f_type).ok()? {
                0x6969 => Some("NFS"),
                0x517B | 0xFF53_4D42 | 0xFE53_4D42 => Some("SMB"),
                _ => None,
            }
        }
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// A file in it, opened for locking: made 0600 where it is missing, never a link.
    pub(super) fn open_lock_file(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.folder, name, flags, PRIVATE_FILE)?)
    }

    /// The inode a name leads to now.
    pub(super) fn inode_of(&self, name: &str) -> io::Result<u64> {
        Ok(rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_ino)
    }

    fn shown(&self, name: &str) -> String {
        match name {
            "" => self.path.display().to_string(),
            name => self.path.join(name).display().to_string(),
        }
    }

    fn io<T>(&self, act: &'static str, name: &str, result: io::Result<T>) -> Result<T, UnfitDirectory> {
        result.map_err(|error| UnfitDirectory::System { act, place: self.shown(name), error })
    }

    fn system<T>(&self, act: &'static str, name: &str, result: rustix::io::Result<T>) -> Result<T, UnfitDirectory> {
        self.io(act, name, result.map_err(io::Error::from))
    }

    /// Refuses what is no directory or belongs to somebody else.
    fn own(&self, folder: impl AsFd, place: &str) -> Result<Stat, UnfitDirectory> {
        let place = place.to_owned();
        let stat = rustix::fs::fstat(folder).map_err(|errno| UnfitDirectory::System {
            act: "look at",
            place: place.clone(),
            error: errno.into(),
        })?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(UnfitDirectory::NotADirectory { place });
        }
        let me = rustix::process::geteuid().as_raw();
        if stat.st_uid != me {
            let owner = stat.st_uid;
            return Err(UnfitDirectory::Foreign { place, owner, me });
        }
        Ok(stat)
    }

    /// Whether closing it to others can hurt nobody: there is nothing in it, or what is in it is ours.
    fn is_ours_or_empty(&self) -> Result<bool, UnfitDirectory> {
        let names = self.io("list", "", list_folder(&self.folder))?;
        let ours = |name: &String| name == super::lock::LOCK_FILE || name == super::snapshot::STATE;
        Ok(names.is_empty() || names.iter().any(ours))
    }

    fn make_subfolder(&self, name: &str) -> Result<(), UnfitDirectory> {
        match rustix::fs::mkdirat(&self.folder, name, PRIVATE_FOLDER) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return self.system("create", name, Err(errno)),
        }
        let opened = rustix::fs::openat(&self.folder, name, FOLDER_FLAGS, Permissions::empty());
        let folder = match opened {
            Err(rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => {
                let place = self.shown(name);
                return Err(UnfitDirectory::NotADirectory { place });
            }
            opened => self.system("open", name, opened)?,
        };
        self.own(&folder, &self.shown(name))?;
        let changed = rustix::fs::fchmod(&folder, PRIVATE_FOLDER);
        self.system("close to others", name, changed)
    }

    fn subfolder(&self, folder: &str) -> io::Result<OwnedFd> {
        let name = if folder.is_empty() { "." } else { folder };
        Ok(rustix::fs::openat(&self.folder, name, FOLDER_FLAGS, Permissions::empty())?)
    }
}

/// Makes the directory and its parents, 0700 each; tells whose names must be synced.
fn make_missing(path: &Path) -> Result<Vec<PathBuf>, UnfitDirectory> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|part| !part.as_os_str().is_empty() && part.symlink_metadata().is_err()).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let built = DirBuilder::new().recursive(true).mode(0o700).create(path);
    built.map_err(|error| UnfitDirectory::System { act: "create", place: path.display().to_string(), error })?;
    let parent = |part: &Path| match part.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    Ok(missing.into_iter().map(parent).collect())
}

fn list_folder(folder: impl AsFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

impl Disk for StateDirectory {
    type File = File;

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        // Not blocking, or a pipe in the place of a file would hold the start for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut file = File::from(rustix::fs::openat(&self.folder, name, flags, Permissions::empty())?);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn list(&mut self, folder: &str) -> io::Result<Vec<String>> {
        list_folder(self.subfolder(folder)?)
    }

    fn create(&mut self, name: &str) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&self.folder, name, flags, PRIVATE_FILE)?))
    }

    fn write(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn sync(&mut self, file: &mut File) -> io::Result<()> {
        file.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.folder, from, &self.folder, to)?)
    }

    fn link(&mut self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.folder, from, &self.folder, to, AtFlags::empty())?)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    fn sync_folder(&mut self, folder: &str) -> io::Result<()> {
        File::from(self.subfolder(folder)?).sync_all()
    }

    fn place(&self, name: &str) -> String {
        self.shown(name)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_new_directory_and_all_in_it_are_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("var").join("paper");
        let mut directory = StateDirectory::open(&path, Mode::Live).unwrap();
        directory.create("state.json").unwrap();
        for folder in [path.parent().unwrap(), &path] {
            assert_eq!(mode_of(folder), 0o700, "{}", folder.display());
        }
        for name in SUBFOLDERS {
            assert_eq!(mode_of(&path.join(name)), 0o700, "{name}");
        }
        assert_eq!(mode_of(&path.join("state.json")), 0o600);
    }

    #[test]
    fn an_empty_open_directory_is_closed_in_paper_and_refused_in_live() {
        let home = tempfile::tempdir().unwrap();
        set_mode(home.path(), 0o755);
        let refused = StateDirectory::open(home.path(), Mode::Live).unwrap_err();
        assert!(matches!(refused, UnfitDirectory::Open { mode: 0o755, .. }), "{refused}");
        StateDirectory::open(home.path(), Mode::Paper).unwrap();
        assert_eq!(mode_of(home.path()), 0o700);
    }

    #[test]
    fn a_folder_of_other_things_is_never_closed_and_not_used_where_others_may_write() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("holiday.jpg"), b"x").unwrap();
        set_mode(home.path(), 0o777);
        let refused = StateDirectory::open(home.path(), Mode::Paper).unwrap_err();
        assert!(matches!(refused, UnfitDirectory::Open { .. }), "{refused}");
        assert_eq!(mode_of(home.path()), 0o777);
    }

    #[test]
    fn a_link_in_the_place_of_the_directory_or_of_a_folder_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let real = home.path().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = home.path().join("link");
        symlink(&real, &link).unwrap();
        for path in [link.clone(), link.join("")] {
            let refused = StateDirectory::open(&path, Mode::Paper).unwrap_err();
            assert!(matches!(refused, UnfitDirectory::NotADirectory { .. }), "{refused}");
        }
        symlink(home.path(), real.join("journal")).unwrap();
        let refused = StateDirectory::open(&real, Mode::Paper).unwrap_err();
        assert!(matches!(refused, UnfitDirectory::NotADirectory { .. }), "{refused}");
    }

    #[test]
    fn a_file_that_is_a_link_is_not_read_and_not_written() {
        let home = tempfile::tempdir().unwrap();
        let outside = home.path().join("outside");
        std::fs::write(&outside, b"secret").unwrap();
        let mut directory = StateDirectory::open(&home.path().join("state"), Mode::Paper).unwrap();
        symlink(&outside, directory.path_of("state.json")).unwrap();
        assert!(directory.read("state.json").is_err());
        assert!(directory.create("state.json").is_err());
    }

    #[test]
    fn looking_into_a_directory_makes_nothing() {
        let home = tempfile::tempdir().unwrap();
        StateDirectory::open_existing(home.path()).unwrap();
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        assert!(StateDirectory::open_existing(&home.path().join("none")).is_err());
    }
}
