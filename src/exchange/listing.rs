//! Lists: open orders, history, fills, positions; page by page, and as they were a moment ago where a fault says so.
//!
//! Always holds: a page costs what is on it, however long the list is.

use super::answers::{Body, ErrorCode, FillView, OrderView, PositionView};
use super::asks::{AccountId, FillPage, Micros, OrderPage, OrderRef};
use super::requests::Twist;
use super::venue::{Exchange, Life, Order};

/// Where a broken listing promises to go on: a page that answers with an error.
const BROKEN: &str = "broken";

/// Where a page of open orders begins: after this order, in the book of this moment (`None`: as it is now).
struct Place {
    after: u64,
    as_of: Option<Micros>,
}

impl Place {
    fn parse(cursor: Option<&str>) -> Result<Place, ErrorCode> {
        let Some(cursor) = cursor else {
            return Ok(Place { after: 0, as_of: None });
        };
        let bad = || ErrorCode::BadRequest("unknown cursor".to_owned());
        let (after, as_of) = match cursor.split_once('@') {
            Some((after, as_of)) => (after, Some(as_of.parse().map_err(|_| bad())?)),
            None => (cursor, None),
        };
        Ok(Place { after: after.parse().map_err(|_| bad())?, as_of: as_of.map(Micros::new) })
    }

    fn cursor(after: u64, as_of: Option<Micros>) -> String {
        match as_of {
            Some(as_of) => format!("{after}@{}", as_of.micros()),
            None => after.to_string(),
        }
    }
}

impl Exchange {
    pub(super) fn list_open(&self, account: AccountId, cursor: Option<&str>, twist: &Twist) -> Result<Body, ErrorCode> {
        if cursor == Some(BROKEN) {
            return Err(ErrorCode::Server);
        }
        let mut place = Place::parse(cursor)?;
        if let Twist::Stale(stale_us) = twist {
            place.as_of = Some(self.now.plus(-stale_us));
        }
        // One more than fits tells whether there is another page.
        let wanted = self.setup.page_size.max(1) + 1;
        let mut numbered = match place.as_of {
            None => self.open_now(account, place.after, wanted),
            Some(as_of) => self.open_then(account, place.after, wanted, as_of),
        };
        let more = numbered.len() == wanted;
        numbered.truncate(wanted - 1);
        let mut next = match numbered.last() {
            Some((last, _)) if more => Some(Place::cursor(*last, place.as_of)),
            _ => None,
        };
        let mut rows: Vec<OrderView> = numbered.into_iter().map(|(_, row)| row).collect();
        if *twist == Twist::Broken {
            rows.truncate(rows.len() / 2);
            next = Some(BROKEN.to_owned());
        }
        Ok(Body::OpenOrders { rows, next })
    }

    /// A page of orders, the newest first.
    pub(super) fn list_orders(&self, account: AccountId, page: &OrderPage, twist: &Twist) -> Result<Body, ErrorCode> {
        if page.cursor.as_deref() == Some(BROKEN) {
            return Err(ErrorCode::Server);
        }
        let mut place = match &page.cursor {
            None => Place { after: u64::MAX, as_of: None },
            cursor => Place::parse(cursor.as_deref())?,
        };
        if let Twist::Stale(stale_us) = twist {
            place.as_of = Some(self.now.plus(-stale_us));
        }
        let pits: Vec<usize> = page.symbols.iter().filter_map(|symbol| self.pit(symbol)).collect();
        let wanted = |order: &&Order| {
            order.account == account
                && order.no < place.after
                && pits.contains(&order.pit)
                && page.since.is_none_or(|since| order.created_at >= since)
                && page.until.is_none_or(|until| order.created_at < until)
        };
        let limit = page.limit.max(1);
        let mut orders: Vec<&Order> = Vec::new();
        let live = self.accounts.get(&account).map(|holder| &holder.live).into_iter().flatten();
        let live = live.rev().filter_map(|no| self.orders.get(no));
        let shown_from = self.now.plus(-self.setup.history_lag_us.max(0));
        let told = |order: &&Order| match order.life {
            Life::Closed(at, _) => !page.history || at <= shown_from,
            Life::Taking | Life::Resting(_) => false,
        };
        if page.ended {
            let ended = self.closed.iter().rev().filter_map(|no| self.orders.get(no));
            orders.extend(ended.filter(wanted).filter(told));
        } else if let Some(as_of) = place.as_of {
            let then = self.closed.iter().rev().filter_map(|no| self.orders.get(no));
            let then = then.take_while(|order| matches!(order.life, Life::Closed(at, _) if at > as_of));
            orders.extend(live.chain(then).filter(wanted).filter(|order| order.created_at <= as_of));
        } else {
            orders.extend(live.filter(wanted).take(limit));
        }
        orders.sort_by_key(|order| std::cmp::Reverse(order.no));
        orders.truncate(limit);
        let mut next = orders.last().map(|last| Place::cursor(last.no, place.as_of));
        let view = |order: &Order| match place.as_of {
            Some(as_of) if !page.ended => self.view_then(order, as_of),
            _ => self.view(order),
        };
        let mut rows: Vec<OrderView> = orders.into_iter().map(view).collect();
        if *twist == Twist::Broken {
            rows.truncate(rows.len() / 2);
            next = Some(BROKEN.to_owned());
        }
        Ok(Body::OpenOrders { rows, next })
    }

