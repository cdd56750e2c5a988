//! Requests: what becomes of each, with or without a fault.
//!
//! Always holds: a request meets at most one fault, and the fault stands in the ledger before its effect.

use super::answers::{BatchItem, Body, ErrorCode, Names, Reason, Reply};
use super::asks::{AccountId, Amendment, Ask, AskKind, Micros, NewOrder, OrderMarks, OrderRef, Placement, Ticket};
use super::faults::{Fault, Place, Scene};
use super::ledger::Line;
use super::limits::LimitInfo;
use super::venue::{Due, Exchange, Late, Life, Order};
use crate::domain::ids::Symbol;
use crate::domain::money::Decimal;

/// How a fault bends the carrying out of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Twist {
    Straight,
    /// Cancels are done this much later.
    Slow(i64),
    /// The listing is this old.
    Stale(i64),
    /// The listing breaks off.
    Broken,
    /// These items of a batch fail.
    Partial(Vec<usize>),
    Shuffled,
}

/// A request on its way through the venue.
#[derive(Clone, Copy, Debug)]
struct Asked {
    request: u64,
    ticket: Ticket,
    account: AccountId,
    kind: AskKind,
    /// The place in line an answer would have before any push of the same moment.
    slot: u64,
}

type Outcome = Result<Body, ErrorCode>;

impl Exchange {
    /// A request has arrived.
    pub(super) fn arrive(&mut self, ticket: Ticket, account: AccountId, ask: Ask) {
        self.last_request += 1;
        let asked = Asked { request: self.last_request, ticket, account, kind: ask.kind(), slot: self.slot() };
        self.note(Line::Request { request: asked.request, ticket, account, ask: ask.clone() });
        let client_ids = self.client_ids(account, &ask);
        let named: Vec<&str> = client_ids.iter().map(String::as_str).collect();
        let live = ask.named().iter().any(|which| self.find_live(account, which).is_ok());
        let fault = self.faults.draw(&Scene { place: Place::Ask(asked.kind), account, client_ids: &named, live });
        match fault {
            None => {
                let outcome = self.execute(asked.request, account, &ask, &Twist::Straight);
                self.answer(asked, outcome, 0);
            }
            Some(fault) => self.go_wrong(asked, ask, fault, client_ids),
        }
    }

    /// Carries a fault out.
    fn go_wrong(&mut self, asked: Asked, ask: Ask, fault: Fault, client_ids: Vec<String>) {
        let word = fault.word();
        let (twist, time) = self.twist(&fault, &ask);
        self.note(Line::Fault {
            fault: word.to_owned(),
            on: Place::Ask(asked.kind),
            account: asked.account,
            request: Some(asked.request),
            ticket: Some(asked.ticket),
            client_ids,
            time_ms: time.map(Micros::millis),
            detail: None,
        });
        if matches!(fault, Fault::LateExecution { .. } | Fault::AnswerLost)
            && let Some(unanswered) = &mut self.unanswered
        {
            unanswered.push(asked.ticket);
        }
        match fault {
            Fault::ServerError => self.answer(asked, Err(ErrorCode::Server), 0),
            Fault::RateLimited { retry_after_ms } => {
                self.answer(asked, Err(ErrorCode::RateLimited { retry_after_ms }), 0)
            }
            Fault::Refused(code) => self.answer(asked, Err(code), 0),
            Fault::NotFound => self.answer(asked, Err(ErrorCode::OrderNotFound), 0),
            Fault::LateExecution { .. } => {
                let late = Late {
                    ticket: asked.ticket,
                    account: asked.account,
                    ask,
                    due: time.unwrap_or(self.now),
                    arrived: self.now,
                };
                self.schedule(late.due, Due::ExecuteLate(asked.request));
                self.late.insert(asked.request, late);
            }
            Fault::AnswerLost => {
                let _nobody_hears = self.execute(asked.request, asked.account, &ask, &Twist::Straight);
            }
            Fault::ServerErrorExecuted => {
                let _nobody_hears = self.execute(asked.request, asked.account, &ask, &Twist::Straight);
                self.answer(asked, Err(ErrorCode::Server), 0);
            }
            Fault::DelayedAnswer { by_ms } => {
                let outcome = self.execute(asked.request, asked.account, &ask, &Twist::Straight);
                self.answer(asked, outcome, i64::from(by_ms) * 1_000);
            }
            Fault::PartialBatch { .. }
            | Fault::ShuffledBatch
            | Fault::StaleListing { .. }
            | Fault::BrokenListing
            | Fault::SlowCancel { .. }
            | Fault::DuplicatePush
            | Fault::LostPush
            | Fault::DelayedPush { .. } => {
                let outcome = self.execute(asked.request, asked.account, &ask, &twist);
                self.answer(asked, outcome, 0);
            }
        }
    }

