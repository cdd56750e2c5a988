//! The trader: brings the process up, runs the one loop, and lets go of everything in order.
//!
//! Always holds: signals are registered before the first thread; the locks are taken before anything is read and
//! released last; whatever happens in between, the way out leads through `Stop`.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::bounded;
use ring::rand::{SecureRandom, SystemRandom};

use super::channels::{Backlog, EventSender, STORE_MESSAGES_MAX, inbox};
use super::clock::Clock;
use super::gate::Gate;
use super::hands::{Askers, Hands, join_by};
use super::logging::{self, LogHandle, LogSettings};
use super::machine::{Frame, Machine, epoch_of};
use super::signals::{Latch, StopSignals};
use super::terminal::{Screen, StatusLine, StatusPace};
use super::unstarted::{MAY_BE_OPEN, may_have_left_orders};
use super::venues_up;
use crate::control::server::Server;
use crate::domain::action::Verdict;
use crate::domain::command::{Command, CommandAnswer, CommandId};
use crate::domain::event::{Event, SignalName};
use crate::domain::instrument::Catalogue;
use crate::domain::secret::ApiKey;
use crate::domain::settings::{Mode, Settings};
use crate::domain::snapshot::State;
use crate::domain::stop::StopCause;
use crate::domain::time::{Boot, Stamp};
use crate::orders::desk::{Desk, Identity};
use crate::orders::status;
use crate::outbox::Outbox;
use crate::startup::start::{Begin, Start};
use crate::store::directory::{StateDirectory, host_name};
use crate::store::load::{self, Loaded, Resumed};
use crate::store::report::archive_report;
use crate::store::thread::{self as store_thread, SegmentLimits, Store};
use crate::store::{LockError, Locks, account_locks};

/// Longest wait of the loop: a lost wake-up costs this much, and deadlines are re-read this often.
const MAX_WAIT: Duration = Duration::from_millis(250);
/// An operator's command waits this long for its answer: `pause` proves before it answers.
const COMMAND_PATIENCE: Duration = Duration::from_secs(100);
/// The signal thread tells which signal it was within this time; else it is taken for a SIGTERM.
const SIGNAL_PATIENCE: Duration = Duration::from_secs(1);
/// The exit code of a wanted restart.
const RESTART: u8 = 75;
/// For the store to write what it has, after the report.
const STORE_CLOSE: Duration = Duration::from_secs(2);
/// For the last lines of the log.
const LOG_CLOSE: Duration = Duration::from_secs(2);

/// What the command line knows and the settings do not.
pub struct Launch {
    /// `RUST_LOG`.
    pub log_filter: String,
    /// Keys of the accounts, by the venue's name. Hidden from the log before anything else is done with them.
    pub keys: BTreeMap<String, ApiKey>,
    /// Where account locks lie.
    pub lock_folders: Vec<PathBuf>,
    /// Registered as the first thing the process did.
    pub signals: (Gate, StopSignals),
}

/// Why no trader could be brought up. Nothing was sent.
#[derive(Debug)]
pub struct NotStarted {
    /// The exit code.
    pub exit_code: u8,
    /// What happened and what to do.
    pub text: String,
}

/// Trades until stopped. Gives the exit code.
pub fn run(settings: Settings, launch: Launch) -> Result<u8, NotStarted> {
    let (gate, signals) = launch.signals;
    // Where nothing can be read, code 1 would claim that nothing of ours is open.
    let blind = |text: String| match settings.mode != Mode::DryRun && may_have_left_orders(&settings.state_dir) {
        true => refused(3, text + MAY_BE_OPEN),
        false => refused(1, text),
    };
    let mut directory =
        StateDirectory::open(&settings.state_dir, settings.mode).map_err(|error| blind(error.to_string()))?;
    let accounts = account_locks(&settings.venues, &launch.keys);
    let locks = Locks::take(&directory, &launch.lock_folders, &accounts).map_err(|error| match error {
        LockError::Busy(busy) => refused(4, busy),
        other => blind(other.to_string()),
    })?;
    let (logger, log) =
        logging::start(LogSettings::new(directory.path_of("logs"), &launch.log_filter, Screen::stderr()))
            .map_err(|error| blind(format!("the log thread cannot start: {error}")))?;
    for key in launch.keys.values() {
        log.hide(key.key.expose());
        log.hide(key.secret.expose());
    }
    // A second logger in one process happens only in tests; then the first one's lines go on.
    let _ = logger.install();
    note_panics(directory.path_of("logs/crash.log"));

    let who = load::Identity { instance: settings.instance, host: host_name(), mode: settings.mode, chance: draw() };
    let resumed = load::load(&mut directory, &who).map_err(|refusal| refused(code_of(&refusal), refusal))?;
    // Before anything is moved: the evidence stays where it is.
    if let (Mode::Live, Loaded::Damaged(why)) = (settings.mode, &resumed.loaded) {
        return Err(refused(3, format!("LIVE does not trade on a damaged state: {why}")));
    }
    if let Err(error) = archive_report(&mut directory, Clock.wall()) {
        log::warn!("The report of the run before stays where it is: {error}");
    }
    let may_be_open = !resumed.state.orders.open.is_empty();
    let (trader, machine) =
        Trader::bring_up(settings, directory, resumed, gate, &launch.keys).map_err(|refused| {
            match (refused.exit_code, may_be_open) {
                (1, true) => NotStarted { exit_code: 3, text: refused.text + MAY_BE_OPEN },
                _ => refused,
            }
        })?;
    Ok(trader.run(machine, signals, locks, log))
}

