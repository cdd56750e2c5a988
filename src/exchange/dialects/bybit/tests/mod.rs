//! How the gateway behaves, as sentences. A stand holds a gateway, its time, and everything that left it.

mod faults;
mod limits;
mod orders;
mod sockets;
mod switch;
mod wild;

use serde_json::{Value, json};

use super::*;
use crate::domain::ids::Symbol;
use crate::exchange::Setup;
use crate::exchange::dialects::Mangle;

pub(super) const START_MS: i64 = 1_795_169_472_000;
pub(super) const ANN: AccountId = AccountId(0);
pub(super) const BOB: AccountId = AccountId(1);
pub(super) const READER: &str = "reader";

/// A still venue with spot and contracts in both settling coins, two accounts, and a key that may only look.
pub(super) fn still() -> GatewaySetup {
    let symbols = ["BTC-USDT", "BTC-USDT-PERP", "ETH-USDC-PERP"].map(Symbol::new);
    let mut setup = Setup::new(&symbols);
    setup.open_account(BOB);
    setup.activity = 0;
    let mut ann = Key::trading("ann", "ann-secret", ANN);
    ann.has_switch = true;
    let bob = Key::trading("bob", "bob-secret", BOB);
    let reader = Key { may_trade: false, ..Key::trading(READER, "reader-secret", ANN) };
    GatewaySetup { setup, keys: vec![ann, bob, reader], limits: Limits::default(), clock_skew_ms: 0 }
}

/// The same without limits.
pub(super) fn unlimited() -> GatewaySetup {
    GatewaySetup { limits: Limits::off(), ..still() }
}

pub(super) struct Stand {
    pub(super) gateway: Gateway,
    pub(super) now: Micros,
    pub(super) heard: Vec<GatewayOut>,
    pub(super) last_ticket: u64,
    pub(super) last_socket: u64,
}

impl Stand {
    pub(super) fn new(setup: GatewaySetup) -> Stand {
        let gateway = Gateway::new(setup);
        let mut stand =
            Stand { gateway, now: Micros::from_millis(START_MS), heard: Vec::new(), last_ticket: 0, last_socket: 0 };
        stand.run_ms(0);
        stand
    }

    pub(super) fn run_ms(&mut self, ms: i64) {
        self.now = self.now.plus_millis(ms);
        self.gateway.advance(self.now, &mut self.heard);
    }

    /// Signs as a client would, by the clock it sees.
    pub(super) fn signed(&self, key: &str, method: &str, path: &str, payload: &str) -> HttpIn {
        let time = self.gateway.venue_ms().to_string();
        let text = format!("{time}{key}5000{payload}");
        let signature = sign::signature(&format!("{key}-secret"), text.as_bytes());
        let headers = [
            ("x-bapi-api-key", key),
            ("x-bapi-timestamp", &time),
            ("x-bapi-recv-window", "5000"),
            ("x-bapi-sign", &signature),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let get = method == "GET";
        HttpIn {
            method: method.to_owned(),
            path_and_query: if get { format!("{path}?{payload}") } else { path.to_owned() },
            headers,
            body: if get { Vec::new() } else { payload.as_bytes().to_vec() },
        }
    }

    pub(super) fn send(&mut self, request: HttpIn) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.gateway.http(self.now, ticket, request);
        ticket
    }

    pub(super) fn answer(&self, ticket: Ticket) -> Option<&HttpOut> {
        let mut answers = self.heard.iter().filter_map(|out| match out {
            GatewayOut::Http(answered, out) if *answered == ticket => Some(out),
            _ => None,
        });
        let answer = answers.next();
        assert!(answers.next().is_none(), "two answers to {ticket:?}");
        answer
    }

    /// Sends it and hears the answer, which comes at the same moment.
    pub(super) fn ask(&mut self, request: HttpIn) -> HttpOut {
        let ticket = self.send(request);
        self.run_ms(0);
        self.answer(ticket).expect("an answer at once").clone()
    }

    pub(super) fn get(&mut self, key: &str, path: &str, query: &str) -> Value {
        let request = self.signed(key, "GET", path, query);
        body(&self.ask(request))
    }

    pub(super) fn post(&mut self, key: &str, path: &str, fields: Value) -> Value {
        let request = self.signed(key, "POST", path, &fields.to_string());
        body(&self.ask(request))
    }

    pub(super) fn create(&mut self, category: &str, link: &str, side: &str, price: &str) -> Value {
        self.post("ann", "/v5/order/create", order(category, link, side, price))
    }

