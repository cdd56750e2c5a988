//! The paper exchange: the exchange model on a thread of its own, behind the same outbox and workers as a real venue.
//!
//! Always holds: what happens at the venue stands in its ledger (`paper/<venue>.jsonl`) before anyone hears of it; the
//! ledger is the paper account's memory, and the trader never writes it.
//! Never does: answer while its ledger cannot be written. Then the venue is silent, as a real one may be.

mod words;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};

pub use self::words::{answered, ask, pushed, quote};
use super::channels::{EventSender, PAPER_ASKS_MAX, QuoteBoard};
use super::clock::Clock;
use super::live::FeedEnd;
use super::model_clock::ModelClock;
use super::workers::{Severed, Transport};
use crate::domain::event::{Event, LinkState, Stream};
use crate::domain::ids::{Symbol, VenueId};
use crate::domain::instrument::{InstrumentRules, VenueTraits};
use crate::domain::money::Decimal;
use crate::domain::request::{Answered, Request};
use crate::domain::settings::{SimSettings, VenueSettings};
use crate::exchange::{AccountId, Ask, BadLedger, Emit, Exchange, Listing, Micros, Reply, Setup, Ticket};

/// The one account of a paper venue.
const ACCOUNT: AccountId = AccountId(0);
/// The thread looks at the clock at least this often.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// A ledger that has grown beyond this is begun anew; the old one is put aside as `<venue>.jsonl.1`.
const LEDGER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// An ask on its way to the exchange.
struct Asked {
    ask: Ask,
    reply: Sender<Reply>,
}

/// A paper exchange that runs.
pub struct PaperVenue {
    asks: Sender<Asked>,
    thread: JoinHandle<()>,
    request_timeout: Duration,
    clock: ModelClock,
}

/// Where a paper exchange has its market from.
pub enum Source {
    /// It invents one.
    Invented {
        /// Symbols beside the configured ones: orders were left there.
        also: Vec<Symbol>,
    },
    /// A real venue's live prices.
    Fed {
        /// The venue's rules.
        rules: Vec<InstrumentRules>,
        /// Where the prices come.
        end: FeedEnd,
    },
}

impl Source {
    fn setup(self, settings: &VenueSettings) -> (Setup, Option<FeedEnd>) {
        match self {
            Source::Invented { also } => {
                let symbols: Vec<_> = settings.symbols.iter().cloned().chain(also).collect();
                (Setup::from_settings(&settings.sim, &symbols), None)
            }
            Source::Fed { rules, end } => {
                // No price is known before the first one comes, and nothing trades before it.
                let listings = rules.into_iter().map(|rules| Listing { rules, start_price: Decimal::ZERO }).collect();
                let mut setup = Setup { listings, fed: true, ..Setup::from_settings(&settings.sim, &[]) };
                setup.open_account(ACCOUNT);
                (setup, Some(end))
            }
        }
    }
}

