//! Rows of orders and executions, as lists and pushes bring them, read into our words.
//!
//! Always holds: a status we do not know is `Strange`, never an end; a row that ended without saying what was filled
//! is `Strange` too; negative sizes and wrong types are errors that name the field.
//!
//! Ids. Order ids stand alone: contracts have UUIDs, spot a decimal number drawn venue-wide, so no two orders of an
//! account share one. Execution ids name a match, and a match between two orders of the same account is in the list
//! twice, once for each order; the venue itself advises to tell rows apart by execution *and* order. So a trade id here
//! is both, with a `:` between.

use serde_json::Value;

use super::symbols::{Category, Symbols, base_of, quote_of};
use crate::domain::ids::{TradeId, VenueOrderId};
use crate::domain::money::Decimal;
use crate::domain::order::{Fill, FillKind, FillRow, OrderRow, Outcome, Side, VenueStatus};
use crate::venues::json::{Fields, Misread, clipped};

/// A row, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// It is about something we trade.
    Row(T),
    /// It is not: another category, a kind of execution we keep no books of. In words, for the log.
    Other(String),
}

/// Reads a row of an order. `category`: of the request it answers; a push says it itself.
pub fn order(value: &Value, category: Option<Category>, symbols: &Symbols) -> Result<Reading<OrderRow>, Misread> {
    let row = Fields::of(value, "order")?;
    let category = match category_of(&row, category)? {
        Reading::Row(category) => category,
        Reading::Other(words) => return Ok(Reading::Other(words)),
    };
    let word = row.text("orderStatus")?;
    let cum_exec_qty = row.maybe_amount("cumExecQty")?;
    let qty = row.maybe_amount("qty")?.unwrap_or(Decimal::ZERO);
    let status = status_of(word, cum_exec_qty);
    Ok(Reading::Row(OrderRow {
        symbol: symbols.symbol(category, row.text("symbol")?),
        client_id: row.maybe_text("orderLinkId")?.map(str::to_owned),
        venue_order_id: VenueOrderId::new(row.text("orderId")?),
        side: side_of(&row)?,
        // Market orders of other programs have none.
        price: row.maybe_amount("price")?.unwrap_or(Decimal::ZERO),
        qty,
        filled: cum_exec_qty.unwrap_or(Decimal::ZERO),
        status,
        reason: reason_of(&row, word, status)?,
    }))
}

/// Reads a row of an execution. `category`: of the request it answers; a push says it itself.
pub fn fill(value: &Value, category: Option<Category>, symbols: &Symbols) -> Result<Reading<FillRow>, Misread> {
    let row = Fields::of(value, "execution")?;
    let category = match category_of(&row, category)? {
        Reading::Row(category) => category,
        Reading::Other(words) => return Ok(Reading::Other(words)),
    };
    let word = row.text("execType")?;
    let Some(kind) = kind_of(word) else {
        let symbol = row.text("symbol")?;
        let words = format!("execution {} of {symbol} is of the kind `{word}`", row.text("execId")?);
        return Ok(Reading::Other(clipped(&words)));
    };
    let symbol = symbols.symbol(category, row.text("symbol")?);
    let (exec_id, order_id) = (row.text("execId")?, row.maybe_text("orderId")?.unwrap_or(""));
    let (side, price) = match kind {
        // Nothing changes hands: neither side nor price is needed, and not every row has them.
        FillKind::Funding => (side_of(&row).unwrap_or(Side::Buy), row.maybe_amount("execPrice")?.unwrap_or_default()),
        _ => (side_of(&row)?, row.amount("execPrice")?),
    };
    let maker = row.maybe_flag("isMaker")?.unwrap_or(false);
    let fee = row.maybe_decimal("execFee")?.unwrap_or(Decimal::ZERO);
    let fee_asset = match (row.maybe_text("feeCurrency")?, category) {
        (Some(coin), _) => coin.to_owned(),
        // Contracts are charged in what they are paid in.
        (None, Category::Linear) => quote_of(&symbol),
        // Spot is charged in what comes in, and a maker's rebate is paid in what goes out.
        (None, Category::Spot) => match (side, fee.is_negative()) {
            (Side::Buy, false) | (Side::Sell, true) => base_of(&symbol),
            (Side::Sell, false) | (Side::Buy, true) => quote_of(&symbol),
        },
    };
    let fee = fee
        .checked_add(extra_fees(&row, &fee_asset)?)
        .ok_or_else(|| Misread("execution: `execFee` is too large".to_owned()))?;
    Ok(Reading::Row(FillRow {
        symbol,
        client_id: row.maybe_text("orderLinkId")?.map(str::to_owned),
        venue_order_id: VenueOrderId::new(order_id),
        side,
        kind,
        fill: Fill {
            trade_id: TradeId::new(&format!("{exec_id}:{order_id}")),
            price,
            qty: row.amount("execQty")?,
            fee,
            fee_asset,
            maker,
            at: row.millis("execTime")?,
        },
    }))
}

