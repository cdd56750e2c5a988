//! What a tester may order: faults, the market, what happens to an account. One line of JSON each.
//!
//! Every command is an object with `command` and its fields: `{"command":"ban","seconds":600}`. Symbols are ours
//! (`BTC-USDT`, `BTC-USDT-PERP`), amounts are text, accounts are numbers. [`AdminCommand`] says what there is.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Gateway;
use super::mishaps::{HttpFault, SocketScope};
use super::names;
use crate::domain::ids::Symbol;
use crate::domain::money::Decimal;
use crate::domain::order::{Side, TimeInForce};
use crate::exchange::dialects::CloseHow;
use crate::exchange::{
    AccountId, AskKind, Cause, Fault, FaultRates, Micros, NewOrder, On, OrderMarks, OrderView, Placement, Plan, Times,
};

/// How pushes go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushFault {
    /// They come twice.
    Duplicate,
    /// They never come.
    Lose,
    /// They come later, behind their successors.
    Delay,
    /// The same, by a moment only.
    Reorder,
}

/// How a socket is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropHow {
    /// Without a close frame.
    #[default]
    Hard,
    /// With one.
    Gracefully,
    /// Not at all: nothing is read or written any more.
    Silent,
}

/// An order to the stand itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum AdminCommand {
    /// A fault of the model: `{"command":"plan","on":"create","fault":"answer_lost"}`.
    Plan {
        /// A request kind, `any_ask`, `any_cancel`, `order_push`, `fill_push` or `any_push`.
        on: On,
        /// Its word, or an object of its word and what it says: `{"delayed_answer":{"by_ms":500}}`.
        fault: Fault,
        /// How often; 0: until `heal`.
        #[serde(default = "once")]
        times: u32,
        /// Matches to let pass first.
        #[serde(default)]
        skip: u32,
        /// Only for this order.
        #[serde(default)]
        client_id: Option<String>,
        /// Only for this account.
        #[serde(default)]
        account: Option<AccountId>,
    },
    /// Rates of random faults, per thousand; those not named are 0.
    Rates {
        /// Which.
        rates: FaultRates,
    },
    /// Ends every plan, rate, ban, silence, pause and the maintenance.
    Heal {},
    /// Someone of the crowd takes.
    CrowdTakes {
        /// What.
        symbol: Symbol,
        /// Which way the taker goes.
        side: Side,
        /// At this price or better.
        price: Decimal,
        /// How much.
        qty: Decimal,
    },
    /// Moves the invented price.
    MovePrice {
        /// Of what.
        symbol: Symbol,
        /// To where.
        price: Decimal,
    },
    /// One way, from now on.
    Latency {
        /// How much.
        ms: u32,
        /// Up to this much more.
        #[serde(default)]
        jitter_ms: u32,
    },
    /// An answer over HTTP goes wrong.
    Http {
        /// Which, how, how often.
        http: HttpFault,
    },
    /// Nobody is let in for a while: status 403.
    Ban {
        /// How long; 0 ends it.
        seconds: u32,
    },
    /// Every request but time and status is refused.
    Maintenance {
        /// Whether.
        on: bool,
    },
    /// Listings of open orders are as they were a while ago.
    StaleListing {
        /// How long ago.
        by_ms: u32,
        /// How often; 0: until `heal`.
        #[serde(default = "once")]
        times: u32,
    },
    /// Ends sockets.
    DropSockets {
        /// Which.
        #[serde(default)]
        scope: SocketScope,
        /// Only of this account.
        #[serde(default)]
        account: Option<AccountId>,
        /// How.
        #[serde(default)]
        how: DropHow,
    },
    /// Sends nothing on sockets for a while.
    Silence {
        /// Which.
        #[serde(default)]
        scope: SocketScope,
        /// Only of this account.
        #[serde(default)]
        account: Option<AccountId>,
        /// How long.
        ms: u32,
    },
    /// Pushes of orders and fills go wrong.
    Pushes {
        /// How.
        fault: PushFault,
        /// How much later, for a delay.
        #[serde(default)]
        ms: Option<u32>,
        /// How often; 0: until `heal`.
        #[serde(default = "once")]
        times: u32,
        /// Only of this account.
        #[serde(default)]
        account: Option<AccountId>,
    },
    /// The next subscriptions are refused.
    RefuseSubscribe {
        /// How many.
        #[serde(default = "once")]
        times: u32,
        /// Only where a topic begins so.
        #[serde(default)]
        topic: Option<String>,
    },
    /// The venue's clock minus the model's, from now on.
    ClockSkew {
        /// How much.
        ms: i64,
    },
    /// Funding of a contract.
    Funding {
        /// Of which.
        symbol: Symbol,
        /// What a long position pays of its worth: `0.0001`.
        rate: Decimal,
    },
    /// Somebody else places an order on an account.
    ForeignOrder {
        /// Which.
        account: AccountId,
        /// What.
        symbol: Symbol,
        /// Which way.
        side: Side,
        /// At.
        price: Decimal,
        /// How much.
        qty: Decimal,
        /// Its name; without one it has none (on spot the venue makes one up).
        #[serde(default)]
        link: Option<String>,
        /// Whether what does not fill at once goes.
        #[serde(default)]
        immediate: bool,
    },
    /// The venue closes a position.
    Liquidation {
        /// Whose.
        account: AccountId,
        /// Of what.
        symbol: Symbol,
        /// As a deleveraging against somebody else's liquidation.
        #[serde(default)]
        deleveraging: bool,
    },
    /// Live orders of every account.
    Orders {},
    /// Money and contracts of every account.
    Balances {},
    /// As after a release of the venue: orders that have ended are shown by the history only.
    ForgetEnded {},
    /// What arrives waits, until it is let go on.
    Pause {
        /// Whether.
        on: bool,
    },
}

