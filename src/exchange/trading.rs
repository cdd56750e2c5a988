//! An order's life: accepted, taking, resting, filled or taken back.
//!
//! Always holds: what an order may still cost is locked while it is live and freed to the last digit when it ends; an
//! order of an account never trades with another of the same account.

use super::answers::{Cause, ErrorCode, FillView, Names, Push, Reason, Status};
use super::asks::{AccountId, Micros, NewOrder, OrderMarks};
use super::book::{Front, Owner};
use super::ledger::Line;
use super::money;
use super::setup::PostOnlyCross;
use super::venue::{Due, Exchange, Filled, Life, Order, Print};
use crate::domain::money::Decimal;
use crate::domain::order::{Side, TimeInForce};

/// What an order's numbers are called.
pub(super) fn status(filled_lots: i64, reason: Option<Reason>) -> Status {
    match reason {
        Some(reason) => reason.status(),
        None if filled_lots == 0 => Status::New,
        None => Status::PartiallyFilled,
    }
}

/// A new order in ticks and lots, checked.
struct Terms {
    pit: usize,
    ticks: i64,
    lots: i64,
}

/// Who takes from the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taker {
    Crowd,
    Order(u64, AccountId),
}

/// How a taker came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) left: i64,
    pub(super) met_itself: bool,
}

impl Exchange {
    /// Checks a new order and lets it in.
    pub(super) fn create(
        &mut self,
        request: u64,
        account: AccountId,
        new: &NewOrder,
        marks: OrderMarks,
    ) -> Result<Names, ErrorCode> {
        let terms = self.check(account, new)?;
        if marks.reduce_only && self.reducible(account, terms.pit, new.side) < terms.lots {
            return Err(ErrorCode::BadRequest(NOTHING_TO_REDUCE.to_owned()));
        }
        self.last_order += 1;
        let no = self.last_order;
        let order = Order {
            no,
            request,
            account,
            client_id: new.client_id.as_str().into(),
            order_id: Exchange::order_id(no),
            pit: terms.pit,
            side: new.side,
            ticks: terms.ticks,
            lots: terms.lots,
            filled_lots: 0,
            time_in_force: new.time_in_force,
            created_at: self.now,
            life: Life::Taking,
            canceling: None,
            locked: Decimal::ZERO,
            fills: Vec::new(),
            marks,
            worth: Decimal::ZERO,
            paid: Decimal::ZERO,
            updated_at: self.now,
        };
        let names = Names { client_id: new.client_id.clone(), order_id: order.order_id.clone() };
        let line = self.accepted_line(&order, 0, Decimal::ZERO, Decimal::ZERO);
        self.note(line);
        self.remember(order);
        self.relock(no);
        self.push_order(no);
        self.settle_new(no);
        Ok(names)
    }

    fn check(&mut self, account: AccountId, new: &NewOrder) -> Result<Terms, ErrorCode> {
        let bad = |why: &str| Err(ErrorCode::BadRequest(why.to_owned()));
        if new.not_after.is_some_and(|deadline| self.now > deadline) {
            return Err(ErrorCode::Deadline);
        }
        let Some(holder) = self.accounts.get_mut(&account) else {
            return bad("unknown account");
        };
        if let Err(retry_after_ms) = holder.creates.take(self.now) {
            return Err(ErrorCode::RateLimited { retry_after_ms });
        }
        let Some(pit) = self.pit(&new.symbol) else {
            return bad("unknown symbol");
        };
        let grid = &self.grids[pit];
        let Some(ticks) = grid.ticks(new.price) else {
            return bad("price is not a positive multiple of the tick");
        };
        let Some(lots) = grid.lots(new.qty) else {
            return bad("quantity is not a positive multiple of the lot");
        };
        if new.client_id.is_empty() || new.client_id.len() > 64 {
            return bad("a client id has 1 to 64 characters");
        }
        let rules = &grid.rules;
        if new.qty < rules.min_qty || new.qty > rules.max_qty || grid.notional(ticks, lots) < rules.min_notional {
            return bad("quantity or worth is outside the instrument's limits");
        }
        if grid.notional(ticks, lots) > money::AMOUNT_MAX {
            return bad("price is too high");
        }
        if !rules.tradable {
            return bad("the instrument takes no new orders");
        }
        let (asset, locked) = grid.lock(new.side, ticks, lots, self.fee_bps_max());
        let Some(holder) = self.accounts.get(&account) else {
            return bad("unknown account");
        };
        if holder.names.contains_key(new.client_id.as_str()) {
            return Err(ErrorCode::DuplicateId);
        }
        if holder.live.len() >= self.setup.open_orders_max {
            return Err(ErrorCode::TooManyOrders);
        }
        if holder.purse.free(&asset, &self.grids) < locked {
            return Err(ErrorCode::Funds);
        }
        let refuses = self.setup.post_only_cross == PostOnlyCross::Refuse;
        if refuses && new.time_in_force == TimeInForce::PostOnly && self.crosses(pit, new.side, ticks) {
            return Err(ErrorCode::WouldCross);
        }
        Ok(Terms { pit, ticks, lots })
    }

