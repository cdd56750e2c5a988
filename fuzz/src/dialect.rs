//! Any client, and any tester, against the exchange's gateway.
//!
//! The first line holds words: `limits` (as the venue has them), `lively` (a crowd), `slow` (latency and jitter). Every
//! other line is a step:
//!
//! - `G <key> <path?query>` and `P <key> <path> <body>`: signed requests, as a client would send them.
//! - `R <method> <path> <key> <time> <window> <signature> <body>`: one with any headers.
//! - `O <path>`, `M <socket> <text>`, `C <socket>`: a socket is opened (they are counted from 0), told something, closed.
//! - `L <socket> <key>`: logs in, well signed. `S <socket> <key> <op> <arg>`: an order over a trading socket.
//! - `T <ms>`: time. `A <json>`: a command of the tester.
//!
//! Must hold: every ledger line is JSON whose `seq` rises by one; every answer is well formed, and no request has two
//! (where no tester interferes, each has one); nothing comes for a socket that is closed; money and contracts sum to
//! what they were; the ledger brings every open order back.

use std::collections::{BTreeMap, BTreeSet};

use lastorders::domain::ids::Symbol;
use lastorders::exchange::dialects::bybit::{AdminCommand, Gateway, GatewaySetup, Key, Limits};
use lastorders::exchange::dialects::{GatewayOut, HttpIn, HttpOut, Mangle, SocketId};
use lastorders::exchange::{AccountId, Micros, Setup, Ticket};
use ring::hmac;
use serde_json::{Value, json};

use crate::script::{command, lines, number_or, word};

const START_MS: i64 = 1_795_169_472_000;
const ANN: AccountId = AccountId(0);
const BOB: AccountId = AccountId(1);
/// All steps of time together: longer than sockets may be idle, and than a window of the switch.
const RUN_MS_MAX: u64 = 100_000;
/// The same with a crowd, which is busy all the time.
const LIVELY_MS_MAX: u64 = 4_000;
/// What is on its way at the end has arrived after this.
const END_MS: u64 = 1_000;
const SOCKETS_MAX: usize = 8;

/// Runs one input.
pub fn check(input: &[u8]) {
    let mut lines = lines(input);
    let setup = setup(&lines.next().unwrap_or_default());
    let mut stand = Stand::new(setup.clone());
    stand.step_ms(0);
    let totals = stand.totals();
    for line in lines {
        stand.take(&line);
        stand.step_ms(0);
    }
    stand.left_ms = END_MS;
    stand.step_ms(END_MS);
    assert_eq!(stand.totals(), totals, "money came or went");
    stand.every_request_has_its_answer();
    stand.comes_back(setup);
}

fn setup(words: &str) -> GatewaySetup {
    let has = |word: &str| words.split(' ').any(|own| own == word);
    let symbols = ["BTC-USDT", "BTC-USDT-PERP", "ETH-USDC-PERP"].map(Symbol::new);
    let mut setup = Setup::new(&symbols);
    setup.open_account(BOB);
    setup.activity = if has("lively") { 1_000 } else { 0 };
    if has("slow") {
        (setup.latency_us, setup.latency_jitter_us) = (3_000, 5_000);
    }
    let ann = Key { has_switch: true, ..Key::trading("ann", "ann-secret", ANN) };
    let bob = Key { hedge_mode: true, ..Key::trading("bob", "bob-secret", BOB) };
    let reader = Key { may_trade: false, ..Key::trading("reader", "reader-secret", ANN) };
    let limits = if has("limits") { Limits::default() } else { Limits::off() };
    GatewaySetup { setup, keys: vec![ann, bob, reader], limits, clock_skew_ms: 0 }
}

fn signature(key: &str, text: &[u8]) -> String {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, format!("{key}-secret").as_bytes());
    hmac::sign(&secret, text).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A gateway, its time, and what must hold of everything that leaves it.
struct Stand {
    gateway: Gateway,
    now: Micros,
    left_ms: u64,
    sockets: Vec<SocketId>,
    judge: Judge,
    is_left_alone: bool,
}

