//! What a start finds: the newest whole state, with everything the journal says after it.
//!
//! Always holds: reading changes nothing on disk; a state is either complete, or what may be missing is named; nothing
//! is called a fresh start where anything of an earlier run lies.
//! Never does: decide whether to trade with it. LIVE refuses `Loaded::Damaged`; the words for that are in there.

use crate::domain::ids::{Epoch, Instance};
use crate::domain::order::Lsn;
use crate::domain::settings::Mode;
use crate::domain::snapshot::State;

use super::disk::{Disk, DiskError, about};
use super::journal::{self, End, ReadSegment, segment_name};
use super::report;
use super::snapshot::{self, Generation, Generations, PREVIOUS, STATE};

/// Who wants the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// As configured; nothing where it is to be drawn once and kept.
    pub instance: Option<Instance>,
    /// This machine.
    pub host: String,
    /// How real it is.
    pub mode: Mode,
    /// 32 bits of chance, for drawing an instance.
    pub chance: u32,
}

/// How good the state is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// Nothing was there: a first start.
    Absent,
    /// `state.json` was whole, and so was the journal after it.
    Good,
    /// Something was broken, but nothing is missing: why.
    Older(String),
    /// Something may be missing. LIVE must not trade on it: why, with file and line.
    Damaged(String),
}

/// What a start begins with.
#[derive(Debug)]
pub struct Resumed {
    /// Everything that is known.
    pub state: State,
    /// The number of the next record.
    pub next: Lsn,
    /// Ours: as configured, as kept, or just drawn.
    pub instance: Instance,
    /// How good it is.
    pub loaded: Loaded,
    /// Sentences for the log: what was repaired or noticed.
    pub notices: Vec<String>,
    /// What the store must set right before it records anything.
    pub(super) repairs: Repairs,
}

/// What the store must set right before it records anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Repairs {
    pub(super) generations: Generations,
    /// Damaged files to move aside.
    pub(super) aside: Vec<String>,
    /// Whether the journal breaks off before `next`, so that both generations must be written anew.
    pub(super) broken_chain: bool,
}

/// Why a start is refused, whatever the mode.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The system does not let us read. Nothing was changed.
    #[error("{0}")]
    Unreadable(String),
    /// A newer program wrote it.
    #[error("{file} was written by a newer version of this program (form {version}); run that version")]
    Newer {
        /// Which file.
        file: &'static str,
        /// Its form.
        version: u32,
    },
    /// Another instance's.
    #[error(
        "{file} belongs to instance {theirs}, the configuration says {ours}; set instance = \"{theirs}\" or choose \
         another state directory"
    )]
    OtherInstance {
        /// Which file.
        file: String,
        /// Whose it is.
        theirs: String,
        /// Who we are.
        ours: String,
    },
    /// Another mode's.
    #[error(
        "{file} was written in {theirs}, this run is {ours}; a state directory belongs to one mode: choose another one \
         for {ours}"
    )]
    OtherMode {
        /// Which file.
        file: String,
        /// Its mode.
        theirs: String,
        /// Our mode.
        ours: String,
    },
    /// Another machine's.
    #[error(
        "{file} was written on host {theirs}, this is {ours}: two machines must never trade from copies of one state. \
         Run it on {theirs}; if this is that machine under a new name, give it the old one (a container: hostname \
         {theirs})"
    )]
    OtherHost {
        /// Which file.
        file: String,
        /// Its machine.
        theirs: String,
        /// This machine.
        ours: String,
    },
    /// Files are there, and no state comes out of them.
    #[error(
        "no state can be read: {0}. This is no fresh start: orders of an earlier run may be open. Restore the files \
         from a copy, or look at the venue's open orders and then move the state directory away"
    )]
    NothingWhole(String),
}

impl From<DiskError> for Refusal {
    fn from(error: DiskError) -> Refusal {
        Refusal::Unreadable(error.to_string())
    }
}

