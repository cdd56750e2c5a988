//! What the streams do, told as conversations: frames in, words out.

mod damage;
mod private;
mod public;
mod sockets;

use std::time::Duration;

use crate::domain::event::MarketNews;
use crate::domain::ids::Symbol;
use crate::domain::money::Decimal;
use crate::domain::secret::{ApiKey, Secret};
use crate::domain::time::{Boot, Wall};
use crate::venues::bybit::symbols::Symbols;
use crate::venues::{Signing, StreamCodec, StreamOut};

/// 2022-09-05 04:00:00 UTC, less the ten seconds a login counts.
const NOW_MS: i64 = 1_662_350_390_000;

fn signing() -> Signing {
    Signing { now: Wall::from_millis(NOW_MS), valid_for: Duration::from_secs(3), nonce: 1, chance: [7; 32] }
}

fn key() -> ApiKey {
    ApiKey { key: Secret::new("XXXXXXXXXX".into()), secret: Secret::new("YYYYYYYYYY".into()) }
}

fn symbols(names: &[&str]) -> Symbols {
    let ours: Vec<Symbol> = names.iter().map(|name| Symbol::new(name)).collect();
    Symbols::new(&ours).unwrap()
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// A codec at work, on a clock that is moved by hand.
struct Line<C> {
    codec: C,
    now: Boot,
}

impl<C: StreamCodec> Line<C> {
    fn opened(codec: C) -> (Line<C>, Vec<StreamOut>) {
        let mut line = Line { codec, now: Boot::from_nanos(5_000_000_000) };
        let out = line.open();
        (line, out)
    }

    fn open(&mut self) -> Vec<StreamOut> {
        let mut out = Vec::new();
        self.codec.opened(self.now, &signing(), &mut out);
        out
    }

    fn hear(&mut self, text: &str) -> Vec<StreamOut> {
        let mut out = Vec::new();
        self.codec.frame(self.now, text, &mut out);
        out
    }

    /// What it says in words of these tests, for frames that are not about requests.
    fn told(&mut self, text: &str) -> Vec<String> {
        self.hear(text).iter().map(word).collect()
    }

    fn ping(&mut self) -> Vec<StreamOut> {
        let mut out = Vec::new();
        self.codec.ping(self.now, &mut out);
        out
    }

    /// Lets time pass, a tick each quarter of a second.
    fn wait(&mut self, millis: u64) -> Vec<StreamOut> {
        let mut out = Vec::new();
        for _ in 0..millis / 250 {
            self.now = self.now.after(Duration::from_millis(250));
            self.codec.tick(self.now, &mut out);
        }
        out
    }
}

/// An output in few words; remarks without theirs.
fn word(out: &StreamOut) -> String {
    let level =
        |level: &Option<(Decimal, Decimal)>| level.map_or("-".into(), |(price, size)| format!("{price}x{size}"));
    match out {
        StreamOut::Send(text) => format!("send {text}"),
        StreamOut::Up => "up".into(),
        StreamOut::Broken(_) => "broken".into(),
        StreamOut::Order(row) => format!("order {} {:?} {}", row.venue_order_id, row.status, row.filled),
        StreamOut::Fill(row) => format!("fill {} {:?} {}", row.fill.trade_id, row.kind, row.fill.qty),
        StreamOut::Quote(quote) => format!("quote {} {} {}", quote.symbol, level(&quote.bid), level(&quote.ask)),
        StreamOut::Market(news) => market(news),
        StreamOut::Remark(_) => "remark".into(),
    }
}

fn market(news: &MarketNews) -> String {
    let mut words = news.symbol.to_string();
    if let Some(depth) = &news.depth {
        words += &format!(" depth {}/{}", depth.bids.len(), depth.asks.len());
    }
    if let Some(last) = &news.last {
        words += &format!(" last {}x{} {} {}", last.price, last.qty, last.taker, last.at.millis());
    }
    if let Some(ticker) = &news.ticker {
        let decimal = |number: Option<Decimal>| number.map_or("-".into(), |number| number.to_string());
        let next = ticker.next_funding.map_or("-".into(), |at| at.millis().to_string());
        words += &format!(" mark {} funding {} {next}", decimal(ticker.mark), decimal(ticker.funding_rate));
    }
    words
}

/// The reason of the one `Broken` among these.
fn why_broken(out: &[StreamOut]) -> String {
    let mut reasons = out.iter().filter_map(|out| match out {
        StreamOut::Broken(why) => Some(why.clone()),
        _ => None,
    });
    let why = reasons.next().unwrap_or_else(|| panic!("not broken: {:?}", out.iter().map(word).collect::<Vec<_>>()));
    assert_eq!(reasons.next(), None, "broken once");
    why
}

fn is_up(out: &[StreamOut]) -> bool {
    out.contains(&StreamOut::Up)
}

/// The requests among these: number, operation, arguments.
fn requests(out: &[StreamOut]) -> Vec<(String, String, Vec<String>)> {
    let texts = out.iter().filter_map(|out| match out {
        StreamOut::Send(text) => Some(text),
        _ => None,
    });
    let read = |text: &String| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let word = |name: &str| value[name].as_str().unwrap_or("").to_owned();
        let args = value["args"]
            .as_array()
            .map(|args| args.iter().map(|arg| arg.as_str().map_or_else(|| arg.to_string(), str::to_owned)).collect());
        (word("req_id"), word("op"), args.unwrap_or_default())
    };
    texts.map(read).collect()
}

/// A confirmation of a request.
fn agreed(id: &str, op: &str) -> String {
    format!(r#"{{"success":true,"ret_msg":"","conn_id":"c1","req_id":"{id}","op":"{op}"}}"#)
}