    pub(super) fn accepted_line(&self, order: &Order, filled_lots: i64, worth: Decimal, paid: Decimal) -> Line {
        let grid = &self.grids[order.pit];
        Line::Accepted {
            request: order.request,
            who: order.who(),
            symbol: self.pits[order.pit].symbol.clone(),
            side: order.side,
            price: grid.price(order.ticks),
            qty: grid.qty(order.lots),
            filled: grid.qty(filled_lots),
            time_in_force: order.time_in_force,
            marks: order.marks,
            worth,
            paid,
            updated: Some(order.updated_at).filter(|at| *at != order.created_at),
        }
    }

    /// Puts an order where it can be found.
    pub(super) fn remember(&mut self, order: Order) {
        if let Some(holder) = self.accounts.get_mut(&order.account) {
            holder.names.insert(order.client_id.clone(), order.no);
            if order.is_live() {
                holder.live.insert(order.no);
            }
        }
        if !order.is_live() {
            self.closed.push_back(order.no);
        }
        self.orders.insert(order.no, order);
    }

    fn fee_bps_max(&self) -> Decimal {
        let dearest = self.setup.maker_fee_bps.max(self.setup.taker_fee_bps);
        dearest.max(Decimal::ZERO)
    }

    /// Brings what an order holds back in line with what is left of it.
    pub(super) fn relock(&mut self, no: u64) {
        let fee_bps_max = self.fee_bps_max();
        let Some(order) = self.orders.get_mut(&no) else {
            return;
        };
        let grid = &self.grids[order.pit];
        let (asset, amount) = grid.lock(order.side, order.ticks, order.left(), fee_bps_max);
        let after = if order.is_live() { amount } else { Decimal::ZERO };
        let before = std::mem::replace(&mut order.locked, after);
        if let Some(holder) = self.accounts.get_mut(&order.account) {
            holder.purse.relock(&asset, before, after);
        }
    }

    /// Whether an order at this price would take at once.
    fn crosses(&self, pit: usize, side: Side, ticks: i64) -> bool {
        let (bid, ask) = self.touch(pit);
        match side {
            Side::Buy => ask.is_some_and(|(ask, _)| ticks >= ask),
            Side::Sell => bid.is_some_and(|(bid, _)| ticks <= bid),
        }
    }

    /// Takes an accepted order on: it takes what it may, then rests or ends.
    pub(super) fn settle_new(&mut self, no: u64) {
        let Some(order) = self.orders.get(&no) else {
            return;
        };
        let (pit, side, ticks, account) = (order.pit, order.side, order.ticks, order.account);
        let time_in_force = order.time_in_force;
        if !order.is_live() {
            return;
        }
        if time_in_force == TimeInForce::PostOnly && self.crosses(pit, side, ticks) {
            let reason = match self.setup.post_only_cross {
                PostOnlyCross::AcceptThenReject => Reason::PostOnlyRejected,
                PostOnlyCross::AcceptThenCancel | PostOnlyCross::Refuse => Reason::PostOnlyWouldCross,
            };
            return self.close(no, reason);
        }
        if order.marks.all_or_none && self.takeable(pit, side, ticks, order.left()) < order.left() {
            return self.close(no, Reason::IocRest);
        }
        let left = order.left();
        let taken = self.take(Taker::Order(no, account), pit, side, ticks, left);
        if taken.met_itself {
            return self.close(no, Reason::SelfTrade);
        }
        if taken.left == 0 {
            // Already closed as filled; but not if a crash came between its last fill and that.
            return self.close(no, Reason::Filled);
        }
        if !self.orders.get(&no).is_some_and(Order::is_live) {
            return;
        }
        if time_in_force == TimeInForce::Ioc {
            return self.close(no, Reason::IocRest);
        }
        let rank = self.pits[pit].book.add(side, ticks, Owner::Order(no), taken.left);
        if let Some(order) = self.orders.get_mut(&no) {
            order.life = Life::Resting(rank);
            let who = order.who();
            self.note(Line::Resting { who });
        }
        self.stir(pit);
    }

