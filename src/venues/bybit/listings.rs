//! Lists that come in pages: open orders of the whole account, and fills since a moment.
//!
//! The venue's cursor is not empty on the last page (it is built from the last row), so a list ends where a page is
//! empty, shorter than asked for, or leads back to itself. A page that fails is a failure, never an empty page.
//!
//! Open orders: spot (all kinds: without a filter a unified account shows conditional and take-profit orders as well),
//! then contracts by what they are paid in, because the venue lists them no other way. All of them, whatever is
//! configured: an earlier configuration may have left orders there.
//!
//! Fills: the venue shows newest first and at most seven days at once. Each category is walked window by window,
//! forward; a window's pages are gathered and handed on turned round, so what comes out is oldest first.

use serde_json::Value;

use super::Bybit;
use super::codes::About;
use super::envelope::{Envelope, NotGood, refused};
use super::requests::{Query, ask};
use super::rows;
use super::symbols::Category;
use crate::domain::order::FillRow;
use crate::domain::request::{Answered, Facts, Page};
use crate::domain::secret::ApiKey;
use crate::domain::time::Wall;
use crate::venues::json::{Fields, Misread};
use crate::venues::wire::HttpRequest;
use crate::venues::{Part, Reading, Signing};

const OPEN_LIMIT: usize = 50;
const FILL_LIMIT: usize = 100;
/// Pages of one list before it counts as one that does not end: ten times what the venue lets rest.
const OPEN_PAGES_MAX: u32 = 100;
/// Pages of one window before the window is made smaller.
const FILL_PAGES_MAX: u32 = 20;
/// Pages of a window that cannot be made smaller.
const FILL_PAGES_END: u32 = 200;
/// Requests for one window, smaller tries included, before its list counts as one that does not end.
const FILL_PARTS_MAX: u32 = 1_000;
/// The smallest window.
const WINDOW_MIN_MS: i64 = 1_000;
/// The largest window the venue takes.
const WINDOW_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// Longer than any cursor seen, many times over.
const CURSOR_BYTES_MAX: usize = 2_000;

/// Where open orders are asked for: category and, for contracts, what they are paid in.
const SCOPES: [(Category, &str); 3] = [(Category::Spot, ""), (Category::Linear, "USDT"), (Category::Linear, "USDC")];

/// The cursor of the next page, if there is one.
fn next_cursor<'a>(result: &Fields<'a>, n_rows: usize, limit: usize, sent: &str) -> Result<Option<&'a str>, Misread> {
    let cursor = result.maybe_text("nextPageCursor")?;
    if cursor.is_some_and(|cursor| cursor.len() > CURSOR_BYTES_MAX) {
        return Err(Misread("a page with a cursor too long to be one".into()));
    }
    Ok(cursor.filter(|cursor| n_rows >= limit && *cursor != sent))
}

/// A place in the listing of open orders.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct OpenPlace {
    scope: usize,
    page: u32,
    cursor: String,
}

impl OpenPlace {
    fn parse(page: Option<&Page>) -> Option<OpenPlace> {
        let Some(Page(text)) = page else { return Some(OpenPlace::default()) };
        let mut parts = text.splitn(3, '|');
        let (scope, page) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let place = OpenPlace { scope, page, cursor: parts.next()?.to_owned() };
        (place.scope < SCOPES.len()).then_some(place)
    }

    fn page(&self) -> Page {
        Page(format!("{}|{}|{}", self.scope, self.page, self.cursor))
    }
}

pub(super) fn open_orders(
    key: Option<&ApiKey>,
    page: Option<&Page>,
    signing: &Signing,
) -> Result<HttpRequest, Box<Answered>> {
    let place = OpenPlace::parse(page).ok_or_else(|| refused("this page of the list of open orders is not known"))?;
    let (category, coin) = SCOPES[place.scope.min(SCOPES.len() - 1)];
    let mut query = Query::default().with("category", category.word());
    if !coin.is_empty() {
        query = query.with("settleCoin", coin);
    }
    let query = query.with("limit", &OPEN_LIMIT.to_string()).with_cursor(&place.cursor);
    ask(key, "/v5/order/realtime", &query, signing)
}

