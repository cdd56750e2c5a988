//! Two who learnt the same language apart: the codec of Bybit and the gateway that speaks its dialect, without a socket
//! between them. They share no type, so what one of them misread shows here.

use std::collections::BTreeMap;
use std::time::Duration;

use lastorders::domain::ids::{Symbol, VenueId, VenueOrderId};
use lastorders::domain::order::{OrderKey, OrderRow, Outcome, VenueStatus};
use lastorders::domain::request::{Access, Answered, Call, Facts, RefusalKind};
use lastorders::domain::secret::{ApiKey, Secret};
use lastorders::domain::settings::{Connection, SimSettings, VenueKind, VenueSettings};
use lastorders::domain::time::Wall;
use lastorders::exchange::dialects::bybit::{Gateway, GatewaySetup, Key, Limits};
use lastorders::exchange::dialects::{GatewayOut, HttpIn, Mangle};
use lastorders::exchange::{AccountId, Micros, Setup, Ticket};
use lastorders::venues::bybit::sign;
use lastorders::venues::wire::{HttpOutcome, HttpRequest, HttpResponse};
use lastorders::venues::{Account, Opening, Part, Reading, Signing, open};

const SYMBOLS: [&str; 3] = ["BTC-USDT", "BTC-USDT-PERP", "ETH-USDC-PERP"];

fn api_key(who: &str) -> ApiKey {
    ApiKey { key: Secret::new(who.into()), secret: Secret::new(format!("{who}-secret")) }
}

struct Talk {
    account: Account,
    gateway: Gateway,
    now: Micros,
    ticket: u64,
    /// Who places orders: `ann`, whose account it is, or `bob`, whom she trades with.
    placer: &'static str,
}

impl Talk {
    fn new(change: impl FnOnce(&mut GatewaySetup)) -> Talk {
        let mut setup = Setup::new(&SYMBOLS.map(Symbol::new));
        setup.activity = 0;
        setup.open_account(AccountId(1));
        let mut key = Key::trading("ann", "ann-secret", AccountId(0));
        key.has_switch = true;
        let keys = vec![key, Key::trading("bob", "bob-secret", AccountId(1))];
        let mut setup = GatewaySetup { setup, keys, limits: Limits::default(), clock_skew_ms: 0 };
        change(&mut setup);
        let settings = VenueSettings {
            name: "main".into(),
            kind: VenueKind::Bybit,
            symbols: SYMBOLS.map(Symbol::new).to_vec(),
            exclusive_account: true,
            connection: Connection::default(),
            sim: SimSettings::default(),
        };
        let opening = Opening { venue: VenueId(0), settings: &settings, key: Some(api_key("ann")), also: &[] };
        let account = open(&opening).unwrap();
        let mut talk = Talk {
            account,
            gateway: Gateway::new(setup),
            now: Micros::from_millis(1_795_169_472_000),
            ticket: 0,
            placer: "ann",
        };
        talk.run_ms(0);
        talk
    }

    fn run_ms(&mut self, millis: i64) -> Vec<GatewayOut> {
        self.now = self.now.plus_millis(millis);
        let mut out = Vec::new();
        self.gateway.advance(self.now, &mut out);
        out
    }

    fn carry(&mut self, request: &HttpRequest) -> HttpOutcome {
        self.ticket += 1;
        let headers = request.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
        let sent = HttpIn {
            method: request.method.word().to_owned(),
            path_and_query: request.path_and_query.clone(),
            headers,
            body: request.body.clone().unwrap_or_default().into_bytes(),
        };
        self.gateway.http(self.now, Ticket(self.ticket), sent);
        for out in self.run_ms(20) {
            match out {
                GatewayOut::Http(ticket, answer) if ticket == Ticket(self.ticket) => {
                    assert_eq!(answer.mangle, Mangle::None);
                    return HttpOutcome::Got(HttpResponse {
                        status: answer.status,
                        headers: answer.headers,
                        body: answer.body,
                    });
                }
                _ => {}
            }
        }
        panic!("no answer to {request:?}");
    }

    fn signing(&self) -> Signing {
        let now = Wall::from_millis(self.gateway.venue_ms());
        Signing { now, valid_for: Duration::from_secs(3), nonce: 1, chance: [0; 32] }
    }