fn refused(exit_code: u8, text: impl std::fmt::Display) -> NotStarted {
    NotStarted { exit_code, text: text.to_string() }
}

/// A state that cannot be read may name open orders: that is 3, not 1.
fn code_of(refusal: &load::Refusal) -> u8 {
    match refusal {
        load::Refusal::OtherInstance { .. } | load::Refusal::OtherMode { .. } => 2,
        _ => 3,
    }
}

/// A number nobody can guess, for drawing an instance. Without the system's chance the clock must do: a first start
/// with a name that is taken is noticed by the venue's listing.
fn draw() -> u32 {
    let mut bytes = [0; 4];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => Clock.boot().nanos() as u32,
    }
}

/// A panic anywhere leaves a line in the log and in `crash.log`, with its thread and its place.
fn note_panics(place: PathBuf) {
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let line = format!("{} thread `{thread}`: {panic}", Clock.wall());
        log::error!("PANIC in {line}");
        if let Ok(mut file) = OpenOptions::new().append(true).create(true).mode(0o600).open(&place) {
            // The log has the line too.
            let _ = writeln!(file, "{line}");
        }
    }));
}

struct Trader {
    hands: Hands,
    frame: Frame,
    events: EventSender,
    store: JoinHandle<()>,
    directory: StateDirectory,
    /// For a stop after a panic, should the store not answer: what was on disk at the start.
    state_at_start: State,
    catalogue: Catalogue,
    began: Boot,
    gate_seen_shut: Option<Boot>,
}

impl Trader {
    fn bring_up(
        settings: Settings,
        directory: StateDirectory,
        resumed: Resumed,
        gate: Gate,
        keys: &BTreeMap<String, ApiKey>,
    ) -> Result<(Trader, Machine), NotStarted> {
        let at = Clock.stamp();
        let identity = Identity { instance: resumed.instance, epoch: epoch_of(&resumed, at.wall), mode: settings.mode };
        let mut state = resumed.state.clone();
        state.journal_seq = crate::domain::order::Lsn(resumed.next.0.saturating_sub(1));
        let remarks = resumed.notices.clone();
        let is_suspicious = !matches!(resumed.loaded, Loaded::Good);
        let (inbox, events, quotes) = inbox();
        let (store, to_store) = start_store(&settings, &directory, resumed, events.clone())?;
        let mut catalogue = Catalogue::default();
        let mut prepared = Vec::new();
        for (place, venue) in settings.venues.iter().enumerate() {
            let ready = venues_up::prepare(place, venue, settings.mode, keys.get(&venue.name), &state)?;
            let id = catalogue.add_venue(&venue.name, ready.traits.clone());
            prepared.extend(id.map(|id| (id, ready)));
        }
        let outbox = Outbox::new(&catalogue);
        let mut hands = Hands::new(gate, inbox, outbox, to_store, Askers::default());
        let paper_folder = directory.path_of("paper");
        for (id, ready) in prepared {
            hands.venues.push(venues_up::start(ready, id, &paper_folder, (&hands.gate, &events, &quotes))?);
        }
        hands.control = start_control(&directory, &events, &hands.askers);
        let begin = Begin {
            desk: Desk::new(catalogue.clone(), identity, state.journal_seq, 0),
            state: state.clone(),
            settings: settings.start.clone(),
            venues: settings.venues.clone(),
            strategies: settings.strategies.clone(),
            remarks,
            is_suspicious,
        };
        let frame = Frame {
            settings,
            identity,
            report_path: directory.path_of("last_shutdown.json").display().to_string(),
            own_strategies: Vec::new(),
        };
        let machine = Machine::Start(Box::new(Start::new(begin, at)));
        let began = at.boot;
        let trader = Trader {
            hands,
            frame,
            events,
            store,
            directory,
            state_at_start: state,
            catalogue,
            began,
            gate_seen_shut: None,
        };
        Ok((trader, machine))
    }

