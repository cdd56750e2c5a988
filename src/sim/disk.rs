//! A disk in memory that can be told to refuse. Content and names are there at once: it knows process crashes, not
//! power cuts (the store's own tests have a disk for those).

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::Disk;

#[derive(Debug, Default)]
struct Content {
    files: BTreeMap<String, u64>,
    bytes: BTreeMap<u64, Vec<u8>>,
    last_file: u64,
    refuses: bool,
}

/// The disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Content>>);

impl MemoryDisk {
    /// From now on every write, sync, rename and removal fails as on a full disk; or works again.
    pub fn refuse(&self, refuses: bool) {
        self.content().refuses = refuses;
    }

    /// A file's content.
    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        let content = self.content();
        content.bytes.get(content.files.get(name)?).cloned()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> io::Result<MutexGuard<'_, Content>> {
        let content = self.content();
        if content.refuses { Err(io::Error::from(ErrorKind::StorageFull)) } else { Ok(content) }
    }
}

fn absent() -> io::Error {
    io::Error::from(ErrorKind::NotFound)
}

impl Disk for MemoryDisk {
    type File = u64;

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.file(name).ok_or_else(absent)
    }

    fn list(&mut self, folder: &str) -> io::Result<Vec<String>> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let content = self.content();
        let names = content.files.keys().filter_map(|name| name.strip_prefix(&prefix));
        Ok(names.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    fn create(&mut self, name: &str) -> io::Result<u64> {
        let mut content = self.changing()?;
        if content.files.contains_key(name) {
            return Err(io::Error::from(ErrorKind::AlreadyExists));
        }
        content.last_file += 1;
        let file = content.last_file;
        content.files.insert(name.to_owned(), file);
        content.bytes.insert(file, Vec::new());
        Ok(file)
    }

    fn write(&mut self, file: &mut u64, bytes: &[u8]) -> io::Result<usize> {
        let mut content = self.changing()?;
        content.bytes.get_mut(file).ok_or_else(absent)?.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn sync(&mut self, _file: &mut u64) -> io::Result<()> {
        self.changing().map(drop)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut content = self.changing()?;
        let file = content.files.remove(from).ok_or_else(absent)?;
        content.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn link(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut content = self.changing()?;
        if content.files.contains_key(to) {
            return Err(io::Error::from(ErrorKind::AlreadyExists));
        }
        let file = *content.files.get(from).ok_or_else(absent)?;
        content.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut content = self.changing()?;
        content.files.remove(name).map(drop).ok_or_else(absent)
    }

    fn sync_folder(&mut self, _folder: &str) -> io::Result<()> {
        self.changing().map(drop)
    }
}
