//! A gateway that speaks Bybit's v5 dialect (unified account, spot and linear contracts) to any client.
//!
//! Bytes go in with [`Gateway::http`] and the `socket_` calls, time goes on with [`Gateway::advance`], and everything
//! that leaves comes out of it as [`GatewayOut`]s, to be carried out in that order. The model behind it decides; this
//! says who may ask, how fast, and how it is said. An acknowledgement says "queued" and nothing more, lists are newest
//! first, and the last page has a cursor like every other.
//!
//! Always holds: the same setup, bytes and times give the same output, byte for byte. Every request that arrives stands
//! in the ledger (`http`), refused ones with the number they were refused with, before its answer leaves; so does every
//! injected fault, at the moment it strikes. Times on the wire are the venue's clock: the model's plus the skew.
//! Never does: keep or show a secret anywhere but in its setup; trust anything a client sent.
//!
//! Absent on purpose: inverse and option markets (their lists are empty), conditional and attached orders, transfers,
//! margin borrowing, two-sided hedging (a hedged account has one net position, shown on the side it is on).

mod account;
mod admin;
mod answer;
mod desk;
mod gate;
mod lists;
mod market;
mod mishaps;
mod names;
mod private;
mod public;
mod query;
mod routes;
mod rows;
mod setup;
mod sign;
mod sockets;
mod switch;
mod windows;

use std::collections::BTreeMap;

use super::{CloseHow, GatewayOut, HttpIn, HttpOut, SocketId};
use crate::exchange::chance::Chance;
use crate::exchange::{AccountId, BadLedger, Emit, Exchange, Micros, Ticket};
use answer::Answer;
use desk::Pending;
use gate::ReplyTo;
use market::Tape;
use mishaps::Mishaps;
use names::{Category, Listed};
use public::Feeds;
use sockets::Session;
use switch::Switches;
use windows::Windows;

pub use admin::{AdminCommand, DropHow, PushFault};
pub use mishaps::{BodyKind, HttpFault, HttpFaultKind, SocketScope, When};
pub use setup::{GatewaySetup, Key, Limits};

/// Tickets of requests that came over a socket or from the admin begin here; a server's own stay below.
const OWN_TICKETS: u64 = 1 << 62;

/// A venue and the way to talk to it.
#[derive(Debug)]
pub struct Gateway {
    exchange: Exchange,
    keys: Vec<Key>,
    limits: Limits,
    skew_us: i64,
    latency_us: i64,
    jitter_us: i64,
    chance: Chance,
    now: Micros,
    queue: BTreeMap<(Micros, u64), Due>,
    last_slot: u64,
    last_ticket: u64,
    /// By the model's instruments.
    listed: Vec<Listed>,
    tapes: Vec<Tape>,
    pending: BTreeMap<Ticket, Pending>,
    windows: Windows,
    sockets: BTreeMap<SocketId, Session>,
    /// When the last that a client said on a socket arrives: what comes after arrives after it.
    landings: BTreeMap<SocketId, Micros>,
    feeds: Feeds,
    /// Orders that ended before are shown by the history only.
    forgot_at: Option<Micros>,
    switches: Switches,
    mishaps: Mishaps,
    out: Vec<GatewayOut>,
}

/// A gateway whose venue came back.
#[derive(Debug)]
pub struct RestoredGateway {
    /// At the moment of its last line. Let it [`Gateway::catch_up`] before anyone talks to it.
    pub gateway: Gateway,
    /// How much of the file is whole: cut it here before anything is appended.
    pub whole_bytes: usize,
    /// How many bytes of a torn last line follow.
    pub torn_bytes: usize,
}

/// Something to happen at its time.
#[derive(Debug)]
enum Due {
    Http(Ticket, HttpIn),
    Open(SocketId, String),
    Text(SocketId, String),
    Closed(SocketId),
    Leave(GatewayOut),
    /// Public books and tickers are looked at.
    Look,
    /// A socket may have been idle for too long.
    Idle(SocketId),
    /// A dead man's switch may have run out.
    Switch(AccountId, switch::Product),
}

impl Gateway {
    /// A new venue behind a gateway. Its time begins with the first call.
    pub fn new(setup: GatewaySetup) -> Gateway {
        let exchange = Exchange::new(inner_setup(&setup));
        Gateway::around(exchange, setup)
    }

    /// The venue whose ledger this is.
    pub fn restore(setup: GatewaySetup, ledger: &[u8]) -> Result<RestoredGateway, BadLedger> {
        let restored = Exchange::restore(inner_setup(&setup), ledger)?;
        let (whole_bytes, torn_bytes) = (restored.whole_bytes, restored.torn_bytes);
        Ok(RestoredGateway { gateway: Gateway::around(restored.exchange, setup), whole_bytes, torn_bytes })
    }

