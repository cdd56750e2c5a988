//! The local exchange as a server: a gateway that speaks a venue's dialect, behind real sockets, with a ledger file and
//! an admin port.
//!
//! | thread | does |
//! |---|---|
//! | `exchange.engine` | owns the gateway and its clock; writes the ledger, then tells |
//! | `exchange.*`, `admin.*` | the connections of the two ports |
//! | `signals` | turns a signal into the end |
//!
//! | queue | from | to | holds | full |
//! |---|---|---|---|---|
//! | inbox | connections | engine | 1,024 requests and frames | the connection waits |
//! | remarks | engine | the caller of `serve` | 64 texts | the text is dropped |
//!
//! Always holds: what happens at the exchange stands in its ledger before anyone hears of it; a start with the same
//! ledger goes on with the same accounts and orders.
//! Never does: answer while its ledger cannot be written (then it is silent, as a real one may be); begin anew over a
//! damaged ledger.

mod doors;
mod engine;
mod ledger_file;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use self::doors::{AdminAsk, AdminDoor, TradingDoor};
use self::engine::Engine;
use self::ledger_file::LedgerFile;
use super::signals::StopSignals;
use crate::exchange::BadLedger;
use crate::exchange::dialects::bybit::{Gateway, GatewaySetup};
use crate::net::server::{ConnId, Incoming, Reply, Server, Settings, SocketSender};

const INBOX_MAX: usize = 1_024;
const REMARKS_MAX: usize = 64;
/// The engine works off its whole inbox in a pass; one that does not take anything for so long has ended.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(10);
/// Connections get this long to end with the exchange.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// Tickets of a server are below this.
const OWN_TICKETS_FROM: u64 = 1 << 62;
/// More than any client opens.
const CONNECTIONS_MAX: usize = 1_024;

/// What to serve, and where.
pub struct Plan {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where it is administered.
    pub admin: SocketAddr,
    /// The ledger.
    pub ledger: PathBuf,
    /// The exchange.
    pub gateway: GatewaySetup,
}

/// Where it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For clients.
    pub listen: SocketAddr,
    /// For whoever administers it.
    pub admin: SocketAddr,
}

/// What is to be told while it runs.
pub enum News {
    /// Both ports take connections. An error here ends it.
    Ready(Addresses),
    /// Something for the operator to know.
    Remark(String),
}

