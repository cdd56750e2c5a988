//! A disk for tests: every operation is counted and can fail, and the power can be cut before any of them.
//!
//! Content and names have two halves: what a running process sees, and what survives. A sync moves one into the other.
//! `images` gives the disks a machine may find after the cut: unsynced names in any combination, unsynced content lost,
//! kept, torn at a byte, or with blocks that never arrived.
//!
//! Always holds: a file whose sync failed once says "synced" ever after and keeps nothing, as Linux does.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use super::disk::Disk;

/// Blocks of the simulated disk, small so that a group of records covers several.
const BLOCK: usize = 128;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// At which operation, counted from 0.
    pub(crate) at: usize,
    /// How many in a row; `usize::MAX` for ever.
    pub(crate) n: usize,
    /// What the system says.
    pub(crate) error: i32,
}

/// What this disk only claims to do, to see the checkers fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// File syncs do nothing.
    FileSync,
    /// Folder syncs do nothing.
    FolderSync,
}

/// What an unsynced end of a file may be after a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsynced {
    /// Nothing of it arrived.
    Lost,
    /// All of it did.
    Kept,
    /// This many bytes did.
    Torn(usize),
    /// Its length did, its content did not.
    Zeros,
    /// The first block did not.
    Hole,
}

#[derive(Clone, Debug)]
enum NameOp {
    Put(String, u64),
    Take(String, u64),
    /// Within one folder: both or neither.
    Move(String, String, u64),
}

impl NameOp {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            NameOp::Put(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            NameOp::Take(name, inode) => {
                if names.get(name) == Some(inode) {
                    names.remove(name);
                }
            }
            NameOp::Move(from, to, inode) => {
                NameOp::Take(from.clone(), *inode).apply(names);
                names.insert(to.clone(), *inode);
            }
        }
    }

    fn folder(&self) -> &str {
        let (NameOp::Put(name, _) | NameOp::Take(name, _) | NameOp::Move(_, name, _)) = self;
        name.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    content: Vec<u8>,
    synced: usize,
    /// A sync failed: what was not synced then never will be.
    poisoned: bool,
}

#[derive(Clone, Debug, Default)]
struct World {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    pending: Vec<NameOp>,
    last_inode: u64,
    last_handle: u64,
    dead_handles: BTreeSet<u64>,
    log: Vec<String>,
    offences: Vec<String>,
    cut_at: Option<usize>,
    fault: Option<Fault>,
    lie: Option<Lie>,
    write_max: Option<usize>,
    no_links: bool,
}

/// The disk. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimDisk {
    world: Arc<Mutex<World>>,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct SimFile {
    inode: u64,
    handle: u64,
    name: String,
}

impl SimDisk {
    pub(crate) fn new() -> SimDisk {
        SimDisk::default()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// The power goes before this operation.
    pub(crate) fn cut_at(&self, operation: usize) {
        self.world().cut_at = Some(operation);
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.world().fault = Some(fault);
    }

    pub(crate) fn heal(&self) {
        self.world().fault = None;
    }

    pub(crate) fn lie(&self, lie: Lie) {
        self.world().lie = Some(lie);
    }

    /// Takes at most this many bytes at a time.
    pub(crate) fn write_max(&self, n_bytes: usize) {
        self.world().write_max = Some(n_bytes);
    }

    /// A file system without second names.
    pub(crate) fn no_links(&self) {
        self.world().no_links = true;
    }

    pub(crate) fn n_operations(&self) -> usize {
        self.world().log.len()
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.world().log.clone()
    }

    /// What no caller may do: use a file after it failed.
    pub(crate) fn offences(&self) -> Vec<String> {
        self.world().offences.clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.world().names.keys().cloned().collect()
    }

    /// Looks at a file without counting an operation.
    pub(crate) fn peek(&self, name: &str) -> Option<Vec<u8>> {
        let world = self.world();
        let inode = world.names.get(name)?;
        world.inodes.get(inode).map(|inode| inode.content.clone())
    }

    /// Puts content in a file, as a fault outside the store would.
    pub(crate) fn poke(&self, name: &str, content: &[u8]) {
        let mut world = self.world();
        let inode = world.new_inode(content);
        world.names.insert(name.to_owned(), inode);
        world.durable_names.insert(name.to_owned(), inode);
    }

    pub(crate) fn delete(&self, name: &str) {
        let mut world = self.world();
        world.names.remove(name);
        world.durable_names.remove(name);
    }

    /// The same files with nothing pending: what a new process finds after this one was killed.
    pub(crate) fn after_kill(&self) -> SimDisk {
        let world = self.world();
        world.image(u64::MAX, Unsynced::Kept)
    }

    /// The disks that may be found after a power cut; files are torn at every byte, those under a name that nobody
    /// reads yet at some.
    pub(crate) fn images(&self) -> Vec<(String, SimDisk)> {
        let world = self.world();
        let n_unsynced = |temporary: bool| {
            let names = world.names.iter().filter(|(name, _)| name.ends_with(".new") == temporary);
            let inodes = names.filter_map(|(_, inode)| world.inodes.get(inode));
            inodes.map(|inode| inode.content.len() - inode.synced).max().unwrap_or(0)
        };
        let everywhere = 1..n_unsynced(false);
        let at_some = (1..n_unsynced(true)).step_by(211);
        let mut images = world.whole_images();
        for n_bytes in everywhere.chain(at_some) {
            let content = Unsynced::Torn(n_bytes);
            images.push((format!("{content:?}"), world.image(u64::MAX, content)));
        }
        images
    }

    /// The same without the torn ones, but for one.
    pub(crate) fn few_images(&self) -> Vec<(String, SimDisk)> {
        let world = self.world();
        let mut images = world.whole_images();
        images.push(("torn after 40 bytes".to_owned(), world.image(u64::MAX, Unsynced::Torn(40))));
        images
    }

    /// What is on it, for telling two disks apart.
    pub(crate) fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let world = self.world();
        let content = |(name, inode): (&String, &u64)| Some((name.clone(), world.inodes.get(inode)?.content.clone()));
        world.names.iter().filter_map(content).collect()
    }
}