    fn ask(&mut self, call: &Call) -> Reading {
        let mut part = Part::default();
        for _ in 0..100 {
            let request = match self.account.codec.request(call, &part, &self.signing()) {
                Ok(request) => request,
                Err(answered) => return Reading::Answered(*answered),
            };
            let outcome = self.carry(&request);
            match self.account.codec.read(call, &part, &outcome).reading {
                Reading::More(next) => part = next,
                reading => return reading,
            }
        }
        panic!("{call:?} has no end");
    }

    fn facts(&mut self, call: &Call) -> Facts {
        match self.ask(call) {
            Reading::Answered(Answered::Done(facts)) => facts,
            other => panic!("{call:?}: {other:?}"),
        }
    }

    /// Places an order. By hand: only the risk gate can make a `Create`.
    fn place(&mut self, symbol: &str, sequence: usize, side: &str, price: &str, qty: &str, force: &str) -> OrderKey {
        let (category, name) = match symbol {
            "BTC-USDT" => ("spot", "BTCUSDT"),
            "BTC-USDT-PERP" => ("linear", "BTCUSDT"),
            _ => ("linear", "ETHPERP"),
        };
        let client_id = format!("lo7k2p000a1a{sequence:06}");
        let body = format!(
            r#"{{"category":"{category}","symbol":"{name}","side":"{side}","orderType":"Limit","qty":"{qty}","price":"{price}","timeInForce":"{force}","orderLinkId":"{client_id}"}}"#
        );
        let headers = sign::headers(&api_key(self.placer), self.signing().now, 3_000, &body);
        let any = self.account.codec.request(&Call::Cancel(key(symbol, &client_id)), &Part::default(), &self.signing());
        let request =
            HttpRequest { path_and_query: "/v5/order/create".into(), headers, body: Some(body), ..any.unwrap() };
        match self.carry(&request) {
            HttpOutcome::Got(response) => {
                let text = String::from_utf8(response.body).unwrap();
                assert!(text.contains("\"retCode\":0"), "{symbol} {sequence}: {text}");
            }
            other => panic!("{other:?}"),
        }
        // Below ten a second.
        self.run_ms(120);
        key(symbol, &client_id)
    }

