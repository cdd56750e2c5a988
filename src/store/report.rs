//! `last_shutdown.json`: written by the stop, kept by the next start, shown to people.
//!
//! Always holds: at every moment the file is a whole report, the newest or the one before it.
//! Never does: overwrite the report of an earlier run; it moves to `shutdowns/` first.

use super::disk::{Disk, DiskError, about, free_name, remove_if_there, rename_synced, replace};
use crate::domain::report::Report;
use crate::domain::time::Wall;

/// The report of the last stop.
pub const LAST: &str = "last_shutdown.json";
/// Where older ones lie, named by when the stop began.
pub const OLDER: &str = "shutdowns";

/// Why there is no report to show.
#[derive(Debug, thiserror::Error)]
pub enum NoReport {
    /// The system refused.
    #[error("{0}")]
    Disk(DiskError),
    /// The file is not a report.
    #[error("{place} is not a report: {error}; it may have been edited, or written by a newer version")]
    Damaged {
        /// Which file.
        place: String,
        /// What is wrong.
        error: serde_json::Error,
    },
}

/// Writes the report.
pub fn save_report<D: Disk>(disk: &mut D, report: &Report) -> Result<(), DiskError> {
    write_report(disk, LAST, report)
}

fn write_report<D: Disk>(disk: &mut D, name: &str, report: &Report) -> Result<(), DiskError> {
    let encoded = serde_json::to_vec_pretty(report).map_err(std::io::Error::from);
    let mut bytes = about(disk, "write", name, encoded)?;
    bytes.push(b'\n');
    replace(disk, name, &bytes)?;
    Ok(())
}

/// The newest report, with the name of its file: `last_shutdown.json`, or while a run is under way the newest of the
/// folder.
pub fn load_report<D: Disk>(disk: &mut D) -> Result<Option<(String, Report)>, NoReport> {
    match read_report(disk, LAST)? {
        Some(report) => Ok(Some((LAST.to_owned(), report))),
        None => match newest_older(disk).map_err(NoReport::Disk)? {
            Some(name) => Ok(read_report(disk, &name)?.map(|report| (name, report))),
            None => Ok(None),
        },
    }
}

/// Moves the last run's report to the folder and gives it back, so that this run's finds its place free. A damaged
/// one moves to `last_shutdown.json.broken.<time>`.
pub fn archive_report<D: Disk>(disk: &mut D, now: Wall) -> Result<Option<Report>, NoReport> {
    let report = match read_report(disk, LAST) {
        Ok(None) => return Ok(None),
        Ok(Some(report)) => report,
        Err(damaged @ NoReport::Damaged { .. }) => {
            let name = free_name(disk, &format!("{LAST}.broken.{now}"), "").map_err(NoReport::Disk)?;
            rename_synced(disk, LAST, &name).map_err(NoReport::Disk)?;
            return Err(damaged);
        }
        Err(refused) => return Err(refused),
    };
    let wanted = format!("{OLDER}/{}", report.started_at);
    let name = free_name(disk, &wanted, ".json").map_err(NoReport::Disk)?;
    // Copied, not renamed: a rename between two folders may survive a power cut by half.
    write_report(disk, &name, &report).map_err(NoReport::Disk)?;
    remove_if_there(disk, LAST).map_err(NoReport::Disk)?;
    let synced = disk.sync_folder("");
    about(disk, "sync the folder of", LAST, synced).map_err(NoReport::Disk)?;
    Ok(Some(report))
}

/// What tells that a run has been here, where no state does.
pub(super) struct Trace {
    pub(super) name: String,
    pub(super) report: Option<Report>,
}

/// Whether a report, or a state that was moved aside, tells of an earlier run.
pub(super) fn trace_of_earlier_run<D: Disk>(disk: &mut D) -> Result<Option<Trace>, DiskError> {
    match load_report(disk) {
        Ok(Some((name, report))) => {
            let report = Some(report);
            return Ok(Some(Trace { name, report }));
        }
        Ok(None) => {}
        Err(NoReport::Disk(error)) => return Err(error),
        Err(NoReport::Damaged { .. }) => {
            let (name, report) = (LAST.to_owned(), None);
            return Ok(Some(Trace { name, report }));
        }
    }
    let listed = disk.list("");
    let names = about(disk, "list", "", listed)?;
    let broken = names.into_iter().find(|name| name.starts_with("state.") && name.contains(".broken."));
    Ok(broken.map(|name| Trace { name, report: None }))
}

fn read_report<D: Disk>(disk: &mut D, name: &str) -> Result<Option<Report>, NoReport> {
    let read = disk.read(name);
    let bytes = match about(disk, "read", name, read) {
        Err(error) if error.is_absent() => return Ok(None),
        read => read.map_err(NoReport::Disk)?,
    };
    let parsed =
        serde_json::from_slice(&bytes).map_err(|error| NoReport::Damaged { place: disk.place(name), error })?;
    Ok(Some(parsed))
}

fn newest_older<D: Disk>(disk: &mut D) -> Result<Option<String>, DiskError> {
    let listed = match disk.list(OLDER) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        listed => about(disk, "list", OLDER, listed)?,
    };
    // The names are times, so the last in order is the newest.
    let newest = listed.into_iter().filter(|name| name.ends_with(".json")).max();
    Ok(newest.map(|name| format!("{OLDER}/{name}")))
}