impl Stand {
    fn new(setup: GatewaySetup) -> Stand {
        let left_ms = if setup.setup.activity > 0 { LIVELY_MS_MAX } else { RUN_MS_MAX };
        Stand {
            gateway: Gateway::new(setup),
            now: Micros::from_millis(START_MS),
            left_ms,
            sockets: Vec::new(),
            judge: Judge::default(),
            is_left_alone: true,
        }
    }

    fn take(&mut self, line: &str) {
        let Some((step, rest)) = command(line) else { return };
        match step {
            'G' => self.get(rest),
            'P' => self.post(rest),
            'R' => self.raw(rest),
            'O' => self.open(rest),
            'M' => self.tell(rest),
            'C' => self.close(rest),
            'L' => self.log_in(rest),
            'S' => self.trade(rest),
            'T' => self.step_ms(number_or(rest, 10)),
            'A' => self.command(rest),
            _ => {}
        }
    }

    fn step_ms(&mut self, ms: u64) {
        let ms = ms.min(self.left_ms);
        self.left_ms -= ms;
        self.now = self.now.plus_millis(i64::try_from(ms).unwrap_or(0));
        let mut out = Vec::new();
        self.gateway.advance(self.now, &mut out);
        out.iter().for_each(|out| self.judge.saw(out));
    }

    fn request(&mut self, method: &str, path_and_query: &str, headers: [(&str, &str); 4], body: &[u8]) {
        let ticket = self.judge.asked();
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let (method, path_and_query, body) = (method.to_owned(), path_and_query.to_owned(), body.to_vec());
        self.gateway.http(self.now, ticket, HttpIn { method, path_and_query, headers, body });
    }

    fn signed(&mut self, method: &str, key: &str, path_and_query: &str, payload: &str, body: &[u8]) {
        let time = self.gateway.venue_ms().to_string();
        let signature = signature(key, format!("{time}{key}5000{payload}").as_bytes());
        let headers = [
            ("x-bapi-api-key", key),
            ("x-bapi-timestamp", &time),
            ("x-bapi-recv-window", "5000"),
            ("x-bapi-sign", &signature),
        ];
        self.request(method, path_and_query, headers, body);
    }

    fn get(&mut self, rest: &str) {
        let (key, path) = word(rest);
        let query = path.split_once('?').map_or("", |(_, query)| query);
        self.signed("GET", key, path, query, b"");
    }

    fn post(&mut self, rest: &str) {
        let (key, rest) = word(rest);
        let (path, body) = word(rest);
        self.signed("POST", key, path, body, body.as_bytes());
    }

    fn raw(&mut self, rest: &str) {
        let (method, rest) = word(rest);
        let (path, rest) = word(rest);
        let (key, rest) = word(rest);
        let (time, rest) = word(rest);
        let (window, rest) = word(rest);
        let (signature, body) = word(rest);
        let headers = [
            ("x-bapi-api-key", key),
            ("x-bapi-timestamp", time),
            ("x-bapi-recv-window", window),
            ("x-bapi-sign", signature),
        ];
        self.request(method, path, headers, body.as_bytes());
    }

    fn open(&mut self, path: &str) {
        if self.sockets.len() < SOCKETS_MAX {
            let socket = SocketId(self.sockets.len() as u64);
            self.sockets.push(socket);
            self.judge.open.insert(socket);
            self.gateway.socket_open(self.now, socket, path);
        }
    }