    /// How a fault bends a request, and the moment to be noted with it.
    fn twist(&mut self, fault: &Fault, ask: &Ask) -> (Twist, Option<Micros>) {
        let now = self.now;
        let chance = self.faults.chance();
        let millis = |given: &Option<u32>, drawn: i64| given.map_or(drawn, i64::from);
        match fault {
            Fault::LateExecution { after_ms } => {
                let drawn = match ask.not_after() {
                    // After half of what the deadline leaves, so that the caller has given up, and before its end.
                    Some(deadline) => {
                        let left_us = deadline.micros() - now.micros();
                        left_us.max(0) / 1_000 * chance.between(500, 950) / 1_000
                    }
                    None if ask.kind().creates() => 2_500 * chance.between(500, 950) / 1_000,
                    None => chance.between(500, 1_900),
                };
                (Twist::Straight, Some(now.plus_millis(millis(after_ms, drawn))))
            }
            Fault::DelayedAnswer { by_ms } => (Twist::Straight, Some(now.plus_millis(i64::from(*by_ms)))),
            Fault::SlowCancel { by_ms } => {
                let slow_ms = millis(by_ms, chance.between(200, 1_500));
                (Twist::Slow(slow_ms * 1_000), Some(now.plus_millis(slow_ms)))
            }
            Fault::StaleListing { by_ms } => {
                let stale_ms = millis(by_ms, chance.between(200, 1_500));
                (Twist::Stale(stale_ms * 1_000), Some(now.plus_millis(-stale_ms)))
            }
            Fault::BrokenListing => (Twist::Broken, None),
            Fault::ShuffledBatch => (Twist::Shuffled, None),
            Fault::PartialBatch { failing } => {
                let count = ask.item_count();
                let failing = failing.clone().unwrap_or_else(|| {
                    let sure = usize::try_from(chance.below(count as u64)).unwrap_or(0);
                    (0..count).filter(|&item| item == sure || chance.below(3) == 0).collect()
                });
                (Twist::Partial(failing), None)
            }
            _ => (Twist::Straight, None),
        }
    }

    /// A request whose caller has given up is carried out after all.
    pub(super) fn execute_late(&mut self, request: u64) {
        if let Some(late) = self.late.remove(&request) {
            self.note(Line::Executed { request });
            let _nobody_hears = self.execute(request, late.account, &late.ask, &Twist::Straight);
        }
    }

    fn answer(&mut self, asked: Asked, result: Outcome, extra_us: i64) {
        let limit = self.limit_info(asked);
        if asked.kind.changes_orders() {
            let code = result.as_ref().map_or_else(ErrorCode::word, |_| "ok");
            self.note(Line::Answer {
                request: asked.request,
                ticket: asked.ticket,
                account: asked.account,
                code: code.to_owned(),
            });
        }
        let reply = Reply { result, limit, at: self.now };
        self.deliver_answer(asked.ticket, reply, asked.slot, extra_us);
    }

    fn limit_info(&mut self, asked: Asked) -> Option<LimitInfo> {
        let holder = self.accounts.get_mut(&asked.account)?;
        if asked.kind.cancels() {
            holder.cancels.info(self.now)
        } else if asked.kind.creates() {
            holder.creates.info(self.now)
        } else {
            None
        }
    }