pub(super) fn open_orders_listed(home: &Bybit, envelope: &Envelope, page: Option<&Page>) -> Result<Answered, NotGood> {
    let place = OpenPlace::parse(page).ok_or_else(|| Misread("this page is not known".into()))?;
    let (category, _) = SCOPES[place.scope.min(SCOPES.len() - 1)];
    let (found, cursor) = match envelope.result(About::Ask, home.key.as_ref()) {
        Ok(result) => {
            let list = result.list("list")?;
            let mut found = Vec::new();
            for row in list {
                if let rows::Reading::Row(row) = rows::order(row, Some(category), &home.symbols)? {
                    found.push(row);
                }
            }
            (found, next_cursor(&result, list.len(), OPEN_LIMIT, &place.cursor)?)
        }
        // A key without a right to a category that nobody trades here cannot have placed anything there: with a
        // narrow key, as it should be, the account is what the key can see.
        Err(not_good) if lacks_right(&not_good) && !home.in_use.contains(&category) => (Vec::new(), None),
        Err(other) => return Err(other),
    };
    let next = match cursor {
        Some(_) if place.page >= OPEN_PAGES_MAX => {
            return Err(Misread("the list of open orders does not end".into()).into());
        }
        Some(cursor) => Some(OpenPlace { page: place.page + 1, cursor: cursor.to_owned(), ..place }),
        None => Some(OpenPlace { scope: place.scope + 1, page: 0, cursor: String::new() }),
    };
    let next = next.filter(|next| next.scope < SCOPES.len()).map(|next| next.page());
    Ok(Answered::Done(Facts::OpenOrders { rows: found, next }))
}

fn lacks_right(not_good: &NotGood) -> bool {
    not_good.refusal().is_some_and(|refusal| refusal.text.starts_with("10005 "))
}

/// A window of a category's fills.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    category: usize,
    start: i64,
    /// Where it ends; at most `WINDOW_MS` later.
    end: i64,
    /// When the first page of this list was answered. Every category's newest fills are asked for later than that, so
    /// the list is complete up to there (less the venue's lag).
    asked: i64,
    cursor: String,
}

impl Window {
    fn new(category: usize, start: i64, span: i64, asked: i64) -> Window {
        let end = start.saturating_add(span.clamp(WINDOW_MIN_MS, WINDOW_MS));
        Window { category, start, end, asked, cursor: String::new() }
    }

    fn span(&self) -> i64 {
        self.end.saturating_sub(self.start)
    }

    fn parse(text: &str) -> Option<Window> {
        let mut parts = text.splitn(5, '|');
        let category = parts.next()?.parse().ok()?;
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (start, end, asked) = (number()?, number()?, number()?);
        let window = Window { category, start, end, asked, cursor: parts.next()?.to_owned() };
        let is_sound = window.category < Category::ALL.len() && (0..=WINDOW_MS).contains(&end.checked_sub(start)?);
        is_sound.then_some(window)
    }

    fn text(&self) -> String {
        let Window { category, start, end, asked, cursor } = self;
        format!("{category}|{start}|{end}|{asked}|{cursor}")
    }

    /// Where the conversation stands: the part's own word, else the page's, else the beginning.
    fn at(since: Wall, page: Option<&Page>, part: &Part) -> Option<Window> {
        if !part.cursor.is_empty() {
            return Window::parse(&part.cursor);
        }
        match page {
            Some(Page(text)) => Window::parse(text),
            None => Some(Window::new(0, since.millis().max(0), WINDOW_MS, i64::MAX)),
        }
    }
}

pub(super) fn fills(
    key: Option<&ApiKey>,
    since: Wall,
    page: Option<&Page>,
    part: &Part,
    signing: &Signing,
) -> Result<HttpRequest, Box<Answered>> {
    let window = Window::at(since, page, part).ok_or_else(|| refused("this page of the list of fills is not known"))?;
    let mut query = Query::default()
        .with("category", Category::ALL[window.category.min(Category::ALL.len() - 1)].word())
        .with("startTime", &window.start.to_string());
    // Without an end the venue shows seven days, which is the whole window. An end in the future is not sent.
    if window.span() < WINDOW_MS {
        query = query.with("endTime", &window.end.to_string());
    }
    let query = query.with("limit", &FILL_LIMIT.to_string()).with_cursor(&window.cursor);
    ask(key, "/v5/execution/list", &query, signing)
}

