//! From the ledger back to a venue.
//!
//! Always holds: open orders with their place in line, fills, balances, contracts, ids, requests still to be carried
//! out late, cancels under way and the dead man's switches come back. Random faults and delays begin a new sequence.
//! Never does: bring back what lay on the wire: an answer that was not delivered is lost.

use std::collections::BTreeMap;

use super::answers::{Cause, FillView, Reason};
use super::asks::{AccountId, Ask, Micros, Ticket};
use super::book::Owner;
use super::ledger::{self, BadLedger, Line, Who};
use super::money::{AMOUNT_MAX, Purse, plus};
use super::setup::{Listing, Setup};
use super::venue::{Account, Due, Exchange, Filled, Late, Life, Order};
use crate::domain::ids::{Symbol, VenueOrderId};
use crate::domain::money::Decimal;

/// A venue that came back.
#[derive(Debug)]
pub struct Restored {
    /// The venue, at the moment of its last line. Let it [`Exchange::catch_up`] before anyone talks to it.
    pub exchange: Exchange,
    /// How much of the file is whole: cut it here before anything is appended.
    pub whole_bytes: usize,
    /// How many bytes of a torn last line follow.
    pub torn_bytes: usize,
}

/// What the lines add up to.
struct Fold {
    exchange: Exchange,
    /// Requests, until it is clear that they are not to be carried out late.
    asked: Option<(u64, Ticket, AccountId, Ask)>,
    /// Orders in the order they joined the book.
    rested: Vec<u64>,
    ready: bool,
    /// Holders whose balances the ledger knows.
    holders: BTreeMap<AccountId, ()>,
}

type Folded = Result<(), String>;

impl Exchange {
    /// The venue whose ledger this is. `setup` gives limits, delays and faults; instruments and accounts it names and the
    /// ledger does not know are opened, those only the ledger knows are kept.
    pub fn restore(setup: Setup, ledger: &[u8]) -> Result<Restored, BadLedger> {
        let whole = ledger::read(ledger)?;
        let Some(last) = whole.entries.last() else {
            return Err(BadLedger::Unfinished);
        };
        let (last_seq, salt) = (last.seq, last.seq);
        let mut fold = Fold {
            exchange: Exchange::bare(setup, salt),
            asked: None,
            rested: Vec::new(),
            ready: false,
            holders: BTreeMap::new(),
        };
        for (index, entry) in whole.entries.into_iter().enumerate() {
            let at = entry.at();
            let first = index == 0;
            let folded = if first && !matches!(entry.line, Line::Meta { .. }) {
                Err("a ledger begins with its `meta` line".to_owned())
            } else {
                fold.line(at, entry.line)
            };
            folded.map_err(|why| BadLedger::Line { line: index + 1, why })?;
            fold.exchange.now = fold.exchange.now.max(at);
        }
        if !fold.ready {
            return Err(BadLedger::Unfinished);
        }
        fold.exchange.last_seq = last_seq;
        Ok(Restored { exchange: fold.finish(), whole_bytes: whole.bytes, torn_bytes: ledger.len() - whole.bytes })
    }
}

