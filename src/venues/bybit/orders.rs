//! Single orders: create, cancel, batch cancel, the two ways to ask, cancel-all.
//!
//! Always holds: an acknowledgement says "taken", never "done"; each order of a batch is judged by its own code, found
//! by its id, and an order the answer does not name is missing, which means unknown.

use std::collections::BTreeMap;

use serde::Serialize;

use super::codes::About;
use super::envelope::{Envelope, Leg, NotGood, refused};
use super::requests::{Query, act, ask};
use super::rows;
use super::symbols::{Category, SETTLE_COINS, Symbols, venue_name};
use crate::domain::ids::VenueOrderId;
use crate::domain::money::Decimal;
use crate::domain::order::{Create, OrderKey, Side, TimeInForce};
use crate::domain::request::{Answered, Facts, Refusal, RefusalKind, Scope};
use crate::domain::secret::ApiKey;
use crate::venues::Signing;
use crate::venues::json::{Fields, Misread};
use crate::venues::wire::{HttpRequest, Lane};

/// Orders in one batch cancel. The pages of the two endpoints say 10 and 20; 10 holds for both.
pub(super) const BATCH_MAX: usize = 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody<'a> {
    category: &'a str,
    symbol: &'a str,
    side: &'a str,
    order_type: &'a str,
    qty: Decimal,
    price: Decimal,
    time_in_force: &'a str,
    order_link_id: &'a str,
    /// One-way mode. An account in hedge mode refuses it, and is refused at start.
    #[serde(skip_serializing_if = "Option::is_none")]
    position_idx: Option<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CancelBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    symbol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_link_id: Option<&'a str>,
}

impl<'a> CancelBody<'a> {
    fn of(key: &'a OrderKey, category: Option<&'a str>) -> CancelBody<'a> {
        let order_id = key.venue_order_id.as_ref().map(VenueOrderId::as_str);
        let order_link_id = order_id.is_none().then(|| key.client_id.as_str());
        CancelBody { category, symbol: venue_name(&key.symbol), order_id, order_link_id }
    }
}

#[derive(Serialize)]
struct CancelBatchBody<'a> {
    category: &'a str,
    request: Vec<CancelBody<'a>>,
}

fn written(body: &impl Serialize) -> Result<String, Box<Answered>> {
    // Plain structs of texts and numbers: writing them cannot fail, and if it did nothing would have left.
    serde_json::to_string(body)
        .map_err(|error| Box::new(Answered::NotSent(format!("the body was not written: {error}"))))
}

pub(super) fn create(key: Option<&ApiKey>, create: &Create, signing: &Signing) -> Result<HttpRequest, Box<Answered>> {
    let (category, symbol) = (Category::of(&create.key.symbol), venue_name(&create.key.symbol));
    let terms = create.terms();
    let body = written(&CreateBody {
        category: category.word(),
        symbol: &symbol,
        side: match terms.side {
            Side::Buy => "Buy",
            Side::Sell => "Sell",
        },
        order_type: "Limit",
        qty: create.qty,
        price: create.price,
        time_in_force: match terms.time_in_force {
            TimeInForce::Gtc => "GTC",
            TimeInForce::PostOnly => "PostOnly",
            TimeInForce::Ioc => "IOC",
        },
        order_link_id: create.key.client_id.as_str(),
        position_idx: (category == Category::Linear).then_some(0),
    })?;
    act(key, "/v5/order/create", body, Lane::Create, signing)
}

pub(super) fn created(envelope: &Envelope, create: &Create, key: Option<&ApiKey>) -> Result<Answered, NotGood> {
    let result = envelope.result(About::Create, key)?;
    let (id, named) = (result.text("orderId")?, result.maybe_text("orderLinkId")?);
    if named.is_some_and(|named| named != create.key.client_id.as_str()) {
        return Err(Misread("the answer to a create names another order".into()).into());
    }
    Ok(Answered::Done(Facts::Created(VenueOrderId::new(id))))
}

