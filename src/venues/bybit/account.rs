//! The account and the market's rules: balances, positions, instruments, the clock, what the key may do, the switch.
//!
//! Several of these take more than one request (`Reading::More`); a step that fails fails the whole.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::Bybit;
use super::codes::About;
use super::envelope::{Envelope, NotGood, refused};
use super::requests::{Query, act, ask, public};
use super::rows::side_of;
use super::symbols::{Category, SETTLE_COINS, venue_name};
use crate::domain::ids::Symbol;
use crate::domain::instrument::InstrumentRules;
use crate::domain::money::Decimal;
use crate::domain::order::Side;
use crate::domain::request::{Access, Answered, Facts, PositionRow};
use crate::domain::time::Wall;
use crate::venues::json::{Fields, Misread};
use crate::venues::wire::{HttpRequest, Lane};
use crate::venues::{Part, Reading, Signing};

const POSITION_LIMIT: usize = 200;
const INSTRUMENT_LIMIT: usize = 1_000;
/// Up to so many instruments of a category are asked for one by one; for more the whole list is smaller.
const ONE_BY_ONE_MAX: usize = 5;
/// Requests for one call before its list counts as one that does not end.
const PARTS_MAX: u32 = 500;

fn done(facts: Facts) -> Reading {
    Reading::Answered(Answered::Done(facts))
}

fn more(part: &Part, cursor: String, gathered: Vec<Facts>) -> Result<Reading, NotGood> {
    if part.number >= PARTS_MAX {
        return Err(Misread("a list that does not end".into()).into());
    }
    Ok(Reading::More(Part { number: part.number + 1, cursor, gathered }))
}

/// Steps and the venue's cursor within one, as a part keeps them: `2|cursor`.
fn place(part: &Part) -> (usize, &str) {
    let (step, cursor) = part.cursor.split_once('|').unwrap_or(("0", ""));
    (usize::from(step.parse::<u16>().unwrap_or(u16::MAX)), cursor)
}

fn unknown_step() -> Box<Answered> {
    refused("this part of the conversation is not known")
}

pub(super) fn balances(home: &Bybit, signing: &Signing) -> Result<HttpRequest, Box<Answered>> {
    ask(home.key.as_ref(), "/v5/account/wallet-balance", &Query::default().with("accountType", "UNIFIED"), signing)
}

pub(super) fn balances_told(home: &Bybit, envelope: &Envelope) -> Result<Reading, NotGood> {
    let list = envelope.result(About::Ask, home.key.as_ref())?.list("list")?;
    let account = list.first().ok_or_else(|| Misread("no unified account in the answer".into()))?;
    let mut held = BTreeMap::new();
    for coin in Fields::of(account, "account")?.list("coin")? {
        let coin = Fields::of(coin, "coin")?;
        let amount = coin.maybe_decimal("walletBalance")?.unwrap_or(Decimal::ZERO);
        held.insert(coin.text("coin")?.to_owned(), amount);
    }
    Ok(done(Facts::Balances(held)))
}

pub(super) fn positions(home: &Bybit, part: &Part, signing: &Signing) -> Result<HttpRequest, Box<Answered>> {
    if !home.in_use.contains(&Category::Linear) {
        // Nothing to compare, and a key for spot alone, as it should be, has no right to look.
        return Err(Box::new(Answered::Done(Facts::Positions(Vec::new()))));
    }
    let (step, cursor) = place(part);
    let coin = SETTLE_COINS.get(step).ok_or_else(unknown_step)?;
    let query = Query::default()
        .with("category", "linear")
        .with("settleCoin", coin)
        .with("limit", &POSITION_LIMIT.to_string())
        .with_cursor(cursor);
    ask(home.key.as_ref(), "/v5/position/list", &query, signing)
}