/// Why a paper exchange cannot open.
#[derive(Debug, thiserror::Error)]
pub enum CannotOpen {
    /// The system refused.
    #[error("the paper account {}: {error}", .place.display())]
    System {
        /// Which file.
        place: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// The file is not what we wrote.
    #[error("the paper account {} is damaged: {error}. Move it away to begin with a new account", .place.display())]
    Ledger {
        /// Which file.
        place: PathBuf,
        /// Where and how.
        error: BadLedger,
    },
}

/// What the built-in market promises, from how slow it is made to be.
pub fn traits_of(settings: &SimSettings) -> VenueTraits {
    let round_trip_ms = 2 * (u64::from(settings.latency_ms) + u64::from(settings.latency_jitter_ms));
    let create_deadline = Duration::from_millis(500 + round_trip_ms);
    let lag = Duration::from_millis(100);
    VenueTraits {
        cancel_ack_is_final: settings.synchronous_cancel,
        batch_cancel_max: settings.batch_cancel_max as usize,
        cancel_by_client_id: true,
        create_deadline,
        lag,
        // The last create may arrive at its deadline and show after the lag; a little more, for two clocks.
        settle: create_deadline + lag + Duration::from_millis(50),
        listing_gap: Duration::from_millis(150),
        cancels_per_second: settings.cancels_per_second,
        cancel_burst: settings.cancels_per_second.max(1),
        request_timeout: Duration::from_millis(400 + round_trip_ms),
        open_orders_max: settings.open_orders_max,
        ..VenueTraits::default()
    }
}

impl PaperVenue {
    /// Brings the account back from its ledger (or opens one) and starts the thread `<venue>.paper`.
    pub fn open(
        folder: &Path,
        venue: VenueId,
        settings: &VenueSettings,
        source: Source,
        events: EventSender,
        quotes: QuoteBoard,
    ) -> Result<PaperVenue, CannotOpen> {
        let place = folder.join(format!("{}.jsonl", settings.name));
        let (setup, feed) = source.setup(settings);
        let (exchange, ledger) = open_ledger(&place, setup)?;
        let (asks, asked) = bounded(PAPER_ASKS_MAX);
        let clock = ModelClock::start();
        let runner = Runner {
            venue,
            clock,
            exchange,
            ledger,
            asked: BTreeMap::new(),
            last_ticket: 0,
            unwritten: Vec::new(),
            undelivered: VecDeque::new(),
            is_silent: false,
            events,
            quotes,
            feed,
        };
        let thread = std::thread::Builder::new()
            .name(format!("{}.paper", settings.name))
            .spawn(move || runner.run(&asked))
            .map_err(|error| CannotOpen::System { place, error })?;
        Ok(PaperVenue { asks, thread, request_timeout: traits_of(&settings.sim).request_timeout, clock })
    }

    /// A worker's way to it.
    pub fn transport(&self, severed: Severed) -> Box<dyn Transport> {
        let (asks, request_timeout, clock) = (self.asks.clone(), self.request_timeout, self.clock);
        Box::new(PaperTransport { asks, request_timeout, severed, clock })
    }

    /// Takes no more asks; the thread ends once every worker has let go.
    pub fn close(self) -> JoinHandle<()> {
        self.thread
    }
}

fn open_ledger(place: &Path, setup: Setup) -> Result<(Exchange, Ledger), CannotOpen> {
    let system = |error: io::Error| CannotOpen::System { place: place.to_owned(), error };
    let mut file = ledger_options().open(place).map_err(system)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(system)?;
    if bytes.is_empty() {
        return Ok((Exchange::new(setup), Ledger { place: place.to_owned(), file, n_bytes: 0 }));
    }
    let mut restored = match Exchange::restore(setup.clone(), &bytes) {
        Ok(restored) => restored,
        // The process died while it wrote the first lines: nobody has heard of that account yet.
        Err(BadLedger::Unfinished) => {
            file.set_len(0).map_err(system)?;
            return Ok((Exchange::new(setup), Ledger { place: place.to_owned(), file, n_bytes: 0 }));
        }
        Err(error) => return Err(CannotOpen::Ledger { place: place.to_owned(), error }),
    };
    if restored.torn_bytes > 0 {
        file.set_len(restored.whole_bytes as u64).map_err(system)?;
    }
    let mut ledger = Ledger { place: place.to_owned(), file, n_bytes: restored.whole_bytes };
    if ledger.is_long() {
        ledger.begin_anew(&mut restored.exchange).map_err(system)?;
    }
    Ok((restored.exchange, ledger))
}

fn ledger_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options
}

/// The file behind a paper account.
struct Ledger {
    place: PathBuf,
    file: File,
    n_bytes: usize,
}