pub(super) fn cancel(key: Option<&ApiKey>, order: &OrderKey, signing: &Signing) -> Result<HttpRequest, Box<Answered>> {
    let body = written(&CancelBody::of(order, Some(Category::of(&order.symbol).word())))?;
    act(key, "/v5/order/cancel", body, Lane::Cancel, signing)
}

pub(super) fn cancelled(envelope: &Envelope, order: &OrderKey, key: Option<&ApiKey>) -> Result<Answered, NotGood> {
    let result = envelope.result(About::Cancel, key)?;
    let (id, named) = (result.maybe_text("orderId")?, result.maybe_text("orderLinkId")?);
    // The venue's id decides where both sides know one, else ours. Two ids that nobody knows are not the same.
    let is_ours = match (id, order.venue_order_id.as_ref()) {
        (Some(id), Some(known)) => id == known.as_str(),
        _ => named.map_or(id.is_none(), |named| named == order.client_id.as_str()),
    };
    if !is_ours {
        return Err(Misread("the answer to a cancel names another order".into()).into());
    }
    Ok(Answered::Done(Facts::CancelTaken { filled: None }))
}

pub(super) fn cancel_batch(
    key: Option<&ApiKey>,
    orders: &[OrderKey],
    signing: &Signing,
) -> Result<HttpRequest, Box<Answered>> {
    let Some(first) = orders.first() else {
        return Err(Box::new(Answered::Done(Facts::Batch(BTreeMap::new()))));
    };
    let category = Category::of(&first.symbol);
    if orders.len() > BATCH_MAX || orders.iter().any(|order| Category::of(&order.symbol) != category) {
        return Err(refused(format!("a batch cancel names at most {BATCH_MAX} orders, of spot or of contracts alone")));
    }
    let request = orders.iter().map(|order| CancelBody::of(order, None)).collect();
    let body = written(&CancelBatchBody { category: category.word(), request })?;
    act(key, "/v5/order/cancel-batch", body, Lane::Cancel, signing)
}

/// Reads a batch order by order: `result.list` names them, `retExtInfo.list` judges them, line by line.
pub(super) fn batch_cancelled(
    envelope: &Envelope,
    orders: &[OrderKey],
    key: Option<&ApiKey>,
) -> Result<Answered, NotGood> {
    let whole = envelope.good(About::Cancel, key)?;
    let named = whole.object("result", "result")?.list("list")?;
    let judged = whole.object("retExtInfo", "retExtInfo")?.list("list")?;
    if named.len() != judged.len() {
        return Err(Misread("a batch answer names and judges different numbers of orders".into()).into());
    }
    let mut found = Vec::new();
    for name in named {
        let name = Fields::of(name, "batch line")?;
        let (link, id) = (name.maybe_text("orderLinkId")?, name.maybe_text("orderId")?);
        let by_link = orders.iter().position(|order| Some(order.client_id.as_str()) == link);
        let by_id = || {
            let is_it =
                |order: &OrderKey| id.is_some() && order.venue_order_id.as_ref().map(VenueOrderId::as_str) == id;
            orders.iter().position(is_it)
        };
        found.push(by_link.or_else(by_id));
    }
    // A failed line may name nothing we know. Where the others stand in our order and none is missing, it is ours too.
    let in_our_order = named.len() == orders.len()
        && found.iter().enumerate().all(|(place, order)| order.is_none_or(|order| order == place));
    let mut items = BTreeMap::new();
    for (place, verdict) in judged.iter().enumerate() {
        let order = match found.get(place).copied().flatten() {
            Some(order) => order,
            None if in_our_order => place,
            None => continue,
        };
        let verdict = Fields::of(verdict, "batch verdict")?;
        let (code, words) = (verdict.integer("code")?, verdict.maybe_text("msg")?.unwrap_or(""));
        let answered = match envelope.leg(About::Cancel, code, words, key) {
            Leg::Done => Answered::Done(Facts::CancelTaken { filled: None }),
            Leg::Not(answered) => answered,
        };
        if let Some(order) = orders.get(order)
            && items.insert(order.client_id, answered).is_some()
        {
            // Two lines about one order: neither is believed.
            items.insert(order.client_id, Answered::Unknown("the batch answer names this order twice".into()));
        }
    }
    Ok(Answered::Done(Facts::Batch(items)))
}