fn once() -> u32 {
    1
}

impl Gateway {
    /// Carries an order of the tester out, at this moment. What comes of it leaves with the next [`Gateway::advance`].
    pub fn command(&mut self, now: Micros, command: AdminCommand) -> Result<Value, String> {
        // Everything that is due before it comes before it.
        let mut out = Vec::new();
        self.advance(now, &mut out);
        let done = self.obey(command);
        out.append(&mut self.out);
        self.out = out;
        done
    }

    fn obey(&mut self, command: AdminCommand) -> Result<Value, String> {
        let done = json!({ "done": true });
        match command {
            AdminCommand::Plan { on, fault, times, skip, client_id, account } => {
                let times = if times == 0 { Times::Forever } else { Times::Exactly(times) };
                self.plan(Plan { on, account, client_id, fault, skip, times })
            }
            AdminCommand::Rates { rates } => {
                self.exchange.set_fault_rates(rates);
                Ok(done)
            }
            AdminCommand::Heal {} => {
                self.exchange.heal();
                self.heal_mishaps();
                Ok(done)
            }
            AdminCommand::CrowdTakes { symbol, side, price, qty } => {
                let taken = self.exchange.crowd_takes(self.now, &symbol, side, price, qty);
                if taken { Ok(done) } else { Err(format!("{symbol}: unknown, or an amount is off its grid")) }
            }
            AdminCommand::MovePrice { symbol, price } => {
                let moved = self.exchange.move_price(self.now, &symbol, price);
                if moved { Ok(done) } else { Err(format!("{symbol}: unknown, or the price is off its grid")) }
            }
            AdminCommand::Latency { ms, jitter_ms } => {
                (self.latency_us, self.jitter_us) = (i64::from(ms) * 1_000, i64::from(jitter_ms) * 1_000);
                self.note_change("latency", format!("{ms} ms one way and up to {jitter_ms} ms more"));
                Ok(done)
            }
            AdminCommand::Http { http } => {
                self.plan_http(http);
                Ok(done)
            }
            AdminCommand::Ban { seconds } => {
                self.ban(seconds);
                Ok(done)
            }
            AdminCommand::Maintenance { on } => {
                self.maintain(on);
                Ok(done)
            }
            AdminCommand::StaleListing { by_ms, times } => {
                let fault = Fault::StaleListing { by_ms: Some(by_ms) };
                let times = if times == 0 { Times::Forever } else { Times::Exactly(times) };
                self.plan(Plan { times, ..Plan::next(On::Ask(AskKind::ListOpen), fault) })
            }
            AdminCommand::ClockSkew { ms } => {
                self.skew_us = ms.saturating_mul(1_000);
                self.note_change("clock_skew", format!("{ms} ms"));
                Ok(done)
            }
            AdminCommand::Orders {} => Ok(self.all_orders()),
            AdminCommand::Balances {} => Ok(self.all_balances()),
            AdminCommand::ForgetEnded {} => {
                self.forgot_at = Some(self.now);
                Ok(done)
            }
            AdminCommand::Pause { on } => {
                self.pause(on);
                Ok(done)
            }
            AdminCommand::Funding { symbol, rate } => self.fund(&symbol, rate),
            AdminCommand::ForeignOrder { account, symbol, side, price, qty, link, immediate } => {
                let time_in_force = if immediate { TimeInForce::Ioc } else { TimeInForce::Gtc };
                self.foreign_order(account, &symbol, (side, price, qty), link, time_in_force)
            }
            AdminCommand::Liquidation { account, symbol, deleveraging } => {
                let cause = if deleveraging { Cause::AutoDeleverage } else { Cause::Liquidation };
                let closed = self.exchange.liquidate(self.now, account, &symbol, cause);
                if closed { Ok(done) } else { Err(format!("account {account} has no position in {symbol}")) }
            }
            other => self.obey_about_sockets(other),
        }
    }

