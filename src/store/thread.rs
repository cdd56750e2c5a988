//! The store thread: takes records, makes them survive, says so; keeps the fold and writes it when asked.
//!
//! Always holds: `Event::Durable` goes out only after the sync that covers it (with `sync = "os"`: after the write;
//! an epoch and every snapshot are synced all the same). The first refusal of the disk is final for the file it
//! happened on: it is never written or synced again, nothing counts as durable until both generations of `state.json`
//! and a new journal segment have been written from memory.
//! Never does: block anyone who sends to it other than by the bound of its channel; drop a record.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, never, select};

use crate::domain::event::{DiskNews, Event, Saved};
use crate::domain::order::{Durable, Lsn};
use crate::domain::record::Record;
use crate::domain::report::Report;
use crate::domain::settings::Sync;
use crate::domain::snapshot::State;
use crate::domain::time::Wall;

use super::disk::{Disk, DiskError, about, free_name};
use super::journal::{self, Header, Segment};
use super::load::{Repairs, Resumed};
use super::report::save_report;
use super::snapshot::Generations;

/// How long a refused disk is left alone before the next try.
const RETRY: Duration = Duration::from_secs(1);
/// How many messages are taken into one group.
const GROUP_MAX: usize = 4_096;

/// What the store is asked.
#[derive(Debug)]
pub enum Message {
    /// Make this record survive. Numbers follow each other without a gap, from `Resumed::next`.
    Append(Lsn, Box<Record>),
    /// Write `state.json`. Answered by `Event::Saved`.
    SaveState,
    /// Write `last_shutdown.json`. Answered by `Event::Saved`.
    SaveReport(Saved, Box<Report>),
    /// Send a copy of the fold, with everything appended before this.
    Copy(Sender<State>),
    /// Answer once everything before this survives a power cut, or say why not.
    Flush(Sender<Result<(), String>>),
    /// Flush and end.
    Close,
}

/// When the journal goes into a snapshot by itself and begins a new segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentLimits {
    /// Records in a segment.
    pub n_records_max: u64,
    /// Bytes in a segment.
    pub n_bytes_max: u64,
}

impl Default for SegmentLimits {
    fn default() -> SegmentLimits {
        SegmentLimits { n_records_max: 10_000, n_bytes_max: 8 * 1024 * 1024 }
    }
}

/// Whether the store goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It waits for more.
    Open,
    /// It was closed.
    Closed,
}

/// The store, without its thread.
#[derive(Debug)]
pub struct Store<D: Disk> {
    disk: D,
    sync: Sync,
    limits: SegmentLimits,
    now: fn() -> Wall,
    state: State,
    repairs: Repairs,
    /// Where records go; nothing while the disk refuses.
    segment: Option<Segment<D::File>>,
    /// Generations to write before a segment may begin: both, unless the journal reaches back without a gap.
    n_saves_due: u32,
    /// What the disk said, from the first refusal until it works again.
    refused: Option<String>,
    announced: bool,
}

impl<D: Disk> Store<D> {
    /// Sets right what the start found, writes a first snapshot and begins a segment. Where the disk refuses that, the
    /// store begins as it goes on after any refusal: `refused` tells why, and it tries again.
    pub fn open(disk: D, resumed: Resumed, sync: Sync, limits: SegmentLimits, now: fn() -> Wall) -> Store<D> {
        let mut state = resumed.state;
        resumed.instance.as_str().clone_into(&mut state.instance);
        let mut store = Store {
            disk,
            sync,
            limits,
            now,
            state,
            n_saves_due: if resumed.repairs.broken_chain { 2 } else { 1 },
            repairs: resumed.repairs,
            segment: None,
            refused: None,
            announced: false,
        };
        if let Err(error) = store.establish() {
            store.refuse(error.to_string());
        }
        store
    }