/// The live order by our id. Contracts must be narrowed by symbol; the id decides.
pub(super) fn query(key: Option<&ApiKey>, order: &OrderKey, signing: &Signing) -> Result<HttpRequest, Box<Answered>> {
    ask(key, "/v5/order/realtime", &by_our_id(order), signing)
}

pub(super) fn history(key: Option<&ApiKey>, order: &OrderKey, signing: &Signing) -> Result<HttpRequest, Box<Answered>> {
    ask(key, "/v5/order/history", &by_our_id(order), signing)
}

fn by_our_id(order: &OrderKey) -> Query {
    Query::default()
        .with("category", Category::of(&order.symbol).word())
        .with("symbol", &venue_name(&order.symbol))
        .with("orderLinkId", order.client_id.as_str())
}

pub(super) fn queried(
    envelope: &Envelope,
    order: &OrderKey,
    symbols: &Symbols,
    key: Option<&ApiKey>,
) -> Result<Answered, NotGood> {
    let list = envelope.result(About::Ask, key)?.list("list")?;
    for row in list {
        if let rows::Reading::Row(row) = rows::order(row, Some(Category::of(&order.symbol)), symbols)?
            && row.client_id.as_deref() == Some(order.client_id.as_str())
        {
            return Ok(Answered::Done(Facts::Order(Some(row))));
        }
    }
    // Rows of other orders: the question was not understood, so their being there says nothing of ours.
    if list.is_empty() {
        Ok(Answered::Done(Facts::Order(None)))
    } else {
        Err(Misread("asked about one order, the venue showed others".into()).into())
    }
}

/// What one cancel-all covers: spot, and contracts by what they are paid in.
pub(super) fn scopes() -> Vec<Scope> {
    let linear = SETTLE_COINS.iter().map(|coin| format!("linear:{coin}"));
    std::iter::once("spot".to_owned()).chain(linear).map(Scope).collect()
}

/// Cancels a scope. On spot the filter is said although it is the default: stop and take-profit orders are never ours.
/// Contracts have no filter: there the call takes everything with it, and at most 500 orders at once.
pub(super) fn cancel_all(key: Option<&ApiKey>, scope: &Scope, signing: &Signing) -> Result<HttpRequest, Box<Answered>> {
    let body = match scope.0.split_once(':') {
        None if scope.0 == "spot" => r#"{"category":"spot","orderFilter":"Order"}"#.to_owned(),
        Some(("linear", coin)) if SETTLE_COINS.contains(&coin) => {
            format!(r#"{{"category":"linear","settleCoin":"{coin}"}}"#)
        }
        _ => return Err(refused(format!("Bybit has no cancel-all for `{}`", scope.0))),
    };
    act(key, "/v5/order/cancel-all", body, Lane::Cancel, signing)
}

/// The list of what was taken may be empty or missing; only the listing shows what is left.
pub(super) fn all_cancelled(envelope: &Envelope, key: Option<&ApiKey>) -> Result<Answered, NotGood> {
    let result = envelope.result(About::Cancel, key)?;
    Ok(match result.maybe_text("success")? {
        Some("1") | None => Answered::Done(Facts::CancelTaken { filled: None }),
        Some(_) => {
            let text = "the venue says its cancel-all failed".to_owned();
            Answered::Refused(Refusal { kind: RefusalKind::NotNow, text })
        }
    })
}
