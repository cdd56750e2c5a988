//! Which sockets an account gets.

use super::super::{Sockets, streams};
use super::*;
use crate::domain::event::Stream;
use crate::domain::ids::VenueId;
use crate::venues::bybit::symbols::Category;

fn named(symbols: &Symbols, key: Option<&ApiKey>) -> Vec<(Stream, String, String)> {
    let public_url = |category: Category| format!("ws://127.0.0.1:1/{}", category.word());
    let sockets = Sockets {
        venue: VenueId(0),
        symbols,
        configured: symbols.ours(),
        key,
        exclusive_account: false,
        public_url: &public_url,
        private_url: "ws://127.0.0.1:1/v5/private",
    };
    streams(&sockets).into_iter().map(|(stream, name, codec)| (stream, name, codec.url())).collect()
}

#[test]
fn each_category_in_use_has_a_socket_and_the_account_has_one_with_a_key() {
    let both = symbols(&["BTC-USDT", "BTC-USDT-PERP", "ETH-USDT"]);
    let spot = (Stream::Public, "public-spot".to_owned(), "ws://127.0.0.1:1/spot".to_owned());
    let linear = (Stream::Public, "public-linear".to_owned(), "ws://127.0.0.1:1/linear".to_owned());
    let private = "ws://127.0.0.1:1/v5/private?max_active_time=60s".to_owned();
    let private = (Stream::Private, "private".to_owned(), private);
    assert_eq!(named(&both, Some(&key())), [spot.clone(), linear, private]);
    assert_eq!(named(&symbols(&["BTC-USDT"]), None), [spot]);
}

#[test]
fn more_symbols_than_a_connection_carries_are_shared_out() {
    let names: Vec<String> = (0..400).map(|number| format!("COIN{number:03}-USDT-PERP")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let many = symbols(&names);
    let public_url = |_: Category| "ws://127.0.0.1:1/linear".to_owned();
    let private_url = "ws://127.0.0.1:1/v5/private";
    let (venue, key, exclusive_account) = (VenueId(0), None, false);
    let (symbols, configured) = (&many, &many.ours()[..399]);
    let public_url = &public_url;
    let sockets = Sockets { venue, symbols, configured, key, exclusive_account, public_url, private_url };
    let mut seen = Vec::new();
    for (number, (_, name, mut codec)) in streams(&sockets).into_iter().enumerate() {
        assert_eq!(name, if number == 0 { "public-linear".into() } else { format!("public-linear-{}", number + 1) });
        let mut out = Vec::new();
        codec.opened(Boot::ZERO, &signing(), &mut out);
        let topics: Vec<String> = requests(&out).into_iter().flat_map(|(_, _, args)| args).collect();
        assert!(serde_json::to_string(&topics).unwrap().len() <= 21_000);
        seen.extend(topics);
    }
    assert_eq!(seen.len(), 1_600, "every topic is asked for");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 1_600, "once");
}