    /// Carries a request out.
    fn execute(&mut self, request: u64, account: AccountId, ask: &Ask, twist: &Twist) -> Outcome {
        // A create says so itself, and stands in the ledger as rejected.
        if !self.accounts.contains_key(&account) && !ask.kind().creates() {
            return Err(ErrorCode::BadRequest("unknown account".to_owned()));
        }
        let slow_by_us = match twist {
            Twist::Slow(slow_by_us) => Some(*slow_by_us),
            _ => None,
        };
        match ask {
            Ask::Create(new) => self.place(request, account, new, OrderMarks::default()).map(Body::Created),
            Ask::Place(placement) => self.place(request, account, &placement.order, placement.marks).map(Body::Created),
            Ask::PlaceBatch { placements } => Ok(Body::Batch(self.place_batch(request, account, placements, twist))),
            Ask::Amend(amendment) => self.amend(account, amendment).map(Body::Created),
            Ask::Cancel(which) => {
                self.cancel(account, which, slow_by_us).map(|(names, filled)| Body::CancelTaken { names, filled })
            }
            Ask::CancelBatch { orders } => self.cancel_batch(account, orders, twist, slow_by_us).map(Body::Batch),
            Ask::CancelAll { symbol } => {
                let scope = symbol.as_ref().map(std::slice::from_ref);
                self.cancel_all(account, scope, slow_by_us).map(Body::AllCanceled)
            }
            Ask::CancelScope { symbols } => self.cancel_all(account, Some(symbols), slow_by_us).map(Body::AllCanceled),
            Ask::Query(which) => self.find(account, which).map(|order| Body::Order(self.view(order))),
            Ask::History(which) => self.history(account, which).map(Body::Order),
            Ask::ListOrders(page) => self.list_orders(account, page, twist),
            Ask::ListTrades(page) => self.list_trades(account, page, twist),
            Ask::ListOpen { cursor } => self.list_open(account, cursor.as_deref(), twist),
            Ask::ListFills { since, cursor } => self.list_fills(account, *since, cursor.as_deref(), twist),
            Ask::Balances => Ok(Body::Balances(self.balances(account))),
            Ask::Positions => Ok(Body::Positions(self.positions(account))),
            Ask::Instruments => Ok(Body::Instruments(self.grids.iter().map(|grid| grid.rules.clone()).collect())),
            Ask::Time => Ok(Body::Time(self.now)),
            Ask::SetCountdown { ms } => {
                let due = ms.map(|ms| self.now.plus_millis(i64::from(ms)));
                self.set_countdown(account, due);
                Ok(Body::Countdown(due))
            }
            Ask::ReadCountdown => {
                let holder = self.accounts.get(&account);
                Ok(Body::Countdown(holder.and_then(|holder| holder.countdown)))
            }
        }
    }

    /// Places an order; one that is refused stands in the ledger as well.
    fn place(
        &mut self,
        request: u64,
        account: AccountId,
        new: &NewOrder,
        marks: OrderMarks,
    ) -> Result<Names, ErrorCode> {
        let created = self.create(request, account, new, marks);
        if let Err(code) = &created {
            self.note(Line::Rejected {
                request,
                account,
                client_id: new.client_id.clone(),
                code: code.word().to_owned(),
            });
        }
        created
    }

    fn place_batch(
        &mut self,
        request: u64,
        account: AccountId,
        placements: &[Placement],
        twist: &Twist,
    ) -> Vec<BatchItem> {
        let mut items = Vec::with_capacity(placements.len());
        for (index, placement) in placements.iter().enumerate() {
            let fails = matches!(twist, Twist::Partial(failing) if failing.contains(&index));
            let placed = if !fails {
                self.place(request, account, &placement.order, placement.marks)
            } else if self.faults.chance().below(2) == 0 {
                Err(ErrorCode::RateLimited { retry_after_ms: 500 })
            } else {
                Err(ErrorCode::Server)
            };
            items.push(BatchItem {
                client_id: Some(placement.order.client_id.clone()),
                order_id: placed.as_ref().map(|names| names.order_id.clone()).ok(),
                result: placed.map(|_| None),
            });
        }
        items
    }