    fn listed(&mut self) -> Vec<OrderRow> {
        let (mut rows, mut page) = (Vec::new(), None);
        for _ in 0..100 {
            match self.facts(&Call::ListOpen(page)) {
                Facts::OpenOrders { rows: some, next } => {
                    rows.extend(some);
                    match next {
                        Some(next) => page = Some(next),
                        None => return rows,
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("a list without end");
    }

    fn queried(&mut self, call: &Call) -> Option<OrderRow> {
        match self.facts(call) {
            Facts::Order(row) => row,
            other => panic!("{other:?}"),
        }
    }
}

fn key(symbol: &str, client_id: &str) -> OrderKey {
    OrderKey {
        venue: VenueId(0),
        symbol: Symbol::new(symbol),
        client_id: client_id.parse().unwrap(),
        venue_order_id: None,
    }
}

#[test]
fn orders_of_every_scope_are_listed_found_and_cancelled() {
    let mut talk = Talk::new(|_| {});
    let orders = [
        talk.place("BTC-USDT", 1, "Buy", "60000", "0.01", "PostOnly"),
        talk.place("BTC-USDT-PERP", 2, "Buy", "60000", "0.01", "GTC"),
        talk.place("ETH-USDC-PERP", 3, "Buy", "2000", "0.1", "GTC"),
    ];
    let rows = talk.listed();
    assert_eq!(rows.len(), 3);
    for order in &orders {
        let row = rows.iter().find(|row| row.our_id() == Some(order.client_id)).unwrap();
        assert_eq!((&row.symbol, row.status), (&order.symbol, VenueStatus::Open));
        assert_eq!(talk.queried(&Call::Query(order.clone())).as_ref(), Some(row));
    }
    assert_eq!(talk.queried(&Call::Query(key("BTC-USDT", "lo7k2p000a1a000099"))), None);
    assert_eq!(talk.queried(&Call::History(key("BTC-USDT-PERP", "lo7k2p000a1a000099"))), None);

    let with_id = OrderKey { venue_order_id: Some(rows[0].venue_order_id.clone()), ..orders[0].clone() };
    assert_eq!(talk.facts(&Call::Cancel(with_id)), Facts::CancelTaken { filled: None });
    let lost =
        OrderKey { venue_order_id: Some(VenueOrderId::new("no-such")), ..key("ETH-USDC-PERP", "lo7k2p000a1a000098") };
    let batch = vec![lost.clone(), orders[1].clone(), orders[2].clone()];
    match talk.facts(&Call::CancelBatch(batch)) {
        Facts::Batch(items) => {
            let taken = Answered::Done(Facts::CancelTaken { filled: None });
            assert_eq!((&items[&orders[1].client_id], &items[&orders[2].client_id]), (&taken, &taken));
            let is_refused =
                |item: &Answered| matches!(item, Answered::Refused(refusal) if refusal.kind == RefusalKind::NotFound);
            assert!(is_refused(&items[&lost.client_id]), "{items:?}");
        }
        other => panic!("{other:?}"),
    }
    talk.run_ms(2_000);
    assert_eq!(talk.listed(), []);
    for order in &orders {
        let row = talk.queried(&Call::History(order.clone())).unwrap();
        assert_eq!(row.status, VenueStatus::Ended(Outcome::Canceled), "{}: {}", order.symbol, row.reason);
        match talk.ask(&Call::Cancel(order.clone())) {
            Reading::Answered(Answered::Refused(refusal)) => {
                assert!(matches!(refusal.kind, RefusalKind::NotFound | RefusalKind::AlreadyEnded), "{refusal:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_listing_of_many_pages_is_whole_and_a_cancel_all_empties_its_scope() {
    let mut talk = Talk::new(|setup| setup.limits = Limits::off());
    for sequence in 0..120 {
        talk.place("BTC-USDT-PERP", sequence, "Buy", &format!("{}", 50_000 + sequence), "0.001", "GTC");
    }
    let ids: BTreeMap<_, _> = talk.listed().into_iter().map(|row| (row.our_id(), row.status)).collect();
    assert_eq!(ids.len(), 120);
    for scope in talk.account.traits.cancel_all_scopes.clone() {
        assert_eq!(talk.facts(&Call::CancelAll(scope)), Facts::CancelTaken { filled: None });
    }
    talk.run_ms(2_000);
    assert_eq!(talk.listed(), []);
}

#[test]
fn fills_balances_positions_and_rules_agree() {
    let mut talk = Talk::new(|_| {});
    let rules = match talk.facts(&Call::Instruments) {
        Facts::Instruments(rules) => rules,
        other => panic!("{other:?}"),
    };
    let names: Vec<_> = rules.iter().map(|rules| rules.symbol.as_str().to_owned()).collect();
    assert_eq!(names, SYMBOLS);
    assert!(rules.iter().all(|rules| rules.tradable && rules.tick.is_positive() && rules.max_qty > rules.min_qty));
    let began = talk.signing().now;
    assert!(matches!(talk.facts(&Call::Time), Facts::Time(at) if (at.millis() - began.millis()).abs() < 1_000));

    // Spot bought whole; of the contract less rests than is sold, and the rest of the sale ends.
    talk.placer = "bob";
    talk.place("BTC-USDT", 1, "Sell", "64000", "0.01", "PostOnly");
    talk.place("BTC-USDT-PERP", 2, "Buy", "60000", "0.01", "GTC");
    talk.placer = "ann";
    let bought = talk.place("BTC-USDT", 3, "Buy", "64000", "0.01", "IOC");
    let sold = talk.place("BTC-USDT-PERP", 4, "Sell", "59000", "0.02", "IOC");
    talk.run_ms(6_000);
    let (mut fills, mut page, mut complete_to) = (Vec::new(), None, None);
    while complete_to.is_none() {
        match talk.facts(&Call::ListFills(began.plus_millis(-60_000), page)) {
            Facts::Fills { rows, next, complete_to: told } => {
                fills.extend(rows);
                complete_to = next.is_none().then_some(told);
                page = next;
            }
            other => panic!("{other:?}"),
        }
    }
    let sum = |symbol: &str| {
        let of = fills.iter().filter(|row| row.symbol.as_str() == symbol);
        of.fold(lastorders::domain::money::Decimal::ZERO, |sum, row| sum.checked_add(row.fill.qty).unwrap()).to_string()
    };
    assert_eq!((sum("BTC-USDT"), sum("BTC-USDT-PERP")), ("0.01".to_owned(), "0.01".to_owned()));
    for (order, outcome) in [(bought, Outcome::Filled), (sold, Outcome::Canceled)] {
        let row = talk.queried(&Call::History(order.clone())).unwrap();
        assert_eq!(
            (row.status, row.filled.to_string()),
            (VenueStatus::Ended(outcome), "0.01".into()),
            "{}",
            row.reason
        );
        let fill = fills.iter().find(|fill| fill.client_id.as_deref() == Some(order.client_id.as_str())).unwrap();
        assert_eq!((&fill.venue_order_id, &fill.symbol, fill.side), (&row.venue_order_id, &row.symbol, row.side));
        assert!(fill.fill.fee.is_positive() && !fill.fill.maker, "{fill:?}");
    }
    assert!(complete_to.unwrap() > began && complete_to.unwrap() < talk.signing().now);
    match talk.facts(&Call::Positions) {
        Facts::Positions(rows) => {
            let rows: Vec<_> = rows.iter().map(|row| format!("{} {}", row.symbol, row.qty)).collect();
            assert_eq!(rows, ["BTC-USDT-PERP -0.01"]);
        }
        other => panic!("{other:?}"),
    }
    match talk.facts(&Call::Balances) {
        Facts::Balances(held) => assert!(held["BTC"].is_positive() && held["USDT"].is_positive(), "{held:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_key_the_switch_the_clock_and_the_limits_are_told() {
    let mut talk = Talk::new(|_| {});
    let window = Some(Duration::from_secs(10));
    assert_eq!(talk.facts(&Call::SetSwitch(window)), Facts::Switch(window));
    talk.run_ms(15_000);
    assert_eq!(talk.facts(&Call::ReadSwitch), Facts::Switch(window));
    let access = match talk.facts(&Call::Access) {
        Facts::Access(access) => access,
        other => panic!("{other:?}"),
    };
    let Access { may_trade, may_withdraw, hedge_mode, switch, remarks } = access;
    assert_eq!(
        (may_trade, may_withdraw, hedge_mode, switch),
        (Some(true), Some(false), Some(false), Some(true)),
        "{remarks:?}"
    );

    let mut hedged = Talk::new(|setup| {
        setup.keys[0].hedge_mode = true;
        setup.keys[0].may_withdraw = true;
        setup.keys[0].has_switch = false;
    });
    match hedged.facts(&Call::Access) {
        Facts::Access(access) => {
            assert_eq!((access.hedge_mode, access.may_withdraw, access.switch), (Some(true), Some(true), None));
        }
        other => panic!("{other:?}"),
    }

    let late = Signing { now: talk.signing().now.plus_millis(-60_000), ..talk.signing() };
    let request = talk.account.codec.request(&Call::Balances, &Part::default(), &late).unwrap();
    let outcome = talk.carry(&request);
    let reading = talk.account.codec.read(&Call::Balances, &Part::default(), &outcome).reading;
    let now = talk.signing().now.millis();
    assert!(matches!(reading, Reading::ClockWrong { server } if (server.millis() - now).abs() < 1_000), "{reading:?}");

    let call = Call::Cancel(key("BTC-USDT-PERP", "lo7k2p000a1a000097"));
    let request = talk.account.codec.request(&call, &Part::default(), &talk.signing()).unwrap();
    let mut waits = Vec::new();
    for _ in 0..14 {
        talk.now = talk.now.plus_millis(-15);
        let outcome = talk.carry(&request);
        let read = talk.account.codec.read(&call, &Part::default(), &outcome);
        assert_eq!(read.limits.len(), 1, "each answer tells of its limit");
        assert_eq!(talk.account.traits.billing.buckets[read.limits[0].bucket].name, "linear cancels");
        if let Reading::Answered(Answered::Later { wait, .. }) = read.reading {
            waits.push(wait);
        }
    }
    assert!(!waits.is_empty(), "fourteen cancels in a second are too many");
    assert!(
        waits.iter().all(|wait| *wait >= Duration::from_millis(100) && *wait <= Duration::from_millis(1_100)),
        "{waits:?}"
    );
}
