//! One host, its venues and its disk, in time that is only a number. The machines, the outbox, the store, the exchange
//! model and the words between them are the real ones; only threads, clock and files are not.
//!
//! Always holds: the same settings and the same calls give the same world, byte for byte; nothing in here decides what
//! a daemon should do.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::disk::MemoryDisk;
use crate::domain::action::{Action, Level, Verdict};
use crate::domain::command::{Command, CommandAnswer, CommandId};
use crate::domain::event::{Closing, Event, LinkState, SignalName, Stream};
use crate::domain::ids::{Symbol, VenueId};
use crate::domain::instrument::{Catalogue, VenueTraits};
use crate::domain::money::Decimal;
use crate::domain::order::Lsn;
use crate::domain::report::Report;
use crate::domain::request::{Access, Answer, Answered, Facts, PositionRow, Request};
use crate::domain::settings::{Settings, VenueSettings};
use crate::domain::snapshot::State;
use crate::domain::stop::StopCause;
use crate::domain::time::{Boot, Stamp, Wall};
use crate::exchange::{AccountId, Emit, Exchange, Micros, Setup, Ticket};
use crate::orders::desk::{Desk, Identity};
use crate::outbox::{Gate, Lane, Next, Outbox};
use crate::runtime::machine::{Frame, Machine, OwnStrategy, epoch_of};
use crate::runtime::paper::{answered, ask, pushed, quote, traits_of};
use crate::startup::start::{Begin, Start};
use crate::store::load::{self, Loaded};
use crate::store::report::load_report;
use crate::store::thread::{Message, SegmentLimits, Store};

/// Where virtual time begins: 2026-11-20.
const BEGINNING_MS: i64 = 1_795_132_800_000;
/// The loop of the real runtime looks at the clock at least this often.
const MAX_WAIT_US: i64 = 250_000;
const LANES: [Lane; 4] = [Lane::Any, Lane::Any, Lane::NoCreates, Lane::Cancels];

/// The one account of each venue.
pub const ACCOUNT: AccountId = AccountId(0);

struct InFlight {
    request: Box<Request>,
    ticket: Ticket,
    gives_up_at: i64,
}

/// A venue with its connections.
pub struct SimVenue {
    /// The exchange: plans and what really rests.
    pub exchange: Exchange,
    /// Its ledger, line by line.
    pub ledger: Vec<String>,
    /// What the venue promises. Changed before a start, it is what that process knows of the venue.
    pub traits: VenueTraits,
    /// What it answers when asked what the key may do.
    pub access: Access,
    /// Coins that came in or went out by hand: added to what it answers of balances.
    pub moved_by_hand: BTreeMap<String, Decimal>,
    /// Contracts that came or went by hand: added to what it answers of positions.
    pub positions_by_hand: BTreeMap<Symbol, Decimal>,
    /// Why a stream delivers nothing, by stream.
    streams: BTreeMap<Stream, Feed>,
    workers: [Option<InFlight>; 4],
    request_timeout_us: i64,
}

/// Why a stream delivers nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feed {
    /// The process was told that it is down.
    Cut,
    /// It looks alive and is silent.
    Silent,
}

struct Process {
    machine: Machine,
    frame: Frame,
    outbox: Outbox,
    books: Books,
    loose: VecDeque<Event>,
}

/// What outlives a machine that panics.
struct Books {
    store: Store<MemoryDisk>,
    messages: Vec<Message>,
    is_gate_shut: bool,
    catalogue: Catalogue,
    last_request: u64,
}

impl Books {
    fn stop_after_panic(&mut self, frame: &Frame, panic: String, at: Stamp) -> Machine {
        self.is_gate_shut = true;
        let messages = std::mem::take(&mut self.messages);
        self.store.work(messages, |_| {});
        let state = self.store.state().clone();
        Machine::stop_after_panic(frame, panic, &state, self.catalogue.clone(), self.last_request + 1_000_000, at)
    }
}

/// The world.
pub struct World {
    /// Virtual microseconds since 1970.
    now_us: i64,
    settings: Settings,
    /// The disk.
    pub disk: MemoryDisk,
    /// Venues, in the order of the settings.
    pub venues: Vec<SimVenue>,
    /// What the operator read: every line since the world began.
    pub said: Vec<(Level, String)>,
    /// Answers to commands.
    pub answers: Vec<(CommandId, CommandAnswer)>,
    /// How the last process ended.
    pub verdict: Option<Verdict>,
    /// Create requests that reached a venue, by client id: none twice.
    pub creates_seen: BTreeMap<String, u32>,
    /// Pings sent on each stream.
    pub pings: BTreeMap<(VenueId, Stream), Vec<Stamp>>,
    process: Option<Process>,
    last_ticket: u64,
    last_command: u64,
    own_strategies: Vec<OwnStrategy>,
}