    fn socket<'a>(&self, rest: &'a str) -> Option<(SocketId, &'a str)> {
        let (number, rest) = word(rest);
        let place = usize::try_from(number_or(number, 0)).ok()?;
        Some((*self.sockets.get(place)?, rest))
    }

    fn tell(&mut self, rest: &str) {
        if let Some((socket, text)) = self.socket(rest) {
            self.gateway.socket_text(self.now, socket, text);
        }
    }

    fn close(&mut self, rest: &str) {
        if let Some((socket, _)) = self.socket(rest) {
            self.gateway.socket_closed(self.now, socket);
        }
    }

    fn log_in(&mut self, rest: &str) {
        if let Some((socket, key)) = self.socket(rest) {
            let expires = self.gateway.venue_ms().saturating_add(1_000);
            let signature = signature(key, format!("GET/realtime{expires}").as_bytes());
            let text = json!({"op": "auth", "args": [key, expires, signature]}).to_string();
            self.gateway.socket_text(self.now, socket, &text);
        }
    }

    fn trade(&mut self, rest: &str) {
        if let Some((socket, rest)) = self.socket(rest) {
            let (op, arg) = word(rest);
            let arg: Value = serde_json::from_str(arg).unwrap_or_default();
            let header = json!({"X-BAPI-TIMESTAMP": self.gateway.venue_ms().to_string()});
            let text = json!({"reqId": "r", "header": header, "op": op, "args": [arg]}).to_string();
            self.gateway.socket_text(self.now, socket, &text);
        }
    }

    fn command(&mut self, text: &str) {
        if let Ok(command) = serde_json::from_str::<AdminCommand>(text) {
            self.is_left_alone = false;
            let _ = self.gateway.command(self.now, command);
        }
    }

    fn totals(&self) -> BTreeMap<String, String> {
        let totals = self.gateway.exchange().totals().into_iter();
        totals.filter(|(_, sum)| !sum.is_zero()).map(|(name, sum)| (name, sum.to_string())).collect()
    }

    fn every_request_has_its_answer(&self) {
        if self.is_left_alone {
            assert_eq!(self.judge.answered.len() as u64, self.judge.n_asked, "a request without an answer");
        }
    }

    /// What a gateway makes of the ledger after a crash at this moment.
    fn comes_back(&self, setup: GatewaySetup) {
        let file = self.judge.file.as_bytes();
        let back = Gateway::restore(setup, file).unwrap_or_else(|error| panic!("its own ledger: {error}"));
        assert_eq!((back.whole_bytes, back.torn_bytes), (file.len(), 0));
        for account in [ANN, BOB] {
            let orders = |gateway: &Gateway| format!("{:?}", gateway.exchange().open_orders(account));
            assert_eq!(orders(&back.gateway), orders(&self.gateway), "orders that did not come back");
        }
    }
}

/// What must hold of everything that leaves.
#[derive(Debug, Default)]
pub struct Judge {
    n_asked: u64,
    answered: BTreeSet<Ticket>,
    open: BTreeSet<SocketId>,
    last_seq: Option<u64>,
    file: String,
}

impl Judge {
    fn asked(&mut self) -> Ticket {
        self.n_asked += 1;
        Ticket(self.n_asked)
    }

    /// Judges one of them.
    pub fn saw(&mut self, out: &GatewayOut) {
        match out {
            GatewayOut::Ledger(line) => self.line(line),
            GatewayOut::Http(ticket, out) => {
                assert!(ticket.0 <= self.n_asked, "an answer to nobody");
                assert!(self.answered.insert(*ticket), "two answers to {ticket:?}");
                answer(out);
            }
            GatewayOut::Text(socket, text) => {
                assert!(self.open.contains(socket), "a text for a closed socket");
                let value: Result<Value, _> = serde_json::from_str(text);
                assert!(value.is_ok_and(|value| value.is_object()), "{text}");
                assert!(!text.contains("-secret"), "a secret leaves: {text}");
            }
            GatewayOut::CloseSocket(socket, _) => assert!(self.open.remove(socket), "closed twice"),
        }
    }

    fn line(&mut self, line: &str) {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let seq = value["seq"].as_u64().unwrap_or_else(|| panic!("no number: {line}"));
        assert!(self.last_seq.is_none_or(|last| seq == last + 1), "{seq} after {:?}", self.last_seq);
        assert!(value["kind"].is_string() && value["sum"].is_string() && value["t_ms"].is_i64(), "{line}");
        assert!(!line.contains('\n') && !line.contains("-secret"), "{line}");
        self.last_seq = Some(seq);
        self.file.push_str(line);
        self.file.push('\n');
    }
}

fn answer(out: &HttpOut) {
    assert!((100..1_000).contains(&out.status) || out.mangle != Mangle::None, "status {}", out.status);
    let is_json = out.headers.iter().any(|(name, value)| name == "content-type" && value.contains("json"));
    if is_json && out.status == 200 && out.mangle == Mangle::None {
        let value: Value = serde_json::from_slice(&out.body).unwrap_or_else(|error| panic!("{error}: {out:?}"));
        assert!(value["retCode"].is_i64(), "{value}");
    }
    for (name, value) in &out.headers {
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        assert!(is_plain(name) && is_plain(value), "a header that splits the answer: {name}: {value}");
    }
}
