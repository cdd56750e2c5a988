//! The engine thread: it owns the gateway and the exchange's clock, writes the ledger, and tells what came of it.
//!
//! Always holds: an answer or a push leaves only after every ledger line before it has been written.
//! Never does: wait for a client.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use serde_json::{Value, json};

use super::doors::{AdminAsk, told};
use super::ledger_file::LedgerFile;
use super::{CannotServe, Inbound};
use crate::exchange::dialects::bybit::{AdminCommand, Gateway};
use crate::exchange::dialects::{CloseHow, GatewayOut, HttpIn, HttpOut, Mangle, SocketId};
use crate::exchange::{Micros, Ticket};
use crate::net::server::{ConnId, Incoming, Reply, Response, SocketSender};
use crate::runtime::model_clock::ModelClock;

/// The thread looks at the clock at least this often.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// Requests of one pass: time goes on between two passes.
const BATCH_MAX: usize = 256;

/// The gateway with everything it needs.
pub(super) struct Engine {
    gateway: Gateway,
    ledger: LedgerFile,
    clock: ModelClock,
    remark: Sender<String>,
    replies: BTreeMap<Ticket, Reply>,
    sockets: BTreeMap<ConnId, SocketSender>,
    last_ticket: u64,
    undelivered: VecDeque<GatewayOut>,
    struck: BTreeMap<String, u64>,
    is_silent: bool,
    out: Vec<GatewayOut>,
}

impl Engine {
    pub(super) fn new(gateway: Gateway, ledger: LedgerFile, last_ticket: u64, remark: Sender<String>) -> Engine {
        Engine {
            gateway,
            ledger,
            clock: ModelClock::start(),
            remark,
            replies: BTreeMap::new(),
            sockets: BTreeMap::new(),
            last_ticket,
            undelivered: VecDeque::new(),
            struck: BTreeMap::new(),
            is_silent: false,
            out: Vec::new(),
        }
    }