/// What a page of fills leads to.
pub(super) fn fills_listed(
    home: &Bybit,
    envelope: &Envelope,
    since: Wall,
    page: Option<&Page>,
    part: &Part,
) -> Result<Reading, NotGood> {
    let window = Window::at(since, page, part).ok_or_else(|| Misread("this page is not known".into()))?;
    let category = Category::ALL[window.category.min(Category::ALL.len() - 1)];
    let (list, result): (&[Value], Option<Fields<'_>>) = match envelope.result(About::Ask, home.key.as_ref()) {
        Ok(result) => (result.list("list")?, Some(result)),
        // As with open orders.
        Err(not_good) if lacks_right(&not_good) && !home.in_use.contains(&category) => (&[], None),
        Err(other) => return Err(other),
    };
    let now = envelope.server_time.ok_or_else(|| Misread("a list of fills without the venue's time".into()))?.millis();
    let mut gathered = taken_back(part);
    for row in list {
        // What is kept out changes positions in ways no fill can tell; the private stream tells of it by name.
        if let rows::Reading::Row(row) = rows::fill(row, Some(category), &home.symbols)? {
            gathered.push(row);
        }
    }
    let asked = window.asked.min(now);
    let cursor = match &result {
        Some(result) => next_cursor(result, list.len(), FILL_LIMIT, &window.cursor)?,
        None => None,
    };
    if let Some(cursor) = cursor {
        return more(Window { asked, cursor: cursor.to_owned(), ..window }, part.number, gathered, now);
    }
    // Newest first on the wire, and rows of one moment in any order.
    gathered.reverse();
    gathered.sort_by_key(|row| row.fill.at);
    let next = if window.end < now {
        // As large as the one before; larger again once they hold little.
        let growth = if gathered.len() < FILL_PAGES_MAX as usize * FILL_LIMIT / 4 { 2 } else { 1 };
        Some(Window::new(window.category, window.end, window.span().saturating_mul(growth), asked))
    } else {
        let start = since.millis().max(0);
        (window.category + 1 < Category::ALL.len()).then(|| Window::new(window.category + 1, start, WINDOW_MS, asked))
    };
    let complete_to = match &next {
        None => Wall::from_millis(asked.min(now).saturating_sub(home.lag_ms)),
        Some(_) => since,
    };
    let next = next.map(|window| Page(window.text()));
    Ok(Reading::Answered(Answered::Done(Facts::Fills { rows: gathered, next, complete_to })))
}

/// The window has another page: gather on, or begin again with half of it when it holds too much.
fn more(window: Window, number: u32, gathered: Vec<FillRow>, now: i64) -> Result<Reading, NotGood> {
    let span = window.end.min(now).saturating_sub(window.start);
    let n_pages = gathered.len() / FILL_LIMIT;
    if number >= FILL_PARTS_MAX {
        return Err(Misread("the list of fills does not end".into()).into());
    }
    let (window, gathered) = if n_pages < FILL_PAGES_MAX as usize {
        (window, gathered)
    } else if span > WINDOW_MIN_MS {
        let smaller = Window { end: window.start + span / 2, cursor: String::new(), ..window };
        (smaller, Vec::new())
    } else if n_pages < FILL_PAGES_END as usize {
        (window, gathered)
    } else {
        return Err(Misread("more fills in one second than can be read".into()).into());
    };
    let facts = Facts::Fills { rows: gathered, next: None, complete_to: Wall::from_millis(0) };
    Ok(Reading::More(Part { number: number + 1, cursor: window.text(), gathered: vec![facts] }))
}

fn taken_back(part: &Part) -> Vec<FillRow> {
    part.gathered
        .iter()
        .flat_map(|facts| if let Facts::Fills { rows, .. } = facts { rows.clone() } else { Vec::new() })
        .collect()
}
