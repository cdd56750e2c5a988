//! Questions about an account's orders and fills, and how lists are said.
//!
//! Always holds: newest first; a page that has a row has a cursor, the last page too.

use serde_json::{Value, json};

use super::Gateway;
use super::answer::Answer;
use super::desk::{self, Outcome, Shape};
use super::gate::Access;
use super::names::Category;
use super::query::{Fields, cursor_read, cursor_shown};
use super::routes::Endpoint;
use crate::exchange::venue::Life;
use crate::exchange::{AccountId, Ask, Body, Cause, FillPage, Micros, OrderPage};

const WEEK_MS: i64 = 7 * 24 * 3_600_000;
/// Ended orders that a listing of recent ones shows.
const RECENT_MAX: usize = 500;

impl Gateway {
    /// A question about an account.
    pub(super) fn look_up(&mut self, endpoint: Endpoint, access: Access, fields: &Fields) -> Result<Outcome, Answer> {
        match endpoint {
            Endpoint::Orders => self.ask_orders(access.account, fields, false),
            Endpoint::History => self.ask_orders(access.account, fields, true),
            Endpoint::Executions => self.ask_fills(access.account, fields),
            Endpoint::Wallet => {
                let coins = fields.text("coin")?.map(|coins| coins.split(',').map(str::to_owned).collect());
                Ok(Outcome::Ask(Ask::Balances, Shape::Wallet(coins.unwrap_or_default())))
            }
            Endpoint::Positions => self.ask_positions(fields),
            _ => self.about_account(endpoint, access, fields),
        }
    }

    fn ask_orders(&mut self, account: AccountId, fields: &Fields, history: bool) -> Result<Outcome, Answer> {
        let Some(category) = fields.category()? else {
            let category = fields.needed("category")?;
            let empty = json!({ "list": [], "nextPageCursor": "", "category": category });
            return Ok(Outcome::Now(Answer::ok(empty)));
        };
        let by_id = fields.text("orderId")?.is_some() || fields.text("orderLinkId")?.is_some();
        let symbol = fields.text("symbol")?.map(str::to_owned);
        let symbols = match (history || by_id, &symbol) {
            // The history needs no scope, nor does a question for one order.
            (true, None) => self.all_of(category),
            _ => self.scope(category, fields)?,
        };
        let shape = Shape::Orders { category, history, symbol: symbol.clone() };
        if by_id {
            let mut which = desk::named(category, fields)?;
            if desk::filter_is_other(fields)? || !self.is_of(account, &which, category, symbol.as_deref()) {
                which = desk::nobody();
            }
            if !history && !self.is_recent(account, category, &which) {
                which = desk::nobody();
            }
            let ask = if history { Ask::History(which) } else { Ask::Query(which) };
            return Ok(Outcome::Ask(ask, shape));
        }
        if desk::filter_is_other(fields)? {
            let empty = json!({ "list": [], "nextPageCursor": "", "category": category.word() });
            return Ok(Outcome::Now(Answer::ok(empty)));
        }
        let closed = fields.number("openOnly")?.unwrap_or(0) != 0;
        let (since, until) = if history { self.span(fields)? } else { (None, None) };
        let page = OrderPage {
            ended: history || closed,
            history,
            symbols,
            since,
            until,
            cursor: cursor_read(fields)?,
            limit: limit(fields, 20, if closed { RECENT_MAX } else { 50 })?,
        };
        Ok(Outcome::Ask(Ask::ListOrders(page), shape))
    }

    /// Whether it is open, or among the last that ended: others are shown by the history only.
    fn is_recent(&self, account: AccountId, category: Category, which: &crate::exchange::OrderRef) -> bool {
        let Ok(order) = self.exchange.find(account, which) else {
            return true;
        };
        let Life::Closed(at, _) = order.life else {
            return true;
        };
        let ended = self.exchange.closed.iter().rev().filter_map(|no| self.exchange.orders.get(no));
        let own = ended.filter(|ended| ended.account == account && self.listed[ended.pit].category == category);
        self.forgot_at.is_none_or(|forgot_at| at > forgot_at) && own.take(RECENT_MAX).any(|ended| ended.no == order.no)
    }

    fn ask_fills(&mut self, account: AccountId, fields: &Fields) -> Result<Outcome, Answer> {
        let Some(category) = fields.category()? else {
            let category = fields.needed("category")?;
            return Ok(Outcome::Now(Answer::ok(json!({ "list": [], "nextPageCursor": "", "category": category }))));
        };
        let by_id = fields.text("orderId")?.is_some() || fields.text("orderLinkId")?.is_some();
        let order = if by_id {
            let which = desk::named(category, fields)?;
            let fits = self.is_of(account, &which, category, fields.text("symbol")?);
            Some(if fits { which } else { desk::nobody() })
        } else {
            None
        };
        let symbols = match fields.text("symbol")? {
            None => self.all_of(category),
            Some(_) => self.scope(category, fields)?,
        };
        let (since, until) = self.span(fields)?;
        let cursor = cursor_read(fields)?;
        let page = FillPage { symbols, order, since, until, cursor, limit: limit(fields, 50, 100)? };
        Ok(Outcome::Ask(Ask::ListTrades(page), Shape::Fills { category }))
    }

