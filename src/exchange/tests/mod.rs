//! How the model behaves, as sentences. A bench holds a venue and everything it said.

mod faults;
mod fed;
mod ledger;
mod limits;
mod market;
mod trading;

use serde_json::Value;

use super::{
    AccountId, Ask, Body, Emit, ErrorCode, Exchange, FillView, Micros, NewOrder, OrderRef, OrderView, Push, Quote,
    Reply, Setup, Status, Ticket,
};
use crate::domain::ids::Symbol;
use crate::domain::money::Decimal;
use crate::domain::order::{Side, TimeInForce};

pub(super) const START_MS: i64 = 1_795_169_472_000;
pub(super) const ANN: AccountId = AccountId(0);
pub(super) const BOB: AccountId = AccountId(1);

pub(super) fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(super) fn btc() -> Symbol {
    Symbol::new("BTC-USDT")
}

/// A still venue with two accounts: nothing happens that a test does not ask for.
pub(super) fn still() -> Setup {
    let mut setup = Setup::new(&[btc()]);
    setup.open_account(BOB);
    setup.activity = 0;
    setup
}

/// The same with a crowd.
pub(super) fn busy(seed: u64) -> Setup {
    Setup { seed, activity: 1_000, ..still() }
}

/// A venue, its time, and everything it said.
pub(super) struct Bench {
    pub(super) exchange: Exchange,
    pub(super) now: Micros,
    pub(super) last_ticket: u64,
    pub(super) heard: Vec<Emit>,
}

impl Bench {
    pub(super) fn new(setup: Setup) -> Bench {
        Bench::on(Exchange::new(setup), Micros::from_millis(START_MS))
    }

    pub(super) fn on(exchange: Exchange, now: Micros) -> Bench {
        let mut bench = Bench { exchange, now, last_ticket: 0, heard: Vec::new() };
        bench.run_ms(0);
        bench
    }

    pub(super) fn run_ms(&mut self, ms: i64) {
        self.now = self.now.plus_millis(ms);
        self.exchange.advance(self.now, &mut self.heard);
    }