impl Ledger {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n_written = self.file.write(bytes)?;
        self.n_bytes += n_written;
        Ok(n_written)
    }

    fn is_long(&self) -> bool {
        self.n_bytes > LEDGER_BYTES_MAX
    }

    /// Puts a long ledger aside and goes on in one that begins with all that still matters. On an error the long one
    /// stays in use.
    fn begin_anew(&mut self, exchange: &mut Exchange) -> io::Result<()> {
        let fresh = self.place.with_extension("jsonl.new");
        let mut text = exchange.checkpoint_lines().join("\n");
        text.push('\n');
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&self.place, self.place.with_extension("jsonl.1"))?;
        std::fs::rename(&fresh, &self.place)?;
        self.file = ledger_options().open(&self.place)?;
        self.n_bytes = text.len();
        Ok(())
    }
}

struct Runner {
    venue: VenueId,
    clock: ModelClock,
    exchange: Exchange,
    ledger: Ledger,
    asked: BTreeMap<Ticket, Sender<Reply>>,
    last_ticket: u64,
    unwritten: Vec<u8>,
    undelivered: VecDeque<Emit>,
    is_silent: bool,
    events: EventSender,
    quotes: QuoteBoard,
    /// The live market, where there is one; the venue's own thread tells whether it is up.
    feed: Option<FeedEnd>,
}

