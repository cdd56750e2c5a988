//! Prices of one category: best prices, depth, trades of everyone, tickers of contracts.
//!
//! The best price has two sources. `orderbook.1` is a snapshot each time, so it cannot drift, and it comes again after
//! three seconds without a change: it is the market's pulse. `orderbook.50` is changed by deltas and may be ahead or
//! behind. The venue numbers the market's states alike for all depths (`seq`): the source with the higher number is
//! the later one and is shown. At equal numbers it is `orderbook.1`, which cannot have missed anything; and a book of
//! 50 that may have missed something (its own numbers jumped) is not asked for a best price at all.
//!
//! Always holds: `Up` only when every subscription is confirmed and every configured symbol has both of its books; a quote for
//! each pulse, changed or not, because a price that was confirmed is not old; a broken book is cleared, asked for anew
//! once a minute at most, and beyond that the socket is given up.
//! Never does: confirm a topic that was not asked for; quote a crossed market.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::super::symbols::{Category, venue_name};
use super::conversation::{Conversation, Heard, PATIENCE, Verb, Weight};
use crate::domain::event::{MarketNews, Print, Quote, Ticker};
use crate::domain::ids::{Symbol, VenueId};
use crate::domain::money::Decimal;
use crate::domain::order::Side;
use crate::domain::time::{Boot, Wall};
use crate::venues::book::{Book, BookFault, Level, Taken, Update};
use crate::venues::json::{Fields, Misread};
use crate::venues::{Signing, StreamCodec, StreamOut};

/// The venue's limit for one request on spot; kept for contracts as well, where it has none.
pub(super) const TOPICS_PER_REQUEST: usize = 10;
/// The venue's limit for all topics of a connection, in characters of the list as JSON.
pub(super) const TOPIC_CHARACTERS_MAX: usize = 21_000;
/// Levels of the book that goes out.
const DEPTH_SHOWN: usize = 10;
/// Levels of the deeper book at the venue.
const DEPTH: usize = 50;
/// A book that breaks again this soon after it was asked for anew is not mended by asking.
const RENEWAL_GAP: Duration = Duration::from_secs(60);

/// The topics of a symbol. The ticker of a spot pair tells nothing that goes out.
pub(super) fn topics(category: Category, name: &str) -> Vec<String> {
    let mut topics =
        vec![format!("orderbook.1.{name}"), format!("orderbook.{DEPTH}.{name}"), format!("publicTrade.{name}")];
    if category == Category::Linear {
        topics.push(format!("tickers.{name}"));
    }
    topics
}

type Best = (Option<Level>, Option<Level>);

/// What is known of a symbol on this connection.
struct Watched {
    weight: Weight,
    symbol: Symbol,
    name: String,
    top: Book,
    pulse_at: Boot,
    book: Book,
    book_asked_at: Boot,
    /// Since when depth 1 has moved and the deeper book has not said a word.
    moved_alone_at: Option<Boot>,
    renewed_at: Option<Boot>,
    gap_told: bool,
    quoted: Option<Best>,
    ticker: Ticker,
}

impl Watched {
    fn new(symbol: Symbol, weight: Weight, at: Boot) -> Watched {
        Watched {
            weight,
            name: venue_name(&symbol),
            symbol,
            top: Book::new(1),
            pulse_at: at,
            book: Book::new(DEPTH),
            book_asked_at: at,
            moved_alone_at: None,
            renewed_at: None,
            gap_told: false,
            quoted: None,
            ticker: Ticker::default(),
        }
    }

    /// The best prices, from the source the header says.
    fn best(&self) -> Option<Best> {
        let usable = |book: &Book| book.is_fed() && !book.is_doubtful();
        if usable(&self.book) && (!usable(&self.top) || self.book.sequence() > self.top.sequence()) {
            return Some(self.book.best());
        }
        self.top.is_fed().then(|| self.top.best())
    }
}

/// A socket for the prices of a category.
pub struct PublicStream {
    venue: VenueId,
    category: Category,
    url: String,
    watched: Vec<Watched>,
    places: BTreeMap<String, usize>,
    talk: Conversation,
    up: bool,
}