fn category_of(row: &Fields<'_>, asked: Option<Category>) -> Result<Reading<Category>, Misread> {
    if let Some(category) = asked {
        return Ok(Reading::Row(category));
    }
    let word = row.text("category")?;
    Ok(match Category::from_word(word) {
        Some(category) => Reading::Row(category),
        None => Reading::Other(clipped(&format!("{} is of the category `{word}`", row.text("symbol")?))),
    })
}

/// Buy or sell.
pub fn side_of(row: &Fields<'_>) -> Result<Side, Misread> {
    match row.text("side")? {
        "Buy" => Ok(Side::Buy),
        "Sell" => Ok(Side::Sell),
        other => Err(Misread(format!("`side` is neither Buy nor Sell: `{}`", clipped(other)))),
    }
}

/// What a status proves. `filled`: what the row says was filled in all.
fn status_of(word: &str, filled: Option<Decimal>) -> VenueStatus {
    let ended = match word {
        // `Untriggered` and `Triggered` are conditional orders of other programs: they rest.
        "New" | "PartiallyFilled" | "Created" | "Untriggered" | "Triggered" => return VenueStatus::Open,
        "PendingCancel" => return VenueStatus::PendingCancel,
        "Filled" => Outcome::Filled,
        "Cancelled" | "PartiallyFilledCanceled" | "Deactivated" => Outcome::Canceled,
        // Seen with fills: then it was taken, and ended like a cancel.
        "Rejected" if filled.is_some_and(Decimal::is_positive) => Outcome::Canceled,
        "Rejected" => return VenueStatus::Ended(Outcome::Rejected),
        _ => return VenueStatus::Strange,
    };
    match filled {
        Some(_) => VenueStatus::Ended(ended),
        // Ended, and nobody says with how much: a fill would be lost. Asking again is the careful reading.
        None => VenueStatus::Strange,
    }
}

fn reason_of(row: &Fields<'_>, word: &str, status: VenueStatus) -> Result<String, Misread> {
    let cancel = row.maybe_text("cancelType")?.filter(|word| *word != "UNKNOWN");
    let reject = row.maybe_text("rejectReason")?.filter(|word| *word != "EC_NoError");
    let words: Vec<&str> = match status {
        VenueStatus::Open | VenueStatus::PendingCancel => return Ok(String::new()),
        VenueStatus::Ended(_) => [cancel, reject].into_iter().flatten().collect(),
        VenueStatus::Strange => [Some(word), cancel, reject].into_iter().flatten().collect(),
    };
    Ok(clipped(&words.join(", ")))
}

/// Kinds of execution we keep books of. The others (session settlements, kinds to come) stay out; what they change of
/// a position is found when positions are compared.
fn kind_of(word: &str) -> Option<FillKind> {
    match word {
        // Block trades, moved positions and legs of spreads are foreign trades: they change what the account holds.
        "Trade" | "BlockTrade" | "MovePosition" | "FutureSpread" => Some(FillKind::Trade),
        "Funding" => Some(FillKind::Funding),
        "BustTrade" => Some(FillKind::Liquidation),
        "AdlTrade" => Some(FillKind::Deleveraging),
        "Settle" | "Delivery" => Some(FillKind::Settlement),
        _ => None,
    }
}

