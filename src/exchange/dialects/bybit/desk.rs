//! The desk: what a request means to the model, and how the model's answer is said.
//!
//! Always holds: an answer to a create, amend or cancel says that it was taken, never that it is done; a batch answers
//! for every leg, and its own number is 0 even when no leg was taken.

use serde_json::{Value, json};

use super::Gateway;
use super::answer::{self, Answer};
use super::gate::{Access, Reply};
use super::names::{self, Category};
use super::query::Fields;
use super::routes::Endpoint;
use crate::domain::ids::{Symbol, VenueOrderId};
use crate::domain::money::Decimal;
use crate::domain::order::{Side, TimeInForce};
use crate::exchange::{
    AccountId, Amendment, Ask, BatchItem, Body, ErrorCode, Names, NewOrder, OrderMarks, OrderRef, Placement,
    Reply as ModelReply, Ticket,
};

/// Most orders in a batch.
pub(super) const BATCH_MAX: usize = 10;
/// Most orders one cancel-all takes.
pub(super) const CANCEL_ALL_MAX: usize = 500;
/// Most active orders: of a linear instrument, and of all spot together.
const ACTIVE_MAX: usize = 500;

/// What comes of a request at first.
pub(super) enum Outcome {
    /// An answer.
    Now(Answer),
    /// The model is asked.
    Ask(Ask, Shape),
}

/// A request the model has.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) reply: Reply,
    pub(super) shape: Shape,
    pub(super) account: AccountId,
}

/// How the model's answer is said.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Names(Category),
    Batch {
        category: Category,
        creates: bool,
        legs: Vec<Leg>,
    },
    All(Category),
    Orders {
        category: Category,
        history: bool,
        symbol: Option<String>,
    },
    Fills {
        category: Category,
    },
    Wallet(Vec<String>),
    Positions {
        symbol: Option<usize>,
        settle: Option<String>,
    },
    Instruments {
        category: Category,
        symbol: Option<String>,
    },
    Time,
    /// Nobody asked over the wire.
    Silent,
}

/// One order of a batch.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    symbol: String,
    which: OrderRef,
    /// As the request said them.
    order_id: String,
    link: String,
    refused: Option<(i64, String)>,
}

type Refused = (i64, String);

fn refused(code: i64, words: &str) -> Refused {
    (code, words.to_owned())
}

fn answer_of((code, words): Refused) -> Answer {
    Answer::error(code, &words)
}

fn refusal_of(answer: Answer) -> Refused {
    (answer.code, answer.msg)
}

impl Gateway {
    /// Carries a request out as far as this side can.
    pub(super) fn carry_out(
        &mut self,
        endpoint: Endpoint,
        access: Option<Access>,
        fields: &Fields,
        granted: usize,
    ) -> Result<Outcome, Answer> {
        match (endpoint, access) {
            (Endpoint::Create, Some(access)) => self.create(access, fields),
            (Endpoint::CreateBatch, Some(access)) => self.create_batch(access, fields, granted),
            (Endpoint::Amend, Some(access)) => self.amend(access, fields),
            (Endpoint::Cancel, Some(access)) => self.cancel(access, fields),
            (Endpoint::CancelBatch, Some(access)) => self.cancel_batch(access, fields, granted),
            (Endpoint::CancelAll, Some(_)) => self.cancel_all(fields),
            (_, Some(access)) => self.look_up(endpoint, access, fields),
            (_, None) => self.show(endpoint, fields),
        }
    }

    /// The category of a request that changes orders: one spoken here.
    fn traded(fields: &Fields) -> Result<Category, Answer> {
        fields.category()?.ok_or_else(|| Answer::error(10_001, "params error: category is not supported"))
    }

    fn create(&mut self, access: Access, fields: &Fields) -> Result<Outcome, Answer> {
        let category = Gateway::traded(fields)?;
        let placement = self.placement(access, category, fields, 0).map_err(answer_of)?;
        Ok(Outcome::Ask(Ask::Place(placement), Shape::Names(category)))
    }

