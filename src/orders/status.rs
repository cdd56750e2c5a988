//! What a desk looks like to a person and to a program. Shared by all three machines.

use serde_json::{Value, json};

use super::desk::Desk;
use super::machine::Order;
use crate::domain::money::Decimal;
use crate::domain::order::StateName;
use crate::domain::time::Stamp;

/// Orders listed one by one in `data`; the counts are always whole.
const LISTED_MAX: usize = 500;

/// An order in the words of the log: `BTC-USDT BUY 0.010 @ 64000.0 (id=..., order_id=...)`.
pub fn order_words(desk: &Desk, order: &Order) -> String {
    let instrument = desk.catalogue.instrument(order.terms.instrument);
    let venue_order_id = order.key.venue_order_id.as_ref().map_or("none yet", |id| id.as_str());
    format!(
        "{} {} {} @ {} (id={}, order_id={venue_order_id}{})",
        order.key.symbol,
        order.terms.side,
        instrument.qty_of(order.left()).with_places(instrument.qty_places()),
        instrument.price_of(order.terms.price).with_places(instrument.price_places()),
        order.id(),
        match order.state_name() {
            StateName::Open => String::new(),
            other => format!(", {other}"),
        }
    )
}

/// For programs: the same fields from every machine.
pub fn data(desk: &Desk, at: Stamp, phase: &str, ready: bool) -> Value {
    let tally = desk.tally();
    let orders: Vec<_> = desk
        .orders
        .new_orders()
        .chain(desk.orders.open())
        .take(LISTED_MAX)
        .map(|order| order_json(desk, order))
        .collect();
    let positions: Vec<_> = desk
        .positions()
        .map(|(instrument, position)| {
            let mark = desk.mark(instrument.id);
            json!({
                "venue": desk.catalogue.venue(instrument.venue).name,
                "symbol": instrument.symbol(),
                "qty": position.qty,
                "average_price": position.average_price(),
                "mark": mark,
                "realised": position.realised,
                "unrealised": mark.and_then(|mark| position.unrealised(mark)),
                "fees": position.fees,
                "fills": position.fills,
            })
        })
        .collect();
    json!({
        "phase": phase,
        "ready": ready,
        "mode": desk.identity.mode.word(),
        "instance": desk.identity.instance.to_string(),
        "epoch": desk.identity.epoch.0,
        "at": at.wall,
        "orders_new": desk.orders.n_new(),
        "orders_open": desk.orders.n_open(),
        "orders_unknown": desk.orders.n_unknown(),
        "orders": orders,
        "positions": positions,
        "profit": profit(desk),
        "creates": tally.creates,
        "cancel_requests": tally.cancel_requests,
        "fills": tally.fills,
        "foreign_fills": tally.foreign_fills,
        "external_entries": tally.externals,
        "dead_man_switch": desk.switch_words(),
        "unbookable_fills": tally.unbookable_fills,
        "refused_news": tally.refused_news,
    })
}

/// For a person, in a few lines.
pub fn text(desk: &Desk, phase: &str) -> String {
    let mut lines = vec![
        format!("{} {}: {phase}", desk.identity.mode.word(), desk.identity.instance),
        format!(
            "orders: {} open, {} of them unknown, {} not sent yet; {} fills booked",
            desk.orders.n_open(),
            desk.orders.n_unknown(),
            desk.orders.n_new(),
            desk.tally().fills
        ),
    ];
    for (instrument, position) in desk.positions() {
        let average = position.average_price().map_or("-".into(), |price| price.truncated(6).to_string());
        lines.push(format!("position: {} {} at {average}", instrument.symbol(), position.qty));
    }
    if let Some(profit) = profit(desk) {
        lines.push(format!("profit: {} (realised and unrealised, less fees)", profit.truncated(6)));
    }
    lines.join("\n")
}

/// Realised and unrealised profit less fees over all positions; `None` when a number does not fit.
pub fn profit(desk: &Desk) -> Option<Decimal> {
    desk.positions().try_fold(Decimal::ZERO, |sum, (instrument, position)| {
        sum.checked_add(position.profit(desk.mark(instrument.id))?)
    })
}

fn order_json(desk: &Desk, order: &Order) -> Value {
    let instrument = desk.catalogue.instrument(order.terms.instrument);
    json!({
        "venue": desk.catalogue.venue(order.key.venue).name,
        "symbol": order.key.symbol,
        "client_order_id": order.id(),
        "venue_order_id": order.key.venue_order_id,
        "side": order.terms.side,
        "price": instrument.price_of(order.terms.price),
        "qty": instrument.qty_of(order.terms.qty),
        "filled": instrument.qty_of(order.filled),
        "state": order.state_name(),
    })
}
