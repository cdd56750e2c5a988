//! Who may run: kernel locks that vanish with the process that holds them, however it ends.
//!
//! One lock on the state directory, and one for each venue account, named by a hash of venue and key in folders that
//! all runs of this user share. The pid file is information for people and never decides anything.
//!
//! Always holds: two runs never hold the same directory or the same account on one machine.
//! Never does: delete a lock file (a waiting process could be left holding a deleted one).

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::directory::{StateDirectory, UnfitDirectory};
use super::disk::{Disk, DiskError, remove_if_there, replace, sha256_hex};
use crate::domain::secret::ApiKey;
use crate::domain::settings::{Mode, VenueSettings};

/// The lock of the state directory.
pub const LOCK_FILE: &str = "lastorders.lock";
/// The pid of the process that holds it, once it is ready.
pub const PID_FILE: &str = "lastorders.pid";

/// Somebody else runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// What is locked: the state directory, or an account by its name.
    pub what: String,
    /// The lock file.
    pub place: String,
    /// Who holds it, as far as the pid file tells.
    pub pid: Option<u32>,
}

impl std::fmt::Display for Busy {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Busy { what, place, pid } = self;
        let who = pid.map_or("another run".to_owned(), |pid| format!("another run (pid {pid})"));
        write!(out, "{who} holds {what}: {place} is locked; stop that run first, or use another directory and account")
    }
}

/// Why the locks were not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run holds one.
    #[error("{0}")]
    Busy(Busy),
    /// The folder for account locks cannot be used.
    #[error("no folder for account locks: {0}")]
    Folder(UnfitDirectory),
    /// The system refused.
    #[error("cannot lock {place}: {error}")]
    System {
        /// The lock file.
        place: String,
        /// What it said.
        error: io::Error,
    },
}

/// A venue account to lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLock {
    /// The operator's name for it, for the message.
    pub account: String,
    /// From `account_lock_name`.
    pub lock_name: String,
}

/// The name of an account's lock: a hash, so that no key shows in a folder.
pub fn account_lock_name(venue: &str, api_key: &str) -> String {
    let digest = sha256_hex(format!("{venue}\0{api_key}").as_bytes());
    format!("account-{digest}.lock")
}

/// The locks of these accounts: by the kind of venue and the key, so that no other name, directory or address of the
/// same account slips past. A venue without a key has no account to lock.
pub fn account_locks(venues: &[VenueSettings], keys: &BTreeMap<String, ApiKey>) -> Vec<AccountLock> {
    let lock_of = |venue: &VenueSettings| {
        let key = keys.get(&venue.name)?;
        let lock_name = account_lock_name(venue.kind.word(), key.key.expose());
        Some(AccountLock { account: venue.name.clone(), lock_name })
    };
    venues.iter().filter_map(lock_of).collect()
}

/// Where account locks lie: in the user's runtime directory, where there is one, and always in a folder of the user's
/// under `/tmp`. Both, because a service and a shell of the same user do not agree on the first.
pub fn account_lock_folders(runtime_dir: Option<&Path>) -> Vec<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let shared = PathBuf::from(format!("/tmp/lastorders-{uid}"));
    let own = runtime_dir.filter(|path| path.is_absolute()).map(|path| path.join("lastorders"));
    own.into_iter().chain([shared]).collect()
}

/// The locks of this run. Released when dropped; let that be the last thing a process does.
#[derive(Debug)]
pub struct Locks {
    directory: StateDirectory,
    wrote_pid: bool,
    // Dropping a descriptor frees its lock. The state directory's comes last in `take` and is dropped last.
    held: Vec<OwnedFd>,
}

impl Locks {
    /// Takes all locks or none, without waiting. The state directory is locked first.
    pub fn take(directory: &StateDirectory, folders: &[PathBuf], accounts: &[AccountLock]) -> Result<Locks, LockError> {
        let mut locks = Locks { directory: directory.clone(), wrote_pid: false, held: Vec::new() };
        let own = take_one(directory, LOCK_FILE, "the state directory")?;
        if !accounts.is_empty() {
            for folder in usable_folders(folders)? {
                for account in accounts {
                    let what = format!("account {}", account.account);
                    locks.held.push(take_one(&folder, &account.lock_name, &what)?);
                }
            }
        }
        locks.held.push(own);
        Ok(locks)
    }

