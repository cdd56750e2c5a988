//! The dead man's switch: armed by a subscription, kept off by pings, and it is not a timer.
//!
//! Always holds: it runs out only when no socket of the account that subscribed it has pinged for the window; then every
//! active order of that product is taken off the book, whoever placed it. It arms again with the next ping.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::Answer;
use super::gate::Access;
use super::names::Category;
use super::query::Fields;
use super::{Due, Gateway};
use crate::exchange::dialects::SocketId;
use crate::exchange::ledger::Line;
use crate::exchange::{AccountId, Micros, Reason};

/// Seconds until an account's switch fires where nobody has set it.
const WINDOW_USUAL_S: u32 = 10;

/// What a switch covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Product {
    Spot,
    Derivatives,
    Options,
}

impl Product {
    const ALL: [Product; 3] = [Product::Spot, Product::Derivatives, Product::Options];

    fn parse(text: &str) -> Option<Product> {
        match text {
            "SPOT" => Some(Product::Spot),
            "DERIVATIVES" => Some(Product::Derivatives),
            "OPTIONS" => Some(Product::Options),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Product::Spot => "SPOT",
            Product::Derivatives => "DERIVATIVES",
            Product::Options => "OPTIONS",
        }
    }

    pub(super) fn of_topic(topic: &str) -> Option<Product> {
        match topic {
            "dcp.spot" => Some(Product::Spot),
            "dcp.future" => Some(Product::Derivatives),
            "dcp.option" => Some(Product::Options),
            _ => None,
        }
    }

    fn covers(self, category: Category) -> bool {
        matches!((self, category), (Product::Spot, Category::Spot) | (Product::Derivatives, Category::Linear))
    }
}

/// Windows that are set, and when somebody was there last.
#[derive(Clone, Debug, Default)]
pub(super) struct Switches {
    windows_s: BTreeMap<(AccountId, Product), u32>,
    /// Only of switches that are armed.
    alive_at: BTreeMap<(AccountId, Product), Micros>,
}

impl Switches {
    pub(super) fn new(kept: &BTreeMap<(AccountId, String), u32>) -> Switches {
        let windows = kept.iter().filter_map(|((account, product), &window_s)| {
            Product::parse(product).map(|product| ((*account, product), window_s))
        });
        Switches { windows_s: windows.collect(), alive_at: BTreeMap::new() }
    }
}

impl Gateway {
    pub(super) fn has_switch(&self, account: AccountId) -> bool {
        self.keys.iter().any(|key| key.account == account && key.has_switch)
    }

    pub(super) fn set_switch(&mut self, access: Access, fields: &Fields) -> Result<Answer, Answer> {
        if !self.has_switch(access.account) {
            return Err(Answer::error(10_005, "Permission denied, please check your API key permissions."));
        }
        // The product nobody here trades is what it means when none is named.
        let product = match fields.text("product")? {
            None => Product::Options,
            Some(text) => {
                Product::parse(text).ok_or_else(|| Answer::error(10_001, "params error: product is invalid"))?
            }
        };
        let window_s = fields.number("timeWindow")?.and_then(|window_s| u32::try_from(window_s).ok());
        let Some(window_s) = window_s.filter(|window_s| (3..=300).contains(window_s)) else {
            return Err(Answer::error(10_001, "params error: timeWindow is invalid"));
        };
        let account = access.account;
        self.exchange.note(Line::Switch { account, product: product.word().to_owned(), window_s });
        self.exchange.switches.insert((account, product.word().to_owned()), window_s);
        self.switches.windows_s.insert((account, product), window_s);
        self.watch(account, product);
        Ok(Answer { short: true, ..Answer::ok(Value::Null) }.saying("success"))
    }

    pub(super) fn read_switch(&self, account: AccountId) -> Answer {
        let windows = Product::ALL.iter().filter_map(|product| Some((product, self.window_s(account, *product)?)));
        let infos: Vec<Value> = windows
            .map(|(product, window_s)| {
                json!({ "product": product.word(), "dcpStatus": "ON", "timeWindow": window_s.to_string() })
            })
            .collect();
        Answer::ok(json!({ "dcpInfos": infos })).saying("success")
    }

    /// A socket was heard of: the switches it subscribed are put off.
    pub(super) fn alive(&mut self, socket: SocketId) {
        let Some(session) = self.sockets.get(&socket) else {
            return;
        };
        let Some((account, _)) = session.holder else {
            return;
        };
        let products: Vec<Product> = session.topics.iter().filter_map(|topic| Product::of_topic(topic)).collect();
        for product in products {
            self.switches.alive_at.insert((account, product), self.now);
            self.watch(account, product);
        }
    }

    /// The window of a product: as it was set, else the one that an account has which may use the switch at all.
    fn window_s(&self, account: AccountId, product: Product) -> Option<u32> {
        let set = self.switches.windows_s.get(&(account, product)).copied();
        set.or_else(|| (product != Product::Options && self.has_switch(account)).then_some(WINDOW_USUAL_S))
    }

    fn watch(&mut self, account: AccountId, product: Product) {
        if let Some(due) = self.runs_out(account, product) {
            self.schedule(due, Due::Switch(account, product));
        }
    }

    fn runs_out(&self, account: AccountId, product: Product) -> Option<Micros> {
        let window_s = self.window_s(account, product)?;
        let alive_at = self.switches.alive_at.get(&(account, product))?;
        Some(alive_at.plus(i64::from(window_s) * 1_000_000))
    }

    pub(super) fn switch_due(&mut self, account: AccountId, product: Product) {
        if self.runs_out(account, product).is_none_or(|due| due > self.now) {
            return;
        }
        self.switches.alive_at.remove(&(account, product));
        self.exchange.note(Line::SwitchFired { account, product: product.word().to_owned() });
        let live = self.exchange.accounts.get(&account).map(|holder| holder.live.clone());
        for no in live.into_iter().flatten() {
            let pit = self.exchange.orders.get(&no).map(|order| order.pit);
            if pit.is_some_and(|pit| product.covers(self.listed[pit].category)) {
                self.exchange.close(no, Reason::Countdown);
            }
        }
    }
}