impl World {
    fn new_inode(&mut self, content: &[u8]) -> u64 {
        self.last_inode += 1;
        let inode = Inode { content: content.to_vec(), synced: content.len(), poisoned: false };
        self.inodes.insert(self.last_inode, inode);
        self.last_inode
    }

    /// Unsynced names in every combination (of many: every beginning, and all but one), unsynced content as a whole
    /// in each way.
    fn whole_images(&self) -> Vec<(String, SimDisk)> {
        let n_pending = self.pending.len();
        let name_choices: Vec<u64> = if n_pending <= 5 {
            (0..1_u64 << n_pending).collect()
        } else {
            let prefixes = (0..=n_pending).map(|n| (1_u64 << n) - 1);
            let gaps = (0..n_pending).map(|n| ((1_u64 << n_pending) - 1) & !(1 << n));
            prefixes.chain(gaps).collect()
        };
        let contents = [Unsynced::Lost, Unsynced::Kept, Unsynced::Zeros, Unsynced::Hole];
        let all_synced = self.inodes.values().all(|inode| inode.synced == inode.content.len());
        let contents = if all_synced { &contents[..1] } else { &contents };
        let mut images = Vec::new();
        for &names in &name_choices {
            for &content in contents {
                let how = format!("names {names:b} of {n_pending}, content {content:?}");
                images.push((how, self.image(names, content)));
            }
        }
        images
    }

    fn image(&self, which_names: u64, unsynced: Unsynced) -> SimDisk {
        let mut names = self.durable_names.clone();
        for (index, op) in self.pending.iter().enumerate() {
            if which_names >> index & 1 == 1 {
                op.apply(&mut names);
            }
        }
        let mut world = World {
            durable_names: names.clone(),
            last_inode: self.last_inode,
            no_links: self.no_links,
            ..World::default()
        };
        for inode in names.values() {
            let Some(file) = self.inodes.get(inode) else { continue };
            let mut content = file.content.clone();
            let n_unsynced = content.len() - file.synced;
            match unsynced {
                Unsynced::Lost => content.truncate(file.synced),
                Unsynced::Kept => {}
                Unsynced::Torn(n_bytes) => content.truncate(file.synced + n_bytes.min(n_unsynced)),
                Unsynced::Zeros => content[file.synced..].fill(0),
                Unsynced::Hole => {
                    let end = (file.synced / BLOCK + 1) * BLOCK;
                    let end = end.min(content.len());
                    content[file.synced..end].fill(0);
                }
            }
            let synced = content.len();
            world.inodes.insert(*inode, Inode { content, synced, poisoned: false });
        }
        world.names = names;
        SimDisk { world: Arc::new(Mutex::new(world)) }
    }

    /// Counts an operation; refuses it when its time has come.
    fn step(&mut self, what: String) -> io::Result<()> {
        let number = self.log.len();
        if self.cut_at.is_some_and(|cut_at| number >= cut_at) {
            return Err(io::Error::other("the power is gone"));
        }
        self.log.push(what);
        match self.fault {
            Some(fault) if number >= fault.at && number - fault.at < fault.n => {
                Err(io::Error::from_raw_os_error(fault.error))
            }
            _ => Ok(()),
        }
    }

