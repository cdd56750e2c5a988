//! A market that is fed: accounts trade against the touch of somebody else's venue, and nobody else is there.

use super::*;

fn fed() -> Bench {
    Bench::new(Setup { fed: true, ..busy(1) })
}

impl Bench {
    fn feed(&mut self, bid: (&str, &str), ask: (&str, &str)) -> bool {
        let amounts = |(price, qty): (&str, &str)| (decimal(price), decimal(qty));
        let taken = self.exchange.feed(self.now, &btc(), amounts(bid), amounts(ask));
        self.run_ms(0);
        taken
    }

    fn filled(&mut self, client_id: &str) -> String {
        self.query(ANN, client_id).unwrap().filled.to_string()
    }
}

#[test]
fn before_anything_is_fed_there_is_no_market_and_orders_rest() {
    let mut bench = fed();
    bench.create(ANN, buy("a", "90000")).unwrap();
    bench.create(ANN, buy("b", "90000").kept(TimeInForce::PostOnly)).unwrap();
    bench.run_ms(60_000);
    assert_eq!(bench.open(ANN), ["a", "b"]);
    assert!(bench.quotes().is_empty() && bench.fill_pushes(ANN).is_empty());
}

#[test]
fn quotes_leave_as_they_were_fed_even_between_two_steps() {
    let mut bench = fed();
    assert!(bench.feed(("63999.97", "0.00012345"), ("64000.01", "7")));
    let quote = bench.quotes().pop().unwrap();
    assert_eq!(quote.bid, Some((decimal("63999.97"), decimal("0.00012345"))));
    assert_eq!(quote.ask, Some((decimal("64000.01"), decimal("7"))));
    bench.run_ms(60_000);
    assert_eq!(bench.quotes().len(), 1, "nothing is invented beside it");
    for (bid, ask) in [(("64000", "1"), ("64000", "1")), (("0", "1"), ("64000", "1")), (("1", "0"), ("2", "1"))] {
        assert!(!bench.feed(bid, ask), "{bid:?} {ask:?}");
    }
    assert!(!bench.exchange.feed(
        bench.now,
        &Symbol::new("NO-PE"),
        (decimal("1"), decimal("1")),
        (decimal("2"), decimal("1"))
    ));
    assert_eq!(bench.quotes().len(), 1);
}

#[test]
fn a_taker_gets_what_the_touch_shows_and_no_more_until_it_moves() {
    let mut bench = fed();
    bench.feed(("63999", "1"), ("64000", "0.03"));
    bench.create(ANN, buy("a", "64005").of("0.05")).unwrap();
    assert_eq!(bench.filled("a"), "0.03");
    assert_eq!(bench.fill_pushes(ANN)[0].price, decimal("64000"), "at the touch, not at its limit");
    bench.feed(("63999", "1"), ("64000", "0.03"));
    assert_eq!(bench.filled("a"), "0.03", "the same touch told again is the same lots");
    bench.feed(("63999", "2"), ("64000", "0.04"));
    assert_eq!(bench.filled("a"), "0.04", "what came to it is new");
    bench.feed(("63999", "2"), ("64001", "0.03"));
    assert_eq!(bench.filled("a"), "0.05", "another price is another market");
    let fills = bench.fill_pushes(ANN);
    assert_eq!((fills[2].price, fills[2].maker), (decimal("64005"), true), "it rested: at its own price");
}

#[test]
fn a_resting_order_fills_when_the_touch_reaches_it_and_not_before() {
    let mut bench = fed();
    bench.feed(("63999", "1"), ("64001", "1"));
    bench.create(ANN, buy("near", "64000")).unwrap();
    bench.create(ANN, buy("far", "63990")).unwrap();
    bench.create(ANN, sell("above", "64010")).unwrap();
    bench.feed(("63995", "1"), ("64000.1", "1"));
    assert!(bench.fill_pushes(ANN).is_empty(), "best buyer, and nobody sells to it");
    bench.feed(("63980", "1"), ("63990", "0.015"));
    let fills: Vec<(String, String, String)> = bench
        .fill_pushes(ANN)
        .iter()
        .map(|fill| (fill.client_id.clone(), fill.price.to_string(), fill.qty.to_string()))
        .collect();
    let row = |id: &str, price: &str, qty: &str| (id.to_owned(), price.to_owned(), qty.to_owned());
    assert_eq!(fills, [row("near", "64000", "0.01"), row("far", "63990", "0.005")], "no more than it shows");
    bench.feed(("63980", "1"), ("63990", "0.015"));
    assert_eq!(bench.filled("far"), "0.005");
    bench.feed(("64010", "5"), ("64011", "1"));
    assert_eq!(bench.filled("above"), "0.01");
    assert_eq!(bench.open(ANN), ["far"]);
}

#[test]
fn a_post_only_order_never_takes_what_is_fed_even_where_it_was_taken() {
    let mut bench = fed();
    bench.feed(("63999", "1"), ("64000", "0.01"));
    bench.create(ANN, buy("all", "64000")).unwrap();
    assert_eq!(bench.filled("all"), "0.01");
    bench.create(ANN, buy("post", "64000").kept(TimeInForce::PostOnly)).unwrap();
    assert_eq!(bench.statuses(ANN, "post"), [Status::New, Status::Canceled]);
}

#[test]
fn money_stays_and_a_restart_knows_the_orders_but_no_market() {
    let mut bench = fed();
    let before = bench.exchange.totals();
    for step in 0..200_i64 {
        let middle = 64_000 + (step * 7_919) % 41 - 20;
        let (bid, ask) = ((middle - 1).to_string(), (middle + 1).to_string());
        bench.feed((&bid, "0.02"), (&ask, "0.03"));
        let price = (64_000 + (step * 31) % 25 - 12).to_string();
        let new = if step % 2 == 0 { buy(&format!("o{step}"), &price) } else { sell(&format!("o{step}"), &price) };
        bench.create(if step % 3 == 0 { ANN } else { BOB }, new).unwrap();
        bench.run_ms(50);
    }
    assert_eq!(bench.exchange.totals(), before);
    bench.create(ANN, buy("far", "60000")).unwrap();
    let (fills, open) = (bench.exchange.fills(ANN).len(), bench.open(ANN).len());
    assert!(fills > 20 && open > 0, "{fills} {open}");
    let setup = Setup { fed: true, ..busy(1) };
    let restored = Exchange::restore(setup, &bench.file()).unwrap().exchange;
    assert_eq!(restored.open_orders(ANN), bench.exchange.open_orders(ANN));
    assert_eq!(restored.totals(), before);
    let mut again = Bench::on(restored, bench.now);
    again.run_ms(60_000);
    assert!(again.fill_pushes(ANN).is_empty() && again.quotes().is_empty());
}