    /// How much of a position an order of this side could close.
    pub(super) fn reducible(&self, account: AccountId, pit: usize, side: Side) -> i64 {
        let contract = self.accounts.get(&account).and_then(|holder| holder.purse.contracts.get(&pit));
        let lots = contract.map_or(0, |contract| contract.lots);
        match side {
            Side::Buy => (-lots).max(0),
            Side::Sell => lots.max(0),
        }
    }

    /// After a trade of this order: reduce-only orders of its account that are now too large go.
    fn trim_reducing(&mut self, no: u64) {
        let Some((account, pit)) = self.orders.get(&no).map(|order| (order.account, order.pit)) else {
            return;
        };
        if !self.grids[pit].is_contract() {
            return;
        }
        let live = self.accounts.get(&account).map(|holder| &holder.live);
        let reducing = live.into_iter().flatten().filter_map(|no| self.orders.get(no));
        let reducing = reducing.filter(|order| order.pit == pit && order.marks.reduce_only);
        let too_large = reducing.filter(|order| order.left() > self.reducible(account, pit, order.side));
        for no in too_large.map(|order| order.no).collect::<Vec<u64>>() {
            self.close(no, Reason::ReduceOnly);
        }
    }

    /// How much a taker could have at this limit or better, up to `enough`.
    fn takeable(&self, pit: usize, side: Side, limit: i64, enough: i64) -> i64 {
        let mut sum = 0_i64;
        for (ticks, lots) in self.pits[pit].book.depth(side.opposite(), usize::MAX) {
            let reached = if side == Side::Buy { ticks <= limit } else { ticks >= limit };
            if !reached || sum >= enough {
                break;
            }
            sum = sum.saturating_add(lots);
        }
        sum
    }

    /// Gives a resting order new terms: to the end of its line, where it takes what it now may.
    pub(super) fn change(&mut self, no: u64, ticks: i64, lots: i64) -> Result<(), ErrorCode> {
        let Some(order) = self.orders.get(&no) else {
            return Err(ErrorCode::OrderNotFound);
        };
        let (pit, side, account, rank) = (order.pit, order.side, order.account, order.life);
        let grid = &self.grids[pit];
        if grid.notional(ticks, lots) > money::AMOUNT_MAX {
            return Err(ErrorCode::BadRequest("price is too high".to_owned()));
        }
        let (asset, after) = grid.lock(side, ticks, lots - order.filled_lots, self.fee_bps_max());
        let more = money::minus(after, order.locked);
        let free = self.accounts.get(&account).map_or(Decimal::ZERO, |holder| holder.purse.free(&asset, &self.grids));
        if more > free {
            return Err(ErrorCode::Funds);
        }
        if let Life::Resting(rank) = rank {
            self.pits[pit].book.remove(side, order.ticks, rank);
        }
        let (price, qty) = (grid.price(ticks), grid.qty(lots));
        let now = self.now;
        if let Some(order) = self.orders.get_mut(&no) {
            (order.ticks, order.lots, order.life, order.updated_at) = (ticks, lots, Life::Taking, now);
            let who = order.who();
            self.note(Line::Amended { who, price, qty });
        }
        self.relock(no);
        self.push_order(no);
        self.settle_new(no);
        Ok(())
    }

    /// Takes from the book, best price first, then first come first served.
    pub(super) fn take(&mut self, taker: Taker, pit: usize, side: Side, limit: i64, lots: i64) -> Taken {
        let mut left = lots;
        while left > 0 {
            let Some(front) = self.pits[pit].book.front(side, limit) else {
                break;
            };
            let maker = match front.owner {
                Owner::Crowd => None,
                Owner::Order(no) => self.orders.get(&no).map(|order| (no, order.account)),
            };
            if let (Taker::Order(_, account), Some((_, resting))) = (taker, maker)
                && account == resting
            {
                return Taken { left, met_itself: true };
            }
            let traded = left.min(front.lots);
            self.trade(taker, maker.map(|(no, _)| no), pit, side, front, traded);
            left -= traded;
        }
        Taken { left, met_itself: false }
    }