    /// Submits without waiting.
    pub(super) fn submit(&mut self, account: AccountId, ask: Ask) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.exchange.submit(self.now, account, ticket, ask);
        ticket
    }

    pub(super) fn reply(&self, ticket: Ticket) -> Option<&Reply> {
        let mut replies = self.heard.iter().filter_map(|emit| match emit {
            Emit::Answer(answered, reply) if *answered == ticket => Some(reply),
            _ => None,
        });
        let reply = replies.next();
        assert!(replies.next().is_none(), "two answers to {ticket:?}");
        reply
    }

    /// What is answered at this same moment; `None`: nothing.
    pub(super) fn try_ask(&mut self, account: AccountId, ask: Ask) -> Option<Result<Body, ErrorCode>> {
        let ticket = self.submit(account, ask);
        self.run_ms(0);
        self.reply(ticket).map(|reply| reply.result.clone())
    }

    pub(super) fn ask(&mut self, account: AccountId, ask: Ask) -> Result<Body, ErrorCode> {
        self.try_ask(account, ask).expect("an answer at once")
    }

    pub(super) fn create(&mut self, account: AccountId, new: NewOrder) -> Result<(), ErrorCode> {
        self.ask(account, Ask::Create(new)).map(|_| ())
    }

    pub(super) fn cancel(&mut self, account: AccountId, client_id: &str) -> Result<Body, ErrorCode> {
        self.ask(account, Ask::Cancel(OrderRef::client(client_id)))
    }

    pub(super) fn query(&mut self, account: AccountId, client_id: &str) -> Result<OrderView, ErrorCode> {
        match self.ask(account, Ask::Query(OrderRef::client(client_id)))? {
            Body::Order(view) => Ok(view),
            other => panic!("{other:?}"),
        }
    }

    /// Ids on all pages of the open orders.
    pub(super) fn listed(&mut self, account: AccountId) -> Result<Vec<String>, ErrorCode> {
        let mut ids = Vec::new();
        let mut cursor = None;
        loop {
            match self.ask(account, Ask::ListOpen { cursor })? {
                Body::OpenOrders { rows, next } => {
                    ids.extend(rows.into_iter().map(|row| row.client_id));
                    if next.is_none() {
                        return Ok(ids);
                    }
                    cursor = next;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) fn open(&self, account: AccountId) -> Vec<String> {
        let open = self.exchange.open_orders(account);
        open.into_iter().map(|view| view.client_id).collect()
    }

    pub(super) fn order_pushes(&self, account: AccountId, client_id: &str) -> Vec<OrderView> {
        let view = |emit: &Emit| match emit {
            Emit::Push(to, Push::Order(view)) if *to == account && view.client_id == client_id => Some(view.clone()),
            _ => None,
        };
        self.heard.iter().filter_map(view).collect()
    }

    pub(super) fn statuses(&self, account: AccountId, client_id: &str) -> Vec<Status> {
        let pushes = self.order_pushes(account, client_id);
        pushes.into_iter().map(|view| view.status).collect()
    }

    pub(super) fn fill_pushes(&self, account: AccountId) -> Vec<FillView> {
        let view = |emit: &Emit| match emit {
            Emit::Push(to, Push::Fill(view)) if *to == account => Some(view.clone()),
            _ => None,
        };
        self.heard.iter().filter_map(view).collect()
    }

    pub(super) fn quotes(&self) -> Vec<Quote> {
        let quote = |emit: &Emit| match emit {
            Emit::Quote(quote) => Some(quote.clone()),
            _ => None,
        };
        self.heard.iter().filter_map(quote).collect()
    }

    /// The ledger as it would lie on disk.
    pub(super) fn file(&self) -> Vec<u8> {
        let text = |emit: &Emit| match emit {
            Emit::Ledger(line) => Some(format!("{line}\n")),
            _ => None,
        };
        self.heard.iter().filter_map(text).collect::<String>().into_bytes()
    }

    /// Ledger lines of a kind, as anyone could read them.
    pub(super) fn lines(&self, kind: &str) -> Vec<Value> {
        let value = |emit: &Emit| match emit {
            Emit::Ledger(line) => Some(serde_json::from_str::<Value>(line).unwrap()),
            _ => None,
        };
        let lines = self.heard.iter().filter_map(value);
        lines.filter(|line| line["kind"] == kind).collect()
    }

    /// The faults in the ledger, by their words.
    pub(super) fn faults(&self) -> Vec<String> {
        let words = self.lines("fault").into_iter();
        words.map(|line| line["fault"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) fn balance(&self, account: AccountId, asset: &str) -> (String, String) {
        let rows = self.exchange.balances(account);
        let row = rows.iter().find(|row| row.asset == asset).unwrap();
        (row.total.to_string(), row.locked.to_string())
    }
}

/// A limit order of 0.010 at a price; the tests change what they care about.
pub(super) fn order(client_id: &str, side: Side, price: &str) -> NewOrder {
    NewOrder {
        client_id: client_id.to_owned(),
        symbol: btc(),
        side,
        price: decimal(price),
        qty: decimal("0.01"),
        time_in_force: TimeInForce::Gtc,
        not_after: None,
    }
}

pub(super) fn buy(client_id: &str, price: &str) -> NewOrder {
    order(client_id, Side::Buy, price)
}

pub(super) fn sell(client_id: &str, price: &str) -> NewOrder {
    order(client_id, Side::Sell, price)
}

impl NewOrder {
    pub(super) fn of(self, qty: &str) -> NewOrder {
        NewOrder { qty: decimal(qty), ..self }
    }

    pub(super) fn kept(self, time_in_force: TimeInForce) -> NewOrder {
        NewOrder { time_in_force, ..self }
    }
}