    /// What the disk says, while it refuses. LIVE does not start on such a disk.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// The fold.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Carries out a group of messages: records first, in one write and one sync, then what was asked besides.
    pub fn work(&mut self, messages: impl IntoIterator<Item = Message>, mut emit: impl FnMut(Event)) -> Flow {
        let mut records = Vec::new();
        let (mut n_saves, mut reports, mut newest_report) = (0_u32, Vec::new(), None);
        let (mut flushes, mut flow) = (Vec::new(), Flow::Open);
        let mut copies = Vec::new();
        for message in messages {
            match message {
                Message::Append(lsn, record) => records.push((lsn, record)),
                Message::SaveState => n_saves += 1,
                Message::SaveReport(which, report) => {
                    reports.push(which);
                    newest_report = Some(report);
                }
                Message::Copy(reply) => copies.push(reply),
                Message::Flush(reply) => flushes.push(reply),
                Message::Close => flow = Flow::Closed,
            }
        }
        self.append(records, &mut emit);
        for reply in copies {
            // Whoever asked may be gone.
            let _ = reply.try_send(self.state.clone());
        }
        if n_saves > 0 {
            let saved = self.save_state(&mut emit);
            for _ in 0..n_saves {
                emit(Event::Saved(Saved::State, saved.clone()));
            }
        }
        if let Some(report) = newest_report {
            // The newest report stands for the drafts before it.
            let saved = save_report(&mut self.disk, &report).map_err(|error| error.to_string());
            for which in reports {
                emit(Event::Saved(which, saved.clone()));
            }
        }
        if !flushes.is_empty() || flow == Flow::Closed {
            let flushed = self.flush(&mut emit);
            for reply in flushes {
                let _ = reply.try_send(flushed.clone());
            }
        }
        flow
    }

    /// Tries a disk that refused again: two generations and a new segment, all from memory. Harmless while all is well.
    pub fn retry(&mut self, emit: impl FnMut(Event)) {
        // The refusal was announced before and stays until it is over.
        let _ = self.revive(emit);
    }

    /// Says what `open` met, once.
    pub fn announce(&mut self, mut emit: impl FnMut(Event)) {
        if let (Some(why), false) = (&self.refused, self.announced) {
            emit(Event::Disk(DiskNews::Failed(why.clone())));
            self.announced = true;
        }
    }

    fn append(&mut self, records: Vec<(Lsn, Box<Record>)>, mut emit: impl FnMut(Event)) {
        let mut lines = String::new();
        let (mut n_records, mut must_sync) = (0, self.sync == Sync::Cycle);
        let mut broken = None;
        for (lsn, record) in records {
            let due = Lsn(self.state.journal_seq.0.saturating_add(1));
            if lsn < due {
                continue;
            }
            if lsn > due {
                let (came, due) = (lsn.0, due.0);
                broken = Some(format!("record {came} came where {due} was due; the journal begins anew after it"));
            }
            must_sync |= matches!(*record, Record::Epoch { .. });
            if let Some(segment) = &self.segment {
                match journal::encode(lsn, segment.synced, &record) {
                    Ok(line) => lines.push_str(&line),
                    Err(error) => broken = Some(format!("record {} cannot be written: {error}", lsn.0)),
                }
            }
            self.state.apply(lsn, &record);
            n_records += 1;
        }
        if n_records == 0 {
            return;
        }
        let Some(mut segment) = self.segment.take() else {
            return;
        };
        let up_to = self.state.journal_seq;
        let written = match broken {
            Some(why) => Err(why),
            None => segment
                .append(&mut self.disk, &lines, n_records)
                .and_then(|()| match must_sync {
                    true => segment.sync(&mut self.disk, up_to),
                    false => Ok(()),
                })
                .map_err(|error| error.to_string()),
        };
        match written {
            Ok(()) => {
                let full = segment.n_records >= self.limits.n_records_max || segment.n_bytes >= self.limits.n_bytes_max;
                self.segment = Some(segment);
                emit(Event::Durable(Durable::synced(up_to)));
                if full {
                    self.rotate(emit);
                }
            }
            // The segment is dropped here and never touched again.
            Err(why) => {
                self.refuse(why);
                self.announce(emit);
            }
        }
    }

    /// Moves the journal into a snapshot and begins a new segment.
    fn rotate(&mut self, emit: impl FnMut(Event)) {
        self.n_saves_due = 1;
        let rotated = self.sync_segment().and_then(|()| self.establish());
        if let Err(error) = rotated {
            self.refuse(error.to_string());
            self.announce(emit);
        }
    }

    fn save_state(&mut self, mut emit: impl FnMut(Event)) -> Result<(), String> {
        if self.segment.is_none() {
            return self.revive(emit);
        }
        if self.repairs.generations.current == Some(self.state.journal_seq) {
            // It holds all there is.
            return Ok(());
        }
        let saved = self.sync_segment().and_then(|()| self.save_generation());
        saved.map_err(|error| {
            self.refuse(error.to_string());
            self.announce(&mut emit);
            error.to_string()
        })
    }