    fn name_op(&mut self, op: NameOp) {
        op.apply(&mut self.names);
        self.pending.push(op);
    }

    fn find(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let mut world = self.world();
        world.step(format!("read {name}"))?;
        let inode = world.find(name)?;
        Ok(world.inodes.get(&inode).map(|inode| inode.content.clone()).unwrap_or_default())
    }

    fn list(&mut self, folder: &str) -> io::Result<Vec<String>> {
        let mut world = self.world();
        world.step(format!("list {folder}"))?;
        let in_folder = |name: &String| match folder {
            "" => Some(name.clone()).filter(|name| !name.contains('/')),
            folder => Some(name.strip_prefix(folder)?.strip_prefix('/')?.to_owned()),
        };
        Ok(world.names.keys().filter_map(in_folder).collect())
    }

    fn create(&mut self, name: &str) -> io::Result<SimFile> {
        let mut world = self.world();
        world.step(format!("create {name}"))?;
        if world.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let inode = world.new_inode(b"");
        world.name_op(NameOp::Put(name.to_owned(), inode));
        world.last_handle += 1;
        Ok(SimFile { inode, handle: world.last_handle, name: name.to_owned() })
    }

    fn write(&mut self, file: &mut SimFile, bytes: &[u8]) -> io::Result<usize> {
        let mut world = self.world();
        if world.dead_handles.contains(&file.handle) {
            let offence = format!("write to {} after it failed", file.name);
            world.offences.push(offence);
        }
        let n_bytes = world.write_max.unwrap_or(usize::MAX).min(bytes.len());
        let stepped = world.step(format!("write {}", file.name));
        if let Err(error) = stepped {
            // A full disk takes what fits.
            let half = &bytes[..n_bytes / 2];
            if error.raw_os_error().is_some()
                && let Some(inode) = world.inodes.get_mut(&file.inode)
            {
                inode.content.extend_from_slice(half);
            }
            world.dead_handles.insert(file.handle);
            return Err(error);
        }
        if let Some(inode) = world.inodes.get_mut(&file.inode) {
            inode.content.extend_from_slice(&bytes[..n_bytes]);
        }
        Ok(n_bytes)
    }

    fn sync(&mut self, file: &mut SimFile) -> io::Result<()> {
        let mut world = self.world();
        if world.dead_handles.contains(&file.handle) {
            let offence = format!("sync of {} after it failed", file.name);
            world.offences.push(offence);
        }
        let stepped = world.step(format!("sync {}", file.name));
        let lie = world.lie == Some(Lie::FileSync);
        let Some(inode) = world.inodes.get_mut(&file.inode) else {
            return Ok(());
        };
        if let Err(error) = stepped {
            inode.poisoned = true;
            world.dead_handles.insert(file.handle);
            return Err(error);
        }
        if !inode.poisoned && !lie {
            inode.synced = inode.content.len();
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.step(format!("rename {from} to {to}"))?;
        let inode = world.find(from)?;
        if world.names.get(to) == Some(&inode) {
            // Two names of one file: POSIX does nothing.
            return Ok(());
        }
        let (from, to) = (from.to_owned(), to.to_owned());
        let one_folder = NameOp::Put(from.clone(), 0).folder() == NameOp::Put(to.clone(), 0).folder();
        if one_folder {
            world.name_op(NameOp::Move(from, to, inode));
        } else {
            world.name_op(NameOp::Put(to, inode));
            world.name_op(NameOp::Take(from, inode));
        }
        Ok(())
    }

    fn link(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.step(format!("link {from} to {to}"))?;
        if world.no_links {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let inode = world.find(from)?;
        if world.names.contains_key(to) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        world.name_op(NameOp::Put(to.to_owned(), inode));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut world = self.world();
        world.step(format!("remove {name}"))?;
        let inode = world.find(name)?;
        world.name_op(NameOp::Take(name.to_owned(), inode));
        Ok(())
    }

    fn sync_folder(&mut self, folder: &str) -> io::Result<()> {
        let mut world = self.world();
        world.step(format!("sync_folder {folder}"))?;
        if world.lie == Some(Lie::FolderSync) {
            return Ok(());
        }
        let (done, left): (Vec<NameOp>, Vec<NameOp>) =
            std::mem::take(&mut world.pending).into_iter().partition(|op| op.folder() == folder);
        world.pending = left;
        for op in done {
            op.apply(&mut world.durable_names);
        }
        Ok(())
    }
}