impl PublicStream {
    /// For these symbols, which must be of this category, and together no more than one connection can carry. The
    /// stream goes on without the prices of `extras`: the venue may not even have them any more.
    pub fn new(venue: VenueId, category: Category, url: String, symbols: &[Symbol], extras: &[Symbol]) -> PublicStream {
        let needed = symbols.iter().map(|symbol| (symbol, Weight::Needed));
        let all = needed.chain(extras.iter().map(|symbol| (symbol, Weight::Extra)));
        let watched: Vec<Watched> =
            all.map(|(symbol, weight)| Watched::new(symbol.clone(), weight, Boot::ZERO)).collect();
        let places = watched.iter().enumerate().map(|(place, known)| (known.name.clone(), place)).collect();
        PublicStream { venue, category, url, watched, places, talk: Conversation::default(), up: false }
    }

    fn broken(&mut self, why: String, out: &mut Vec<StreamOut>) {
        self.talk.end();
        out.push(StreamOut::Broken(why));
    }

    fn needed(&self) -> impl Iterator<Item = &Watched> {
        self.watched.iter().filter(|known| known.weight == Weight::Needed)
    }

    fn rise(&mut self, out: &mut Vec<StreamOut>) {
        let fed = self.needed().all(|known| known.top.is_fed() && known.book.is_fed());
        if !self.up && fed && !self.talk.is_waiting() {
            self.up = true;
            out.push(StreamOut::Up);
        }
    }

    fn news(&mut self, at: Boot, topic: &str, frame: &Value, out: &mut Vec<StreamOut>) {
        let mut parts = topic.splitn(3, '.');
        let parts = (parts.next(), parts.next(), parts.next());
        let (kind, name) = match parts {
            (Some("orderbook"), Some(depth), Some(name)) => (depth, name),
            (Some(kind), Some(name), None) => (kind, name),
            _ => return,
        };
        let Some(&place) = self.places.get(name) else {
            return;
        };
        let read = match (kind, parts.2.is_some()) {
            ("1", true) => self.top(at, place, frame, out),
            ("50", true) => {
                self.book(at, place, frame, out);
                Ok(())
            }
            ("publicTrade", false) => self.trades(place, frame, out),
            ("tickers", false) => self.ticker(place, frame, out),
            _ => return,
        };
        if let Err(error) = read {
            // What these topics told before is replaced by their next frame; a silent one is found by its pulse.
            out.push(StreamOut::Remark(format!("a frame of {topic} is left out: {error}")));
        }
    }

    fn top(&mut self, at: Boot, place: usize, frame: &Value, out: &mut Vec<StreamOut>) -> Result<(), Misread> {
        let known = &mut self.watched[place];
        let before = known.top.is_fed().then(|| known.top.best());
        let read = update(frame, &known.name).and_then(|(whole, update)| {
            let taken = if whole { known.top.snapshot(&update) } else { known.top.delta(&update).map(|_| ()) };
            taken.map_err(|fault| Misread(fault.to_string()))?;
            Ok(update)
        });
        match read {
            Ok(update) if began_anew(&update, &known.book) => known.book.doubt(),
            Ok(_) => {}
            Err(error) => {
                known.top.clear();
                return Err(error);
            }
        }
        known.pulse_at = at;
        if before.is_some_and(|before| before != known.top.best()) {
            known.moved_alone_at = known.moved_alone_at.or(Some(at));
        }
        if let Some(best) = known.best() {
            self.quote(place, best, out);
        }
        self.rise(out);
        Ok(())
    }

    fn book(&mut self, at: Boot, place: usize, frame: &Value, out: &mut Vec<StreamOut>) {
        let known = &mut self.watched[place];
        let read = update(frame, &known.name).map_err(|error| error.to_string()).and_then(|(whole, update)| {
            let taken =
                if whole { known.book.snapshot(&update).map(|()| Taken::In) } else { known.book.delta(&update) };
            match taken {
                // The last frames of a subscription that was ended, before the new one begins.
                Err(BookFault::NoSnapshot) => Ok((Taken::Old, update)),
                Err(fault) => Err(fault.to_string()),
                Ok(taken) => Ok((taken, update)),
            }
        });
        match read {
            Err(why) => return self.renew(at, place, &why, out),
            Ok((Taken::Old, _)) => return,
            Ok((Taken::InAfterGap, _)) if !known.gap_told => {
                known.gap_told = true;
                let topic = format!("orderbook.{DEPTH}.{}", known.name);
                out.push(StreamOut::Remark(format!("{topic} skipped numbers: best prices come from depth 1 alone")));
            }
            Ok((_, update)) if began_anew(&update, &known.top) => known.top.doubt(),
            Ok(_) => {}
        }
        known.moved_alone_at = None;
        let depth = known.book.top(DEPTH_SHOWN);
        let best = known.best().filter(|best| known.quoted != Some(*best));
        out.push(StreamOut::Market(Box::new(MarketNews { depth: Some(depth), ..self.no_news(place) })));
        if let Some(best) = best {
            self.quote(place, best, out);
        }
        self.rise(out);
    }