    fn run(mut self, machine: Machine, signals: StopSignals, mut locks: Locks, log: LogHandle) -> u8 {
        let (events, latch) = (self.events.clone(), signals.latch());
        let tell = move |name| {
            events.send(Event::Signal(name));
        };
        match signals.watch(tell) {
            Ok(thread) => self.hands.signals = Some(thread),
            Err(error) => log::error!("No signal thread ({error}); signals are seen within {MAX_WAIT:?} all the same"),
        }
        let verdict = self.trade(machine, &mut locks, &log);
        let exit_code = self.let_go(verdict, locks, log);
        stays_a_stop(exit_code, &latch)
    }

    /// The loop. One cycle at a time; the cycle under way is always finished; a stop changes the machine, not the loop.
    fn trade(&mut self, mut machine: Machine, locks: &mut Locks, log: &LogHandle) -> Verdict {
        let mut actions = Vec::new();
        let mut pace = StatusPace::default();
        loop {
            let events = self.hands.next_batch(MAX_WAIT);
            let (cause, events) = self.look_for_stop(&machine, events);
            let at = Clock.stamp();
            if let Some(cause) = cause {
                // A signal's handler has done it already; a command has not.
                self.hands.gate.shut();
                machine = machine.stop(&self.frame, cause, at);
            }
            if let Err(panic) = machine.cycle(at, &events, &mut actions) {
                if machine.is_stopping() {
                    return self.stop_failed(&panic);
                }
                machine = self.stop_after_panic(panic, at);
            }
            let was_trading = machine.is_trading();
            machine = match machine.advance(&mut self.frame, at, &mut actions) {
                Ok(machine) => machine,
                Err(panic) => self.stop_after_panic(panic, at),
            };
            if !was_trading && machine.is_trading() {
                self.ready(&machine, locks);
            }
            if let Some(verdict) = self.hands.carry_out(at, actions.drain(..)) {
                return verdict;
            }
            if log.has_terminal() && pace.is_due(at.boot) {
                log.show_status(Some(self.status_line(&machine, at)));
            }
        }
    }

    /// Takes what begins a stop out of the batch. Later signals stay in: the stop counts them.
    fn look_for_stop(&mut self, machine: &Machine, events: Vec<Event>) -> (Option<StopCause>, Vec<Event>) {
        if machine.is_stopping() {
            return (None, events);
        }
        let mut cause = None;
        let mut rest = Vec::with_capacity(events.len());
        for event in events {
            match event {
                Event::Signal(signal) if cause.is_none() => cause = Some(StopCause::Signal(signal)),
                Event::Command(_, Command::Stop) if cause.is_none() => {
                    cause = Some(StopCause::Command);
                    rest.push(event);
                }
                Event::Command(_, Command::Restart) if cause.is_none() => {
                    cause = Some(StopCause::Restart);
                    rest.push(event);
                }
                other => rest.push(other),
            }
        }
        // The handler shut the gate and its thread does not tell which signal it was: it died, or never started.
        let now = Clock.boot();
        if cause.is_none()
            && self.hands.gate.is_shut()
            && now >= self.gate_seen_shut.get_or_insert(now).after(SIGNAL_PATIENCE)
        {
            cause = Some(StopCause::Signal(SignalName::Term));
        }
        (cause, rest)
    }

    fn stop_after_panic(&mut self, what: String, at: Stamp) -> Machine {
        log::error!("The trading machine failed: {what}. It is dropped; the stop works from the state on disk");
        self.hands.gate.shut();
        let mut state = self.hands.state_from_store().unwrap_or_else(|| {
            log::error!(
                "The store does not answer: the stop works from the state at the start and from the venue's lists"
            );
            self.state_at_start.clone()
        });
        // A number that was given to a record is never given again, whatever the store could tell.
        state.journal_seq = state.journal_seq.max(self.hands.last_lsn());
        let first_request = self.hands.fresh_request_number();
        let catalogue = self.catalogue.clone();
        Machine::stop_after_panic(&self.frame, what, &state, catalogue, first_request, at)
    }