/// Reads what is there.
pub fn load<D: Disk>(disk: &mut D, who: &Identity) -> Result<Resumed, Refusal> {
    let (current, previous) = (snapshot::read(disk, STATE), snapshot::read(disk, PREVIOUS));
    for (file, generation) in [(STATE, &current), (PREVIOUS, &previous)] {
        match generation {
            Generation::Unreadable(why) => return Err(Refusal::Unreadable(why.clone())),
            Generation::Newer(version) => {
                return Err(Refusal::Newer { file, version: *version });
            }
            Generation::Absent | Generation::Good(_) | Generation::Damaged(_) => {}
        }
    }
    let mut reading = Reading::default();
    let segments = journal::segments(disk)?;
    let chosen = reading.choose(disk, current, previous);
    let from_journal_alone = chosen.is_none() && !segments.is_empty();
    let mut state = match chosen {
        Some((file, state)) => {
            check_owner(who, disk.place(file), &state.instance, &state.host, &state.mode)?;
            state
        }
        None => reading.without_generation(disk, who, &segments)?,
    };
    if state.host != who.host {
        let (then, now) = (&state.host, &who.host);
        reading.notices.push(format!("the state was written on host {then}, this is {now}"));
        state.host.clone_from(&who.host);
    }
    let highest = reading.replay(disk, who, &mut state, &segments)?;
    if from_journal_alone && state.journal_seq == Lsn(0) && !reading.lost.is_empty() {
        return Err(Refusal::NothingWhole(reading.lost.join("; ")));
    }
    let instance = who.instance.or_else(|| state.instance.parse().ok());
    let Some(instance) = instance else {
        let why = format!("{} names the instance {:?}, which is none", STATE, state.instance);
        return Err(Refusal::NothingWhole(why));
    };
    if !reading.lost.is_empty() {
        // What had these numbers is lost, but it was promised once: they are not given again.
        reading.repairs.broken_chain = true;
        state.journal_seq = state.journal_seq.max(highest);
    }
    Ok(Resumed {
        next: Lsn(state.journal_seq.0.saturating_add(1)),
        instance,
        loaded: reading.verdict(),
        notices: reading.notices,
        repairs: reading.repairs,
        state,
    })
}

/// Refuses what is not ours. A state that came from another machine is refused in LIVE only: a paper account in a
/// container with a name of chance may go on.
fn check_owner(who: &Identity, file: String, instance: &str, host: &str, mode: &str) -> Result<(), Refusal> {
    if let Some(ours) = who.instance
        && ours.as_str() != instance
    {
        let (theirs, ours) = (instance.to_owned(), ours.to_string());
        return Err(Refusal::OtherInstance { file, theirs, ours });
    }
    if who.mode.word() != mode {
        let (theirs, ours) = (mode.to_owned(), who.mode.word().to_owned());
        return Err(Refusal::OtherMode { file, theirs, ours });
    }
    if who.host != host && who.mode == Mode::Live {
        let (theirs, ours) = (host.to_owned(), who.host.clone());
        return Err(Refusal::OtherHost { file, theirs, ours });
    }
    Ok(())
}

/// What was noticed on the way.
#[derive(Default)]
struct Reading {
    fresh: bool,
    /// Broken, but nothing is missing.
    mended: Vec<String>,
    /// May be missing.
    lost: Vec<String>,
    notices: Vec<String>,
    repairs: Repairs,
}

impl Reading {
    fn verdict(&mut self) -> Loaded {
        self.notices.extend(self.mended.iter().chain(&self.lost).cloned());
        if !self.lost.is_empty() {
            Loaded::Damaged(self.lost.join("; "))
        } else if self.fresh {
            Loaded::Absent
        } else if !self.mended.is_empty() {
            Loaded::Older(self.mended.join("; "))
        } else {
            Loaded::Good
        }
    }

    /// The newest whole generation.
    fn choose<D: Disk>(
        &mut self,
        disk: &D,
        current: Generation,
        previous: Generation,
    ) -> Option<(&'static str, State)> {
        for (name, generation) in [(STATE, &current), (PREVIOUS, &previous)] {
            if let Generation::Damaged(why) = generation {
                let place = disk.place(name);
                self.mended.push(format!("{place} is damaged: {why}; it is moved aside"));
                self.repairs.aside.push(name.to_owned());
            }
        }
        let seq = |generation: &Generation| match generation {
            Generation::Good(state) => Some(state.journal_seq),
            _ => None,
        };
        self.repairs.generations.current = seq(&current);
        self.repairs.generations.previous = seq(&previous);
        match (current, previous) {
            (Generation::Good(current), Generation::Good(previous)) if previous.generation > current.generation => {
                // Somebody put an old file in its place.
                let place = disk.place(STATE);
                self.mended.push(format!("{place} is older than the generation before it; it is moved aside"));
                self.repairs.aside.push(STATE.to_owned());
                self.repairs.generations.current = None;
                Some((PREVIOUS, *previous))
            }
            (Generation::Good(current), _) => Some((STATE, *current)),
            (current, Generation::Good(previous)) => {
                if current == Generation::Absent {
                    self.mended.push(format!("{} is missing", disk.place(STATE)));
                }
                Some((PREVIOUS, *previous))
            }
            (..) => None,
        }
    }

