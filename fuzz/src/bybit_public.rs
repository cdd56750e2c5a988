//! Sequences of frames, ticks and pings through a public stream. The first line chooses it (`spot`, otherwise contracts);
//! the rest is read as `talk` says.
//!
//! Must hold: no quote is crossed or of nothing; depth is sorted, sound and no deeper than what is shown; only symbols of
//! ours are told of; it is `Up` only when every configured symbol has shown a quote and a book on this connection.

use std::collections::BTreeSet;

use lastorders::domain::event::Stream;
use lastorders::domain::time::Boot;
use lastorders::venues::StreamOut;

use crate::accounts::{self, Shape};
use crate::book::depth_is_sound;
use crate::talk::{Cause, Talk, Watch};

/// Levels of a side that go out.
const DEPTH_SHOWN: usize = 10;

/// Runs one input.
pub fn check(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (first, rest) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let (name, watch) = match first {
        b"spot" => ("public-spot", Eyes::on("BTC-USDT", "SOL-USDT")),
        _ => ("public-linear", Eyes::on("BTC-USDT-PERP", "ETH-USDC-PERP")),
    };
    let streams = accounts::account(Shape::Whole).streams;
    let found = streams.into_iter().find(|(stream, own, _)| *stream == Stream::Public && own == name);
    let (_, _, codec) = found.unwrap_or_else(|| panic!("there is a stream {name}"));
    Talk::new(codec, watch).run(rest);
}

/// What this target looks at.
#[derive(Debug, Default)]
pub struct Eyes {
    needed: &'static str,
    extra: &'static str,
    quoted: BTreeSet<String>,
    shown: BTreeSet<String>,
}

impl Eyes {
    /// A configured symbol, and one that is only watched.
    pub fn on(needed: &'static str, extra: &'static str) -> Eyes {
        Eyes { needed, extra, ..Eyes::default() }
    }
}

impl Watch for Eyes {
    fn opened(&mut self) {
        self.quoted.clear();
        self.shown.clear();
    }

    fn saw(&mut self, _: Boot, out: &StreamOut, _: Option<&str>) {
        match out {
            StreamOut::Quote(quote) => {
                assert!([self.needed, self.extra].contains(&quote.symbol.as_str()), "whose price is it?");
                let side = |level: Option<_>| level.into_iter().collect::<Vec<_>>();
                depth_is_sound(&side(quote.bid), &side(quote.ask));
                self.quoted.insert(quote.symbol.to_string());
            }
            StreamOut::Market(news) => {
                assert!([self.needed, self.extra].contains(&news.symbol.as_str()), "whose market is it?");
                if let Some(depth) = &news.depth {
                    assert!(depth.bids.len() <= DEPTH_SHOWN && depth.asks.len() <= DEPTH_SHOWN, "too deep");
                    depth_is_sound(&depth.bids, &depth.asks);
                    self.shown.insert(news.symbol.to_string());
                }
                assert!(news.last.as_ref().is_none_or(|last| last.price.is_positive() && last.qty.is_positive()));
                let mark = news.ticker.as_ref().and_then(|ticker| ticker.mark);
                assert!(mark.is_none_or(|mark| mark.is_positive()), "a contract worth nothing");
            }
            StreamOut::Up => {
                assert!(self.quoted.contains(self.needed) && self.shown.contains(self.needed), "up without a market");
            }
            StreamOut::Order(_) | StreamOut::Fill(_) => panic!("news of an account on a public stream"),
            StreamOut::Send(_) | StreamOut::Broken(_) | StreamOut::Remark(_) => {}
        }
    }

    fn stepped(&mut self, _: Boot, _: Cause<'_>, _: &[StreamOut]) {}
}
