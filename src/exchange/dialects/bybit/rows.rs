//! Rows: orders, fills, wallet, positions, as lists and pushes show them.
//!
//! Always holds: amounts are text; what does not exist is an empty text; every field the venue shows is there.

use serde_json::{Value, json};

use super::Gateway;
use super::desk::model_number;
use super::lists::cause_word;
use super::names::{self, Category};
use crate::domain::money::Decimal;
use crate::domain::order::{Side, TimeInForce};
use crate::exchange::money::{minus, plus};
use crate::exchange::{AccountId, FillView, OrderView, Reason, Status};

/// Digits after the point of a step.
pub(super) fn places(step: Decimal) -> usize {
    step.to_string().split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

pub(super) fn side_word(side: Side) -> &'static str {
    match side {
        Side::Buy => "Buy",
        Side::Sell => "Sell",
    }
}

/// What an order's end is called: status, cancel type, reject reason.
fn ended(view: &OrderView, category: Category) -> (&'static str, &'static str, &'static str) {
    let canceled = match (category, view.filled.is_positive()) {
        (Category::Spot, true) => "PartiallyFilledCanceled",
        _ => "Cancelled",
    };
    let unfilled = if view.filled.is_zero() { "EC_NoImmediateQtyToFill" } else { "EC_CancelForNoFullFill" };
    match (view.status, view.reason) {
        (Status::New, _) => ("New", "UNKNOWN", "EC_NoError"),
        (Status::PartiallyFilled, _) => ("PartiallyFilled", "UNKNOWN", "EC_NoError"),
        (Status::Filled, _) => ("Filled", "UNKNOWN", "EC_NoError"),
        (Status::Rejected, _) => ("Rejected", "UNKNOWN", "EC_PostOnlyWillTakeLiquidity"),
        (Status::Canceled, Some(Reason::PostOnlyWouldCross | Reason::PostOnlyRejected)) => {
            (canceled, "UNKNOWN", "EC_PostOnlyWillTakeLiquidity")
        }
        (Status::Canceled, Some(Reason::IocRest)) => (canceled, "UNKNOWN", unfilled),
        (Status::Canceled, Some(Reason::Countdown)) => (canceled, "CancelByDCP", "EC_PerCancelRequest"),
        (Status::Canceled, Some(Reason::SelfTrade)) => (canceled, "CancelBySmp", "EC_PerCancelRequest"),
        (Status::Canceled, Some(Reason::ReduceOnly)) => (canceled, "CancelByReduceOnly", "EC_PerCancelRequest"),
        (Status::Canceled, Some(Reason::Liquidation)) => (canceled, "CancelByPrepareLiq", "EC_PerCancelRequest"),
        (Status::Canceled, Some(Reason::Cancelled | Reason::Filled) | None) => {
            (canceled, "CancelByUser", "EC_PerCancelRequest")
        }
    }
}

fn time_in_force_word(view: &OrderView) -> &'static str {
    match view.time_in_force {
        _ if view.marks.all_or_none => "FOK",
        TimeInForce::Gtc => "GTC",
        TimeInForce::PostOnly => "PostOnly",
        TimeInForce::Ioc => "IOC",
    }
}