    /// Nothing orderly is left to do. The draft on disk says 3 and names the orders.
    fn stop_failed(&self, panic: &str) -> Verdict {
        log::error!("THE STOP ITSELF FAILED ({panic}). Orders may be open: see {}", self.frame.report_path);
        Verdict { exit_code: 3, summary: format!("the stop failed, orders may be open, exit code 3: {panic}") }
    }

    /// Trading begins: the catalogue is whole now, and others may rely on us.
    fn ready(&mut self, machine: &Machine, locks: &mut Locks) {
        self.catalogue = machine.desk().catalogue.clone();
        if let Err(error) = locks.write_pid(std::process::id()) {
            log::warn!("No pid file: {error}");
        }
        match machine.phase().as_str() {
            "trading" => log::info!("Trading begins"),
            on_hold => log::warn!("The start is through; {on_hold}"),
        }
    }

    fn status_line(&self, machine: &Machine, at: Stamp) -> StatusLine {
        let desk = machine.desk();
        let held = desk.positions().filter(|(_, position)| !position.qty.is_zero());
        StatusLine {
            mode: desk.identity.mode,
            phase: machine.phase(),
            uptime: at.boot.since(self.began),
            orders_open: desk.orders.n_open() + desk.orders.n_new(),
            orders_unknown: desk.orders.n_unknown(),
            fills: desk.tally().fills,
            profit: status::profit(desk),
            positions: held.map(|(instrument, position)| (instrument.symbol().clone(), position.qty)).collect(),
            links_down: Vec::new(),
        }
    }

    /// Store, log, locks: in this order, each by its deadline.
    fn let_go(mut self, verdict: Verdict, locks: Locks, log: LogHandle) -> u8 {
        log.show_status(None);
        self.hands.store.close();
        let closing = join_by(vec![self.store], STORE_CLOSE, || self.hands.inbox.hold());
        if !closing.ok {
            log::error!("The store thread does not end; what it had is on disk or is not, the report above tells");
        }
        match verdict.exit_code {
            0 | RESTART => log::info!("{}", verdict.summary),
            _ => log::error!("{}", verdict.summary),
        }
        log.flush_and_stop(LOG_CLOSE);
        drop(self.directory);
        locks.release();
        verdict.exit_code
    }
}

/// A signal that came after the stop had closed its ears is a wish to end all the same: no restart then.
fn stays_a_stop(exit_code: u8, latch: &Latch) -> u8 {
    if exit_code != RESTART || !latch.last_look() {
        return exit_code;
    }
    // The log is closed by now; a closed standard error leaves nobody to be told.
    let _ = writeln!(std::io::stderr(), "A signal came during the restart: it ends here, with nothing of ours open.");
    0
}

fn start_store(
    settings: &Settings,
    directory: &StateDirectory,
    resumed: Resumed,
    events: EventSender,
) -> Result<(JoinHandle<()>, Backlog<store_thread::Message>), NotStarted> {
    let (to_store, messages) = bounded(STORE_MESSAGES_MAX);
    let (sync, limits) = (settings.store.sync, SegmentLimits::default());
    let store = Store::open(directory.clone(), resumed, sync, limits, || Clock.wall());
    if let (Mode::Live, Some(why)) = (settings.mode, store.refused()) {
        return Err(refused(3, format!("LIVE does not start on a disk that cannot be written: {why}")));
    }
    let thread = std::thread::Builder::new()
        .name("store".into())
        .spawn(move || {
            store_thread::run(store, &messages, |event| {
                events.send(event);
            })
        })
        .map_err(|error| refused(1, format!("the store thread cannot start: {error}")))?;
    Ok((thread, Backlog::new(to_store)))
}

/// Without a control socket the daemon trades all the same: signals stop it.
fn start_control(directory: &StateDirectory, events: &EventSender, askers: &Askers) -> Option<Server> {
    let (events, askers) = (events.clone(), Arc::clone(askers));
    let last = AtomicU64::new(0);
    let on_command = move |command: Command| {
        let id = CommandId(last.fetch_add(1, Ordering::Relaxed) + 1);
        let (to, answer) = bounded::<CommandAnswer>(1);
        askers.lock().unwrap_or_else(PoisonError::into_inner).insert(id, to);
        events.send(Event::Command(id, command));
        answer
    };
    match Server::open(&directory.path_of("control.sock"), COMMAND_PATIENCE, on_command) {
        Ok(server) => Some(server),
        Err(error) => {
            log::error!("{error}. Commands do not reach this daemon; signals do");
            None
        }
    }
}