impl World {
    /// A world with these settings; no process runs yet.
    pub fn new(settings: Settings) -> World {
        let venues = settings.venues.iter().map(SimVenue::new).collect();
        World {
            now_us: BEGINNING_MS * 1_000,
            settings,
            disk: MemoryDisk::default(),
            venues,
            said: Vec::new(),
            answers: Vec::new(),
            verdict: None,
            creates_seen: BTreeMap::new(),
            pings: BTreeMap::new(),
            process: None,
            last_ticket: 0,
            last_command: 0,
            own_strategies: Vec::new(),
        }
    }

    /// Changes the settings of processes started from now on. Venues may go from the end, none may come.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// The next process runs this strategy in place of the one its settings describe.
    pub fn give_strategy(&mut self, own: OwnStrategy) {
        self.own_strategies.push(own);
    }

    /// Starts a process from what is on disk.
    pub fn start(&mut self) -> Result<(), load::Refusal> {
        let who = load::Identity {
            instance: self.settings.instance,
            host: "sim".into(),
            mode: self.settings.mode,
            chance: 7,
        };
        let resumed = load::load(&mut self.disk.clone(), &who)?;
        let at = self.stamp();
        let identity =
            Identity { instance: resumed.instance, epoch: epoch_of(&resumed, at.wall), mode: self.settings.mode };
        let mut state = resumed.state.clone();
        state.journal_seq = Lsn(resumed.next.0.saturating_sub(1));
        let (remarks, is_suspicious) = (resumed.notices.clone(), !matches!(resumed.loaded, Loaded::Good));
        let store =
            Store::open(self.disk.clone(), resumed, self.settings.store.sync, SegmentLimits::default(), wall_zero);
        let mut catalogue = Catalogue::default();
        for (settings, venue) in self.settings.venues.iter().zip(&self.venues) {
            catalogue.add_venue(&settings.name, venue.traits.clone());
        }
        let begin = Begin {
            desk: Desk::new(catalogue.clone(), identity, state.journal_seq, 0),
            state,
            settings: self.settings.start.clone(),
            venues: self.settings.venues.clone(),
            strategies: self.settings.strategies.clone(),
            remarks,
            is_suspicious,
        };
        let frame = Frame {
            settings: self.settings.clone(),
            identity,
            report_path: "last_shutdown.json".into(),
            own_strategies: std::mem::take(&mut self.own_strategies),
        };
        let mut loose = VecDeque::new();
        for ((place, venue), settings) in self.venues.iter().enumerate().zip(&self.settings.venues) {
            let id = VenueId(place as u8);
            for stream in [Stream::Public, Stream::Private] {
                if venue.streams.get(&stream) != Some(&Feed::Cut) {
                    loose.push_back(Event::Link(id, stream, LinkState::Up));
                }
            }
            // Whoever connects is told the prices of the moment; a still market has nothing to tell later.
            let prices = settings.symbols.iter().filter_map(|symbol| venue.exchange.quote(symbol));
            loose.extend(prices.map(|prices| Event::Quote(quote(id, prices))));
        }
        self.verdict = None;
        self.process = Some(Process {
            machine: Machine::Start(Box::new(Start::new(begin, at))),
            frame,
            outbox: Outbox::new(&catalogue),
            books: Books { store, messages: Vec::new(), is_gate_shut: false, catalogue, last_request: 0 },
            loose,
        });
        Ok(())
    }

    /// SIGKILL: the process is gone, what it had sent goes on.
    pub fn kill(&mut self) {
        self.process = None;
        for venue in &mut self.venues {
            venue.workers = [const { None }; 4];
        }
    }

    /// Begins the stop.
    pub fn stop(&mut self, cause: StopCause) {
        let at = self.stamp();
        if let Some(mut process) = self.process.take() {
            // A signal's handler shuts the gate before anybody wakes; everything else is up to the stop.
            process.books.is_gate_shut |= matches!(cause, StopCause::Signal(_));
            process.machine = process.machine.stop(&process.frame, cause, at);
            self.process = Some(process);
        }
    }