impl Gateway {
    /// What every showing of an order has in common.
    fn order_core(&self, view: &OrderView) -> Value {
        let Some(pit) = self.pit_of(&view.symbol) else {
            return json!({});
        };
        let (listed, rules) = (&self.listed[pit], &self.exchange.grids[pit].rules);
        let (tick, lot) = (places(rules.tick), places(rules.lot));
        let category = listed.category;
        let (status, cancel_type, reject_reason) = ended(view, category);
        let left = if view.status.ended() { Decimal::ZERO } else { minus(view.qty, view.filled) };
        let average = view.worth.checked_div(view.filled).filter(|_| view.filled.is_positive());
        let average = match average {
            Some(price) => price.truncated(8).to_string(),
            None if category == Category::Spot => String::new(),
            None => "0".to_owned(),
        };
        let paid = if view.paid.is_zero() { json!({}) } else { json!({ rules.quote.as_str(): view.paid.to_string() }) };
        let qty = view.marks.quote_qty.unwrap_or(view.qty);
        json!({
            "orderId": names::order_id(category, model_number(&view.order_id).unwrap_or(0)),
            "orderLinkId": names::link_shown(&view.client_id),
            "blockTradeId": "",
            "symbol": listed.name,
            "price": if view.marks.market && category == Category::Spot {
                "0".to_owned()
            } else {
                view.price.with_places(tick)
            },
            "qty": qty.with_places(lot),
            "side": side_word(view.side),
            "positionIdx": view.marks.position_index,
            "orderStatus": status,
            "cancelType": cancel_type,
            "rejectReason": reject_reason,
            "avgPrice": average,
            "leavesQty": left.with_places(lot),
            "leavesValue": left.checked_mul(view.price).unwrap_or(Decimal::ZERO).to_string(),
            "cumExecQty": view.filled.with_places(lot),
            "cumExecValue": view.worth.to_string(),
            "cumExecFee": view.paid.to_string(),
            "timeInForce": time_in_force_word(view),
            "orderType": if view.marks.market { "Market" } else { "Limit" },
            "stopOrderType": "UNKNOWN",
            "orderIv": "",
            "triggerPrice": "0.00",
            "takeProfit": "0.00",
            "stopLoss": "0.00",
            "tpTriggerBy": "UNKNOWN",
            "slTriggerBy": "UNKNOWN",
            "triggerDirection": 0,
            "triggerBy": "UNKNOWN",
            "lastPriceOnCreated": "",
            "reduceOnly": view.marks.reduce_only,
            "closeOnTrigger": false,
            "smpType": "None",
            "smpGroup": 0,
            "smpOrderId": "",
            "tpslMode": "",
            "tpLimitPrice": "",
            "slLimitPrice": "",
            "placeType": "",
            "createdTime": self.ms(view.created_at).to_string(),
            "updatedTime": self.ms(view.updated_at).to_string(),
            "cumFeeDetail": paid,
        })
    }

    /// An order in a list: of open orders, or of the history, which shows more.
    pub(super) fn order_row(&self, view: &OrderView, history: bool) -> Value {
        let mut row = self.order_core(view);
        row["isLeverage"] = json!(if self.is_spot(view) { "0" } else { "" });
        if history {
            row["slippageToleranceType"] = json!("UNKNOWN");
            row["slippageTolerance"] = json!("");
            row["extraFees"] = json!("");
            row["rpiTakerAccess"] = json!(false);
            row["rpiMatchedQty"] = json!("0");
        }
        row
    }

    fn is_spot(&self, view: &OrderView) -> bool {
        self.pit_of(&view.symbol).is_some_and(|pit| self.listed[pit].category == Category::Spot)
    }

    /// An order in a push.
    pub(super) fn order_push_row(&self, view: &OrderView) -> Value {
        let mut row = self.order_core(view);
        let spot = self.is_spot(view);
        row["category"] = json!(if spot { "spot" } else { "linear" });
        row["closedPnl"] = json!("0");
        row["feeCurrency"] = json!("");
        row["rpiTakerAccess"] = json!(false);
        row["rpiMatchedQty"] = json!("0");
        if view.status.ended() && spot {
            // Here an ended order has nothing left, not even a zero.
            row["leavesQty"] = json!("");
            row["leavesValue"] = json!("");
        }
        row
    }