pub(super) fn positions_told(home: &Bybit, envelope: &Envelope, part: &Part) -> Result<Reading, NotGood> {
    let (step, cursor) = place(part);
    let result = envelope.result(About::Ask, home.key.as_ref())?;
    let list = result.list("list")?;
    let mut rows: Vec<PositionRow> = Vec::new();
    for facts in &part.gathered {
        if let Facts::Positions(earlier) = facts {
            rows.extend(earlier.iter().cloned());
        }
    }
    for row in list {
        let Some(new) = position(home, row)? else { continue };
        // Two rows of one contract: hedge mode, which is refused at start. The sum is what the account stands to gain.
        match rows.iter_mut().find(|row| row.symbol == new.symbol) {
            Some(row) => {
                row.qty =
                    row.qty.checked_add(new.qty).ok_or_else(|| Misread("position: `size` is too large".into()))?;
                row.entry = None;
            }
            None => rows.push(new),
        }
    }
    let next = result.maybe_text("nextPageCursor")?.filter(|next| list.len() >= POSITION_LIMIT && *next != cursor);
    match next {
        Some(next) => more(part, format!("{step}|{next}"), vec![Facts::Positions(rows)]),
        None if step + 1 < SETTLE_COINS.len() => more(part, format!("{}|", step + 1), vec![Facts::Positions(rows)]),
        None => {
            rows.retain(|row| !row.qty.is_zero());
            Ok(done(Facts::Positions(rows)))
        }
    }
}

fn position(home: &Bybit, row: &Value) -> Result<Option<PositionRow>, Misread> {
    let row = Fields::of(row, "position")?;
    let size = row.maybe_amount("size")?.unwrap_or(Decimal::ZERO);
    if size.is_zero() {
        return Ok(None);
    }
    let qty = match side_of(&row)? {
        Side::Buy => size,
        Side::Sell => -size,
    };
    let symbol = home.symbols.symbol(Category::Linear, row.text("symbol")?);
    Ok(Some(PositionRow { symbol, qty, entry: row.maybe_amount("avgPrice")?.filter(|price| price.is_positive()) }))
}

/// A question about instruments: one of them, or a category.
#[derive(Clone, Copy)]
struct Lookup<'a> {
    category: Category,
    symbol: Option<&'a Symbol>,
}

fn lookups(home: &Bybit) -> Vec<Lookup<'_>> {
    let mut lookups = Vec::new();
    for category in home.symbols.categories() {
        if home.symbols.of(category).count() <= ONE_BY_ONE_MAX {
            lookups.extend(home.symbols.of(category).map(|symbol| Lookup { category, symbol: Some(symbol) }));
        } else {
            lookups.push(Lookup { category, symbol: None });
        }
    }
    lookups
}

pub(super) fn instruments(home: &Bybit, part: &Part) -> Result<HttpRequest, Box<Answered>> {
    let (step, cursor) = place(part);
    let lookup = lookups(home).get(step).copied().ok_or_else(unknown_step)?;
    let mut query = Query::default().with("category", lookup.category.word());
    match (lookup.symbol, lookup.category) {
        (Some(symbol), _) => query = query.with("symbol", &venue_name(symbol)),
        // Spot has no pages, and no limit: all of it comes at once.
        (None, Category::Spot) => {}
        (None, Category::Linear) => query = query.with("limit", &INSTRUMENT_LIMIT.to_string()).with_cursor(cursor),
    }
    Ok(public("/v5/market/instruments-info", &query))
}

pub(super) fn instruments_told(home: &Bybit, envelope: &Envelope, part: &Part) -> Result<Reading, NotGood> {
    let (step, cursor) = place(part);
    let lookups = lookups(home);
    let lookup = lookups.get(step).copied().ok_or_else(|| Misread("this part is not known".into()))?;
    let mut rules = Vec::new();
    for facts in &part.gathered {
        if let Facts::Instruments(earlier) = facts {
            rules.extend(earlier.iter().cloned());
        }
    }
    let mut next = None;
    match envelope.result(About::Ask, home.key.as_ref()) {
        Ok(result) => {
            let list = result.list("list")?;
            for row in list {
                let fields = Fields::of(row, "instrument")?;
                let symbol = home.symbols.symbol(lookup.category, fields.text("symbol")?);
                // Rules of instruments nobody works with are not even read: one odd row must not hide the others.
                if home.symbols.ours().contains(&symbol) {
                    rules.push(rule(&fields, symbol, lookup.category)?);
                }
            }
            let is_paged = lookup.symbol.is_none() && list.len() >= INSTRUMENT_LIMIT;
            next = result.maybe_text("nextPageCursor")?.filter(|next| is_paged && *next != cursor);
        }
        // A name the venue does not know: it has no rules, and whoever needs them is told which are missing.
        Err(not_good)
            if lookup.symbol.is_some()
                && not_good.refusal().is_some_and(|refusal| refusal.text.starts_with("10001 ")) => {}
        Err(other) => return Err(other),
    }
    match next {
        Some(next) => more(part, format!("{step}|{next}"), vec![Facts::Instruments(rules)]),
        None if step + 1 < lookups.len() => more(part, format!("{}|", step + 1), vec![Facts::Instruments(rules)]),
        None => Ok(done(Facts::Instruments(rules))),
    }
}