    fn create_batch(&mut self, access: Access, fields: &Fields, granted: usize) -> Result<Outcome, Answer> {
        let category = Gateway::traded(fields)?;
        let mut legs = Vec::new();
        let mut placements = Vec::new();
        for (place, value) in batch(fields)?.iter().enumerate() {
            let Some(fields) = Fields::from_value(value) else {
                return Err(Answer::error(10_001, "params error: request is invalid"));
            };
            let placed = if place >= granted {
                Err(refused(10_006, "Too many visits!"))
            } else {
                self.placement(access, category, &fields, place)
            };
            let mut leg = leg_of(&fields);
            match placed {
                Ok(placement) => {
                    leg.which = OrderRef::client(&placement.order.client_id);
                    leg.link = names::link_shown(&placement.order.client_id).to_owned();
                    placements.push(placement);
                }
                Err(why) => leg.refused = Some(why),
            }
            legs.push(leg);
        }
        let shape = Shape::Batch { category, creates: true, legs };
        if placements.is_empty() {
            return Ok(Outcome::Now(self.say_batch(shape, Vec::new())));
        }
        Ok(Outcome::Ask(Ask::PlaceBatch { placements }, shape))
    }

    /// A new order, checked as far as this side checks.
    fn placement(&self, access: Access, category: Category, fields: &Fields, leg: usize) -> Result<Placement, Refused> {
        let field = |found: Result<Option<Decimal>, Answer>| found.map_err(refusal_of);
        let symbol = fields.needed("symbol").map_err(refusal_of)?;
        let pit = self.pit(category, symbol).ok_or_else(|| unknown_symbol(category))?;
        let side = match fields.needed("side").map_err(refusal_of)? {
            "Buy" => Side::Buy,
            "Sell" => Side::Sell,
            _ => return Err(refused(10_001, "params error: side invalid")),
        };
        let market = match fields.needed("orderType").map_err(refusal_of)? {
            "Market" => true,
            "Limit" => false,
            _ => return Err(refused(10_001, "params error: orderType invalid")),
        };
        let word = fields.text("timeInForce").map_err(refusal_of)?;
        let time_in_force = match word {
            _ if market => TimeInForce::Ioc,
            None | Some("GTC") => TimeInForce::Gtc,
            Some("PostOnly") => TimeInForce::PostOnly,
            Some("IOC" | "FOK") => TimeInForce::Ioc,
            Some(_) => return Err(refused(10_001, "params error: timeInForce invalid")),
        };
        for attached in ["triggerPrice", "takeProfit", "stopLoss"] {
            if fields.amount(attached).map_err(refusal_of)?.is_some_and(|price| !price.is_zero()) {
                return Err(refused(10_001, "params error: conditional and attached orders are not supported here"));
            }
        }
        let qty = field(fields.amount("qty"))?.ok_or_else(|| refused(10_001, "params error: qty is required"))?;
        let given = field(fields.amount("price"))?.filter(|price| !price.is_zero());
        let price = match (market, given) {
            (false, Some(price)) => price,
            (false, None) => return Err(refused(10_001, "params error: price is required")),
            (true, _) => self.protective(pit, side).ok_or_else(|| refused(10_001, "no market to trade against"))?,
        };
        let mut marks = OrderMarks {
            market,
            reduce_only: category == Category::Linear && fields.flag("reduceOnly").map_err(refusal_of)?,
            all_or_none: word == Some("FOK"),
            position_index: self.position_index(access, category, fields)?,
            quote_qty: None,
        };
        let in_quote = fields.text("marketUnit").map_err(refusal_of)? != Some("baseCoin");
        let qty = if market && category == Category::Spot && side == Side::Buy && in_quote {
            marks.quote_qty = Some(qty);
            let worth = qty.checked_div(price).map(|base| self.whole_lots(pit, base));
            worth
                .filter(|qty| qty.is_positive())
                .ok_or_else(|| refused(170_140, "Order value exceeded lower limit."))?
        } else {
            qty
        };
        self.room(access.account, category, pit)?;
        let client_id = match fields.text("orderLinkId").map_err(refusal_of)? {
            None => names::link_made_up(category, self.exchange.last_request + 1, leg),
            Some(link) if names::link_is_good(link) => link.to_owned(),
            Some(_) => return Err(refused(10_001, "params error: orderLinkId invalid")),
        };
        Ok(Placement {
            order: NewOrder {
                client_id,
                symbol: self.exchange.pits[pit].symbol.clone(),
                side,
                price,
                qty,
                time_in_force,
                not_after: Some(access.deadline),
            },
            marks,
        })
    }

    fn position_index(&self, access: Access, category: Category, fields: &Fields) -> Result<u8, Refused> {
        let index = fields.number("positionIdx").map_err(refusal_of)?.unwrap_or(0);
        let hedged = category == Category::Linear && self.keys[access.key].hedge_mode;
        match (hedged, index) {
            (false, 0) => Ok(0),
            (true, 1) => Ok(1),
            (true, 2) => Ok(2),
            _ => Err(refused(10_001, "position idx not match position mode")),
        }
    }