    /// Changes a resting order: it goes to the end of the line, and takes what its new price allows.
    fn amend(&mut self, account: AccountId, amendment: &Amendment) -> Result<Names, ErrorCode> {
        let no = self.find_live(account, &amendment.which)?;
        let Some(order) = self.orders.get(&no) else {
            return Err(ErrorCode::OrderNotFound);
        };
        let names = names(order);
        let grid = &self.grids[order.pit];
        let bad = |why: &str| ErrorCode::BadRequest(why.to_owned());
        let ticks = match amendment.price {
            None => order.ticks,
            Some(price) => grid.ticks(price).ok_or_else(|| bad("price is not a positive multiple of the tick"))?,
        };
        let lots = match amendment.qty {
            None => order.lots,
            Some(qty) => grid.lots(qty).ok_or_else(|| bad("quantity is not a positive multiple of the lot"))?,
        };
        if lots <= order.filled_lots {
            return Err(bad("more than that is filled already"));
        }
        self.change(no, ticks, lots)?;
        Ok(names)
    }

    /// Cancels one order; the answer holds what was filled when the cancel is done with the answer.
    fn cancel(
        &mut self,
        account: AccountId,
        which: &OrderRef,
        slow_by_us: Option<i64>,
    ) -> Result<(Names, Option<Decimal>), ErrorCode> {
        self.take_cancel_token(account)?;
        let no = self.find_live(account, which)?;
        self.begin_cancel(no, Reason::Cancelled, slow_by_us);
        let Some(order) = self.orders.get(&no) else {
            return Err(ErrorCode::OrderNotFound);
        };
        let done = !order.is_live() || (self.setup.synchronous_cancel && slow_by_us.is_some());
        // A slow cancel at a synchronous venue claims to be done, and what it claims may turn out wrong.
        let filled = done.then(|| self.grids[order.pit].qty(order.filled_lots));
        Ok((names(order), filled))
    }

    fn cancel_batch(
        &mut self,
        account: AccountId,
        orders: &[OrderRef],
        twist: &Twist,
        slow_by_us: Option<i64>,
    ) -> Result<Vec<BatchItem>, ErrorCode> {
        let most = self.setup.batch_cancel_max;
        if orders.is_empty() || orders.len() > most {
            return Err(ErrorCode::BadRequest(format!("a batch cancel holds 1 to {most} orders")));
        }
        let mut items = Vec::with_capacity(orders.len());
        for (index, which) in orders.iter().enumerate() {
            let known = self.find(account, which).map(names).ok();
            let result = if matches!(twist, Twist::Partial(failing) if failing.contains(&index)) {
                match self.faults.chance().below(3) {
                    0 => continue, // Left out of the answer.
                    1 => Err(ErrorCode::RateLimited { retry_after_ms: 500 }),
                    _ => Err(ErrorCode::Server),
                }
            } else {
                self.cancel(account, which, slow_by_us).map(|(_, filled)| filled)
            };
            items.push(BatchItem {
                client_id: known.as_ref().map(|names| names.client_id.clone()).or(which.client_id.clone()),
                order_id: known.map(|names| names.order_id).or(which.order_id.clone()),
                result,
            });
        }
        if *twist == Twist::Shuffled {
            self.shuffle(&mut items);
        }
        Ok(items)
    }

