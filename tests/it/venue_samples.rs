//! Answers of real venues' documentation and captures, where a checkout of them lies beside this one. Without it the
//! test says that it looked at nothing; with it every answer must be understood and say what it says.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use lastorders::domain::ids::{Symbol, VenueId, VenueOrderId};
use lastorders::domain::instrument::InstrumentRules;
use lastorders::domain::order::{FillKind, FillRow, OrderKey, OrderRow, Outcome, Side, VenueStatus};
use lastorders::domain::request::{Answered, Call, Facts, Page, RefusalKind};
use lastorders::domain::secret::{ApiKey, Secret};
use lastorders::domain::settings::{Connection, SimSettings, VenueKind, VenueSettings};
use lastorders::domain::time::Wall;
use lastorders::venues::wire::{HttpOutcome, HttpResponse};
use lastorders::venues::{Account, Opening, Part, Reading, open};

/// Samples that no call of ours is answered with: we amend nothing, place one by one (and only what passed the risk
/// gate, which a test outside cannot forge), and read prices and the venue's state from its streams.
const NOT_ASKED_FOR: [&str; 7] =
    ["amend_ack", "orderbook_rest", "place_ack", "place_batch_ack", "system_status", "tickers_inverse", "tickers_spot"];

/// The folder with samples, and which of them were looked at.
struct Samples {
    folder: PathBuf,
    seen: BTreeSet<String>,
}

impl Samples {
    fn find() -> Option<Samples> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent()?.join("shared/venues/samples/bybit");
        folder.is_dir().then_some(Samples { folder, seen: BTreeSet::new() })
    }

    fn outcome(&mut self, name: &str) -> HttpOutcome {
        let path = self.folder.join(format!("{name}.json"));
        let body = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.seen.insert(name.to_owned());
        HttpOutcome::Got(HttpResponse { status: 200, headers: vec![], body })
    }

    /// REST samples nobody looked at.
    fn left(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name());
        names
            .filter_map(|name| name.to_str()?.strip_suffix(".json").map(str::to_owned))
            .filter(|name| !name.starts_with("ws_") && !NOT_ASKED_FOR.contains(&name.as_str()))
            .filter(|name| !self.seen.contains(name))
            .collect()
    }
}

fn account() -> Account {
    let settings = VenueSettings {
        name: "main".into(),
        kind: VenueKind::Bybit,
        symbols: ["BTC-USDT", "BTC-USDT-PERP", "BIO-USDT-PERP"].map(Symbol::new).to_vec(),
        exclusive_account: true,
        connection: Connection::default(),
        sim: SimSettings::default(),
    };
    let key = ApiKey { key: Secret::new("k".into()), secret: Secret::new("s".into()) };
    open(&Opening { venue: VenueId(0), settings: &settings, key: Some(key), also: &[] }).unwrap()
}

fn order(symbol: &str, sequence: u8, venue_order_id: Option<&str>) -> OrderKey {
    OrderKey {
        venue: VenueId(0),
        symbol: Symbol::new(symbol),
        client_id: format!("lo7k2p000a1a0000{sequence:02}").parse().unwrap(),
        venue_order_id: venue_order_id.map(VenueOrderId::new),
    }
}

fn reading(account: &Account, call: &Call, part: &Part, outcome: &HttpOutcome) -> Reading {
    account.codec.read(call, part, outcome).reading
}

fn answered(account: &Account, call: &Call, outcome: &HttpOutcome) -> Answered {
    match reading(account, call, &Part::default(), outcome) {
        Reading::Answered(answered) => answered,
        other => panic!("{call:?}: {other:?}"),
    }
}

fn facts(account: &Account, call: &Call, outcome: &HttpOutcome) -> Facts {
    match answered(account, call, outcome) {
        Answered::Done(facts) => facts,
        other => panic!("{call:?}: {other:?}"),
    }
}

/// A list that needs several answers, given the first, the others empty.
fn facts_of_several(account: &Account, call: &Call, mut part: Part, first: &HttpOutcome) -> Facts {
    let mut outcome = first.clone();
    for _ in 0..10 {
        match reading(account, call, &part, &outcome) {
            Reading::Answered(Answered::Done(facts)) => return facts,
            Reading::More(next) => part = next,
            other => panic!("{call:?}: {other:?}"),
        }
        outcome = empty_list();
    }
    panic!("{call:?}: no end");
}

fn empty_list() -> HttpOutcome {
    let body =
        br#"{"retCode":0,"retMsg":"OK","result":{"list":[],"nextPageCursor":""},"retExtInfo":{},"time":1672283754510}"#;
    HttpOutcome::Got(HttpResponse { status: 200, headers: vec![], body: body.to_vec() })
}