    fn around(mut exchange: Exchange, setup: GatewaySetup) -> Gateway {
        exchange.prints = Some(Vec::new());
        exchange.unanswered = Some(Vec::new());
        let listed: Vec<Listed> = exchange
            .grids
            .iter()
            .map(|grid| {
                let rules = &grid.rules;
                Listed::of(&rules.symbol, &rules.base, &rules.quote, grid.is_contract())
            })
            .collect();
        let tapes = (0..listed.len()).map(|pit| Tape::new(exchange.fair_ticks(pit))).collect();
        let switches = Switches::new(&exchange.switches);
        Gateway {
            now: exchange.now(),
            chance: Chance::new(setup.setup.seed ^ exchange.last_seq, 3),
            latency_us: setup.setup.latency_us.max(0),
            jitter_us: setup.setup.latency_jitter_us.max(0),
            keys: setup.keys,
            limits: setup.limits,
            skew_us: setup.clock_skew_ms.saturating_mul(1_000),
            queue: BTreeMap::new(),
            last_slot: 0,
            last_ticket: OWN_TICKETS,
            listed,
            tapes,
            pending: BTreeMap::new(),
            windows: Windows::default(),
            sockets: BTreeMap::new(),
            landings: BTreeMap::new(),
            feeds: Feeds::default(),
            forgot_at: None,
            switches,
            mishaps: Mishaps::default(),
            out: Vec::new(),
            exchange,
        }
    }

    /// A request. The answer comes out of [`Gateway::advance`] with the same ticket, exactly once; tickets are below 2^62.
    pub fn http(&mut self, now: Micros, ticket: Ticket, request: HttpIn) {
        let at = self.arrival(now);
        self.schedule(at, Due::Http(ticket, request));
    }

    /// A WebSocket connection was opened at this path (and query).
    pub fn socket_open(&mut self, now: Micros, socket: SocketId, path_and_query: &str) {
        self.arrives_on(now, socket, Due::Open(socket, path_and_query.to_owned()));
    }

    /// A text message of a client.
    pub fn socket_text(&mut self, now: Micros, socket: SocketId, text: &str) {
        self.arrives_on(now, socket, Due::Text(socket, text.to_owned()));
    }

    /// The connection is gone, whoever ended it.
    pub fn socket_closed(&mut self, now: Micros, socket: SocketId) {
        self.arrives_on(now, socket, Due::Closed(socket));
        self.landings.remove(&socket);
    }

    /// Lets everything happen that is due up to `to`, and hands out what came of it.
    pub fn advance(&mut self, to: Micros, out: &mut Vec<GatewayOut>) {
        self.begin(to);
        let to = to.max(self.now);
        loop {
            let own = self.queue.first_key_value().map(|((at, _), _)| *at);
            let models = self.exchange.next_due();
            let Some(at) = own.into_iter().chain(models).min().filter(|at| *at <= to) else {
                break;
            };
            // The model first: what it has to say about a moment comes before what is done about it.
            self.run_model(at.max(self.now));
            if models.is_none_or(|models| models > at)
                && let Some(due) =
                    self.queue.first_entry().filter(|entry| entry.key().0 <= self.now).map(|e| e.remove())
            {
                self.happen(due);
            }
        }
        self.run_model(to);
        out.append(&mut self.out);
    }

    /// When something is due next; `None`: not until a call comes.
    pub fn next_due(&self) -> Option<Micros> {
        if !self.out.is_empty() || !self.exchange.out.is_empty() {
            return Some(self.now);
        }
        let own = self.queue.first_key_value().map(|((at, _), _)| *at);
        own.into_iter().chain(self.exchange.next_due()).min()
    }

    /// Lets time go on after a restart, as [`Exchange::catch_up`].
    pub fn catch_up(&mut self, to: Micros, out: &mut Vec<GatewayOut>) {
        let mut emits = Vec::new();
        self.exchange.catch_up(to, &mut emits);
        self.now = self.exchange.now();
        for emit in emits {
            if let Emit::Ledger(line) = emit {
                out.push(GatewayOut::Ledger(line));
            }
        }
    }

    /// The beginning of a fresh ledger, as [`Exchange::checkpoint_lines`].
    pub fn checkpoint_lines(&mut self) -> Vec<String> {
        self.exchange.checkpoint_lines()
    }

    /// The venue behind it, for looking.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The venue's clock on the wire, in milliseconds.
    pub fn venue_ms(&self) -> i64 {
        self.ms(self.now)
    }

    fn begin(&mut self, now: Micros) {
        self.exchange.begin(now);
        if self.now == Micros::default() {
            self.now = self.exchange.now();
        }
    }

    fn arrival(&mut self, now: Micros) -> Micros {
        self.begin(now);
        now.max(self.now).plus(self.draw_latency())
    }

    /// On a socket, behind everything that was said there before.
    fn arrives_on(&mut self, now: Micros, socket: SocketId, due: Due) {
        let landing = self.arrival(now);
        let last = self.landings.entry(socket).or_default();
        *last = landing.max(*last);
        let at = *last;
        self.schedule(at, due);
    }