    /// SIGTERM: the first begins the stop, later ones are told to it.
    pub fn signal(&mut self, signal: SignalName) {
        match &mut self.process {
            Some(process) if process.machine.is_stopping() => process.loose.push_back(Event::Signal(signal)),
            _ => self.stop(StopCause::Signal(signal)),
        }
    }

    /// A command over the control socket.
    pub fn command(&mut self, command: Command) -> CommandId {
        self.last_command += 1;
        let id = CommandId(self.last_command);
        if let Some(process) = &mut self.process {
            process.loose.push_back(Event::Command(id, command));
        }
        id
    }

    /// Hands an event to the process in its next cycle.
    pub fn tell(&mut self, event: Event) {
        if let Some(process) = &mut self.process {
            process.loose.push_back(event);
        }
    }

    /// A stream of a venue breaks: the process is told, and nothing comes over it.
    pub fn cut(&mut self, venue: usize, stream: Stream) {
        self.venues[venue].streams.insert(stream, Feed::Cut);
        self.tell(Event::Link(VenueId(venue as u8), stream, LinkState::Down("cut".into())));
    }

    /// A stream of a venue falls silent, and nobody is told.
    pub fn silence(&mut self, venue: usize, stream: Stream) {
        self.venues[venue].streams.insert(stream, Feed::Silent);
    }

    /// A stream of a venue delivers again; what happened meanwhile is not replayed.
    pub fn mend(&mut self, venue: usize, stream: Stream) {
        if self.venues[venue].streams.remove(&stream) == Some(Feed::Cut) {
            self.tell(Event::Link(VenueId(venue as u8), stream, LinkState::Up));
        }
    }

    /// The process stands still for this long, as under a debugger or on a suspended machine; the venues go on.
    pub fn freeze(&mut self, long: Duration) {
        self.now_us += i64::try_from(long.as_micros()).unwrap_or(i64::MAX / 4);
    }

    /// The machine of the moment.
    pub fn machine(&self) -> Option<&Machine> {
        self.process.as_ref().map(|process| &process.machine)
    }

    /// The desk of the process.
    pub fn desk(&self) -> Option<&Desk> {
        self.machine().map(Machine::desk)
    }

    /// The store's fold.
    pub fn state(&self) -> Option<&State> {
        self.process.as_ref().map(|process| process.books.store.state())
    }

    /// The report on disk.
    pub fn report(&self) -> Option<Report> {
        load_report(&mut self.disk.clone()).ok().flatten().map(|(_, report)| report)
    }

    /// Now.
    pub fn stamp(&self) -> Stamp {
        Stamp {
            boot: Boot::from_nanos(self.now_us.unsigned_abs() * 1_000),
            wall: Wall::from_millis(self.now_us / 1_000),
            wall_error: Duration::ZERO,
        }
    }

    /// Runs until something holds, at most this long in virtual time. Whether it came to hold.
    pub fn run_until(&mut self, longest: Duration, mut holds: impl FnMut(&World) -> bool) -> bool {
        let end_us = self.now_us + i64::try_from(longest.as_micros()).unwrap_or(i64::MAX / 4);
        loop {
            if holds(self) {
                return true;
            }
            if self.now_us >= end_us {
                return false;
            }
            self.step(end_us);
        }
    }

    /// Runs for this long in virtual time.
    pub fn run_for(&mut self, long: Duration) {
        self.run_until(long, |_| false);
    }

    /// Runs a stop to its verdict and gives the exit code.
    pub fn run_to_verdict(&mut self) -> Option<u8> {
        self.run_until(Duration::from_secs(120), |world| world.verdict.is_some());
        self.verdict.as_ref().map(|verdict| verdict.exit_code)
    }

    /// One cycle: time moves to the next thing that happens, venues act, the process makes of it what it does.
    pub fn step(&mut self, not_after_us: i64) {
        let next = self.next_moment();
        self.now_us = next.clamp(self.now_us, not_after_us.max(self.now_us));
        let mut events = self.events();
        let at = self.stamp();
        let Some(mut process) = self.process.take() else { return };
        let owed: Vec<_> = process.loose.drain(..).collect();
        events.splice(0..0, owed);
        events.sort_by_key(|event| matches!(event, Event::Quote(_)));
        for event in &events {
            if let Event::Answer(answer) = event {
                process.outbox.answered(at.boot, answer);
            }
        }
        let mut actions = Vec::new();
        if let Err(panic) = process.machine.cycle(at, &events, &mut actions) {
            process.machine = process.books.stop_after_panic(&process.frame, panic, at);
        }
        let was_trading = process.machine.is_trading();
        process.machine = match process.machine.advance(&mut process.frame, at, &mut actions) {
            Ok(machine) => machine,
            Err(panic) => process.books.stop_after_panic(&process.frame, panic, at),
        };
        if !was_trading && process.machine.is_trading() {
            process.books.catalogue = process.machine.desk().catalogue.clone();
        }
        for action in actions {
            self.carry_out(&mut process, action);
        }
        self.feed(&mut process);
        self.process = Some(process);
        if self.verdict.is_some() {
            self.process = None;
        }
    }