    fn trade(&mut self, taker: Taker, maker: Option<u64>, pit: usize, side: Side, front: Front, lots: i64) {
        self.pits[pit].book.reduce(side.opposite(), front.ticks, front.rank, lots);
        self.stir(pit);
        let taker = match taker {
            Taker::Crowd => None,
            Taker::Order(no, _) => Some(no),
        };
        if let Some(prints) = &mut self.prints {
            prints.push(Print { pit, side, ticks: front.ticks, lots, at: self.now });
        }
        if maker.is_none() && taker.is_none() {
            return;
        }
        self.last_trade += 1;
        let name = |no: Option<u64>| no.map_or_else(|| "crowd".to_owned(), |no| Exchange::order_id(no).to_string());
        let (maker_name, taker_name) = (name(maker), name(taker));
        // Both ledger lines come first: what follows from a trade is never told before both sides of it are written.
        let sides = [(maker, side.opposite(), true, taker_name), (taker, side, false, maker_name)];
        for (who, side, is_maker, with) in sides {
            match who {
                Some(no) => self.book_fill(no, front.ticks, lots, is_maker, with),
                None => self.crowd.trade(pit, &self.grids[pit], side, front.ticks, lots),
            }
        }
        for no in [maker, taker].into_iter().flatten() {
            self.tell_fill(no);
        }
        for no in [maker, taker].into_iter().flatten() {
            self.trim_reducing(no);
        }
    }

    /// Books one order's side of a trade: ledger, money, what is left.
    fn book_fill(&mut self, no: u64, ticks: i64, lots: i64, maker: bool, with: String) {
        let Some(order) = self.orders.get_mut(&no) else {
            return;
        };
        order.filled_lots += lots;
        order.fills.push((self.now, lots));
        // Times of fills never fall, even where a clock was set back between two runs: lists are searched by them.
        let newest = self.accounts.get(&order.account).and_then(|holder| holder.fills.back());
        let at = newest.map_or(self.now, |newest| newest.view.at.max(self.now));
        let grid = &self.grids[order.pit];
        let bps = if maker { self.setup.maker_fee_bps } else { self.setup.taker_fee_bps };
        let fee = money::fee(grid.notional(ticks, lots), bps);
        let view = FillView {
            trade_id: Exchange::trade_id(self.last_trade),
            client_id: order.client_id.to_string(),
            order_id: order.order_id.clone(),
            symbol: self.pits[order.pit].symbol.clone(),
            side: order.side,
            price: grid.price(ticks),
            qty: grid.qty(lots),
            fee,
            fee_asset: grid.quote.to_string(),
            maker,
            at,
            cause: Cause::Trade,
        };
        order.worth = money::plus(order.worth, grid.notional(ticks, lots));
        order.paid = money::plus(order.paid, fee);
        order.updated_at = self.now;
        let filled = Filled { trade: self.last_trade, view, booked_at: self.now, with };
        let line = fill_line(order.account, &filled);
        let quote = grid.quote.clone();
        self.fees.add(&quote, fee);
        if let Some(holder) = self.accounts.get_mut(&order.account) {
            holder.purse.trade(order.pit, grid, order.side, ticks, lots);
            holder.purse.add(&quote, -fee);
            holder.fills.push_back(filled);
            if holder.fills.len() > self.setup.fills_max {
                holder.fills.pop_front();
            }
        }
        self.note(line);
        self.relock(no);
    }

    /// Tells an account about its newest fill, and ends an order of which nothing is left.
    fn tell_fill(&mut self, no: u64) {
        let Some(order) = self.orders.get(&no) else {
            return;
        };
        let (account, left) = (order.account, order.left());
        let newest = self.accounts.get(&account).and_then(|holder| holder.fills.back());
        if let Some(fill) = newest.map(|filled| filled.view.clone()) {
            self.push(account, Push::Fill(fill));
        }
        if left == 0 {
            self.close(no, Reason::Filled);
        } else {
            self.push_order(no);
        }
    }