    pub(super) fn open(&mut self, key: &str, category: &str) -> Vec<String> {
        let mut links = Vec::new();
        for settle in ["USDT", "USDC"] {
            let list =
                self.get(key, "/v5/order/realtime", &format!("category={category}&settleCoin={settle}&limit=50"));
            links.extend(rows(&list).iter().map(|row| row["orderLinkId"].as_str().unwrap().to_owned()));
            if category == "spot" {
                break;
            }
        }
        links
    }

    pub(super) fn command(&mut self, command: Value) -> Value {
        let command: AdminCommand = serde_json::from_value(command).unwrap();
        let done = self.gateway.command(self.now, command).unwrap();
        self.run_ms(0);
        done
    }

    pub(super) fn socket(&mut self, path: &str) -> SocketId {
        self.last_socket += 1;
        let socket = SocketId(self.last_socket);
        self.gateway.socket_open(self.now, socket, path);
        self.run_ms(0);
        socket
    }

    pub(super) fn say(&mut self, socket: SocketId, message: Value) {
        self.gateway.socket_text(self.now, socket, &message.to_string());
        self.run_ms(0);
    }

    /// A private socket of this key that subscribed these.
    pub(super) fn private(&mut self, key: &str, topics: &[&str]) -> SocketId {
        let socket = self.socket("/v5/private");
        self.login(socket, key);
        self.say(socket, json!({ "op": "subscribe", "req_id": "1", "args": topics }));
        socket
    }

    pub(super) fn login(&mut self, socket: SocketId, key: &str) {
        let expires = self.gateway.venue_ms() + 1_000;
        let signature = sign::signature(&format!("{key}-secret"), format!("GET/realtime{expires}").as_bytes());
        self.say(socket, json!({ "op": "auth", "args": [key, expires, signature] }));
    }

    pub(super) fn texts(&self, socket: SocketId) -> Vec<Value> {
        let text = |out: &GatewayOut| match out {
            GatewayOut::Text(to, text) if *to == socket => Some(serde_json::from_str(text).unwrap()),
            _ => None,
        };
        self.heard.iter().filter_map(text).collect()
    }

    /// Rows of all messages of a topic.
    pub(super) fn pushed(&self, socket: SocketId, topic: &str) -> Vec<Value> {
        let texts = self.texts(socket).into_iter().filter(|text| text["topic"] == topic);
        texts.flat_map(|text| text["data"].as_array().unwrap().clone()).collect()
    }

    pub(super) fn lines(&self, kind: &str) -> Vec<Value> {
        let line = |out: &GatewayOut| match out {
            GatewayOut::Ledger(line) => Some(serde_json::from_str::<Value>(line).unwrap()),
            _ => None,
        };
        self.heard.iter().filter_map(line).filter(|line| line["kind"] == kind).collect()
    }

    pub(super) fn fault_words(&self) -> Vec<String> {
        self.lines("fault").iter().map(|line| line["fault"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) fn file(&self) -> Vec<u8> {
        let text = |out: &GatewayOut| match out {
            GatewayOut::Ledger(line) => Some(format!("{line}\n")),
            _ => None,
        };
        self.heard.iter().filter_map(text).collect::<String>().into_bytes()
    }

    /// Everything there is, contracts that sum to nothing left out.
    pub(super) fn totals(&self) -> Vec<(String, String)> {
        let totals = self.gateway.exchange().totals().into_iter();
        totals.filter(|(_, sum)| !sum.is_zero()).map(|(name, sum)| (name, sum.to_string())).collect()
    }

    pub(super) fn closed(&self, socket: SocketId) -> Option<CloseHow> {
        self.heard.iter().find_map(|out| match out {
            GatewayOut::CloseSocket(closed, how) if *closed == socket => Some(*how),
            _ => None,
        })
    }
}

pub(super) fn body(out: &HttpOut) -> Value {
    assert_eq!((out.status, out.mangle), (200, Mangle::None), "{}", String::from_utf8_lossy(&out.body));
    serde_json::from_slice(&out.body).unwrap()
}

pub(super) fn code(answer: &Value) -> i64 {
    answer["retCode"].as_i64().unwrap()
}

pub(super) fn rows(answer: &Value) -> Vec<Value> {
    assert_eq!(code(answer), 0, "{answer}");
    answer["result"]["list"].as_array().unwrap().clone()
}

/// A limit order of 0.01 that stays.
pub(super) fn order(category: &str, link: &str, side: &str, price: &str) -> Value {
    json!({
        "category": category,
        "symbol": "BTCUSDT",
        "side": side,
        "orderType": "Limit",
        "qty": "0.01",
        "price": price,
        "timeInForce": "GTC",
        "orderLinkId": link,
    })
}

/// The same with other fields.
pub(super) fn but(mut order: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        order[name.as_str()] = value.clone();
    }
    order
}