/// The page of open orders that asks for contracts in USDT.
fn contracts_page(account: &Account) -> Option<Page> {
    match facts(account, &Call::ListOpen(None), &empty_list()) {
        Facts::OpenOrders { next, .. } => next,
        other => panic!("{other:?}"),
    }
}

fn refusal_kind(account: &Account, call: &Call, outcome: &HttpOutcome) -> RefusalKind {
    match answered(account, call, outcome) {
        Answered::Refused(refusal) => refusal.kind,
        other => panic!("{call:?}: {other:?}"),
    }
}

fn check_orders(samples: &mut Samples, account: &Account) {
    let listed = |outcome: HttpOutcome| -> OrderRow {
        match facts(account, &Call::ListOpen(contracts_page(account)), &outcome) {
            Facts::OpenOrders { rows, next } => {
                assert!(next.is_some_and(|next| next.0.starts_with("2|")), "a short page ends the scope: USDC is next");
                rows.into_iter().next().unwrap()
            }
            other => panic!("{other:?}"),
        }
    };
    let open = listed(samples.outcome("open_orders_page"));
    assert_eq!((open.symbol.as_str(), open.client_id.as_deref()), ("ETH-USDT-PERP", Some("test-000005")));
    assert_eq!((open.side, open.status), (Side::Buy, VenueStatus::Open));
    assert_eq!([open.price, open.qty, open.filled].map(|number| number.to_string()), ["1600", "0.1", "0"]);
    let ended = listed(samples.outcome("order_history_page"));
    assert_eq!(ended.venue_order_id.as_str(), "14bad3a1-6454-43d8-bcf2-5345896cf74d");
    assert_eq!(ended.status, VenueStatus::Ended(Outcome::Canceled));
    assert_eq!(ended.reason, "EC_PostOnlyWillTakeLiquidity");

    let taken = Facts::CancelTaken { filled: None };
    let cancel = Call::Cancel(order("BTC-USDT-PERP", 1, Some("c6f055d9-7f21-4079-913d-e6523a9cfffa")));
    assert_eq!(facts(account, &cancel, &samples.outcome("cancel_ack")), taken);
    let all = Call::CancelAll(account.traits.cancel_all_scopes[0].clone());
    assert_eq!(facts(account, &all, &samples.outcome("cancel_all_spot")), taken);

    let (gone, lost) = (order("BTC-USDT", 1, Some("1666800494330512128")), order("ATOM-USDT", 2, None));
    let batch = Call::CancelBatch(vec![gone.clone(), lost.clone()]);
    match facts(account, &batch, &samples.outcome("cancel_batch_partial_failure")) {
        Facts::Batch(items) => {
            assert_eq!(items[&gone.client_id], Answered::Done(taken));
            let is_not_found =
                matches!(&items[&lost.client_id], Answered::Refused(refusal) if refusal.kind == RefusalKind::NotFound);
            assert!(is_not_found, "{items:?}");
        }
        other => panic!("{other:?}"),
    }
}

fn check_errors(samples: &mut Samples, account: &Account) {
    let cancel = Call::Cancel(order("BTC-USDT", 1, None));
    for (name, kind) in [
        ("error_110001_order_not_exist", RefusalKind::NotFound),
        ("error_170213_spot_order_not_exist", RefusalKind::NotFound),
        ("error_10001_missing_order_id", RefusalKind::Other),
    ] {
        assert_eq!(refusal_kind(account, &cancel, &samples.outcome(name)), kind, "{name}");
    }
    let limited = answered(account, &cancel, &samples.outcome("error_10006_rate_limit"));
    assert!(matches!(limited, Answered::Later { wait, .. } if wait >= Duration::from_millis(100)), "{limited:?}");
    // Not a create: then a doubled id means nothing.
    let doubled = answered(account, &cancel, &samples.outcome("error_110072_duplicate_link_id"));
    assert!(matches!(doubled, Answered::Unknown(_)), "{doubled:?}");
    let clock = reading(account, &cancel, &Part::default(), &samples.outcome("error_10002_timestamp"));
    assert_eq!(clock, Reading::ClockWrong { server: Wall::from_millis(1_696_396_707_813) });
}