    /// How far a market order goes: five percent beyond the other side.
    fn protective(&self, pit: usize, side: Side) -> Option<Decimal> {
        let (bid, ask) = self.exchange.touch(pit);
        let ticks = match side {
            Side::Buy => ask?.0.saturating_mul(105) / 100,
            Side::Sell => (bid?.0.saturating_mul(95) / 100).max(1),
        };
        Some(self.exchange.grids[pit].price(ticks))
    }

    fn whole_lots(&self, pit: usize, qty: Decimal) -> Decimal {
        let grid = &self.exchange.grids[pit];
        qty.steps_of(grid.rules.lot).map_or(Decimal::ZERO, |(lots, _)| grid.qty(lots))
    }

    /// Whether another order may rest.
    fn room(&self, account: AccountId, category: Category, pit: usize) -> Result<(), Refused> {
        let live = self.exchange.accounts.get(&account).map(|holder| &holder.live);
        let live = live.into_iter().flatten().filter_map(|no| self.exchange.orders.get(no));
        let counted = live.filter(|order| match category {
            Category::Linear => order.pit == pit,
            Category::Spot => self.listed[order.pit].category == Category::Spot,
        });
        if counted.count() >= ACTIVE_MAX { Err(answer::too_many(category)) } else { Ok(()) }
    }

    fn amend(&mut self, access: Access, fields: &Fields) -> Result<Outcome, Answer> {
        let category = Gateway::traded(fields)?;
        let which = self.which(access.account, category, fields)?;
        let (price, qty) = (fields.amount("price")?, fields.amount("qty")?);
        if price.is_none() && qty.is_none() {
            return Err(Answer::error(10_001, "params error: nothing to change"));
        }
        Ok(Outcome::Ask(Ask::Amend(Amendment { which, price, qty }), Shape::Names(category)))
    }

    fn cancel(&mut self, access: Access, fields: &Fields) -> Result<Outcome, Answer> {
        let category = Gateway::traded(fields)?;
        let which = self.which(access.account, category, fields)?;
        Ok(Outcome::Ask(Ask::Cancel(which), Shape::Names(category)))
    }

    fn cancel_batch(&mut self, access: Access, fields: &Fields, granted: usize) -> Result<Outcome, Answer> {
        let category = Gateway::traded(fields)?;
        let (mut legs, mut orders) = (Vec::new(), Vec::new());
        for (place, value) in batch(fields)?.iter().enumerate() {
            let Some(fields) = Fields::from_value(value) else {
                return Err(Answer::error(10_001, "params error: request is invalid"));
            };
            let mut leg = leg_of(&fields);
            match self.which(access.account, category, &fields) {
                _ if place >= granted => leg.refused = Some(refused(10_006, "Too many visits!")),
                Ok(which) => {
                    leg.which = which.clone();
                    orders.push(which);
                }
                Err(why) => leg.refused = Some(refusal_of(why)),
            }
            legs.push(leg);
        }
        let shape = Shape::Batch { category, creates: false, legs };
        if orders.is_empty() {
            return Ok(Outcome::Now(self.say_batch(shape, Vec::new())));
        }
        Ok(Outcome::Ask(Ask::CancelBatch { orders }, shape))
    }

    fn cancel_all(&mut self, fields: &Fields) -> Result<Outcome, Answer> {
        let category = Gateway::traded(fields)?;
        let symbols = self.scope(category, fields)?;
        if filter_is_other(fields)? {
            // Orders of these kinds do not exist here.
            return Ok(Outcome::Now(Answer::ok(json!({ "list": [], "success": "1" }))));
        }
        Ok(Outcome::Ask(Ask::CancelScope { symbols }, Shape::All(category)))
    }

    /// The instruments a request is about: of one symbol, base or settling coin, the first that is named. On spot all.
    pub(super) fn scope(&self, category: Category, fields: &Fields) -> Result<Vec<Symbol>, Answer> {
        let (symbol, base) = (fields.text("symbol")?, fields.text("baseCoin")?);
        let settle = fields.text("settleCoin")?;
        if let Some(name) = symbol {
            let pit = self.pit(category, name).ok_or_else(|| answer_of(unknown_symbol(category)))?;
            return Ok(vec![self.exchange.pits[pit].symbol.clone()]);
        }
        if category == Category::Linear && base.is_none() && settle.is_none() {
            let words =
                "params error: missing some parameters that must be filled in, symbol or settleCoin or baseCoin";
            return Err(Answer::error(10_001, words));
        }
        let listed = self.listed.iter().zip(&self.exchange.pits).filter(|(listed, _)| {
            let fits = match (category, base, settle) {
                (Category::Spot, None, _) => true,
                (_, Some(base), _) => listed.base == base,
                (_, None, settle) => settle.is_none_or(|settle| listed.quote == settle),
            };
            listed.category == category && fits
        });
        Ok(listed.map(|(_, pit)| pit.symbol.clone()).collect())
    }

