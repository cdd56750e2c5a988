//! Between the trader's words and the paper exchange's: the only place that knows both.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::event::{Event, Quote};
use crate::domain::ids::{ClientOrderId, VenueId};
use crate::domain::money::Decimal;
use crate::domain::order::{Create, Fill, FillKind, FillRow, OrderKey, OrderRow, Outcome, VenueStatus};
use crate::domain::request::{Access, Answered, Call, Facts, Page, PositionRow, Refusal, RefusalKind, Request};
use crate::domain::time::Boot;
use crate::exchange::{
    Ask, Body, Cause, ErrorCode, FillView, Micros, NewOrder, OrderRef, OrderView, PositionView, Push, Quote as Prices,
    Reason, Reply, Status,
};

/// What the exchange is asked. `now` on both clocks turns a boot deadline into the signed one.
pub fn ask(request: &Request, now: (Boot, Micros)) -> Ask {
    match &request.call {
        Call::Create(create) => Ask::Create(new_order(create, request.not_after, now)),
        Call::Cancel(key) => Ask::Cancel(order_ref(key)),
        Call::CancelBatch(keys) => Ask::CancelBatch { orders: keys.iter().map(order_ref).collect() },
        Call::Query(key) => Ask::Query(order_ref(key)),
        Call::History(key) => Ask::History(order_ref(key)),
        Call::ListOpen(page) => Ask::ListOpen { cursor: page.as_ref().map(|page| page.0.clone()) },
        Call::ListFills(since, page) => {
            Ask::ListFills { since: Micros::from(*since), cursor: page.as_ref().map(|page| page.0.clone()) }
        }
        Call::Balances => Ask::Balances,
        Call::Instruments => Ask::Instruments,
        Call::Time | Call::Access => Ask::Time,
        Call::Positions => Ask::Positions,
        // One scope: the whole account.
        Call::CancelAll(_) => Ask::CancelAll { symbol: None },
        Call::SetSwitch(window) => {
            Ask::SetCountdown { ms: window.map(|window| u32::try_from(window.as_millis()).unwrap_or(u32::MAX)) }
        }
        Call::ReadSwitch => Ask::ReadCountdown,
    }
}

fn new_order(create: &Create, not_after: Boot, (boot, micros): (Boot, Micros)) -> NewOrder {
    let left_us = i64::try_from(boot.until(not_after).as_micros()).unwrap_or(i64::MAX);
    NewOrder {
        client_id: create.key.client_id.as_str().to_owned(),
        symbol: create.key.symbol.clone(),
        side: create.terms().side,
        price: create.price,
        qty: create.qty,
        time_in_force: create.terms().time_in_force,
        not_after: Some(micros.plus(left_us)),
    }
}

/// By our own id: it is always there, the venue's is not.
fn order_ref(key: &OrderKey) -> OrderRef {
    OrderRef::client(key.client_id.as_str())
}

/// What an answer proves.
pub fn answered(call: &Call, reply: Reply) -> Answered {
    match reply.result {
        Ok(body) => done(call, body, reply.at),
        Err(code) => refused(call, &code),
    }
}

fn position_row(view: PositionView) -> PositionRow {
    let entry = view.cost.mul_ratio(Decimal::ONE.units(), view.qty.units());
    PositionRow { symbol: view.symbol, qty: view.qty, entry }
}

fn done(call: &Call, body: Body, at: Micros) -> Answered {
    Answered::Done(match body {
        Body::Created(names) => Facts::Created(names.order_id),
        Body::CancelTaken { filled, .. } => Facts::CancelTaken { filled },
        Body::Batch(items) => {
            let mut by_id: BTreeMap<ClientOrderId, Answered> = BTreeMap::new();
            for item in items {
                let Some(id) = item.client_id.as_deref().and_then(|id| id.parse().ok()) else { continue };
                let answered = match item.result {
                    Ok(filled) => Answered::Done(Facts::CancelTaken { filled }),
                    Err(code) => refused(call, &code),
                };
                by_id.insert(id, answered);
            }
            Facts::Batch(by_id)
        }
        Body::Order(view) => Facts::Order(Some(order_row(&view))),
        Body::OpenOrders { rows, next } => {
            Facts::OpenOrders { rows: rows.iter().map(order_row).collect(), next: next.map(Page) }
        }
        Body::Fills { rows, next, complete_to } => Facts::Fills {
            rows: rows.iter().map(fill_row).collect(),
            next: next.map(Page),
            complete_to: complete_to.wall(),
        },
        Body::Balances(balances) => {
            Facts::Balances(balances.into_iter().map(|balance| (balance.asset, balance.total)).collect())
        }
        Body::Instruments(rules) => Facts::Instruments(rules),
        Body::Time(_) if *call == Call::Access => Facts::Access(Access::default()),
        Body::Time(at) => Facts::Time(at.wall()),
        Body::AllCanceled(_) => Facts::CancelTaken { filled: None },
        Body::Positions(rows) => Facts::Positions(rows.into_iter().map(position_row).collect()),
        Body::Countdown(due) => {
            Facts::Switch(due.map(|due| Duration::from_micros((due.micros() - at.micros()).max(0).unsigned_abs())))
        }
    })
}