fn rule(row: &Fields<'_>, symbol: Symbol, category: Category) -> Result<InstrumentRules, Misread> {
    let (prices, lots) = (row.object("priceFilter", "priceFilter")?, row.object("lotSizeFilter", "lotSizeFilter")?);
    let smaller = |one: Option<Decimal>, other: Option<Decimal>| match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let (lot, min_qty, max_qty, min_notional) = match category {
        Category::Spot => (
            lots.amount("basePrecision")?,
            // Deprecated, and no longer sent for some pairs: then the smallest worth decides alone.
            lots.maybe_amount("minOrderQty")?,
            smaller(lots.maybe_amount("maxLimitOrderQty")?, lots.maybe_amount("postOnlyMaxLimitOrderSize")?)
                .or(lots.maybe_amount("maxOrderQty")?),
            lots.maybe_amount("minOrderAmt")?,
        ),
        Category::Linear => (
            lots.amount("qtyStep")?,
            Some(lots.amount("minOrderQty")?),
            smaller(lots.maybe_amount("maxOrderQty")?, lots.maybe_amount("postOnlyMaxOrderQty")?),
            lots.maybe_amount("minNotionalValue")?,
        ),
    };
    let no_max = || Misread(format!("instrument {symbol}: no largest quantity of a limit order"));
    Ok(InstrumentRules {
        kind: category.kind(),
        base: row.text("baseCoin")?.to_owned(),
        quote: row.text("quoteCoin")?.to_owned(),
        tick: prices.amount("tickSize")?,
        lot,
        min_qty: min_qty.unwrap_or(lot).max(lot),
        max_qty: max_qty.ok_or_else(no_max)?,
        min_notional: min_notional.unwrap_or(Decimal::ZERO),
        tradable: row.text("status")? == "Trading",
        symbol,
    })
}

pub(super) fn time() -> HttpRequest {
    public("/v5/market/time", &Query::default())
}

pub(super) fn time_told(home: &Bybit, envelope: &Envelope) -> Result<Reading, NotGood> {
    let result = envelope.result(About::Ask, home.key.as_ref())?;
    let millis = match result.maybe_integer("timeNano")? {
        Some(nanos) => nanos / 1_000_000,
        None => result.integer("timeSecond")?.saturating_mul(1_000),
    };
    Ok(done(Facts::Time(Wall::from_millis(millis))))
}

/// What is asked about a key and its account, one request each.
#[derive(Clone, Copy)]
enum Question<'a> {
    Key,
    /// How a contract's positions are kept. Asked by symbol, because only then a flat one is shown.
    Mode(&'a Symbol),
    Switch,
}

fn questions(home: &Bybit) -> Vec<Question<'_>> {
    let modes = home.symbols.of(Category::Linear).map(Question::Mode);
    // The venue's switch takes every order of the account: it is of no use where others trade too.
    let switch = home.exclusive_account.then_some(Question::Switch);
    std::iter::once(Question::Key).chain(modes).chain(switch).collect()
}

pub(super) fn access(home: &Bybit, part: &Part, signing: &Signing) -> Result<HttpRequest, Box<Answered>> {
    let question = questions(home).get(place(part).0).copied().ok_or_else(unknown_step)?;
    let (path, query) = match question {
        Question::Key => ("/v5/user/query-api", Query::default()),
        Question::Mode(symbol) => {
            ("/v5/position/list", Query::default().with("category", "linear").with("symbol", &venue_name(symbol)))
        }
        Question::Switch => ("/v5/account/query-dcp-info", Query::default()),
    };
    ask(home.key.as_ref(), path, &query, signing)
}