    /// A page of fills, the newest first.
    pub(super) fn list_trades(&self, account: AccountId, page: &FillPage, twist: &Twist) -> Result<Body, ErrorCode> {
        let before: u64 = match page.cursor.as_deref() {
            None => u64::MAX,
            Some(BROKEN) => return Err(ErrorCode::Server),
            Some(text) => text.parse().map_err(|_| ErrorCode::BadRequest("unknown cursor".to_owned()))?,
        };
        let complete_to = self.now.plus(-self.setup.fills_lag_us.max(0));
        let of_order = match &page.order {
            None => None,
            Some(which) => match self.find(account, which) {
                Ok(order) => Some(order.order_id.clone()),
                Err(_) => return Ok(Body::Fills { rows: Vec::new(), next: None, complete_to }),
            },
        };
        let fills = self.accounts.get(&account).map(|holder| &holder.fills).into_iter().flatten();
        let wanted = fills.rev().filter(|fill| {
            fill.trade < before
                && fill.booked_at <= complete_to
                && page.symbols.contains(&fill.view.symbol)
                && of_order.as_ref().is_none_or(|order_id| *order_id == fill.view.order_id)
                && page.since.is_none_or(|since| fill.view.at >= since)
                && page.until.is_none_or(|until| fill.view.at < until)
        });
        let found: Vec<_> = wanted.take(page.limit.max(1)).collect();
        let mut next = found.last().map(|fill| fill.trade.to_string());
        let mut rows: Vec<FillView> = found.into_iter().map(|fill| fill.view.clone()).collect();
        if *twist == Twist::Broken {
            rows.truncate(rows.len() / 2);
            next = Some(BROKEN.to_owned());
        }
        Ok(Body::Fills { rows, next, complete_to })
    }

    fn open_now(&self, account: AccountId, after: u64, wanted: usize) -> Vec<(u64, OrderView)> {
        let live = self.accounts.get(&account).map(|holder| holder.live.range(after.saturating_add(1)..));
        let orders = live.into_iter().flatten().filter_map(|no| self.orders.get(no));
        orders.take(wanted).map(|order| (order.no, self.view(order))).collect()
    }

    /// The open orders of a moment ago: those that have ended since are back, those that came since are not there.
    fn open_then(&self, account: AccountId, after: u64, wanted: usize, as_of: Micros) -> Vec<(u64, OrderView)> {
        let ended_since = self.closed.iter().rev().map_while(|no| {
            let order = self.orders.get(no)?;
            matches!(order.life, Life::Closed(at, _) if at > as_of).then_some(order)
        });
        let ended_since = ended_since.filter(|order| order.account == account);
        let live = self.accounts.get(&account).map(|holder| &holder.live);
        let live = live.into_iter().flatten().filter_map(|no| self.orders.get(no));
        let mut then: Vec<&Order> = live.chain(ended_since).collect();
        then.retain(|order| order.no > after && order.created_at <= as_of);
        then.sort_by_key(|order| order.no);
        let rows = then.into_iter().take(wanted);
        rows.map(|order| (order.no, self.view_then(order, as_of))).collect()
    }

    fn view_then(&self, order: &Order, as_of: Micros) -> OrderView {
        let fills = order.fills.iter().filter(|(at, _)| *at > as_of);
        let since_lots: i64 = fills.map(|(_, lots)| lots).sum();
        let filled_lots = order.filled_lots - since_lots;
        OrderView {
            filled: self.grids[order.pit].qty(filled_lots),
            status: super::trading::status(filled_lots, None),
            reason: None,
            closed_at: None,
            cancel_queued: false,
            ..self.view(order)
        }
    }

    /// An ended order, once the history has it.
    pub(super) fn history(&self, account: AccountId, which: &OrderRef) -> Result<OrderView, ErrorCode> {
        let order = self.find(account, which)?;
        let shown_from = self.now.plus(-self.setup.history_lag_us.max(0));
        match order.life {
            Life::Closed(at, _) if at <= shown_from => Ok(self.view(order)),
            Life::Taking | Life::Resting(_) | Life::Closed(..) => Err(ErrorCode::OrderNotFound),
        }
    }

    pub(super) fn list_fills(
        &self,
        account: AccountId,
        since: Micros,
        cursor: Option<&str>,
        twist: &Twist,
    ) -> Result<Body, ErrorCode> {
        if cursor == Some(BROKEN) {
            return Err(ErrorCode::Server);
        }
        let after: u64 = match cursor {
            None => 0,
            Some(text) => text.parse().map_err(|_| ErrorCode::BadRequest("unknown cursor".to_owned()))?,
        };
        let complete_to = self.now.plus(-self.setup.fills_lag_us.max(0));
        let page_size = self.setup.page_size.max(1);
        let Some(holder) = self.accounts.get(&account) else {
            return Err(ErrorCode::BadRequest("unknown account".to_owned()));
        };
        // Both trade numbers and times rise, so the first row is found by halving.
        let begin = holder.fills.partition_point(|fill| fill.trade <= after || fill.view.at < since);
        let shown = holder.fills.range(begin..).take_while(|fill| fill.booked_at <= complete_to);
        let mut page: Vec<_> = shown.take(page_size + 1).collect();
        let more = page.len() > page_size;
        page.truncate(page_size);
        let mut next = page.last().filter(|_| more).map(|fill| fill.trade.to_string());
        let mut rows: Vec<FillView> = page.into_iter().map(|fill| fill.view.clone()).collect();
        if *twist == Twist::Broken {
            rows.truncate(rows.len() / 2);
            next = Some(BROKEN.to_owned());
        }
        Ok(Body::Fills { rows, next, complete_to })
    }

    pub(super) fn positions(&self, account: AccountId) -> Vec<PositionView> {
        let contracts = self.accounts.get(&account).map(|holder| &holder.purse.contracts);
        let open = contracts.into_iter().flatten().filter(|(_, contract)| contract.lots != 0);
        open.map(|(&place, contract)| PositionView {
            symbol: self.pits[place].symbol.clone(),
            qty: self.grids[place].qty(contract.lots),
            cost: contract.cost,
        })
        .collect()
    }
}