fn refused(call: &Call, code: &ErrorCode) -> Answered {
    let kind = match code {
        // Something broke while it was at it: nobody knows.
        ErrorCode::Server => return Answered::Unknown("server error".into()),
        ErrorCode::RateLimited { retry_after_ms } => {
            return Answered::Later {
                wait: Duration::from_millis(u64::from(*retry_after_ms)),
                why: "rate limit".into(),
            };
        }
        ErrorCode::OrderNotFound => {
            if matches!(call, Call::Query(_) | Call::History(_)) {
                return Answered::Done(Facts::Order(None));
            }
            RefusalKind::NotFound
        }
        ErrorCode::AlreadyFilled | ErrorCode::AlreadyCanceled => RefusalKind::AlreadyEnded,
        ErrorCode::AlreadyCanceling => RefusalKind::AlreadyCanceling,
        ErrorCode::WouldCross => RefusalKind::WouldCross,
        ErrorCode::Funds => RefusalKind::Funds,
        ErrorCode::TooManyOrders => RefusalKind::TooManyOrders,
        ErrorCode::DuplicateId => RefusalKind::DuplicateId,
        ErrorCode::Deadline => RefusalKind::NotNow,
        ErrorCode::BadRequest(_) => RefusalKind::Other,
    };
    let text = match code {
        ErrorCode::BadRequest(why) => why.clone(),
        other => other.word().replace('_', " "),
    };
    Answered::Refused(Refusal { kind, text })
}

fn order_row(view: &OrderView) -> OrderRow {
    let status = match view.status {
        Status::New | Status::PartiallyFilled if view.cancel_queued => VenueStatus::PendingCancel,
        Status::New | Status::PartiallyFilled => VenueStatus::Open,
        Status::Filled => VenueStatus::Ended(Outcome::Filled),
        Status::Canceled => VenueStatus::Ended(Outcome::Canceled),
        Status::Rejected => VenueStatus::Ended(Outcome::Rejected),
    };
    // A cancel is our doing and has our reason; other ends have the venue's.
    let reason = view.reason.filter(|reason| *reason != Reason::Cancelled).map_or("", Reason::word);
    OrderRow {
        symbol: view.symbol.clone(),
        client_id: Some(view.client_id.clone()),
        venue_order_id: view.order_id.clone(),
        side: view.side,
        price: view.price,
        qty: view.qty,
        filled: view.filled,
        status,
        reason: reason.replace('_', " "),
    }
}

fn fill_row(view: &FillView) -> FillRow {
    FillRow {
        symbol: view.symbol.clone(),
        client_id: Some(view.client_id.clone()).filter(|id| !id.is_empty()),
        venue_order_id: view.order_id.clone(),
        side: view.side,
        kind: match view.cause {
            Cause::Trade => FillKind::Trade,
            Cause::Funding => FillKind::Funding,
            Cause::Liquidation => FillKind::Liquidation,
            Cause::AutoDeleverage => FillKind::Deleveraging,
        },
        fill: Fill {
            trade_id: view.trade_id.clone(),
            price: view.price,
            qty: view.qty,
            fee: view.fee,
            fee_asset: view.fee_asset.clone(),
            maker: view.maker,
            at: view.at.wall(),
        },
    }
}

/// A push, as an event.
pub fn pushed(venue: VenueId, push: &Push) -> Event {
    match push {
        Push::Order(view) => Event::Order(venue, Box::new(order_row(view))),
        Push::Fill(view) => Event::Fill(venue, Box::new(fill_row(view))),
    }
}

/// A quote, as a value of ours.
pub fn quote(venue: VenueId, prices: Prices) -> Quote {
    Quote { venue, symbol: prices.symbol, bid: prices.bid, ask: prices.ask }
}