pub(super) fn access_told(home: &Bybit, envelope: &Envelope, part: &Part) -> Result<Reading, NotGood> {
    let (step, _) = place(part);
    let questions = questions(home);
    let question = questions.get(step).copied().ok_or_else(|| Misread("this part is not known".into()))?;
    let mut access = part.gathered.iter().find_map(|facts| match facts {
        Facts::Access(access) => Some(access.clone()),
        _ => None,
    });
    let access = access.get_or_insert_with(Access::default);
    match question {
        Question::Key => key_told(home, envelope, access)?,
        Question::Mode(_) => {
            let list = envelope.result(About::Ask, home.key.as_ref())?.list("list")?;
            let mut hedged = false;
            for row in list {
                hedged |= Fields::of(row, "position")?.maybe_integer("positionIdx")?.is_some_and(|idx| idx != 0);
            }
            access.hedge_mode = Some(access.hedge_mode == Some(true) || hedged);
        }
        Question::Switch => match switch_windows(home, envelope) {
            Ok(windows) if windows.is_empty() => access.remarks.push(
                "Bybit does not tell whether its disconnect protection (DCP) is enabled: it tells main accounts of \
                 institutional clients alone, never a sub-account. Setting it shows"
                    .into(),
            ),
            Ok(windows) => access.switch = Some(of_products(home, &windows).is_some()),
            Err(not_good) => match not_good.refusal() {
                Some(refusal) => {
                    access.switch = Some(false);
                    let why = &refusal.text;
                    access.remarks.push(format!("Bybit's disconnect protection (DCP) cannot be asked about: {why}"));
                }
                None => return Err(not_good),
            },
        },
    }
    if access.switch == Some(false) && access.remarks.iter().all(|remark| !remark.contains("DCP")) {
        access.remarks.push(
            "Bybit's disconnect protection (DCP) is not enabled for all that is traded here: it is switched on, product \
             by product, by the account manager of institutional clients"
                .into(),
        );
    }
    let told = Facts::Access(access.clone());
    if step + 1 < questions.len() { more(part, format!("{}|", step + 1), vec![told]) } else { Ok(done(told)) }
}

fn key_told(home: &Bybit, envelope: &Envelope, access: &mut Access) -> Result<(), NotGood> {
    let result = envelope.result(About::Ask, home.key.as_ref())?;
    let permissions = result.object("permissions", "permissions")?;
    let has = |group: &str, right: &str| -> Result<bool, Misread> {
        let rights = permissions.maybe_list(group)?.unwrap_or(&[]);
        Ok(rights.iter().any(|known| known.as_str().is_some_and(|known| known.eq_ignore_ascii_case(right))))
    };
    let reads_only = result.maybe_integer("readOnly")? == Some(1);
    let mut may_trade = !reads_only;
    if reads_only {
        access.remarks.push("The key is read-only".into());
    }
    for category in &home.in_use {
        let (may, right) = match category {
            Category::Spot => (has("Spot", "SpotTrade")?, "spot trade"),
            Category::Linear => {
                let by_contract = has("ContractTrade", "Order")?;
                (by_contract || has("Derivatives", "DerivativesTrade")?, "contract orders")
            }
        };
        if !may {
            may_trade = false;
            access.remarks.push(format!("The key lacks the right `{right}`, and {} is configured", category.word()));
        }
    }
    access.may_trade = Some(may_trade);
    access.may_withdraw = Some(has("Wallet", "Withdraw")?);
    if has("Wallet", "AccountTransfer")? || has("Wallet", "SubMemberTransfer")? {
        access
            .remarks
            .push("The key can move money between the accounts of its owner: trading does not need that".into());
    }
    let addresses = result.maybe_list("ips")?.unwrap_or(&[]);
    let is_bound = addresses.iter().any(|address| address.as_str().is_some_and(|text| !text.is_empty() && text != "*"));
    if !is_bound {
        let end = match result.maybe_text("expiredAt")? {
            Some(end) if !end.starts_with("1970") => {
                format!("; this one ends at {}", crate::venues::json::clipped(end))
            }
            _ => String::new(),
        };
        access.remarks.push(format!("The key is not bound to addresses: Bybit ends such keys after 90 days{end}"));
    }
    // Only where both words say so: the older of them has meant several things.
    if result.maybe_integer("uta")? == Some(0) && result.maybe_integer("unified")?.unwrap_or(0) == 0 {
        access.remarks.push("This may be no unified trading account, which Bybit's calls used here need".into());
    }
    Ok(())
}

