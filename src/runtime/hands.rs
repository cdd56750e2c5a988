//! The loop's hands: carries actions out, feeds the workers, closes parts of the process when the stop asks.
//!
//! Always holds: nothing in here blocks while orders may rest, except joining threads in the stop's own steps, by their
//! deadline and with the inbox held open; every request is answered; every close is answered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::channels::{Backlog, Inbox};
use super::clock::Clock;
use super::gate::Gate;
use super::live::StreamThread;
use super::paper::PaperVenue;
use super::signals::SignalThread;
use super::workers::{Workers, unsent};
use crate::control::server::Server;
use crate::domain::action::{Action, Level, Verdict};
use crate::domain::command::{CommandAnswer, CommandId};
use crate::domain::event::{Closing, DiskNews, Event, Part};
use crate::domain::ids::VenueId;
use crate::domain::order::Lsn;
use crate::domain::snapshot::State;
use crate::domain::time::{Boot, Stamp};
use crate::net::resolver::ResolverThread;
use crate::outbox::Outbox;
use crate::store::thread::Message;

/// Records that wait for the store before no new orders are taken: the disk is too slow to trade on.
const STORE_BACKLOG_MAX: usize = 65_536;
/// Longest wait for the store's copy of the state after a panic.
const COPY_PATIENCE: Duration = Duration::from_secs(2);
const JOIN_POLL: Duration = Duration::from_millis(1);

/// Whoever waits for an answer to a command.
pub type Askers = Arc<Mutex<BTreeMap<CommandId, Sender<CommandAnswer>>>>;

/// One venue's threads.
pub struct VenueThreads {
    /// Which venue.
    pub id: VenueId,
    /// Its workers.
    pub workers: Workers,
    /// The exchange behind them, in PAPER.
    pub paper: Option<PaperVenue>,
    /// Sockets of a real venue.
    pub streams: Vec<StreamThread>,
    /// Keeps the addresses of its names.
    pub resolver: Option<ResolverThread>,
}

/// Everything the loop can reach.
pub struct Hands {
    /// The gate.
    pub gate: Gate,
    /// The loop's inbox.
    pub inbox: Inbox,
    /// Requests waiting.
    pub outbox: Outbox,
    /// Venues.
    pub venues: Vec<VenueThreads>,
    /// The way to the store.
    pub store: Backlog<Message>,
    /// The control socket.
    pub control: Option<Server>,
    /// Whoever waits for answers.
    pub askers: Askers,
    /// The signal thread.
    pub signals: Option<SignalThread>,
    loose: VecDeque<Event>,
    wake_at: Option<Boot>,
    last_request: u64,
    last_lsn: Lsn,
    is_store_behind: bool,
    has_disk_failed: bool,
}

impl Hands {
    /// Takes hold of everything.
    pub fn new(gate: Gate, inbox: Inbox, outbox: Outbox, store: Backlog<Message>, askers: Askers) -> Hands {
        Hands {
            gate,
            inbox,
            outbox,
            venues: Vec::new(),
            store,
            control: None,
            askers,
            signals: None,
            loose: VecDeque::new(),
            wake_at: None,
            last_request: 0,
            last_lsn: Lsn(0),
            is_store_behind: false,
            has_disk_failed: false,
        }
    }

    /// The next batch: what we owe the machine ourselves, then what came in. Waits at most `longest`.
    pub fn next_batch(&mut self, longest: Duration) -> Vec<Event> {
        let until = self.wake_at.map_or(longest, |wake| Clock.boot().until(wake).min(longest));
        let wait = if self.loose.is_empty() { until } else { Duration::ZERO };
        let mut batch: Vec<_> = self.loose.drain(..).collect();
        for event in self.inbox.next_batch(wait) {
            let is_told = if let Event::Disk(news) = &event { self.hear_disk(news) } else { true };
            batch.extend(is_told.then_some(event));
        }
        let at = Clock.boot();
        for event in &batch {
            match event {
                Event::Answer(answer) => self.outbox.answered(at, answer),
                Event::Limits(venue, news) => self.outbox.learn(*venue, *news),
                _ => {}
            }
        }
        batch
    }