    /// Runs until it is told to end or everyone who could ask has gone.
    pub(super) fn run(mut self, inbox: &Receiver<Inbound>) -> Result<(), CannotServe> {
        let mut out = std::mem::take(&mut self.out);
        self.gateway.catch_up(self.clock.now(), &mut out);
        self.out = self.sort(out);
        let mut ends = false;
        while !ends {
            self.pass();
            match inbox.recv_timeout(self.wait()) {
                Ok(first) => {
                    ends = self.take(first);
                    for next in inbox.try_iter().take(BATCH_MAX) {
                        ends |= self.take(next);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => ends = true,
            }
        }
        self.pass();
        self.ledger.sync().map_err(CannotServe::Unwritten)
    }

    fn wait(&self) -> Duration {
        let due = self.gateway.next_due().map_or(i64::MAX, Micros::micros);
        let us = due.saturating_sub(self.clock.now().micros()).max(0);
        Duration::from_micros(us.unsigned_abs()).min(LONGEST_WAIT)
    }

    /// Lets time go on and delivers what came of it.
    fn pass(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        self.gateway.advance(self.clock.now(), &mut out);
        self.out = self.sort(out);
        if let Err(error) = self.ledger.write() {
            return self.fall_silent(&error);
        }
        if std::mem::take(&mut self.is_silent) {
            self.remark("The exchange can write its ledger again and answers");
        }
        while let Some(item) = self.undelivered.pop_front() {
            self.deliver(item);
        }
    }

    /// Lines to the ledger, the rest to where it waits for them. Gives the emptied list back.
    fn sort(&mut self, mut out: Vec<GatewayOut>) -> Vec<GatewayOut> {
        for item in out.drain(..) {
            match item {
                GatewayOut::Ledger(line) => {
                    self.count_fault(&line);
                    self.ledger.push(&line);
                }
                other => self.undelivered.push_back(other),
            }
        }
        out
    }

    /// Takes what came in; `true` when it is to end.
    fn take(&mut self, inbound: Inbound) -> bool {
        let now = self.clock.now();
        match inbound {
            Inbound::Http(request, reply) => {
                self.last_ticket += 1;
                let ticket = Ticket(self.last_ticket);
                self.replies.insert(ticket, reply);
                self.gateway.http(now, ticket, http_in(request));
            }
            Inbound::SocketOpen(conn, path_and_query, to) => {
                self.sockets.insert(conn, to);
                self.gateway.socket_open(now, SocketId(conn.0), &path_and_query);
            }
            Inbound::SocketText(conn, text) => self.gateway.socket_text(now, SocketId(conn.0), &text),
            Inbound::SocketClosed(conn) => {
                self.sockets.remove(&conn);
                self.gateway.socket_closed(now, SocketId(conn.0));
            }
            Inbound::Admin(ask, reply) => reply.send(self.administer(now, &ask)),
            Inbound::End => return true,
        }
        false
    }

    fn administer(&mut self, now: Micros, ask: &AdminAsk) -> Response {
        let done = match ask {
            AdminAsk::Command(body) => match serde_json::from_slice::<AdminCommand>(body) {
                Ok(command) => self.gateway.command(now, command),
                Err(error) => return told(400, &format!("no command that this exchange knows: {error}")),
            },
            AdminAsk::Orders => self.gateway.command(now, AdminCommand::Orders {}),
            AdminAsk::Health => Ok(self.health(now)),
            AdminAsk::Faults => Ok(json!({ "struck": self.struck })),
        };
        match done {
            Ok(value) => Response::json(200, value.to_string()),
            Err(why) => told(409, &why),
        }
    }

    fn health(&self, now: Micros) -> Value {
        json!({
            "ok": !self.is_silent,
            "ledger_writable": !self.is_silent,
            "now_ms": now.millis(),
            "requests_waiting": self.replies.len(),
            "sockets": self.sockets.len(),
        })
    }

    fn deliver(&mut self, item: GatewayOut) {
        match item {
            GatewayOut::Http(ticket, answer) => {
                // A client that has given up is told nothing; its reply knows that.
                if let Some(reply) = self.replies.remove(&ticket) {
                    send(reply, answer);
                }
            }
            GatewayOut::Text(socket, text) => {
                if let Some(to) = self.sockets.get(&ConnId(socket.0)) {
                    // One that falls too far behind is ended, as a venue would; `socket_closed` follows.
                    let _ = to.text(text);
                }
            }
            GatewayOut::CloseSocket(socket, how) => {
                if let Some(to) = self.sockets.get(&ConnId(socket.0)) {
                    match how {
                        CloseHow::Gracefully => to.close(1000, ""),
                        CloseHow::Hard => to.reset_connection(),
                        CloseHow::FallSilent => to.fall_silent(),
                    }
                }
            }
            GatewayOut::Ledger(_) => {}
        }
    }

    fn count_fault(&mut self, line: &str) {
        if !line.contains("\"kind\":\"fault\"") {
            return;
        }
        let entry: Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(word) = entry["fault"].as_str() {
            *self.struck.entry(word.to_owned()).or_default() += 1;
        }
    }

    fn fall_silent(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.is_silent, true) {
            self.remark(&format!("The exchange cannot write its ledger ({error}); it answers nothing until it can"));
        }
    }

    fn remark(&self, text: &str) {
        // Full: the operator has enough to read.
        let _ = self.remark.try_send(text.to_owned());
    }
}

fn http_in(request: Incoming) -> HttpIn {
    HttpIn {
        method: request.method.as_str().to_owned(),
        path_and_query: request.path_and_query,
        headers: request.headers,
        body: request.body,
    }
}

fn send(reply: Reply, answer: HttpOut) {
    let mut response = Response::new(answer.status).body(answer.body);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    match answer.mangle {
        Mangle::None => reply.send(response),
        Mangle::Hang => reply.hang(),
        Mangle::DropConnection => reply.drop_connection(),
        Mangle::Reset => reply.reset_connection(),
        Mangle::Truncate(bytes) => reply.truncated(response, bytes),
        Mangle::Endless => reply.endless(response),
    }
}