    pub(super) fn all_of(&self, category: Category) -> Vec<crate::domain::ids::Symbol> {
        let listed = self.listed.iter().zip(&self.exchange.pits);
        listed.filter(|(listed, _)| listed.category == category).map(|(_, pit)| pit.symbol.clone()).collect()
    }

    /// From when to when, at most a week; without both ends the last week.
    fn span(&self, fields: &Fields) -> Result<(Option<Micros>, Option<Micros>), Answer> {
        let now_ms = self.ms(self.now);
        let (start, end) = match (fields.number("startTime")?, fields.number("endTime")?) {
            (None, None) => (now_ms.saturating_sub(WEEK_MS), None),
            (Some(start), None) => (start, Some(start.saturating_add(WEEK_MS))),
            (None, Some(end)) => (end.saturating_sub(WEEK_MS), Some(end)),
            (Some(start), Some(end)) if start > end || end.saturating_sub(start) > WEEK_MS => {
                let words = "params error: the time range between startTime and endTime can not exceed 7 days";
                return Err(Answer::error(10_001, words));
            }
            (Some(start), Some(end)) => (start, Some(end)),
        };
        // Both ends are included.
        let until = end.map(|end| self.model_time(end.saturating_add(1)));
        Ok((Some(self.model_time(start)), until))
    }

    /// A list that the model gave, in this venue's words.
    pub(super) fn say_list(&self, shape: Shape, account: AccountId, body: Body) -> Answer {
        match (shape, body) {
            (Shape::Orders { category, history, symbol }, Body::Order(view)) => {
                let shown = self.pit_of(&view.symbol).map(|pit| &self.listed[pit]);
                let fits = shown.is_some_and(|listed| {
                    listed.category == category && symbol.as_ref().is_none_or(|symbol| listed.name == *symbol)
                });
                let rows: Vec<Value> = fits.then(|| self.order_row(&view, history)).into_iter().collect();
                let cursor = if fits { cursor_shown(view.order_id.as_str()) } else { String::new() };
                Answer::ok(json!({ "list": rows, "nextPageCursor": cursor, "category": category.word() }))
            }
            (Shape::Orders { category, history, .. }, Body::OpenOrders { rows, next }) => {
                let forgotten = |ended: Micros| !history && self.forgot_at.is_some_and(|forgot_at| ended <= forgot_at);
                let shown = rows.iter().filter(|view| !view.closed_at.is_some_and(forgotten));
                let list: Vec<Value> = shown.map(|view| self.order_row(view, history)).collect();
                let cursor = next.as_deref().map_or_else(String::new, cursor_shown);
                Answer::ok(json!({ "list": list, "nextPageCursor": cursor, "category": category.word() }))
            }
            (Shape::Fills { category }, Body::Fills { rows, next, .. }) => {
                let list: Vec<Value> = rows.iter().map(|view| self.fill_row(account, view)).collect();
                let cursor = next.as_deref().map_or_else(String::new, cursor_shown);
                Answer::ok(json!({ "nextPageCursor": cursor, "category": category.word(), "list": list }))
            }
            (Shape::Wallet(coins), Body::Balances(_)) => Answer::ok(json!({ "list": [self.wallet(account, &coins)] })),
            (Shape::Positions { symbol, settle }, Body::Positions(_)) => {
                let list = self.positions(account, symbol, settle.as_deref());
                Answer::ok(json!({ "list": list, "nextPageCursor": "", "category": "linear" }))
            }
            (Shape::Instruments { category, symbol }, Body::Instruments(_)) => {
                self.say_instruments(category, symbol.as_deref())
            }
            (Shape::Time, Body::Time(at)) => self.say_time(at),
            _ => Answer::error(10_016, "Internal error"),
        }
    }

    pub(super) fn pit_of(&self, symbol: &crate::domain::ids::Symbol) -> Option<usize> {
        self.exchange.pit(symbol)
    }
}

/// How a fill's cause is called.
pub(super) fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::Trade => "Trade",
        Cause::Funding => "Funding",
        Cause::Liquidation => "BustTrade",
        Cause::AutoDeleverage => "AdlTrade",
    }
}

/// Rows on a page: what is asked for within what there is.
pub(super) fn limit(fields: &Fields, usual: usize, most: usize) -> Result<usize, Answer> {
    let asked = fields.number("limit")?;
    let bad = || Answer::error(10_001, "params error: limit is invalid");
    match asked {
        None => Ok(usual),
        Some(asked) => {
            usize::try_from(asked).ok().filter(|asked| *asked > 0).map(|asked| asked.min(most)).ok_or_else(bad)
        }
    }
}