    /// Carries out what a cycle asked for. The verdict, once there is one.
    pub fn carry_out(&mut self, at: Stamp, actions: impl Iterator<Item = Action>) -> Option<Verdict> {
        let mut verdict = None;
        for action in actions {
            match action {
                Action::Record(lsn, record) => {
                    self.last_lsn = lsn;
                    self.store.push(Message::Append(lsn, record));
                }
                Action::SaveState => self.store.push(Message::SaveState),
                Action::SaveReport(which, report) => self.store.push(Message::SaveReport(which, report)),
                Action::Send(request) => {
                    self.last_request = self.last_request.max(request.id.0);
                    if let Err((request, why)) = self.outbox.push(request) {
                        self.loose.push_back(unsent(&request, why.words()));
                    }
                }
                Action::ShutGate => {
                    self.gate.shut();
                    let why = crate::outbox::Unsent::GateShut.words();
                    self.loose.extend(self.outbox.shut_gate().iter().map(|request| unsent(request, why)));
                }
                Action::Sever(venue) => {
                    self.venues
                        .iter()
                        .filter(|threads| threads.id == venue)
                        .for_each(|threads| threads.workers.sever());
                }
                Action::Ping(venue, stream) => {
                    let threads = self.venues.iter().filter(|threads| threads.id == venue);
                    threads.flat_map(|threads| &threads.streams).for_each(|thread| thread.ping(stream));
                }
                Action::Close(part, within) => {
                    let closing = self.close(part, within);
                    self.loose.push_back(Event::Closed(part, closing));
                }
                Action::Say(level, text) => say(level, &text),
                Action::Answer(id, answer) => self.answer(id, answer),
                Action::Finish(end) => verdict = Some(end),
            }
        }
        self.feed(at.boot);
        self.watch_store();
        verdict
    }

    /// Hands requests to idle workers.
    fn feed(&mut self, at: Boot) {
        self.wake_at = None;
        for threads in &mut self.venues {
            let (answers, wake_at) = threads.workers.feed(at, &mut self.outbox, &self.gate);
            self.loose.extend(answers);
            self.wake_at = [self.wake_at, wake_at].into_iter().flatten().min();
        }
    }

    /// A store that cannot keep up, or is gone, is a disk that failed. What the store itself says of its disk goes on
    /// beside this: a failure of its own is not mended by an empty queue.
    fn watch_store(&mut self) {
        self.store.flush();
        let n_waiting = self.store.n_waiting();
        let trouble = if !self.store.is_open() {
            Some("the store thread has ended".to_owned())
        } else if n_waiting > STORE_BACKLOG_MAX {
            Some(format!("{n_waiting} records wait to be written: it is too slow"))
        } else {
            None
        };
        match trouble {
            Some(why) if !self.is_store_behind => {
                self.is_store_behind = true;
                self.loose.push_back(Event::Disk(DiskNews::Failed(why)));
            }
            None if self.is_store_behind && n_waiting == 0 => {
                self.is_store_behind = false;
                if !self.has_disk_failed {
                    self.loose.push_back(Event::Disk(DiskNews::Recovered));
                }
            }
            _ => {}
        }
    }

    /// Keeps what the store says of its disk apart from how it keeps up: trading goes on when both are well.
    fn hear_disk(&mut self, news: &DiskNews) -> bool {
        self.has_disk_failed = matches!(news, DiskNews::Failed(_));
        self.has_disk_failed || !self.is_store_behind
    }

    fn answer(&mut self, id: CommandId, answer: CommandAnswer) {
        let asker = self.askers.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(asker) = asker {
            // A client that has hung up does not need it any more.
            let _ = asker.try_send(answer);
        }
    }

    /// The store's own fold, for a stop after a panic. Everything recorded before is in it.
    pub fn state_from_store(&mut self) -> Option<State> {
        let (to, copied) = crossbeam_channel::bounded(1);
        self.store.push(Message::Copy(to));
        let deadline = Clock.boot().after(COPY_PATIENCE);
        while Clock.boot() < deadline {
            self.store.flush();
            self.inbox.hold();
            if let Ok(state) = copied.recv_timeout(JOIN_POLL) {
                return Some(state);
            }
        }
        None
    }