/// Taxes some countries add to the fee, in the fee's currency. A list of objects in pushes, mostly `""` in lists. What
/// is charged in another currency than the fee shows in the balances only.
fn extra_fees(row: &Fields<'_>, fee_asset: &str) -> Result<Decimal, Misread> {
    let Some(Value::Array(extras)) = row.value("extraFees") else { return Ok(Decimal::ZERO) };
    let mut sum = Decimal::ZERO;
    for extra in extras {
        let extra = Fields::of(extra, "extra fee")?;
        if extra.maybe_text("feeCoin")? == Some(fee_asset) {
            let fee = extra.maybe_decimal("fee")?.unwrap_or(Decimal::ZERO);
            sum = sum.checked_add(fee).ok_or_else(|| Misread("extra fee: `fee` is too large".to_owned()))?;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Symbol;
    use crate::venues::json::read;

    fn symbols() -> Symbols {
        Symbols::new(&[Symbol::new("BTC-USDT"), Symbol::new("BTC-USDT-PERP")]).unwrap()
    }

    /// An order with these fields instead of the usual ones.
    fn order_with(fields: &str) -> Result<Reading<OrderRow>, Misread> {
        let usual = r#"{"orderId":"7","orderLinkId":"lo7k2p000a1a000001","symbol":"BTCUSDT","side":"Buy","price":"64000.50",
            "qty":"0.010","cumExecQty":"0.000","orderStatus":"New","cancelType":"UNKNOWN","rejectReason":"EC_NoError"}"#;
        let mut row = read(usual).unwrap();
        let Value::Object(changes) = read(fields).unwrap() else { panic!("not an object: {fields}") };
        row.as_object_mut().unwrap().extend(changes);
        order(&row, Some(Category::Spot), &symbols())
    }

    fn execution_with(fields: &str) -> Result<Reading<FillRow>, Misread> {
        let usual = r#"{"category":"linear","execId":"e1","orderId":"o1","orderLinkId":"","symbol":"BTCUSDT","side":"Sell",
            "execType":"Trade","execPrice":"64000","execQty":"0.5","execFee":"17.6","feeCurrency":"","isMaker":true,
            "execTime":"1746270400353"}"#;
        let mut row = read(usual).unwrap();
        let Value::Object(changes) = read(fields).unwrap() else { panic!("not an object: {fields}") };
        row.as_object_mut().unwrap().extend(changes);
        fill(&row, None, &symbols())
    }

    fn row<T>(read: Result<Reading<T>, Misread>) -> T {
        match read.unwrap() {
            Reading::Row(row) => row,
            Reading::Other(words) => panic!("not a row: {words}"),
        }
    }

    #[test]
    fn every_status_says_what_it_proves_and_no_more() {
        use Outcome::{Canceled, Filled, Rejected};
        use VenueStatus::{Ended, Open, PendingCancel, Strange};
        let cases = [
            ("New", "0", Open),
            ("PartiallyFilled", "0.001", Open),
            ("Created", "0", Open),
            ("Untriggered", "", Open),
            ("Triggered", "", Open),
            ("PendingCancel", "0", PendingCancel),
            ("Filled", "0.010", Ended(Filled)),
            ("Cancelled", "0", Ended(Canceled)),
            ("Cancelled", "0.004", Ended(Canceled)),
            ("PartiallyFilledCanceled", "0.004", Ended(Canceled)),
            ("Deactivated", "0", Ended(Canceled)),
            ("Rejected", "0", Ended(Rejected)),
            ("Rejected", "", Ended(Rejected)),
            ("Rejected", "0.002", Ended(Canceled)),
            // Ended with nobody knows how much.
            ("Filled", "", Strange),
            ("Cancelled", "", Strange),
            ("Expired", "0", Strange),
            ("new", "0", Strange),
        ];
        for (word, filled, status) in cases {
            let order = row(order_with(&format!(r#"{{"orderStatus":"{word}","cumExecQty":"{filled}"}}"#)));
            assert_eq!(order.status, status, "{word} with {filled:?}");
        }
    }

    #[test]
    fn an_order_is_read_whole_and_what_is_new_in_it_is_ignored() {
        let order = row(order_with(r#"{"cumExecQty":"0.004","newField":{"x":[1.5]},"avgPrice":""}"#));
        assert_eq!(order.symbol.as_str(), "BTC-USDT");
        assert_eq!(order.our_id().unwrap().as_str(), "lo7k2p000a1a000001");
        assert_eq!((order.price, order.qty), ("64000.5".parse().unwrap(), "0.01".parse().unwrap()));
        assert_eq!(order.filled, "0.004".parse().unwrap());
        assert_eq!(order.reason, "");
        let gone = row(order_with(
            r#"{"orderStatus":"Cancelled","cancelType":"CancelByUser","rejectReason":"EC_PostOnlyWillTakeLiquidity"}"#,
        ));
        assert_eq!(gone.reason, "CancelByUser, EC_PostOnlyWillTakeLiquidity");
        assert_eq!(row(order_with(r#"{"orderLinkId":""}"#)).client_id, None);
    }

    #[test]
    fn what_is_wrong_in_a_row_is_named() {
        for (fields, name) in [
            (r#"{"qty":5}"#, "`qty`"),
            (r#"{"qty":"-1"}"#, "`qty`"),
            (r#"{"cumExecQty":"-0.001"}"#, "`cumExecQty`"),
            (r#"{"price":"1e400"}"#, "`price`"),
            (r#"{"price":"NaN"}"#, "`price`"),
            (r#"{"orderId":""}"#, "`orderId`"),
            (r#"{"orderStatus":3}"#, "`orderStatus`"),
            (r#"{"side":"Both"}"#, "`side`"),
            (r#"{"orderLinkId":[]}"#, "`orderLinkId`"),
        ] {
            let error = order_with(fields).unwrap_err();
            assert!(error.0.contains(name), "{fields}: {error}");
        }
        for (fields, name) in [
            (r#"{"execQty":"-0.5"}"#, "`execQty`"),
            (r#"{"execPrice":""}"#, "`execPrice`"),
            (r#"{"execTime":"now"}"#, "`execTime`"),
            (r#"{"isMaker":"yes"}"#, "`isMaker`"),
        ] {
            let error = execution_with(fields).unwrap_err();
            assert!(error.0.contains(name), "{fields}: {error}");
        }
    }

    #[test]
    fn each_kind_of_execution_goes_where_it_belongs() {
        use FillKind::{Deleveraging, Funding, Liquidation, Settlement, Trade};
        for (word, kind) in [
            ("Trade", Trade),
            ("BlockTrade", Trade),
            ("MovePosition", Trade),
            ("Funding", Funding),
            ("BustTrade", Liquidation),
            ("AdlTrade", Deleveraging),
            ("Settle", Settlement),
            ("Delivery", Settlement),
        ] {
            assert_eq!(row(execution_with(&format!(r#"{{"execType":"{word}"}}"#))).kind, kind, "{word}");
        }
        let kept_out = execution_with(r#"{"execType":"SessionSettlePnL"}"#).unwrap();
        assert!(matches!(kept_out, Reading::Other(words) if words.contains("SessionSettlePnL")));
        let option = execution_with(r#"{"category":"option"}"#).unwrap();
        assert!(matches!(option, Reading::Other(words) if words.contains("option")));
        let long = execution_with(&format!(r#"{{"category":"{}"}}"#, "x".repeat(100_000))).unwrap();
        assert!(matches!(long, Reading::Other(words) if words.len() < 300), "a line of the log and no more");
        assert_eq!(row(execution_with(r#"{"execType":"Funding","side":"None","execPrice":""}"#)).kind, Funding);
    }

    #[test]
    fn both_sides_of_a_trade_with_oneself_are_two_fills() {
        let (maker, taker) = (row(execution_with("{}")), row(execution_with(r#"{"orderId":"o2","side":"Buy"}"#)));
        assert_ne!(maker.fill.trade_id, taker.fill.trade_id);
        assert_eq!(maker.fill.trade_id.as_str(), "e1:o1");
    }

    #[test]
    fn a_fee_is_in_the_currency_the_venue_takes_it_in() {
        let fee = |fields: &str| {
            let fill = row(execution_with(fields)).fill;
            (fill.fee.to_string(), fill.fee_asset)
        };
        assert_eq!(fee("{}"), ("17.6".into(), "USDT".into()));
        assert_eq!(fee(r#"{"feeCurrency":"MNT","execFee":"1.5"}"#), ("1.5".into(), "MNT".into()));
        assert_eq!(fee(r#"{"category":"spot","side":"Buy","execFee":"0.0005"}"#), ("0.0005".into(), "BTC".into()));
        assert_eq!(fee(r#"{"category":"spot","side":"Buy","execFee":"-1"}"#), ("-1".into(), "USDT".into()));
        assert_eq!(fee(r#"{"category":"spot","side":"Sell"}"#), ("17.6".into(), "USDT".into()));
        assert_eq!(fee(r#"{"symbol":"ETHPERP"}"#), ("17.6".into(), "USDC".into()));
        let taxed = r#"{"extraFees":[{"feeCoin":"USDT","fee":"0.4"},{"feeCoin":"INR","fee":"9"}]}"#;
        assert_eq!(fee(taxed), ("18".into(), "USDT".into()));
        assert_eq!(fee(r#"{"extraFees":""}"#), ("17.6".into(), "USDT".into()));
    }
}