    /// The order a request names; one of another symbol or category is none.
    pub(super) fn which(&self, account: AccountId, category: Category, fields: &Fields) -> Result<OrderRef, Answer> {
        let symbol = fields.needed("symbol")?;
        let which = named(category, fields)?;
        if self.pit(category, symbol).is_none() {
            return Err(answer_of(unknown_symbol(category)));
        }
        if filter_is_other(fields)? || !self.is_of(account, &which, category, Some(symbol)) {
            return Ok(nobody());
        }
        Ok(which)
    }

    /// Whether an order is of this category and symbol; one that is not known is left to the model.
    pub(super) fn is_of(&self, account: AccountId, which: &OrderRef, category: Category, symbol: Option<&str>) -> bool {
        self.exchange.find(account, which).is_ok_and(|order| {
            let listed = &self.listed[order.pit];
            listed.category == category && symbol.is_none_or(|symbol| listed.name == symbol)
        }) || self.exchange.find(account, which).is_err()
    }

    /// The model has answered.
    pub(super) fn answered(&mut self, ticket: Ticket, reply: ModelReply) {
        let Some(pending) = self.pending.remove(&ticket) else {
            return;
        };
        let answer = self.say(pending.shape, pending.account, reply.result, ticket);
        self.finish(pending.reply, &answer);
    }

    fn say(&self, shape: Shape, account: AccountId, result: Result<Body, ErrorCode>, ticket: Ticket) -> Answer {
        let odd = ticket.0 % 2 == 1;
        let category = match &shape {
            Shape::Names(category)
            | Shape::Batch { category, .. }
            | Shape::All(category)
            | Shape::Orders { category, .. }
            | Shape::Fills { category }
            | Shape::Instruments { category, .. } => *category,
            Shape::Wallet(_) | Shape::Positions { .. } | Shape::Time | Shape::Silent => Category::Linear,
        };
        match (result, shape) {
            // A question about an order that is not there is answered with an empty list.
            (Err(ErrorCode::OrderNotFound), Shape::Orders { category, .. }) => {
                Answer::ok(json!({ "list": [], "nextPageCursor": "", "category": category.word() }))
            }
            (Err(code), _) => answer::refused(&code, category, odd),
            (Ok(Body::Created(names)), Shape::Names(category)) => Answer::ok(said_names(category, &names)),
            (Ok(Body::CancelTaken { names, .. }), Shape::Names(category)) => Answer::ok(said_names(category, &names)),
            (Ok(Body::Batch(items)), shape @ Shape::Batch { .. }) => self.say_batch(shape, items),
            (Ok(Body::AllCanceled(names)), Shape::All(category)) => {
                let list: Vec<Value> = names.iter().map(|names| said_names(category, names)).collect();
                Answer::ok(json!({ "list": list, "success": "1" }))
            }
            (Ok(body), shape) => self.say_list(shape, account, body),
        }
    }

    /// A batch's answer: a row and a verdict for each leg.
    fn say_batch(&self, shape: Shape, items: Vec<BatchItem>) -> Answer {
        let Shape::Batch { category, creates, legs } = shape else {
            return Answer::error(10_016, "Internal error");
        };
        let (mut asked, refused): (Vec<_>, Vec<_>) =
            legs.iter().enumerate().partition(|(_, leg)| leg.refused.is_none());
        // In the order the model answers, which is the order asked for unless a fault says otherwise.
        let mut said: Vec<(Value, Value)> = Vec::new();
        for item in &items {
            let meets = |leg: &Leg| match (&leg.which.order_id, &leg.which.client_id) {
                (Some(order_id), _) => item.order_id.as_ref() == Some(order_id),
                (None, client_id) => item.client_id == *client_id,
            };
            if let Some(place) = asked.iter().position(|(_, leg)| meets(leg)) {
                let (place, leg) = asked.remove(place);
                said.push(self.say_leg(category, creates, leg, Some(item), place));
            }
        }
        for (place, leg) in refused {
            said.insert(place.min(said.len()), self.say_leg(category, creates, leg, None, place));
        }
        let (rows, verdicts): (Vec<Value>, Vec<Value>) = said.into_iter().unzip();
        Answer::ok(json!({ "list": rows })).with_ext(json!({ "list": verdicts }))
    }