    fn next_moment(&self) -> i64 {
        let owes = self
            .process
            .as_ref()
            .is_some_and(|process| !process.loose.is_empty() || !process.books.messages.is_empty());
        if owes {
            return self.now_us + 1;
        }
        let venues = self.venues.iter().filter_map(|venue| venue.exchange.next_due()).map(Micros::micros);
        let timeouts =
            self.venues.iter().flat_map(|venue| venue.workers.iter().flatten()).map(|flight| flight.gives_up_at);
        venues.chain(timeouts).chain([self.now_us + MAX_WAIT_US]).min().unwrap_or(self.now_us).max(self.now_us + 1)
    }

    /// What the outside has for the process now.
    fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let now = Micros::new(self.now_us);
        let stamp = self.stamp();
        for (place, venue) in self.venues.iter_mut().enumerate() {
            let mut told = Vec::new();
            venue.advance(VenueId(place as u8), now, stamp.boot, &mut told);
            // A venue that left the settings trades on, and nobody here is connected to it.
            if place < self.settings.venues.len() {
                events.append(&mut told);
            }
        }
        if let Some(process) = &mut self.process {
            let messages = std::mem::take(&mut process.books.messages);
            if !messages.is_empty() || process.books.store.refused().is_some() {
                process.books.store.retry(|event| events.push(event));
            }
            process.books.store.work(messages, |event| events.push(event));
        }
        events
    }

    fn carry_out(&mut self, process: &mut Process, action: Action) {
        match action {
            Action::Record(lsn, record) => process.books.messages.push(Message::Append(lsn, record)),
            Action::SaveState => process.books.messages.push(Message::SaveState),
            Action::SaveReport(which, report) => process.books.messages.push(Message::SaveReport(which, report)),
            Action::Send(request) => {
                process.books.last_request = process.books.last_request.max(request.id.0);
                if let Err((request, why)) = process.outbox.push(request) {
                    process.loose.push_back(unsent(&request, why.words()));
                }
            }
            Action::ShutGate => {
                process.books.is_gate_shut = true;
                for request in process.outbox.shut_gate() {
                    process.loose.push_back(unsent(&request, "the gate was shut"));
                }
            }
            Action::Sever(venue) => self.sever(process, venue),
            Action::Ping(venue, stream) => {
                let at = self.stamp();
                self.pings.entry((venue, stream)).or_default().push(at);
            }
            Action::Close(part, _) => {
                process.loose.push_back(Event::Closed(part, Closing { ok: true, ..Closing::default() }));
            }
            Action::Say(level, text) => self.said.push((level, text)),
            Action::Answer(id, answer) => self.answers.push((id, answer)),
            Action::Finish(verdict) => self.verdict = Some(verdict),
        }
    }

    fn sever(&mut self, process: &mut Process, venue: VenueId) {
        let at = self.stamp().boot;
        let workers = &mut self.venues[usize::from(venue.0)].workers;
        for flight in workers.iter_mut().take(2).filter_map(Option::take) {
            process.loose.push_back(answer_to(
                &flight.request,
                Some(at),
                Answered::Unknown("the connection was cut".into()),
            ));
        }
    }

    /// Idle workers take the next requests.
    fn feed(&mut self, process: &mut Process) {
        let stamp = self.stamp();
        let now = Micros::new(self.now_us);
        for (place, venue) in self.venues.iter_mut().enumerate() {
            for (number, lane) in LANES.into_iter().enumerate() {
                while venue.workers[number].is_none() {
                    let gate = if process.books.is_gate_shut { Gate::Shut } else { Gate::Open };
                    match process.outbox.next(stamp.boot, VenueId(place as u8), lane, gate) {
                        Next::Go(request) => {
                            self.last_ticket += 1;
                            let ticket = Ticket(self.last_ticket);
                            let asked = ask(&request, (stamp.boot, now));
                            if let crate::exchange::Ask::Create(order) = &asked {
                                *self.creates_seen.entry(order.client_id.clone()).or_default() += 1;
                            }
                            venue.exchange.submit(now, ACCOUNT, ticket, asked);
                            let gives_up_at = self.now_us + venue.request_timeout_us;
                            venue.workers[number] = Some(InFlight { request, ticket, gives_up_at });
                        }
                        Next::Unsent(request, why) => process.loose.push_back(unsent(&request, why.words())),
                        Next::Wait { .. } | Next::Empty => break,
                    }
                }
            }
        }
    }
}