    /// The last record that went to the store.
    pub fn last_lsn(&self) -> Lsn {
        self.last_lsn
    }

    /// A request number that nobody has used yet, with room for requests a dead machine may have counted.
    pub fn fresh_request_number(&self) -> u64 {
        self.last_request + 1_000_000
    }

    /// Closes a part. By now every order is proved gone or the time for that is over, so joining here holds up nothing
    /// but the stop's own next step.
    fn close(&mut self, part: Part, within: Duration) -> Closing {
        match part {
            Part::Strategies | Part::Recorder => Closing { ok: true, note: "none".into(), ..Closing::default() },
            Part::Links => {
                let mut threads = Vec::new();
                for venue in self.venues.drain(..) {
                    threads.extend(venue.workers.close());
                    threads.extend(venue.streams.into_iter().map(StreamThread::close));
                    threads.extend(venue.resolver.and_then(ResolverThread::close));
                    threads.extend(venue.paper.map(PaperVenue::close));
                }
                let closing = join_by(threads, within, || self.inbox.hold());
                Closing { note: format!("{} threads ended", closing.joined), ..closing }
            }
            Part::Faces => match self.control.take() {
                Some(server) => server.close(within),
                None => Closing { ok: true, note: "no control socket".into(), ..Closing::default() },
            },
            Part::Tasks => match self.signals.take().map(|signals| signals.close(within)) {
                Some(false) => {
                    Closing { ok: false, joined: 0, note: "late: signals".into(), late: vec!["signals".into()] }
                }
                joined => Closing {
                    ok: true,
                    joined: u32::from(joined.is_some()),
                    note: "all joined".into(),
                    late: Vec::new(),
                },
            },
        }
    }
}

/// Joins threads that end in time and names those that do not. They are left behind: the process ends without them.
#[allow(clippy::disallowed_methods, reason = "joining with a deadline: std has no timed join")]
pub fn join_by(threads: Vec<JoinHandle<()>>, within: Duration, mut meanwhile: impl FnMut()) -> Closing {
    let deadline = Clock.boot().after(within);
    let mut running = threads;
    let mut closing = Closing::default();
    loop {
        meanwhile();
        let (ended, late): (Vec<_>, Vec<_>) = running.into_iter().partition(JoinHandle::is_finished);
        closing.joined += u32::try_from(ended.len()).unwrap_or(u32::MAX);
        for thread in ended {
            // Its panic has been told by the panic hook; here it only matters that it has ended.
            let _ = thread.join();
        }
        running = late;
        if running.is_empty() || Clock.boot() >= deadline {
            break;
        }
        std::thread::sleep(JOIN_POLL);
    }
    closing.late = running.iter().map(|thread| thread.thread().name().unwrap_or("unnamed").to_owned()).collect();
    closing.ok = closing.late.is_empty();
    closing.note = if closing.ok { "all joined".into() } else { format!("late: {}", closing.late.join(", ")) };
    closing
}

fn say(level: Level, text: &str) {
    match level {
        Level::Error => log::error!("{text}"),
        Level::Warn => log::warn!("{text}"),
        Level::Info => log::info!("{text}"),
        Level::Debug => log::debug!("{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_does_not_end_is_named_and_left_behind() {
        let (let_go, hold) = crossbeam_channel::bounded::<()>(0);
        let late =
            std::thread::Builder::new().name("late.one".into()).spawn(move || assert!(hold.recv().is_err())).unwrap();
        let quick = std::thread::Builder::new().name("quick".into()).spawn(|| {}).unwrap();
        while !quick.is_finished() {
            std::thread::yield_now();
        }
        let closing = join_by(vec![late, quick], Duration::from_millis(5), || {});
        assert_eq!((closing.ok, closing.joined, closing.late), (false, 1, vec!["late.one".to_owned()]));
        drop(let_go);
    }
}