    /// Another order than before, wherever there is another.
    fn shuffle(&mut self, items: &mut [BatchItem]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.faults.chance().below(last as u64)).unwrap_or(0);
            // Never with itself: every item ends in another place than it began.
            items.swap(last, other);
        }
    }

    fn cancel_all(
        &mut self,
        account: AccountId,
        symbols: Option<&[Symbol]>,
        slow_by_us: Option<i64>,
    ) -> Result<Vec<Names>, ErrorCode> {
        self.take_cancel_token(account)?;
        let mut pits = Vec::new();
        for symbol in symbols.unwrap_or_default() {
            match self.pit(symbol) {
                Some(pit) => pits.push(pit),
                None => return Err(ErrorCode::BadRequest("unknown symbol".to_owned())),
            }
        }
        let live = self.accounts.get(&account).map(|holder| holder.live.clone());
        let mut taken = Vec::new();
        for no in live.into_iter().flatten() {
            if taken.len() >= self.setup.cancel_all_max {
                break;
            }
            let Some(order) = self.orders.get(&no) else {
                continue;
            };
            if order.canceling.is_none() && (symbols.is_none() || pits.contains(&order.pit)) {
                taken.push(names(order));
                self.begin_cancel(no, Reason::Cancelled, slow_by_us);
            }
        }
        Ok(taken)
    }

    fn take_cancel_token(&mut self, account: AccountId) -> Result<(), ErrorCode> {
        let now = self.now;
        match self.accounts.get_mut(&account) {
            Some(holder) => {
                let token = holder.cancels.take(now);
                token.map_err(|retry_after_ms| ErrorCode::RateLimited { retry_after_ms })
            }
            None => Ok(()),
        }
    }

    /// An order of the account that is still remembered.
    pub(super) fn find(&self, account: AccountId, which: &OrderRef) -> Result<&Order, ErrorCode> {
        let by_client = match &which.client_id {
            None => None,
            Some(client_id) => {
                let holder = self.accounts.get(&account);
                let no = holder.and_then(|holder| holder.names.get(client_id.as_str()));
                Some(*no.ok_or(ErrorCode::OrderNotFound)?)
            }
        };
        let by_venue = match &which.order_id {
            None => None,
            Some(order_id) => {
                let digits = order_id.as_str().strip_prefix('V');
                let no = digits.and_then(|digits| digits.parse::<u64>().ok());
                Some(no.ok_or(ErrorCode::OrderNotFound)?)
            }
        };
        let no = match (by_client, by_venue) {
            (None, None) => return Err(ErrorCode::BadRequest("no order is named".to_owned())),
            (Some(one), Some(other)) if one != other => return Err(ErrorCode::OrderNotFound),
            (Some(no), _) | (None, Some(no)) => no,
        };
        let order = self.orders.get(&no).filter(|order| order.account == account);
        order.ok_or(ErrorCode::OrderNotFound)
    }

    /// A live order of the account that no cancel is under way for.
    fn find_live(&self, account: AccountId, which: &OrderRef) -> Result<u64, ErrorCode> {
        let order = self.find(account, which)?;
        match order.life {
            Life::Closed(_, Reason::Filled) => Err(ErrorCode::AlreadyFilled),
            Life::Closed(..) => Err(ErrorCode::AlreadyCanceled),
            Life::Taking | Life::Resting(_) if order.canceling.is_some() => Err(ErrorCode::AlreadyCanceling),
            Life::Taking | Life::Resting(_) => Ok(order.no),
        }
    }

    /// The orders a request is about, by the caller's names.
    fn client_ids(&self, account: AccountId, ask: &Ask) -> Vec<String> {
        match ask {
            Ask::Create(new) => return vec![new.client_id.clone()],
            Ask::Place(placement) => return vec![placement.order.client_id.clone()],
            Ask::PlaceBatch { placements } => {
                return placements.iter().map(|placement| placement.order.client_id.clone()).collect();
            }
            _ => {}
        }
        let name = |which: &OrderRef| match &which.client_id {
            Some(client_id) => Some(client_id.clone()),
            None => self.find(account, which).ok().map(|order| order.client_id.to_string()),
        };
        ask.named().iter().filter_map(name).collect()
    }
}

fn names(order: &Order) -> Names {
    Names { client_id: order.client_id.to_string(), order_id: order.order_id.clone() }
}