    fn happen(&mut self, due: Due) {
        match due {
            due @ (Due::Http(..) | Due::Text(..)) if self.mishaps.paused => self.hold(due),
            Due::Http(ticket, request) => self.http_arrived(ticket, &request),
            Due::Open(socket, path) => self.opened(socket, &path),
            Due::Text(socket, text) => self.heard(socket, &text),
            Due::Closed(socket) => self.gone(socket),
            Due::Leave(out) => self.leave(out),
            Due::Look => self.look(),
            Due::Idle(socket) => self.idle(socket),
            Due::Switch(account, product) => self.switch_due(account, product),
        }
    }

    /// Lets the model go on, and says on the wire what it says.
    fn run_model(&mut self, to: Micros) {
        let mut emits = Vec::new();
        self.exchange.advance(to, &mut emits);
        self.now = self.now.max(to);
        for emit in emits {
            match emit {
                Emit::Ledger(line) => self.out.push(GatewayOut::Ledger(line)),
                Emit::Answer(ticket, reply) => self.answered(ticket, reply),
                Emit::Push(account, push) => self.pushed(account, &push),
                // Books and tickers are looked at by a clock of their own.
                Emit::Quote(_) => {}
            }
        }
        let unanswered = self.exchange.unanswered.as_mut().map(std::mem::take);
        for ticket in unanswered.into_iter().flatten() {
            self.never_answered(ticket);
        }
        let prints = self.exchange.prints.as_mut().map(std::mem::take);
        self.printed(&prints.unwrap_or_default());
    }

    /// Something leaves now: what the model wrote before goes first.
    fn leave(&mut self, out: GatewayOut) {
        match &out {
            GatewayOut::Text(socket, _) if !self.sockets.contains_key(socket) => {}
            GatewayOut::CloseSocket(socket, how) => {
                let (socket, how) = (*socket, *how);
                if self.sockets.contains_key(&socket) {
                    self.gone(socket);
                    self.out.push(GatewayOut::CloseSocket(socket, how));
                }
            }
            _ => self.out.push(out),
        }
    }

    fn close_socket(&mut self, socket: SocketId, how: CloseHow) {
        let at = self.sockets.get(&socket).map_or(self.now, |session| session.lands.max(self.now));
        self.schedule(at, Due::Leave(GatewayOut::CloseSocket(socket, how)));
    }

    fn send_http(&mut self, ticket: Ticket, out: HttpOut) {
        let at = self.now.plus(self.draw_latency());
        self.schedule(at, Due::Leave(GatewayOut::Http(ticket, out)));
    }

    fn schedule(&mut self, at: Micros, due: Due) {
        self.last_slot += 1;
        self.queue.insert((at.max(self.now), self.last_slot), due);
    }

    fn draw_latency(&mut self) -> i64 {
        let extra = if self.jitter_us > 0 { self.chance.between(0, self.jitter_us) } else { 0 };
        self.latency_us + extra
    }

    fn own_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// A moment of the model on the venue's clock, in milliseconds.
    fn ms(&self, at: Micros) -> i64 {
        at.plus(self.skew_us).millis()
    }

    /// A moment of the venue's clock, in the model's time.
    fn model_time(&self, venue_ms: i64) -> Micros {
        Micros::from_millis(venue_ms).plus(-self.skew_us)
    }

    /// The instrument of this name.
    fn pit(&self, category: Category, name: &str) -> Option<usize> {
        self.listed.iter().position(|listed| listed.category == category && listed.name == name)
    }

    fn never_answered(&mut self, ticket: Ticket) {
        if let Some(pending) = self.pending.remove(&ticket)
            && let ReplyTo::Http(ticket) = pending.reply.to
        {
            self.send_http(ticket, mishaps::hanging());
        }
    }

    /// Sends an answer to whoever waits for it.
    fn finish(&mut self, reply: gate::Reply, answer: &Answer) {
        match reply.to {
            ReplyTo::Http(ticket) => {
                let out = self.http_out(&reply, answer);
                self.send_http(ticket, out);
            }
            ReplyTo::Trade { socket, ref req_id, ref op } => {
                let text = self.trade_text(&reply, req_id, op, socket, answer);
                self.send(socket, text);
            }
            ReplyTo::Nobody => {}
        }
    }
}

/// The model without what the gateway does itself.
fn inner_setup(setup: &GatewaySetup) -> crate::exchange::Setup {
    crate::exchange::Setup {
        latency_us: 0,
        latency_jitter_us: 0,
        cancels_per_second: 0,
        creates_per_second: 0,
        batch_cancel_max: desk::BATCH_MAX,
        cancel_all_max: desk::CANCEL_ALL_MAX,
        synchronous_cancel: false,
        ..setup.setup.clone()
    }
}

#[cfg(test)]
mod tests;