    /// Asks for a broken book anew, or gives the socket up when that was done a moment ago.
    fn renew(&mut self, at: Boot, place: usize, why: &str, out: &mut Vec<StreamOut>) {
        let known = &mut self.watched[place];
        let topic = format!("orderbook.{DEPTH}.{}", known.name);
        known.book.clear();
        if known.renewed_at.is_some_and(|before| at.since(before) < RENEWAL_GAP) {
            if known.weight == Weight::Extra {
                return out.push(StreamOut::Remark(format!("{topic} is broken again and left so: {why}")));
            }
            return self.broken(format!("{topic} is broken again: {why}"), out);
        }
        (known.renewed_at, known.book_asked_at, known.gap_told) = (Some(at), at, false);
        known.moved_alone_at = None;
        out.push(StreamOut::Remark(format!("{topic} is broken ({why}) and asked for anew")));
        let (topics, weight) = ([topic], known.weight);
        self.talk.ask(at, Verb::Unsubscribe, &topics, weight, out);
        self.talk.ask(at, Verb::Subscribe, &topics, weight, out);
    }

    fn trades(&mut self, place: usize, frame: &Value, out: &mut Vec<StreamOut>) -> Result<(), Misread> {
        let rows = Fields::of(frame, "frame")?.list("data")?;
        // Oldest first; only the newest is the last.
        let Some(row) = rows.last() else {
            return Ok(());
        };
        let row = Fields::of(row, "trade")?;
        let print = Print {
            price: positive(&row, "p")?,
            qty: positive(&row, "v")?,
            taker: match row.text("S")? {
                "Buy" => Side::Buy,
                "Sell" => Side::Sell,
                _ => return Err(Misread("trade: `S` is neither Buy nor Sell".into())),
            },
            at: row.millis("T")?,
        };
        out.push(StreamOut::Market(Box::new(MarketNews { last: Some(print), ..self.no_news(place) })));
        Ok(())
    }

    fn ticker(&mut self, place: usize, frame: &Value, out: &mut Vec<StreamOut>) -> Result<(), Misread> {
        let frame = Fields::of(frame, "frame")?;
        let whole = frame.maybe_text("type")? != Some("delta");
        let data = frame.object("data", "ticker")?;
        let told = Ticker {
            mark: data.value("markPrice").map(|_| positive(&data, "markPrice")).transpose()?,
            funding_rate: data.maybe_decimal("fundingRate")?,
            next_funding: data.maybe_millis("nextFundingTime")?.filter(|at| *at > Wall::default()),
        };
        if told == Ticker::default() {
            return Ok(());
        }
        let before = if whole { Ticker::default() } else { std::mem::take(&mut self.watched[place].ticker) };
        let ticker = Ticker {
            mark: told.mark.or(before.mark),
            funding_rate: told.funding_rate.or(before.funding_rate),
            next_funding: told.next_funding.or(before.next_funding),
        };
        self.watched[place].ticker = ticker.clone();
        out.push(StreamOut::Market(Box::new(MarketNews { ticker: Some(ticker), ..self.no_news(place) })));
        Ok(())
    }

    fn no_news(&self, place: usize) -> MarketNews {
        let symbol = self.watched[place].symbol.clone();
        MarketNews { venue: self.venue, symbol, depth: None, last: None, ticker: None }
    }

    fn quote(&mut self, place: usize, best: Best, out: &mut Vec<StreamOut>) {
        let known = &mut self.watched[place];
        known.quoted = Some(best);
        let (bid, ask) = best;
        out.push(StreamOut::Quote(Quote { venue: self.venue, symbol: known.symbol.clone(), bid, ask }));
    }

    /// What has been silent for too long, in words.
    fn silent(&self, at: Boot) -> Option<String> {
        let late = |since: Boot| at.since(since) > PATIENCE;
        let patience = PATIENCE.as_secs();
        if late(self.talk.heard_at()) && self.needed().next().is_some() {
            return Some(format!("no prices of any {} symbol for {patience} s", self.category.word()));
        }
        self.needed().find_map(|known| {
            if late(known.pulse_at) {
                let Watched { symbol, name, .. } = known;
                return Some(format!("no prices of {symbol} for {patience} s (orderbook.1.{name} comes every 3 s)"));
            }
            let waits = if known.book.is_fed() {
                // Whatever moves the best price is in the deeper book a moment later.
                known.moved_alone_at.is_some_and(late)
            } else {
                late(known.book_asked_at)
            };
            waits.then(|| format!("no book of {} for {patience} s (orderbook.{DEPTH}.{})", known.symbol, known.name))
        })
    }
}