fn check_fills(samples: &mut Samples, account: &Account) {
    let since = Wall::from_millis(1_672_282_000_000);
    let next = match facts(account, &Call::ListFills(since, None), &empty_list()) {
        Facts::Fills { next, .. } => next,
        other => panic!("{other:?}"),
    };
    let rows: Vec<FillRow> = match facts(account, &Call::ListFills(since, next), &samples.outcome("executions_page")) {
        Facts::Fills { rows, next: None, complete_to } => {
            assert_eq!(complete_to, Wall::from_millis(1_672_283_754_510 - 5_000));
            rows
        }
        other => panic!("{other:?}"),
    };
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.symbol.as_str(), row.side, row.kind), ("ETH-USDC-PERP", Side::Buy, FillKind::Trade));
    assert_eq!(row.venue_order_id.as_str(), "8c065341-7b52-4ca9-ac2c-37e31ac55c94");
    assert_eq!(
        [row.fill.price, row.fill.qty, row.fill.fee].map(|number| number.to_string()),
        ["1190.15", "0.1", "0.071409"]
    );
    assert_eq!((row.fill.fee_asset.as_str(), row.fill.maker), ("USDC", false));
    assert_eq!(row.fill.at, Wall::from_millis(1_672_282_722_429));
}

fn check_instruments(samples: &mut Samples, account: &Account) {
    let mut rules = |name: &str, step: &str| -> InstrumentRules {
        let part = Part { number: 0, cursor: format!("{step}|"), gathered: vec![] };
        match facts_of_several(account, &Call::Instruments, part, &samples.outcome(name)) {
            Facts::Instruments(rules) => rules.into_iter().next().unwrap_or_else(|| panic!("{name}: nothing")),
            other => panic!("{other:?}"),
        }
    };
    let numbers = |rules: &InstrumentRules| {
        [rules.tick, rules.lot, rules.min_qty, rules.max_qty, rules.min_notional].map(|number| number.to_string())
    };
    let spot = rules("instrument_spot", "0");
    assert_eq!((spot.symbol.as_str(), spot.base.as_str(), spot.quote.as_str()), ("BTC-USDT", "BTC", "USDT"));
    assert_eq!(numbers(&spot), ["0.1", "0.000001", "0.000011", "83", "5"]);
    assert!(spot.tradable);
    let linear = rules("instrument_linear", "1");
    assert_eq!(linear.symbol.as_str(), "BTC-USDT-PERP");
    assert_eq!(numbers(&linear), ["0.1", "0.001", "0.001", "1190", "5"]);
    assert!(linear.tradable);
    let coming = rules("instrument_linear_premarket_nocancel", "2");
    assert_eq!(coming.symbol.as_str(), "BIO-USDT-PERP");
    assert_eq!(numbers(&coming), ["0.0001", "1", "1", "70000", "5"]);
    assert!(!coming.tradable, "before its market opens");
}

fn check_account(samples: &mut Samples, account: &Account) {
    match facts(account, &Call::Balances, &samples.outcome("wallet_balance")) {
        Facts::Balances(held) => assert_eq!(held.keys().collect::<Vec<_>>(), ["BTC"]),
        other => panic!("{other:?}"),
    }
    match facts_of_several(account, &Call::Positions, Part::default(), &samples.outcome("positions_linear")) {
        Facts::Positions(rows) => {
            assert_eq!(rows[0].qty.to_string(), "-300");
            assert_eq!(rows[0].entry.unwrap().to_string(), "27464.50441675");
        }
        other => panic!("{other:?}"),
    }
    let time = facts(account, &Call::Time, &samples.outcome("server_time"));
    assert_eq!(time, Facts::Time(Wall::from_millis(1_688_639_403_423)));
    let window = Some(Duration::from_secs(10));
    assert_eq!(facts(account, &Call::ReadSwitch, &samples.outcome("dcp_info")), Facts::Switch(window));
    let set = samples.outcome("dcp_set_ack");
    let part = match reading(account, &Call::SetSwitch(window), &Part::default(), &set) {
        Reading::More(part) => part,
        other => panic!("{other:?}"),
    };
    let done = Reading::Answered(Answered::Done(Facts::Switch(window)));
    assert_eq!(reading(account, &Call::SetSwitch(window), &part, &set), done);
}

#[test]
fn every_documented_answer_is_understood() {
    let Some(mut samples) = Samples::find() else {
        eprintln!("skipped: no samples of real answers lie beside this checkout");
        return;
    };
    let account = account();
    check_orders(&mut samples, &account);
    check_errors(&mut samples, &account);
    check_fills(&mut samples, &account);
    check_instruments(&mut samples, &account);
    check_account(&mut samples, &account);
    assert_eq!(samples.left(), Vec::<String>::new(), "samples nobody looked at");
}