    /// Writes the pid file: this run is ready. Information only, so a refusal is for the log, not for the run.
    pub fn write_pid(&mut self, pid: u32) -> Result<(), DiskError> {
        replace(&mut self.directory, PID_FILE, format!("{pid}\n").as_bytes())?;
        self.wrote_pid = true;
        Ok(())
    }

    /// Frees them now. The same as dropping, said aloud.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        if self.wrote_pid {
            // Information only: a stale pid file harms nobody.
            let _ = remove_if_there(&mut self.directory, PID_FILE);
        }
        // In this order: accounts, then the state directory.
        for lock in self.held.drain(..) {
            drop(lock);
        }
    }
}

/// The folders that can be used, at least one of them; each is private like a state directory.
fn usable_folders(folders: &[PathBuf]) -> Result<Vec<StateDirectory>, LockError> {
    let mut usable = Vec::new();
    let mut refused = None;
    for path in folders {
        // As private as LIVE's state: somebody who can write there could lock us out.
        match StateDirectory::open_folder(path, Mode::Live, &[]) {
            Ok(folder) => usable.push(folder),
            // Somebody else's folder under our name is no accident.
            Err(unfit @ (UnfitDirectory::Foreign { .. } | UnfitDirectory::NotADirectory { .. })) => {
                return Err(LockError::Folder(unfit));
            }
            Err(unfit) => refused = Some(unfit),
        }
    }
    match (usable.is_empty(), refused) {
        (true, Some(unfit)) => Err(LockError::Folder(unfit)),
        _ => Ok(usable),
    }
}

fn take_one(folder: &StateDirectory, name: &str, what: &str) -> Result<OwnedFd, LockError> {
    let place = folder.place(name);
    let refused = |error: io::Error| LockError::System { place: place.clone(), error };
    // The file may be deleted between opening and locking it; then the lock is on nothing and is taken again.
    for _ in 0..100 {
        let file = folder.open_lock_file(name).map_err(refused)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let pid = read_pid(folder.clone());
                let (what, place) = (what.to_owned(), place.clone());
                return Err(LockError::Busy(Busy { what, place, pid }));
            }
            Err(errno) => return Err(refused(errno.into())),
        }
        let locked = rustix::fs::fstat(&file).map_err(|errno| refused(errno.into()))?.st_ino;
        if folder.inode_of(name).ok() == Some(locked) {
            return Ok(file);
        }
    }
    Err(refused(io::Error::other("somebody keeps deleting it")))
}