impl Fold {
    fn line(&mut self, at: Micros, line: Line) -> Folded {
        match line {
            Line::Meta { version, symbols, orders, trades, requests, seed: _ } => {
                self.meta(version, &symbols, [orders, trades, requests])
            }
            Line::Request { request, ticket, account, ask } => {
                self.exchange.last_request = self.exchange.last_request.max(request);
                self.asked = Some((request, ticket, account, ask));
                Ok(())
            }
            Line::Fault { fault, request: Some(request), time_ms: Some(time_ms), .. } if fault == "late_execution" => {
                self.late(at, request, time_ms)
            }
            Line::Executed { request } => {
                self.exchange.late.remove(&request);
                Ok(())
            }
            Line::Accepted { .. } => self.accepted(at, line),
            Line::Resting { who } => {
                let order = self.order(&who)?;
                order.life = Life::Resting(0);
                let no = order.no;
                self.rested.push(no);
                Ok(())
            }
            Line::Canceling { who, time_ms, reason } => {
                self.order(&who)?.canceling = Some((Micros::from_millis(time_ms), reason));
                Ok(())
            }
            Line::Fill { .. } => self.fill(at, line),
            Line::Closed { who, reason, .. } => self.closed(at, &who, reason),
            Line::Countdown { account, time_ms } => {
                let due = time_ms.map(Micros::from_millis);
                self.account(account).countdown = due;
                Ok(())
            }
            Line::Market { symbol, price } => {
                let place = self.pit(&symbol)?;
                let ticks = self.exchange.grids[place].ticks(price).ok_or("the price is off its grid")?;
                self.exchange.pits[place].market.set_fair_ticks(ticks);
                Ok(())
            }
            Line::Balance { .. } | Line::Position { .. } => self.holding(line),
            Line::Ready {} => {
                self.ready = true;
                Ok(())
            }
            Line::Amended { who, price, qty } => self.amended(at, &who, price, qty),
            Line::External { .. } => self.external(at, line),
            Line::Switch { account, product, window_s } => {
                self.exchange.switches.insert((account, product), window_s);
                Ok(())
            }
            Line::Fault { .. }
            | Line::Rejected { .. }
            | Line::Answer { .. }
            | Line::Http { .. }
            | Line::SwitchFired { .. } => Ok(()),
        }
    }