/// What the venue calls the products its switch is set for, of those in use.
fn products(home: &Bybit) -> Vec<&'static str> {
    let product = |category: &Category| match category {
        Category::Spot => "SPOT",
        Category::Linear => "DERIVATIVES",
    };
    home.in_use.iter().map(product).collect()
}

pub(super) fn set_switch(
    home: &Bybit,
    window: Option<Duration>,
    part: &Part,
    signing: &Signing,
) -> Result<HttpRequest, Box<Answered>> {
    let Some(window) = window else {
        return Err(refused(
            "Bybit's disconnect protection cannot be switched off by a request. It finds nothing to cancel when \
             nothing rests",
        ));
    };
    if !home.exclusive_account {
        return Err(refused(
            "Bybit's disconnect protection cancels every order of the account: it is used only with \
             exclusive_account = true",
        ));
    }
    let products = products(home);
    let product = products.get(place(part).0).ok_or_else(unknown_step)?;
    let body = format!(r#"{{"product":"{product}","timeWindow":{}}}"#, window_seconds(window));
    act(home.key.as_ref(), "/v5/order/disconnected-cancel-all", body, Lane::Cancel, signing)
}

/// Whole seconds, as the venue takes them: not shorter than asked for, from 3 to 300.
fn window_seconds(window: Duration) -> u64 {
    (window.as_secs() + u64::from(window.subsec_nanos() > 0)).clamp(3, 300)
}

pub(super) fn switch_set(
    home: &Bybit,
    window: Option<Duration>,
    envelope: &Envelope,
    part: &Part,
) -> Result<Reading, NotGood> {
    // The answer is short: no result, no time. It takes up to ten seconds to hold; reading it back shows when.
    envelope.good(About::Ask, home.key.as_ref())?;
    let step = place(part).0;
    if step + 1 < products(home).len() {
        return more(part, format!("{}|", step + 1), Vec::new());
    }
    Ok(done(Facts::Switch(window.map(|window| Duration::from_secs(window_seconds(window))))))
}

pub(super) fn read_switch(home: &Bybit, signing: &Signing) -> Result<HttpRequest, Box<Answered>> {
    ask(home.key.as_ref(), "/v5/account/query-dcp-info", &Query::default(), signing)
}

/// Armed while it is on for every product in use; the longest of their windows is what can be relied on. Where the
/// venue tells nothing (see `access_told`), it does not count as armed.
pub(super) fn switch_read(home: &Bybit, envelope: &Envelope) -> Result<Reading, NotGood> {
    let windows = of_products(home, &switch_windows(home, envelope)?).unwrap_or_default();
    let armed: Option<Vec<Duration>> = windows.into_iter().collect();
    Ok(done(Facts::Switch(armed.and_then(|windows| windows.into_iter().max()))))
}

/// The products the venue names, each with its window while it is on.
fn switch_windows(home: &Bybit, envelope: &Envelope) -> Result<BTreeMap<String, Option<Duration>>, NotGood> {
    let result = envelope.result(About::Ask, home.key.as_ref())?;
    let mut named = BTreeMap::new();
    for info in result.maybe_list("dcpInfos")?.unwrap_or(&[]) {
        let info = Fields::of(info, "dcpInfo")?;
        let seconds = info.maybe_integer("timeWindow")?.and_then(|seconds| u64::try_from(seconds).ok());
        let is_on = info.maybe_text("dcpStatus")? == Some("ON");
        named.insert(info.text("product")?.to_owned(), seconds.filter(|_| is_on).map(Duration::from_secs));
    }
    Ok(named)
}

/// The windows of the products in use; nothing where one of them is not named.
fn of_products(home: &Bybit, named: &BTreeMap<String, Option<Duration>>) -> Option<Vec<Option<Duration>>> {
    products(home).into_iter().map(|product| named.get(product).copied()).collect()
}