    fn obey_about_sockets(&mut self, command: AdminCommand) -> Result<Value, String> {
        match command {
            AdminCommand::DropSockets { scope, account, how } => {
                let how = match how {
                    DropHow::Hard => CloseHow::Hard,
                    DropHow::Gracefully => CloseHow::Gracefully,
                    DropHow::Silent => CloseHow::FallSilent,
                };
                Ok(json!({ "sockets": self.drop_sockets(scope, account, how) }))
            }
            AdminCommand::Silence { scope, account, ms } => {
                let until = self.now.plus_millis(i64::from(ms));
                Ok(json!({ "sockets": self.silence(scope, account, until) }))
            }
            AdminCommand::Pushes { fault, ms, times, account } => {
                let fault = match fault {
                    PushFault::Duplicate => Fault::DuplicatePush,
                    PushFault::Lose => Fault::LostPush,
                    PushFault::Delay => Fault::DelayedPush { by_ms: ms.unwrap_or(1_000) },
                    PushFault::Reorder => Fault::DelayedPush { by_ms: ms.unwrap_or(20) },
                };
                let times = if times == 0 { Times::Forever } else { Times::Exactly(times) };
                self.plan(Plan { times, account, ..Plan::next(On::AnyPush, fault) })
            }
            AdminCommand::RefuseSubscribe { times, topic } => {
                self.plan_refusal(times, topic);
                Ok(json!({ "done": true }))
            }
            _ => Err("this command is not known here".to_owned()),
        }
    }

    fn plan(&mut self, plan: Plan) -> Result<Value, String> {
        self.exchange.plan(plan).map(|()| json!({ "done": true })).map_err(|error| error.to_string())
    }

    /// A mishap that strikes when it is told and lasts.
    fn note_change(&mut self, word: &str, detail: String) {
        let place = crate::exchange::faults::Place::Http;
        self.note_mishap(word, place, AccountId(0), None, Vec::new(), Some(detail));
    }