impl StreamCodec for PublicStream {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn opened(&mut self, at: Boot, _signing: &Signing, out: &mut Vec<StreamOut>) {
        self.talk.begin(at);
        self.up = false;
        for known in &mut self.watched {
            *known = Watched::new(known.symbol.clone(), known.weight, at);
        }
        let of = |known: &Watched| topics(self.category, &known.name);
        let needed: Vec<String> = self.needed().flat_map(of).collect();
        for some in needed.chunks(TOPICS_PER_REQUEST) {
            self.talk.ask(at, Verb::Subscribe, some, Weight::Needed, out);
        }
        // A request for each of these, so that a refusal spoils no other.
        for extra in self.watched.iter().filter(|known| known.weight == Weight::Extra) {
            self.talk.ask(at, Verb::Subscribe, &of(extra), Weight::Extra, out);
        }
        self.rise(out);
    }

    fn frame(&mut self, at: Boot, text: &str, out: &mut Vec<StreamOut>) {
        if !self.talk.is_open() {
            return;
        }
        match self.talk.hear(at, text) {
            Ok(Heard::News(topic, frame)) => self.news(at, &topic, &frame, out),
            Ok(Heard::Agreed(_)) => self.rise(out),
            Ok(Heard::Refused(asked, words)) if asked.weight == Weight::Extra => {
                out.push(StreamOut::Remark(format!("the venue refuses the {}: {words}", asked.name())));
            }
            Ok(Heard::Refused(asked, words)) => {
                self.broken(format!("the venue refuses the {}: {words}", asked.name()), out);
            }
            Ok(Heard::Nothing) => {}
            Ok(Heard::Remark(words)) => out.push(StreamOut::Remark(words)),
            Err(why) => self.broken(why, out),
        }
    }

    fn tick(&mut self, at: Boot, out: &mut Vec<StreamOut>) {
        if !self.talk.is_open() {
            return;
        }
        for asked in self.talk.overdue_extras(at) {
            out.push(StreamOut::Remark(format!("no answer to the {}", asked.name())));
        }
        if let Some(why) = self.talk.overdue(at).or_else(|| self.silent(at)) {
            self.broken(why, out);
        }
    }

    fn ping(&mut self, at: Boot, out: &mut Vec<StreamOut>) {
        self.talk.ping(at, out);
    }
}

/// Whether the venue's service began to count anew (number 1) and the other book still shows what was before.
fn began_anew(update: &Update, other: &Book) -> bool {
    update.number == 1 && other.sequence() > update.sequence
}

/// A book frame, and whether it shows the whole book.
fn update(frame: &Value, name: &str) -> Result<(bool, Update), Misread> {
    let frame = Fields::of(frame, "frame")?;
    let data = frame.object("data", "book")?;
    if data.text("s")? != name {
        return Err(Misread("book: `s` is not the symbol of the topic".into()));
    }
    let number = |field| {
        let number = data.integer(field)?;
        u64::try_from(number).map_err(|_| Misread(format!("book: `{field}` is negative: {number}")))
    };
    let update =
        Update { bids: levels(&data, "b")?, asks: levels(&data, "a")?, number: number("u")?, sequence: number("seq")? };
    let whole = match frame.text("type")? {
        "snapshot" => true,
        // Number 1 is a restart of the venue's service: the book as it is, whatever the frame calls itself.
        "delta" => update.number == 1,
        _ => return Err(Misread("book: `type` is neither snapshot nor delta".into())),
    };
    Ok((whole, update))
}

fn levels(data: &Fields<'_>, field: &str) -> Result<Vec<Level>, Misread> {
    let wrong = || Misread(format!("book: `{field}` is not a list of prices and sizes"));
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<Decimal>().ok());
    let level = |row: &Value| match row.as_array().map(Vec::as_slice) {
        Some([price, size]) => Some((number(price)?, number(size)?)),
        _ => None,
    };
    data.list(field)?.iter().map(|row| level(row).ok_or_else(wrong)).collect()
}

fn positive(row: &Fields<'_>, field: &str) -> Result<Decimal, Misread> {
    let number = row.decimal(field)?;
    if number.is_positive() { Ok(number) } else { Err(Misread(format!("`{field}` is not above zero: {number}"))) }
}