    /// The state before the first record: a first start, or the journal alone must tell.
    fn without_generation<D: Disk>(
        &mut self,
        disk: &mut D,
        who: &Identity,
        segments: &[Lsn],
    ) -> Result<State, Refusal> {
        let drawn = who.instance.unwrap_or_else(|| Instance::from_chance(who.chance));
        let mut state = State::empty(drawn.as_str(), &who.host, who.mode.word());
        if let Some(first) = segments.first() {
            if self.mended.is_empty() {
                self.mended.push(format!("{} is missing", disk.place(STATE)));
            }
            let name = segment_name(*first);
            let read = disk.read(&name);
            let bytes = about(disk, "read", &name, read)?;
            if let Ok(header) = ReadSegment::parse(&bytes).header {
                check_owner(who, disk.place(&name), &header.instance, &header.host, &header.mode)?;
                state.instance = header.instance;
                state.host = header.host;
            }
            return Ok(state);
        }
        if !self.mended.is_empty() {
            return Err(Refusal::NothingWhole(self.mended.join("; ")));
        }
        match report::trace_of_earlier_run(disk)? {
            None => self.fresh = true,
            Some(trace) => {
                // Whose orders may be open is the one thing worth keeping from it.
                if let Some(report) = trace.report
                    && report.mode == who.mode.word()
                {
                    if who.instance.is_none() && report.instance.parse::<Instance>().is_ok() {
                        state.instance = report.instance;
                    }
                    state.epoch = Epoch(report.epoch);
                }
                let (place, seen) = (disk.place(STATE), disk.place(&trace.name));
                self.lost.push(format!("{place} and the journal are missing, but {seen} tells of an earlier run"));
            }
        }
        Ok(state)
    }

    /// Folds the journal in, as far as it is whole. Gives the highest number seen anywhere.
    fn replay<D: Disk>(
        &mut self,
        disk: &mut D,
        who: &Identity,
        state: &mut State,
        segments: &[Lsn],
    ) -> Result<Lsn, Refusal> {
        let base = state.journal_seq;
        let needed = |first: &Lsn| first.0 <= base.0.saturating_add(1);
        let begin = match segments.iter().rposition(needed) {
            Some(begin) => begin,
            None => {
                match segments.first() {
                    Some(first) => {
                        let (from, to) = (base.0.saturating_add(1), first.0.saturating_sub(1));
                        let place = disk.place(&segment_name(*first));
                        self.lost.push(format!("records {from} to {to} are missing: the journal begins with {place}"));
                    }
                    None if base > Lsn(0) => {
                        let place = disk.place(journal::FOLDER);
                        self.lost.push(format!("{place} is empty: records after {} may be missing", base.0));
                    }
                    None => {}
                }
                0
            }
        };
        let mut highest = Lsn(segments.last().map_or(0, |last| last.0.saturating_sub(1)));
        for (index, first) in segments.iter().enumerate().skip(begin) {
            let name = segment_name(*first);
            let read = disk.read(&name);
            let bytes = match about(disk, "read", &name, read) {
                Err(error) if error.error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                    self.lose(&name, error.to_string());
                    continue;
                }
                read => read?,
            };
            let segment = ReadSegment::parse(&bytes);
            highest = highest.max(segment.highest().unwrap_or_default());
            if self.lost.is_empty() {
                let next = segments.get(index + 1).copied();
                self.replay_segment(disk.place(&name), &name, who, state, segment, next)?;
            } else {
                // Nothing after a gap is folded in, and nothing of it is thrown away.
                self.repairs.aside.push(name);
            }
        }
        Ok(highest)
    }

    fn replay_segment(
        &mut self,
        place: String,
        name: &str,
        who: &Identity,
        state: &mut State,
        segment: ReadSegment,
        next: Option<Lsn>,
    ) -> Result<(), Refusal> {
        match &segment.header {
            Err(why) => {
                self.lose(name, format!("{place}, line 1: {why}"));
                return Ok(());
            }
            Ok(header) => {
                let host = if who.mode == Mode::Live { &header.host } else { &who.host };
                check_owner(who, place.clone(), &header.instance, host, &header.mode)?;
                if header.instance != state.instance {
                    let (theirs, ours) = (&header.instance, &state.instance);
                    self.lose(name, format!("{place} belongs to instance {theirs}, the state to {ours}"));
                    return Ok(());
                }
                if name != segment_name(header.first) {
                    self.lose(name, format!("{place}, line 1: it begins with record {}", header.first.0));
                    return Ok(());
                }
            }
        }
        let taken = segment.take_after(state.journal_seq);
        for (line, why) in taken.harmless {
            self.mended.push(format!("{place}, line {line}: {why}; the state holds what it said"));
        }
        for (seq, record) in taken.records {
            // What a later segment begins with is taken from there.
            if next.is_none_or(|next| seq < next) {
                state.apply(seq, &record);
            }
        }
        let reached = state.journal_seq.0.saturating_add(1);
        match (taken.end, next) {
            (_, Some(next)) if reached >= next.0 => {}
            (End::Whole, None) => {}
            (End::Whole, Some(next)) => {
                let why = format!("{place} ends before record {reached}, the next file begins with {}", next.0);
                self.lose(name, why);
            }
            // Not a repair worth doubt: it happens at every power cut.
            (End::Torn { line, why }, None) => {
                let text = format!("{place}, line {line}: {why}; it was never called durable and is cut");
                self.notices.push(text);
            }
            (End::Torn { line, why } | End::Damaged { line, why }, _) => {
                self.lose(name, format!("{place}, line {line}: {why}; records from {reached} on are missing"));
            }
        }
        Ok(())
    }

    fn lose(&mut self, name: &str, why: String) {
        self.repairs.aside.push(name.to_owned());
        self.lost.push(why);
    }
}