    /// What every showing of a fill has in common.
    fn fill_core(&self, account: AccountId, view: &FillView) -> Value {
        let Some(pit) = self.pit_of(&view.symbol) else {
            return json!({});
        };
        let (listed, rules) = (&self.listed[pit], &self.exchange.grids[pit].rules);
        let (tick, lot) = (places(rules.tick), places(rules.lot));
        let trade = view.trade_id.as_str().strip_prefix('T').and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let number = model_number(&view.order_id);
        let order =
            number.and_then(|number| self.exchange.orders.get(&number)).filter(|order| order.account == account);
        let grid = &self.exchange.grids[pit];
        let (order_price, order_qty, market) = match order {
            Some(order) => (grid.price(order.ticks), grid.qty(order.lots), order.marks.market),
            None => (view.price, view.qty, true),
        };
        let worth = view.price.checked_mul(view.qty).unwrap_or(Decimal::ZERO);
        let rate = view.fee.checked_div(worth).unwrap_or(Decimal::ZERO);
        let fair = grid.price(self.exchange.fair_ticks(pit));
        json!({
            "symbol": listed.name,
            "orderType": if market { "Market" } else { "Limit" },
            "underlyingPrice": "",
            "orderLinkId": names::link_shown(&view.client_id),
            "side": side_word(view.side),
            "indexPrice": "",
            "orderId": number.map_or_else(String::new, |number| names::order_id(listed.category, number)),
            "stopOrderType": "UNKNOWN",
            "leavesQty": self.left_after(account, view).with_places(lot),
            "execTime": self.ms(view.at).to_string(),
            "feeCurrency": view.fee_asset,
            "isMaker": view.maker,
            "execFee": view.fee.to_string(),
            "feeRate": rate.truncated(10).to_string(),
            "execId": names::execution_id(listed.category, trade),
            "tradeIv": "",
            "blockTradeId": "",
            "markPrice": fair.with_places(tick),
            "execPrice": view.price.with_places(tick),
            "markIv": "",
            "orderQty": order_qty.with_places(lot),
            "orderPrice": order_price.with_places(tick),
            "execValue": worth.to_string(),
            "execType": cause_word(view.cause),
            "execQty": view.qty.with_places(lot),
            "closedSize": "",
            "seq": trade,
        })
    }

    /// What was left of the order after this fill.
    fn left_after(&self, account: AccountId, view: &FillView) -> Decimal {
        let number = model_number(&view.order_id);
        let Some(order) = number.and_then(|number| self.exchange.orders.get(&number)) else {
            return Decimal::ZERO;
        };
        let fills = self.exchange.accounts.get(&account).map(|holder| &holder.fills);
        let own = fills.into_iter().flatten().rev().take_while(|filled| filled.view.trade_id != view.trade_id);
        let later = own.filter(|filled| filled.view.order_id == view.order_id);
        let later = later.fold(Decimal::ZERO, |sum, filled| plus(sum, filled.view.qty));
        plus(self.exchange.grids[order.pit].qty(order.left()), later)
    }

    /// A fill in a list.
    pub(super) fn fill_row(&self, account: AccountId, view: &FillView) -> Value {
        let mut row = self.fill_core(account, view);
        row["extraFees"] = json!("");
        row
    }

    /// A fill in a push.
    pub(super) fn fill_push_row(&self, account: AccountId, view: &FillView) -> Value {
        let mut row = self.fill_core(account, view);
        let spot = self.pit_of(&view.symbol).is_some_and(|pit| self.listed[pit].category == Category::Spot);
        row["category"] = json!(if spot { "spot" } else { "linear" });
        row["isLeverage"] = json!("0");
        row["marketUnit"] = json!("");
        row["execPnl"] = json!("0");
        row["createType"] = json!(if view.client_id.is_empty() { "CreateByLiq" } else { "CreateByUser" });
        row["extraFees"] = json!([]);
        row
    }

    /// A fill in a fast push, which says less.
    pub(super) fn fill_fast_row(&self, account: AccountId, view: &FillView) -> Value {
        let row = self.fill_push_row(account, view);
        let link = if view.maker { json!("") } else { row["orderLinkId"].clone() };
        json!({
            "category": row["category"],
            "symbol": row["symbol"],
            "execId": row["execId"],
            "execPrice": row["execPrice"],
            "execQty": row["execQty"],
            "orderId": row["orderId"],
            "isMaker": row["isMaker"],
            "orderLinkId": link,
            "side": row["side"],
            "execTime": row["execTime"],
            "seq": row["seq"],
        })
    }
}