fn read_pid(mut folder: StateDirectory) -> Option<u32> {
    let bytes = folder.read(PID_FILE).ok()?;
    std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::domain::secret::Secret;
    use crate::domain::settings::{Connection, SimSettings, VenueKind};

    struct Place {
        home: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Place {
            Place { home: tempfile::tempdir().unwrap() }
        }

        fn state(&self, name: &str) -> StateDirectory {
            StateDirectory::open(&self.home.path().join(name), Mode::Live).unwrap()
        }

        fn folders(&self) -> Vec<PathBuf> {
            vec![self.home.path().join("runtime"), self.home.path().join("shared")]
        }

        fn take(&self, state: &str, folders: &[PathBuf], keys: &[&str]) -> Result<Locks, LockError> {
            let accounts: Vec<AccountLock> = keys
                .iter()
                .map(|key| AccountLock { account: "main".into(), lock_name: account_lock_name("bybit", key) })
                .collect();
            Locks::take(&self.state(state), folders, &accounts)
        }
    }

    fn busy(result: Result<Locks, LockError>) -> Busy {
        match result {
            Err(LockError::Busy(busy)) => busy,
            other => panic!("not busy: {other:?}"),
        }
    }

    #[test]
    fn a_state_directory_is_held_once_and_the_second_is_told_by_whom() {
        let place = Place::new();
        let mut first = place.take("a", &[], &[]).unwrap();
        assert_eq!(busy(place.take("a", &[], &[])).pid, None);
        first.write_pid(4711).unwrap();
        let second = busy(place.take("a", &[], &[]));
        assert_eq!(second.pid, Some(4711));
        assert!(second.to_string().contains("4711"), "{second}");
        first.release();
        let again = place.take("a", &[], &[]);
        assert!(again.is_ok());
        assert!(!place.home.path().join("a").join(PID_FILE).exists());
    }

    #[test]
    fn one_account_is_held_once_whatever_the_directory() {
        let place = Place::new();
        let folders = place.folders();
        let first = place.take("a", &folders, &["key-1"]).unwrap();
        let refused = busy(place.take("b", &folders, &["key-1"]));
        assert_eq!(refused.what, "account main");
        let other = place.take("c", &folders, &["key-2"]);
        assert!(other.is_ok());
        drop(first);
        assert!(place.take("b", &folders, &["key-1"]).is_ok());
    }

    #[test]
    fn a_service_without_a_runtime_directory_still_meets_a_shell_that_has_one() {
        let place = Place::new();
        let folders = place.folders();
        let _shell = place.take("a", &folders, &["key-1"]).unwrap();
        busy(place.take("b", &folders[1..], &["key-1"]));
    }

    #[test]
    fn a_refused_start_leaves_no_lock_behind() {
        let place = Place::new();
        let folders = place.folders();
        let first = place.take("a", &folders, &["key-1"]).unwrap();
        busy(place.take("b", &folders, &["key-2", "key-1"]));
        let free = place.take("c", &folders, &["key-2"]);
        assert!(free.is_ok(), "key-2 was left locked");
        assert!(place.take("b", &[], &[]).is_ok(), "the directory was left locked");
        drop(first);
    }

    #[test]
    fn a_lock_folder_that_is_a_link_is_refused_and_one_that_cannot_be_made_is_passed_over() {
        let place = Place::new();
        let folders = place.folders();
        std::fs::create_dir(place.home.path().join("elsewhere")).unwrap();
        symlink(place.home.path().join("elsewhere"), &folders[0]).unwrap();
        let refused = place.take("a", &folders, &["key-1"]);
        assert!(matches!(refused, Err(LockError::Folder(_))), "{refused:?}");
        let nowhere = PathBuf::from("/proc/none");
        assert!(place.take("a", &[nowhere.clone(), folders[1].clone()], &["key-1"]).is_ok());
        let refused = place.take("b", &[nowhere], &["key-1"]);
        assert!(matches!(refused, Err(LockError::Folder(_))), "{refused:?}");
    }

    #[test]
    fn a_deleted_lock_file_does_not_let_two_in_at_the_same_name() {
        let place = Place::new();
        let state = place.state("a");
        let held = take_one(&state, LOCK_FILE, "x").unwrap();
        std::fs::remove_file(state.path_of(LOCK_FILE)).unwrap();
        // The old holder has a lock on a nameless file; the next one gets a lock that others can see.
        let next = take_one(&state, LOCK_FILE, "x").unwrap();
        assert!(take_one(&state, LOCK_FILE, "x").is_err());
        drop((held, next));
    }

    #[test]
    fn an_account_has_one_lock_whatever_it_is_called_and_wherever_it_is_reached() {
        let venue = |name: &str, kind, rest_url: Option<&str>| VenueSettings {
            name: name.into(),
            kind,
            symbols: Vec::new(),
            exclusive_account: false,
            connection: Connection { rest_url: rest_url.map(str::to_owned), ..Connection::default() },
            sim: SimSettings::default(),
        };
        let key = |text: &str| ApiKey { key: Secret::new(text.into()), secret: Secret::new("canary".into()) };
        let venues = [
            venue("a", VenueKind::Bybit, None),
            venue("b", VenueKind::Bybit, Some("https://api.bybit.nl")),
            venue("c", VenueKind::Kraken, None),
            venue("d", VenueKind::Sim, None),
        ];
        let keys = ["a", "b", "c"].map(|name| (name.to_owned(), key("canary")));
        let locks = account_locks(&venues, &BTreeMap::from(keys));
        assert_eq!(locks.iter().map(|lock| lock.account.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(locks[0].lock_name, locks[1].lock_name);
        assert_ne!(locks[0].lock_name, locks[2].lock_name);
        assert!(!format!("{locks:?}").contains("canary"));
    }

    #[test]
    fn lock_files_are_private_and_show_no_key() {
        let place = Place::new();
        let folders = place.folders();
        let _locks = place.take("a", &folders, &["SECRETKEY"]).unwrap();
        for folder in &folders {
            assert_eq!(std::fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                assert!(!entry.file_name().to_string_lossy().contains("SECRETKEY"));
                assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            }
        }
        assert_ne!(account_lock_name("a", "bc"), account_lock_name("ab", "c"));
    }
}