    /// What a holder has, absolutely.
    fn holding(&mut self, line: Line) -> Folded {
        match line {
            Line::Balance { holder, asset, total } => {
                if total.abs() > AMOUNT_MAX {
                    return Err(format!("{total} is more than the model works with"));
                }
                self.purse(&holder)?.set(&asset, total);
                Ok(())
            }
            Line::Position { holder, symbol, lots, cost } => {
                let place = self.pit(&symbol)?;
                let contract = super::money::Contract { lots, cost };
                self.purse(&holder)?.contracts.insert(place, contract);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn meta(&mut self, version: u32, symbols: &[Symbol], [orders, trades, requests]: [u64; 3]) -> Folded {
        if version != ledger::VERSION {
            return Err(format!("version {version} is not {}", ledger::VERSION));
        }
        for symbol in symbols {
            self.pit(symbol)?;
        }
        self.exchange.last_order = orders;
        self.exchange.last_trade = trades;
        self.exchange.last_request = requests;
        Ok(())
    }

    /// The instrument, opened when only the ledger knows it.
    fn pit(&mut self, symbol: &Symbol) -> Result<usize, String> {
        if let Some(place) = self.exchange.pit(symbol) {
            return Ok(place);
        }
        let salt = self.exchange.last_seq;
        let opened = self.exchange.list(&Listing::for_symbol(symbol), salt);
        opened.ok_or_else(|| format!("{symbol} has rules that cannot be used"))
    }

    fn account(&mut self, account: AccountId) -> &mut Account {
        self.holders.insert(account, ());
        let fresh = Account::new(&self.exchange.setup);
        self.exchange.accounts.entry(account).or_insert(fresh)
    }

    fn purse(&mut self, holder: &str) -> Result<&mut Purse, String> {
        match holder {
            "crowd" => Ok(&mut self.exchange.crowd),
            "fees" => Ok(&mut self.exchange.fees),
            number => {
                let number = number.parse().map_err(|_| format!("`{holder}` is no holder"))?;
                Ok(&mut self.account(AccountId(number)).purse)
            }
        }
    }

    fn order(&mut self, who: &Who) -> Result<&mut Order, String> {
        let no = order_number(who)?;
        let order = self.exchange.orders.get_mut(&no).filter(|order| order.is_live());
        order.ok_or_else(|| format!("order {} is not open", who.order_id))
    }

    fn late(&mut self, at: Micros, request: u64, time_ms: i64) -> Folded {
        match self.asked.take() {
            Some((number, ticket, account, ask)) if number == request => {
                let late = Late { ticket, account, ask, due: Micros::from_millis(time_ms), arrived: at };
                self.exchange.late.insert(request, late);
                Ok(())
            }
            _ => Err(format!("request {request} does not stand before its fault")),
        }
    }

    fn accepted(&mut self, at: Micros, line: Line) -> Folded {
        let Line::Accepted {
            request,
            who,
            symbol,
            side,
            price,
            qty,
            filled,
            time_in_force,
            marks,
            worth,
            paid,
            updated,
        } = line
        else {
            return Ok(());
        };
        let no = order_number(&who)?;
        let pit = self.pit(&symbol)?;
        self.account(who.account);
        let grid = &self.exchange.grids[pit];
        let off_grid = || "an amount is off its grid".to_owned();
        let order = Order {
            no,
            request,
            account: who.account,
            client_id: who.client_id.as_str().into(),
            order_id: who.order_id,
            pit,
            side,
            ticks: grid.ticks(price).ok_or_else(off_grid)?,
            lots: grid.lots(qty).ok_or_else(off_grid)?,
            filled_lots: if filled.is_zero() { 0 } else { grid.lots(filled).ok_or_else(off_grid)? },
            time_in_force,
            created_at: at,
            life: Life::Taking,
            canceling: None,
            locked: Decimal::ZERO,
            fills: Vec::new(),
            marks,
            worth,
            paid,
            updated_at: updated.unwrap_or(at),
        };
        self.exchange.last_order = self.exchange.last_order.max(no);
        self.exchange.last_request = self.exchange.last_request.max(request);
        self.exchange.remember(order);
        Ok(())
    }

    fn fill(&mut self, at: Micros, line: Line) -> Folded {
        let Line::Fill { who, trade_id, trade, symbol, side, price, qty, fee, fee_asset, maker, with } = line else {
            return Ok(());
        };
        let pit = self.pit(&symbol)?;
        let grid = self.exchange.grids[pit].clone();
        let amounts = grid.ticks(price).zip(grid.lots(qty));
        let (ticks, lots) = amounts.ok_or("an amount is off its grid")?;
        let no = order_number(&who)?;
        if let Some(order) = self.exchange.orders.get_mut(&no) {
            order.filled_lots += lots;
            order.fills.push((at, lots));
            order.worth = plus(order.worth, grid.notional(ticks, lots));
            order.paid = plus(order.paid, fee);
            order.updated_at = order.updated_at.max(at);
            if order.filled_lots > order.lots {
                return Err(format!("order {} filled more than it had", who.order_id));
            }
        }
        if with == "crowd" {
            self.exchange.crowd.trade(pit, &grid, side.opposite(), ticks, lots);
        }
        self.exchange.fees.add(&grid.quote, fee);
        self.exchange.last_trade = self.exchange.last_trade.max(trade);
        let fills_max = self.exchange.setup.fills_max;
        let holder = self.account(who.account);
        holder.purse.trade(pit, &grid, side, ticks, lots);
        holder.purse.add(&grid.quote, -fee);
        let view = FillView {
            trade_id,
            client_id: who.client_id,
            order_id: who.order_id,
            symbol,
            side,
            price,
            qty,
            fee,
            fee_asset,
            maker,
            at,
            cause: Cause::Trade,
        };
        holder.fills.push_back(Filled { trade, view, booked_at: at, with });
        if holder.fills.len() > fills_max {
            holder.fills.pop_front();
        }
        Ok(())
    }

    fn amended(&mut self, at: Micros, who: &Who, price: Decimal, qty: Decimal) -> Folded {
        let place = self.order(who)?.pit;
        let grid = &self.exchange.grids[place];
        let amounts = grid.ticks(price).zip(grid.lots(qty));
        let (ticks, lots) = amounts.ok_or("an amount is off its grid")?;
        let order = self.order(who)?;
        (order.ticks, order.lots, order.life, order.updated_at) = (ticks, lots, Life::Taking, at);
        let no = order.no;
        // It joins the book again, behind the others, where the ledger says so.
        self.rested.retain(|rested| *rested != no);
        Ok(())
    }

    fn external(&mut self, at: Micros, line: Line) -> Folded {
        let Line::External { account, cause, trade_id, trade, symbol, side, price, qty, fee, fee_asset } = line else {
            return Ok(());
        };
        let place = self.pit(&symbol)?;
        self.account(account);
        let view = FillView {
            trade_id,
            client_id: String::new(),
            order_id: VenueOrderId::new(""),
            symbol,
            side,
            price,
            qty,
            fee,
            fee_asset,
            maker: false,
            at,
            cause,
        };
        let booked = self.exchange.book_external(account, place, trade, &view);
        booked.ok_or("an amount is off its grid")?;
        self.exchange.last_trade = self.exchange.last_trade.max(trade);
        Ok(())
    }

    fn closed(&mut self, at: Micros, who: &Who, reason: Reason) -> Folded {
        let order = self.order(who)?;
        order.life = Life::Closed(at, reason);
        order.updated_at = order.updated_at.max(at);
        order.canceling = None;
        let no = order.no;
        self.exchange.closed.push_back(no);
        if let Some(holder) = self.exchange.accounts.get_mut(&who.account) {
            holder.live.remove(&no);
        }
        self.exchange.forget_old();
        Ok(())
    }

    /// Puts the orders back on the book and everything that was under way back on the way.
    fn finish(self) -> Exchange {
        let mut exchange = self.exchange;
        exchange.begun = true;
        for no in self.rested {
            let Some(order) = exchange.orders.get_mut(&no).filter(|order| order.is_live()) else {
                continue;
            };
            if order.left() > 0 {
                let rank = exchange.pits[order.pit].book.add(order.side, order.ticks, Owner::Order(no), order.left());
                order.life = Life::Resting(rank);
            } else {
                // A crash came between its last fill and its end.
                order.life = Life::Taking;
            }
        }
        let live: Vec<u64> = exchange.accounts.values().flat_map(|holder| holder.live.iter().copied()).collect();
        for no in live {
            exchange.relock(no);
            let order = &exchange.orders[&no];
            let (life, canceling) = (order.life, order.canceling);
            if life == Life::Taking {
                exchange.schedule(exchange.now, Due::Resume(no));
            }
            if let Some((due, _)) = canceling {
                exchange.schedule(due, Due::CancelDone(no));
            }
        }
        let late: Vec<(u64, Micros)> = exchange.late.iter().map(|(&request, late)| (request, late.due)).collect();
        for (request, due) in late {
            exchange.schedule(due, Due::ExecuteLate(request));
        }
        let countdowns: Vec<(AccountId, Micros)> =
            exchange.accounts.iter().filter_map(|(&account, holder)| Some((account, holder.countdown?))).collect();
        for (account, due) in countdowns {
            exchange.schedule(due, Due::Countdown(account));
        }
        exchange.open_what_is_new(&self.holders);
        exchange.open_market();
        exchange
    }
}

impl Exchange {
    /// Accounts and currencies that the setup names and the ledger does not know.
    fn open_what_is_new(&mut self, known: &BTreeMap<AccountId, ()>) {
        let wanted = self.setup.accounts.clone();
        for (account, coins) in wanted {
            let fresh = Account::new(&self.setup);
            let holder = self.accounts.entry(account).or_insert(fresh);
            let mut opened = Vec::new();
            for (asset, total) in coins {
                if !known.contains_key(&account) || !holder.purse.coins.contains_key(asset.as_str()) {
                    holder.purse.set(&asset, total.min(AMOUNT_MAX));
                    opened.push((asset, total.min(AMOUNT_MAX)));
                }
            }
            for (asset, total) in opened {
                self.note(Line::Balance { holder: account.to_string(), asset, total });
            }
        }
    }
}

fn order_number(who: &Who) -> Result<u64, String> {
    let digits = who.order_id.as_str().strip_prefix('V');
    let no = digits.and_then(|digits| digits.parse().ok());
    no.ok_or_else(|| format!("`{}` is no order id of this venue", who.order_id))
}