impl Runner {
    fn run(mut self, asked: &Receiver<Asked>) {
        let mut emitted = Vec::new();
        self.exchange.catch_up(self.clock.now(), &mut emitted);
        self.deliver(emitted);
        // A fed market is up when its feed is, and the threads that feed it tell.
        let own = if self.feed.is_some() { &[Stream::Private][..] } else { &[Stream::Public, Stream::Private] };
        for stream in own.iter().copied() {
            self.events.send(Event::Link(self.venue, stream, LinkState::Up));
        }
        loop {
            match self.next_ask(asked) {
                Ok(first) => {
                    self.submit(first);
                    while let Ok(next) = asked.try_recv() {
                        self.submit(next);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.take_feed();
            let mut emitted = Vec::new();
            self.exchange.advance(self.clock.now(), &mut emitted);
            self.deliver(emitted);
        }
    }

    /// The next ask, or nothing when something else is due.
    fn next_ask(&self, asked: &Receiver<Asked>) -> Result<Asked, RecvTimeoutError> {
        let Some(feed) = &self.feed else { return asked.recv_timeout(self.wait()) };
        select! {
            recv(asked) -> ask => ask.map_err(|_| RecvTimeoutError::Disconnected),
            recv(feed.woken()) -> _ => Err(RecvTimeoutError::Timeout),
            default(self.wait()) => Err(RecvTimeoutError::Timeout),
        }
    }

    fn take_feed(&mut self) {
        let Some(feed) = &self.feed else { return };
        for quote in feed.take() {
            if let (Some(bid), Some(ask)) = (quote.bid, quote.ask) {
                self.exchange.feed(self.clock.now(), &quote.symbol, bid, ask);
            }
        }
    }

    fn wait(&self) -> Duration {
        let due = self.exchange.next_due().map_or(i64::MAX, Micros::micros);
        let us = due.saturating_sub(self.clock.now().micros()).max(0);
        Duration::from_micros(us.unsigned_abs()).min(LONGEST_WAIT)
    }

    fn submit(&mut self, asked: Asked) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.asked.insert(ticket, asked.reply);
        self.exchange.submit(self.clock.now(), ACCOUNT, ticket, asked.ask);
    }

    /// Writes first, then tells. What cannot be written is not told: it waits, and so does everything after it.
    fn deliver(&mut self, emitted: Vec<Emit>) {
        for emit in emitted {
            match emit {
                Emit::Ledger(line) => {
                    self.unwritten.extend_from_slice(line.as_bytes());
                    self.unwritten.push(b'\n');
                }
                other => self.undelivered.push_back(other),
            }
        }
        while !self.unwritten.is_empty() {
            match self.ledger.write(&self.unwritten) {
                Ok(n_written) => {
                    self.unwritten.drain(..n_written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.fall_silent(&error);
                    return;
                }
            }
        }
        if std::mem::take(&mut self.is_silent) {
            log::warn!("The paper exchange can write its ledger again and answers");
        }
        for emit in std::mem::take(&mut self.undelivered) {
            self.tell(emit);
        }
        if self.ledger.is_long()
            && let Err(error) = self.ledger.begin_anew(&mut self.exchange)
        {
            // Tried again after as much again: a full disk is told by the write that fails on it.
            log::warn!("The paper ledger is long and cannot be begun anew: {error}");
            self.ledger.n_bytes = 0;
        }
    }

    fn fall_silent(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.is_silent, true) {
            log::error!("The paper exchange cannot write its ledger ({error}); it answers nothing until it can");
        }
    }

    fn tell(&mut self, emit: Emit) {
        match emit {
            Emit::Answer(ticket, reply) => {
                if let Some(waiting) = self.asked.remove(&ticket) {
                    // A worker that has given up is not there any more.
                    let _ = waiting.try_send(reply);
                }
            }
            Emit::Push(_, push) => {
                self.events.send(pushed(self.venue, &push));
            }
            Emit::Quote(prices) => self.quotes.put(quote(self.venue, prices)),
            Emit::Ledger(_) => {}
        }
    }
}

struct PaperTransport {
    asks: Sender<Asked>,
    request_timeout: Duration,
    severed: Severed,
    clock: ModelClock,
}

impl Transport for PaperTransport {
    fn call(&mut self, request: &Request) -> Answered {
        // A cut that was meant for an earlier request is not meant for this one.
        while self.severed.try_recv().is_ok() {}
        let (reply, replied) = bounded(1);
        let ask = ask(request, (Clock.boot(), self.clock.now()));
        match self.asks.send_timeout(Asked { ask, reply }, self.request_timeout) {
            Ok(()) => {}
            Err(_) => return Answered::NotSent("the paper exchange takes no asks".into()),
        }
        select! {
            recv(replied) -> reply => match reply {
                Ok(reply) => answered(&request.call, reply),
                Err(_) => Answered::Unknown("the paper exchange has gone".into()),
            },
            recv(self.severed) -> _ => Answered::Unknown("the connection was cut".into()),
            default(self.request_timeout) => Answered::Unknown(format!("no answer within {} ms", self.request_timeout.as_millis())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Decimal;
    use crate::domain::order::{Side, TimeInForce};
    use crate::exchange::NewOrder;

    fn resting(client_id: &str, price: i64) -> Ask {
        Ask::Create(NewOrder {
            client_id: client_id.to_owned(),
            symbol: Symbol::new("BTC-USDT"),
            side: Side::Buy,
            price: Decimal::whole(price),
            qty: Decimal::from_units(1_000_000_000_000_000),
            time_in_force: TimeInForce::Gtc,
            not_after: None,
        })
    }

    #[test]
    fn a_long_ledger_is_begun_anew_and_no_order_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("main.jsonl");
        let setup = Setup { activity: 0, ..Setup::new(&[Symbol::new("BTC-USDT")]) };
        let (mut exchange, mut ledger) = open_ledger(&place, setup.clone()).unwrap();
        for number in 0..20 {
            exchange.submit(Micros::new(1_000), ACCOUNT, Ticket(number), resting(&format!("order-{number}"), 40_000));
        }
        let mut emitted = Vec::new();
        exchange.advance(Micros::new(2_000), &mut emitted);
        for emit in emitted {
            if let Emit::Ledger(line) = emit {
                ledger.write(format!("{line}\n").as_bytes()).unwrap();
            }
        }
        let before = exchange.open_orders(ACCOUNT);
        assert_eq!(before.len(), 20);
        ledger.begin_anew(&mut exchange).unwrap();
        assert!(folder.path().join("main.jsonl.1").exists(), "the old one is put aside");
        let (again, _) = open_ledger(&place, setup).unwrap();
        assert_eq!(again.open_orders(ACCOUNT), before);
    }
}