/// Why an exchange cannot be served, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum CannotServe {
    /// The ledger cannot be opened.
    #[error("the ledger {}: {error}", .place.display())]
    Ledger {
        /// Which file.
        place: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The ledger is not what an exchange wrote.
    #[error("the ledger {} is damaged: {error}. Move it away to begin with new accounts", .place.display())]
    Damaged {
        /// Which file.
        place: PathBuf,
        /// Where and how.
        error: BadLedger,
    },
    /// A port.
    #[error("cannot listen at {address}: {error}. Choose another port, or 0 for any free one")]
    Port {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The last lines could not be written.
    #[error("the end of the ledger could not be written: {0}")]
    Unwritten(io::Error),
    /// Threads or signals.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
    /// The engine is gone: a defect.
    #[error("the exchange ended by itself: this is a defect of it, and the ledger holds all that happened")]
    Ended,
}

/// What the engine gets.
enum Inbound {
    Http(Incoming, Reply),
    SocketOpen(ConnId, String, SocketSender),
    SocketText(ConnId, String),
    SocketClosed(ConnId),
    Admin(AdminAsk, Reply),
    /// Work off what is there, write everything, end.
    End,
}

/// Serves until a signal comes. `tell` is told when it is ready, and of what goes wrong.
pub fn serve(plan: Plan, tell: &mut dyn FnMut(News) -> io::Result<()>) -> Result<(), CannotServe> {
    let signals = StopSignals::register(&Arc::new(AtomicBool::new(false)))?;
    let (gateway, ledger, last_ticket) = open(&plan.ledger, plan.gateway)?;
    let (inbound, inbox) = bounded(INBOX_MAX);
    let (remark, remarks) = bounded(REMARKS_MAX);
    let engine = start_engine(Engine::new(gateway, ledger, last_ticket, remark), inbox)?;
    let (stop, stopped) = bounded(1);
    let _watch = signals.watch(move |_| {
        // Full: it has been told to stop already.
        let _ = stop.try_send(());
    })?;
    let doors = open_doors(plan.listen, plan.admin, &inbound)?;
    let addresses = Addresses { listen: doors[0].local_addr(), admin: doors[1].local_addr() };
    let mut outcome = tell(News::Ready(addresses)).map_err(CannotServe::from);
    while outcome.is_ok() {
        select! {
            recv(stopped) -> _ => break,
            recv(remarks) -> text => match text {
                Ok(text) => outcome = tell(News::Remark(text)).map_err(CannotServe::from),
                // Nobody can remark any more.
                Err(_) => outcome = Err(CannotServe::Ended),
            },
        }
    }
    for door in doors {
        door.close(CLOSE_PATIENCE);
    }
    // An engine that has gone takes nothing.
    let _ = inbound.send_timeout(Inbound::End, HAND_OVER_PATIENCE);
    let ended = engine.join().unwrap_or(Err(CannotServe::Ended));
    outcome.and(ended)
}

/// The gateway as the ledger left it, or a new one.
fn open(place: &Path, setup: GatewaySetup) -> Result<(Gateway, LedgerFile, u64), CannotServe> {
    let system = |error: io::Error| CannotServe::Ledger { place: place.to_owned(), error };
    let (mut ledger, bytes) = LedgerFile::open(place).map_err(system)?;
    if bytes.is_empty() {
        return Ok((Gateway::new(setup), ledger, 0));
    }
    let restored = match Gateway::restore(setup.clone(), &bytes) {
        Ok(restored) => restored,
        // It was killed while it wrote the first lines: nobody has heard of that account yet.
        Err(BadLedger::Unfinished) => {
            ledger.cut(0).map_err(system)?;
            return Ok((Gateway::new(setup), ledger, 0));
        }
        Err(error) => return Err(CannotServe::Damaged { place: place.to_owned(), error }),
    };
    if restored.torn_bytes > 0 {
        ledger.cut(restored.whole_bytes).map_err(system)?;
    }
    Ok((restored.gateway, ledger, last_ticket(&bytes)))
}

/// The largest number a request had: tickets go on from there, so that each stands in the ledger once.
fn last_ticket(ledger: &[u8]) -> u64 {
    const NAME: &[u8] = b"\"ticket\":";
    let number_at = |start: usize| {
        let digits = ledger[start..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    };
    let places = ledger.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    let numbers = places.map(|(start, _)| number_at(start + NAME.len()));
    // What the gateway asks by itself has numbers of its own, above all of ours.
    numbers.filter(|number| *number < OWN_TICKETS_FROM).max().unwrap_or(0)
}

fn start_engine(engine: Engine, inbox: Receiver<Inbound>) -> io::Result<JoinHandle<Result<(), CannotServe>>> {
    let thread = std::thread::Builder::new().name("exchange.engine".to_owned());
    thread.spawn(move || engine.run(&inbox))
}

fn open_doors(listen: SocketAddr, admin: SocketAddr, inbound: &Sender<Inbound>) -> Result<[Server; 2], CannotServe> {
    let trading_settings = Settings { connections_max: CONNECTIONS_MAX, ..Settings::named("exchange") };
    let trading = TradingDoor { to: inbound.clone() };
    let trading = Server::start(listen, trading_settings, Arc::new(trading))
        .map_err(|error| CannotServe::Port { address: listen, error })?;
    let administration = AdminDoor { to: inbound.clone() };
    let administration = Server::start(admin, Settings::named("admin"), Arc::new(administration))
        .map_err(|error| CannotServe::Port { address: admin, error })?;
    Ok([trading, administration])
}