impl SimVenue {
    fn new(settings: &VenueSettings) -> SimVenue {
        let setup = Setup::from_settings(&settings.sim, &settings.symbols);
        let timeout = traits_of(&settings.sim).request_timeout;
        SimVenue {
            exchange: Exchange::new(setup),
            ledger: Vec::new(),
            traits: traits_of(&settings.sim),
            access: Access::default(),
            moved_by_hand: BTreeMap::new(),
            positions_by_hand: BTreeMap::new(),
            streams: BTreeMap::new(),
            workers: [const { None }; 4],
            request_timeout_us: i64::try_from(timeout.as_micros()).unwrap_or(i64::MAX / 4),
        }
    }

    fn advance(&mut self, id: VenueId, now: Micros, at: Boot, events: &mut Vec<Event>) {
        let mut emitted = Vec::new();
        self.exchange.advance(now, &mut emitted);
        let mut quotes = BTreeMap::new();
        for emit in emitted {
            match emit {
                Emit::Ledger(line) => self.ledger.push(line),
                Emit::Answer(ticket, reply) => {
                    let worker =
                        self.workers.iter_mut().find(|worker| worker.as_ref().is_some_and(|it| it.ticket == ticket));
                    if let Some(flight) = worker.and_then(Option::take) {
                        let said = self.as_told(answered(&flight.request.call, reply));
                        events.push(answer_to(&flight.request, Some(at), said));
                    }
                }
                Emit::Push(..) if self.streams.contains_key(&Stream::Private) => {}
                Emit::Quote(_) if self.streams.contains_key(&Stream::Public) => {}
                Emit::Push(_, push) => events.push(pushed(id, &push)),
                Emit::Quote(prices) => {
                    quotes.insert(prices.symbol.clone(), Event::Quote(quote(id, prices)));
                }
            }
        }
        events.extend(quotes.into_values());
        self.give_up_waiting(now, at, events);
    }

    /// What the model does not know of: what happens to the account elsewhere.
    fn as_told(&self, said: Answered) -> Answered {
        match said {
            Answered::Done(Facts::Access(_)) => Answered::Done(Facts::Access(self.access.clone())),
            Answered::Done(Facts::Balances(mut balances)) => {
                for (asset, moved) in &self.moved_by_hand {
                    let amount = balances.entry(asset.clone()).or_default();
                    *amount = amount.checked_add(*moved).unwrap_or(*amount);
                }
                Answered::Done(Facts::Balances(balances))
            }
            Answered::Done(Facts::Positions(mut rows)) => {
                for (symbol, moved) in &self.positions_by_hand {
                    if !rows.iter().any(|row| row.symbol == *symbol) {
                        rows.push(PositionRow { symbol: symbol.clone(), qty: Decimal::ZERO, entry: None });
                    }
                    for row in rows.iter_mut().filter(|row| row.symbol == *symbol) {
                        row.qty = row.qty.checked_add(*moved).unwrap_or(row.qty);
                    }
                }
                Answered::Done(Facts::Positions(rows))
            }
            said => said,
        }
    }

    fn give_up_waiting(&mut self, now: Micros, at: Boot, events: &mut Vec<Event>) {
        for worker in &mut self.workers {
            if worker.as_ref().is_some_and(|flight| flight.gives_up_at <= now.micros())
                && let Some(flight) = worker.take()
            {
                events.push(answer_to(&flight.request, Some(at), Answered::Unknown("no answer in time".into())));
            }
        }
    }
}

fn unsent(request: &Request, why: &str) -> Event {
    answer_to(request, None, Answered::NotSent(why.into()))
}

fn answer_to(request: &Request, left_at: Option<Boot>, answered: Answered) -> Event {
    Event::Answer(Box::new(Answer { id: request.id, venue: request.venue, left_at, answered }))
}

/// The store stamps snapshots with a wall clock of its own; here that stands still.
fn wall_zero() -> Wall {
    Wall::from_millis(BEGINNING_MS)
}