    fn ban(&mut self, seconds: u32) {
        if seconds == 0 {
            return self.windows.lift_ban();
        }
        let until = self.now.plus(i64::from(seconds) * 1_000_000);
        let detail = Some(format!("until {}", until.millis()));
        self.note_mishap("ban", crate::exchange::faults::Place::Http, AccountId(0), None, Vec::new(), detail);
        self.windows.ban(until);
    }

    fn maintain(&mut self, on: bool) {
        if on {
            let place = crate::exchange::faults::Place::Http;
            self.note_mishap("maintenance", place, AccountId(0), None, Vec::new(), None);
        }
        self.mishaps.maintenance = on;
        self.tell_status(on);
    }

    fn fund(&mut self, symbol: &Symbol, rate: Decimal) -> Result<Value, String> {
        let millionths = rate.checked_mul_int(1_000_000).and_then(|rate| rate.steps_of(Decimal::ONE));
        let Some((rate_ppm, true)) = millionths else {
            return Err(format!("a rate of {rate} is finer than a millionth, or too large"));
        };
        Ok(json!({ "accounts": self.exchange.fund(self.now, symbol, rate_ppm) }))
    }

    fn foreign_order(
        &mut self,
        account: AccountId,
        symbol: &Symbol,
        (side, price, qty): (Side, Decimal, Decimal),
        link: Option<String>,
        time_in_force: TimeInForce,
    ) -> Result<Value, String> {
        let Some(pit) = self.pit_of(symbol) else {
            return Err(format!("{symbol} is not listed"));
        };
        let category = self.listed[pit].category;
        let client_id = match link {
            Some(link) if names::link_is_good(&link) => link,
            Some(link) => return Err(format!("`{link}` is no name of an order")),
            None => names::link_made_up(category, self.exchange.last_request + 1, 0),
        };
        let order = NewOrder {
            client_id: client_id.clone(),
            symbol: symbol.clone(),
            side,
            price,
            qty,
            time_in_force,
            not_after: None,
        };
        self.placed_by_admin(account, Placement { order, marks: OrderMarks::default() });
        self.run_model(self.now);
        let which = crate::exchange::OrderRef::client(&client_id);
        match self.exchange.find(account, &which) {
            Ok(order) => Ok(json!({ "orderId": names::order_id(category, order.no), "orderLinkId": client_id })),
            Err(_) => Err("the venue refused it; its ledger says why".to_owned()),
        }
    }

    /// Every live order, for a tester to judge by.
    fn all_orders(&self) -> Value {
        let rows = |account: AccountId| -> Vec<Value> {
            let views: Vec<OrderView> = self.exchange.open_orders(account);
            let row = |view: &OrderView| {
                json!({
                    "symbol": view.symbol,
                    "orderLinkId": names::link_shown(&view.client_id),
                    "order": self.order_row(view, false),
                    "cancel_queued": view.cancel_queued,
                })
            };
            views.iter().map(row).collect()
        };
        let accounts = self.exchange.accounts.keys();
        let accounts: Vec<Value> =
            accounts.map(|account| json!({ "account": account, "orders": rows(*account) })).collect();
        json!({ "accounts": accounts })
    }

    fn all_balances(&self) -> Value {
        let accounts = self.exchange.accounts.keys().map(|account| {
            let coins = self.exchange.balances(*account);
            let coins: Vec<Value> = coins
                .iter()
                .map(|coin| json!({ "asset": coin.asset, "total": coin.total, "locked": coin.locked }))
                .collect();
            let positions = self.exchange.positions(*account);
            let positions: Vec<Value> = positions
                .iter()
                .map(|position| json!({ "symbol": position.symbol, "qty": position.qty, "cost": position.cost }))
                .collect();
            json!({ "account": account, "balances": coins, "positions": positions })
        });
        json!({ "accounts": accounts.collect::<Vec<Value>>() })
    }
}