    fn say_leg(
        &self,
        category: Category,
        creates: bool,
        leg: &Leg,
        item: Option<&BatchItem>,
        place: usize,
    ) -> (Value, Value) {
        let verdict = match (item.map(|item| &item.result), &leg.refused) {
            (Some(Ok(_)), _) => (0, "OK".to_owned()),
            (Some(Err(code)), _) => answer::refusal(code, category, place % 2 == 1),
            (None, Some(why)) => why.clone(),
            (None, None) => (10_016, "Internal error".to_owned()),
        };
        let known = item.filter(|_| verdict.0 == 0);
        let id = known.and_then(|item| item.order_id.as_ref()).and_then(model_number);
        let order_id = id.map_or_else(String::new, |number| names::order_id(category, number));
        let order_id = if creates || verdict.0 == 0 { order_id } else { leg.order_id.clone() };
        let link = known.and_then(|item| item.client_id.as_deref()).map_or(leg.link.as_str(), names::link_shown);
        let mut row = json!({
            "category": category.word(),
            "symbol": leg.symbol,
            "orderId": order_id,
            "orderLinkId": link,
        });
        if creates {
            let at = if verdict.0 == 0 { self.ms(self.now).to_string() } else { String::new() };
            row["createAt"] = json!(at);
        }
        (row, json!({ "code": verdict.0, "msg": verdict.1 }))
    }

    /// An order of somebody else on an account, as an admin wants it.
    pub(super) fn placed_by_admin(&mut self, account: AccountId, placement: Placement) -> Ticket {
        let ticket = self.own_ticket();
        let reply = Reply { to: super::gate::ReplyTo::Nobody, shown: None, strike: None };
        self.pending.insert(ticket, Pending { reply, shape: Shape::Silent, account });
        self.exchange.submit(self.now, account, ticket, Ask::Place(placement));
        ticket
    }
}

/// The legs of a batch.
fn batch(fields: &Fields) -> Result<&[Value], Answer> {
    let legs = fields.list("request")?;
    match legs.len() {
        0 => Err(Answer::error(10_001, "params error: request is empty")),
        count if count > BATCH_MAX => {
            Err(Answer::error(10_001, &format!("params error: request holds at most {BATCH_MAX} orders")))
        }
        _ => Ok(legs),
    }
}

fn leg_of(fields: &Fields) -> Leg {
    let shown = |name: &str| fields.text(name).ok().flatten().unwrap_or_default().chars().take(64).collect();
    Leg {
        symbol: shown("symbol"),
        which: OrderRef::default(),
        order_id: shown("orderId"),
        link: shown("orderLinkId"),
        refused: None,
    }
}

/// The order a request names; the venue's id wins.
pub(super) fn named(category: Category, fields: &Fields) -> Result<OrderRef, Answer> {
    if let Some(id) = fields.text("orderId")? {
        return Ok(match names::order_number(id) {
            Some((of, number)) if of == category => OrderRef::venue(&crate::exchange::Exchange::order_id(number)),
            _ => nobody(),
        });
    }
    match fields.text("orderLinkId")? {
        Some(link) if names::link_is_good(link) => Ok(OrderRef::client(link)),
        Some(_) => Ok(nobody()),
        None => Err(Answer::error(10_001, "params error: OrderId or orderLinkId is required")),
    }
}

/// A name no order has.
pub(super) fn nobody() -> OrderRef {
    OrderRef::venue(&VenueOrderId::new("?"))
}

/// Whether a request asks for kinds of orders that do not exist here.
pub(super) fn filter_is_other(fields: &Fields) -> Result<bool, Answer> {
    Ok(fields.text("orderFilter")?.is_some_and(|filter| filter != "Order"))
}

/// The model's number of an order.
pub(super) fn model_number(id: &VenueOrderId) -> Option<u64> {
    id.as_str().strip_prefix('V')?.parse().ok()
}

fn said_names(category: Category, names: &Names) -> Value {
    let number = model_number(&names.order_id).unwrap_or(0);
    json!({
        "orderId": names::order_id(category, number),
        "orderLinkId": names::link_shown(&names.client_id),
    })
}

fn unknown_symbol(category: Category) -> Refused {
    match category {
        Category::Spot => refused(170_121, "Invalid symbol."),
        Category::Linear => refused(10_001, "params error: symbol invalid"),
    }
}
