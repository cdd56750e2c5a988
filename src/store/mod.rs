//! Ring 2. The state directory: locks, journal, snapshots, the store thread.
//!
//! In the order a start uses them: `directory` opens the folder and `lock` makes sure that nobody else has it; `load`
//! reads `snapshot`s and `journal` into one state; `thread` records everything that follows; `report` keeps what the
//! stop wrote. All of it goes through the `disk` seam, so that tests can cut the power at every step.
//!
//! Always holds: what was once called durable is found again, after any crash; a file that is missing, damaged or
//! unreadable is said to be so and never taken for a fresh start; no file handle is synced again after it failed.
//! Never does: decide about orders, read a clock of its own, know what a venue is.

pub mod directory;
pub mod disk;
pub mod journal;
pub mod load;
pub mod lock;
pub mod report;
pub mod snapshot;
pub mod thread;

#[cfg(test)]
pub(crate) mod sim_disk;
#[cfg(test)]
mod tests;

pub use directory::{StateDirectory, host_name};
pub use disk::{Disk, DiskError};
pub use load::{Identity, Loaded, Refusal, Resumed, load};
pub use lock::{Busy, LockError, Locks, account_lock_folders, account_lock_name, account_locks};
pub use report::{archive_report, load_report};
pub use thread::{Message, Store, run};