    fn flush(&mut self, mut emit: impl FnMut(Event)) -> Result<(), String> {
        if self.segment.is_none() {
            return self.revive(emit);
        }
        self.sync_segment().map_err(|error| {
            self.refuse(error.to_string());
            self.announce(&mut emit);
            error.to_string()
        })
    }

    fn sync_segment(&mut self) -> Result<(), DiskError> {
        let up_to = self.state.journal_seq;
        match &mut self.segment {
            Some(segment) => segment.sync(&mut self.disk, up_to),
            None => Ok(()),
        }
    }

    fn save_generation(&mut self) -> Result<(), DiskError> {
        self.state.generation = self.state.generation.saturating_add(1);
        self.state.saved_at = (self.now)();
        self.repairs.generations.save(&mut self.disk, &self.state)
    }

    /// From here on nothing is durable.
    fn refuse(&mut self, why: String) {
        self.segment = None;
        self.n_saves_due = 2;
        self.refused.get_or_insert(why);
    }

    fn revive(&mut self, mut emit: impl FnMut(Event)) -> Result<(), String> {
        if self.segment.is_some() {
            return Ok(());
        }
        match self.establish() {
            Ok(()) => {
                self.refused = None;
                if std::mem::take(&mut self.announced) {
                    emit(Event::Disk(DiskNews::Recovered));
                }
                emit(Event::Durable(Durable::synced(self.state.journal_seq)));
                Ok(())
            }
            Err(error) => {
                self.refuse(error.to_string());
                self.announce(emit);
                Err(error.to_string())
            }
        }
    }

    /// Brings the disk to where records can follow: snapshots that hold everything, then a new segment. Damaged files
    /// go aside first where a save would cover them, and otherwise only once nothing in them is needed.
    fn establish(&mut self) -> Result<(), DiskError> {
        self.move_aside(|name| !name.starts_with(journal::FOLDER))?;
        while self.n_saves_due > 0 {
            self.save_generation()?;
            self.n_saves_due -= 1;
        }
        self.move_aside(|_| true)?;
        let header = Header {
            version: journal::JOURNAL_VERSION,
            instance: self.state.instance.clone(),
            host: self.state.host.clone(),
            mode: self.state.mode.clone(),
            first: Lsn(self.state.journal_seq.0.saturating_add(1)),
        };
        self.segment = Some(Segment::begin(&mut self.disk, &header)?);
        if let Some(contained) = self.repairs.generations.contained() {
            // What cannot be removed now lies there until the next time; it is never read again.
            let _ = journal::prune(&mut self.disk, contained);
        }
        Ok(())
    }

    fn move_aside(&mut self, which: impl Fn(&str) -> bool) -> Result<(), DiskError> {
        let now = (self.now)();
        while let Some(place) = self.repairs.aside.iter().position(|name| which(name)) {
            let Some(name) = self.repairs.aside.get(place) else {
                break;
            };
            let aside = free_name(&mut self.disk, &format!("{name}.broken.{now}"), "")?;
            match self.disk.rename(name, &aside) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                renamed => about(&self.disk, "rename", name, renamed)?,
            }
            self.repairs.aside.remove(place);
        }
        Ok(())
    }

    /// What the two generations on disk hold.
    pub fn generations(&self) -> Generations {
        self.repairs.generations
    }
}

/// The thread: ends when it is told to close or when nobody can send any more.
#[allow(clippy::disallowed_methods, reason = "the pause between two tries of a disk that refuses")]
pub fn run<D: Disk>(mut store: Store<D>, messages: &Receiver<Message>, mut emit: impl FnMut(Event)) {
    store.announce(&mut emit);
    let idle = never();
    let mut next_try = None;
    loop {
        // Only a refused disk is looked at again without being asked.
        next_try = store.refused.is_some().then(|| next_try.unwrap_or_else(|| after(RETRY)));
        select! {
            recv(messages) -> message => {
                let Ok(first) = message else {
                    store.work([Message::Close], &mut emit);
                    return;
                };
                let group = std::iter::once(first).chain(messages.try_iter().take(GROUP_MAX));
                if store.work(group, &mut emit) == Flow::Closed {
                    return;
                }
            }
            recv(next_try.as_ref().unwrap_or(&idle)) -> _ => {
                store.retry(&mut emit);
                next_try = None;
            }
        }
    }
}