    pub(super) fn push_order(&mut self, no: u64) {
        if let Some(order) = self.orders.get(&no) {
            let (account, view) = (order.account, self.view(order));
            self.push(account, Push::Order(view));
        }
    }

    /// Takes a cancel for a live order: done at once, or a moment later.
    pub(super) fn begin_cancel(&mut self, no: u64, reason: Reason, slow_by_us: Option<i64>) {
        let wait_us = match slow_by_us {
            Some(slow_by_us) => slow_by_us,
            None if self.setup.synchronous_cancel => return self.close(no, reason),
            None => self.setup.cancel_delay_us.max(0),
        };
        let due = self.now.plus(wait_us);
        if let Some(order) = self.orders.get_mut(&no) {
            order.canceling = Some((due, reason));
            let who = order.who();
            self.note(Line::Canceling { who, time_ms: due.millis(), reason });
            self.schedule(due, Due::CancelDone(no));
        }
    }

    pub(super) fn cancel_done(&mut self, no: u64) {
        if let Some((_, reason)) = self.orders.get(&no).and_then(|order| order.canceling) {
            self.close(no, reason);
        }
    }

    /// The dead man's switch ran out, unless it was put off meanwhile.
    pub(super) fn countdown_done(&mut self, account: AccountId) {
        let Some(holder) = self.accounts.get_mut(&account) else {
            return;
        };
        if holder.countdown.is_none_or(|due| due > self.now) {
            return;
        }
        let live: Vec<u64> = holder.live.iter().copied().collect();
        for no in live {
            self.close(no, Reason::Countdown);
        }
        self.set_countdown(account, None);
    }

    pub(super) fn set_countdown(&mut self, account: AccountId, due: Option<Micros>) {
        if let Some(holder) = self.accounts.get_mut(&account) {
            holder.countdown = due;
            self.note(Line::Countdown { account, time_ms: due.map(Micros::millis) });
            if let Some(due) = due {
                self.schedule(due, Due::Countdown(account));
            }
        }
    }

    /// Ends a live order: off the book, money freed, written, told.
    pub(super) fn close(&mut self, no: u64, reason: Reason) {
        let now = self.now;
        let Some(order) = self.orders.get_mut(&no).filter(|order| order.is_live()) else {
            return;
        };
        if let Life::Resting(rank) = order.life {
            self.pits[order.pit].book.remove(order.side, order.ticks, rank);
        }
        order.life = Life::Closed(now, reason);
        order.updated_at = now;
        let (account, pit, filled_lots, who) = (order.account, order.pit, order.filled_lots, order.who());
        if let Some(holder) = self.accounts.get_mut(&account) {
            holder.live.remove(&no);
        }
        self.closed.push_back(no);
        self.note(Line::Closed { who, reason, filled: self.grids[pit].qty(filled_lots) });
        self.relock(no);
        self.push_order(no);
        self.stir(pit);
        self.forget_old();
    }

    /// Ended orders are remembered up to a number.
    pub(super) fn forget_old(&mut self) {
        while self.closed.len() > self.setup.closed_orders_max {
            let Some(order) = self.closed.pop_front().and_then(|no| self.orders.remove(&no)) else {
                return;
            };
            if let Some(holder) = self.accounts.get_mut(&order.account) {
                holder.names.remove(&order.client_id);
            }
        }
    }
}

/// What a reduce-only order is refused for.
pub(super) const NOTHING_TO_REDUCE: &str = "there is not that much of a position to reduce";

pub(super) fn fill_line(account: AccountId, filled: &Filled) -> Line {
    let view = &filled.view;
    if view.cause != Cause::Trade {
        return Line::External {
            account,
            cause: view.cause,
            trade_id: view.trade_id.clone(),
            trade: filled.trade,
            symbol: view.symbol.clone(),
            side: view.side,
            price: view.price,
            qty: view.qty,
            fee: view.fee,
            fee_asset: view.fee_asset.clone(),
        };
    }
    Line::Fill {
        who: super::ledger::Who { account, client_id: view.client_id.clone(), order_id: view.order_id.clone() },
        trade_id: view.trade_id.clone(),
        trade: filled.trade,
        symbol: view.symbol.clone(),
        side: view.side,
        price: view.price,
        qty: view.qty,
        fee: view.fee,
        fee_asset: view.fee_asset.clone(),
        maker: view.maker,
        with: filled.with.clone(),
    }
}
