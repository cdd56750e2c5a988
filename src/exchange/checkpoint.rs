//! The beginning of a ledger: everything the venue remembers, as lines.
//!
//! Always holds: `restore` of these lines gives the same open orders in the same line, fills, money, and work under way.

use std::collections::BTreeMap;

use super::answers::Emit;
use super::asks::{AccountId, Micros};
use super::faults::{Fault, Place};
use super::ledger::{self, Line};
use super::money::{Purse, minus, plus};
use super::trading::fill_line;
use super::venue::{Exchange, Filled, Life, Order};
use crate::domain::money::Decimal;

impl Exchange {
    /// The beginning of a fresh ledger that stands for everything so far; write it whole, then let it take the old one's
    /// place. Lines that `advance` hands out later belong after it.
    pub fn checkpoint_lines(&mut self) -> Vec<String> {
        // Lines not handed out yet tell of what these already stand for.
        self.out.retain(|emit| !matches!(emit, Emit::Ledger(_)));
        let mut lines = vec![(
            self.now,
            Line::Meta {
                version: ledger::VERSION,
                seed: self.setup.seed,
                symbols: self.pits.iter().map(|pit| pit.symbol.clone()).collect(),
                orders: self.last_order,
                trades: self.last_trade,
                requests: self.last_request,
            },
        )];
        self.order_lines(&mut lines);
        self.late_lines(&mut lines);
        for (&account, holder) in &self.accounts {
            let time_ms = holder.countdown.map(Micros::millis);
            if time_ms.is_some() {
                lines.push((self.now, Line::Countdown { account, time_ms }));
            }
            self.holder_lines(&account.to_string(), &holder.purse, &mut lines);
        }
        for ((account, product), &window_s) in &self.switches {
            lines.push((self.now, Line::Switch { account: *account, product: product.clone(), window_s }));
        }
        self.holder_lines("crowd", &self.crowd, &mut lines);
        self.holder_lines("fees", &self.fees, &mut lines);
        for place in 0..self.pits.len() {
            lines.push((self.now, self.market_line(place)));
        }
        lines.push((self.now, Line::Ready {}));
        lines.into_iter().map(|(at, line)| self.line_at(at, line)).collect()
    }

    /// Orders, their remembered fills, their ends.
    fn order_lines(&self, lines: &mut Vec<(Micros, Line)>) {
        let mut fills: Vec<(AccountId, &Filled)> = Vec::new();
        let mut listed_lots: BTreeMap<u64, (i64, Decimal, Decimal)> = BTreeMap::new();
        for (&account, holder) in &self.accounts {
            for filled in &holder.fills {
                fills.push((account, filled));
                if let Some(order) = holder.names.get(filled.view.client_id.as_str()).and_then(|no| self.orders.get(no))
                {
                    let grid = &self.grids[order.pit];
                    let lots = grid.lots(filled.view.qty).unwrap_or(0);
                    let ticks = grid.ticks(filled.view.price).unwrap_or(0);
                    let listed = listed_lots.entry(order.no).or_default();
                    listed.0 += lots;
                    listed.1 = plus(listed.1, grid.notional(ticks, lots));
                    listed.2 = plus(listed.2, filled.view.fee);
                }
            }
        }
        fills.sort_by_key(|(_, filled)| (filled.trade, !filled.view.maker));
        for order in self.orders.values() {
            let (lots, worth, paid) = listed_lots.get(&order.no).copied().unwrap_or_default();
            let (worth, paid) = (minus(order.worth, worth), minus(order.paid, paid));
            lines.push((order.created_at, self.accepted_line(order, order.filled_lots - lots, worth, paid)));
        }
        lines.extend(fills.into_iter().map(|(account, filled)| (filled.view.at, fill_line(account, filled))));
        for order in self.closed.iter().filter_map(|no| self.orders.get(no)) {
            if let Life::Closed(at, reason) = order.life {
                let filled = self.grids[order.pit].qty(order.filled_lots);
                let who = order.who();
                lines.push((at, Line::Closed { who, reason, filled }));
            }
        }
        let mut resting: Vec<(u64, &Order)> = Vec::new();
        for order in self.orders.values() {
            if let Life::Resting(rank) = order.life {
                resting.push((rank, order));
            }
        }
        resting.sort_by_key(|(rank, order)| (order.pit, *rank));
        for (_, order) in resting {
            lines.push((order.created_at, Line::Resting { who: order.who() }));
            if let Some((due, reason)) = order.canceling {
                let time_ms = due.millis();
                let who = order.who();
                lines.push((self.now, Line::Canceling { who, time_ms, reason }));
            }
        }
    }

    fn late_lines(&self, lines: &mut Vec<(Micros, Line)>) {
        for (&request, late) in &self.late {
            let (ticket, account) = (late.ticket, late.account);
            lines.push((late.arrived, Line::Request { request, ticket, account, ask: late.ask.clone() }));
            lines.push((
                late.arrived,
                Line::Fault {
                    fault: Fault::LateExecution { after_ms: None }.word().to_owned(),
                    on: Place::Ask(late.ask.kind()),
                    account,
                    request: Some(request),
                    ticket: Some(ticket),
                    client_ids: Vec::new(),
                    time_ms: Some(late.due.millis()),
                    detail: None,
                },
            ));
        }
    }

    fn holder_lines(&self, holder: &str, purse: &Purse, lines: &mut Vec<(Micros, Line)>) {
        for (asset, coin) in &purse.coins {
            lines.push((
                self.now,
                Line::Balance { holder: holder.to_owned(), asset: asset.to_string(), total: coin.total },
            ));
        }
        for (&place, contract) in &purse.contracts {
            lines.push((
                self.now,
                Line::Position {
                    holder: holder.to_owned(),
                    symbol: self.pits[place].symbol.clone(),
                    lots: contract.lots,
                    cost: contract.cost,
                },
            ));
        }
    }
}
