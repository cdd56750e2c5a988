//! The codec as its callers see it: calls in, bytes out; outcomes in, proofs out.

mod account;
mod answers;
mod damage;
mod lists;
mod requests;

use std::time::Duration;

use super::open;
use crate::domain::ids::{InstrumentId, Symbol, VenueId, VenueOrderId};
use crate::domain::money::{Lots, PriceTicks};
use crate::domain::order::{Checked, Create, Durable, Lsn, OrderKey, OrderTerms, Side, TimeInForce};
use crate::domain::request::{Answered, Call, Facts};
use crate::domain::secret::{ApiKey, Secret};
use crate::domain::settings::{Connection, SimSettings, VenueKind, VenueSettings};
use crate::domain::time::Wall;
use crate::venues::wire::{HttpOutcome, HttpRequest, HttpResponse};
use crate::venues::{Account, Opening, Part, Read, Reading, Signing};

pub(super) const NOW: Wall = Wall::from_millis(1_700_000_000_000);
const KEY: &str = "canaryKEY0001";
const SECRET: &str = "canarySECRET0001";

fn settings(symbols: &[&str], exclusive_account: bool) -> VenueSettings {
    VenueSettings {
        name: "main".into(),
        kind: VenueKind::Bybit,
        symbols: symbols.iter().map(|symbol| Symbol::new(symbol)).collect(),
        exclusive_account,
        connection: Connection::default(),
        sim: SimSettings::default(),
    }
}

fn api_key() -> ApiKey {
    ApiKey { key: Secret::new(KEY.into()), secret: Secret::new(SECRET.into()) }
}

fn account_of(settings: &VenueSettings, key: Option<ApiKey>) -> Account {
    open(&Opening { venue: VenueId(0), settings, key, also: &[] }).unwrap()
}

/// An account that trades spot and contracts.
fn account() -> Account {
    account_of(&settings(&["BTC-USDT", "BTC-USDT-PERP"], true), Some(api_key()))
}

fn signing() -> Signing {
    Signing { now: NOW, valid_for: Duration::from_millis(2_500), nonce: 1, chance: [0; 32] }
}

fn order(symbol: &str, sequence: u8, venue_order_id: Option<&str>) -> OrderKey {
    OrderKey {
        venue: VenueId(0),
        symbol: Symbol::new(symbol),
        client_id: format!("lo7k2p000a1a0000{sequence:02}").parse().unwrap(),
        venue_order_id: venue_order_id.map(VenueOrderId::new),
    }
}

fn create_of(symbol: &str, side: Side, time_in_force: TimeInForce) -> Call {
    let terms = OrderTerms {
        instrument: InstrumentId(0),
        side,
        price: PriceTicks::new(1),
        qty: Lots::new(1).unwrap(),
        time_in_force,
    };
    let sealed = Durable::synced(Lsn(1)).seal(Lsn(1)).unwrap();
    let (price, qty) = ("64000.5".parse().unwrap(), "0.010".parse().unwrap());
    Call::Create(Create::new(order(symbol, 1, None), Checked::mint(terms), sealed, price, qty))
}

fn request(account: &Account, call: &Call) -> HttpRequest {
    account.codec.request(call, &Part::default(), &signing()).unwrap()
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> HttpOutcome {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    HttpOutcome::Got(HttpResponse { status, headers, body: body.as_bytes().to_vec() })
}

fn ok(body: &str) -> HttpOutcome {
    response(200, &[], body)
}

/// A whole answer with this result, given a while ago or now.
fn result_at(time: i64, result: &str) -> HttpOutcome {
    ok(&format!(r#"{{"retCode":0,"retMsg":"OK","result":{result},"retExtInfo":{{}},"time":{time}}}"#))
}

fn result(result: &str) -> HttpOutcome {
    result_at(NOW.millis(), result)
}

fn refusal(code: i64, words: &str) -> HttpOutcome {
    ok(&format!(r#"{{"retCode":{code},"retMsg":"{words}","result":{{}},"retExtInfo":{{}},"time":{}}}"#, NOW.millis()))
}

fn read(account: &Account, call: &Call, outcome: &HttpOutcome) -> Read {
    account.codec.read(call, &Part::default(), outcome)
}

fn answered(account: &Account, call: &Call, outcome: &HttpOutcome) -> Answered {
    match read(account, call, outcome).reading {
        Reading::Answered(answered) => answered,
        other => panic!("not an answer: {other:?}"),
    }
}

/// Asks until the call is answered; `venue` gives the outcome of each request.
fn converse(account: &Account, call: &Call, mut venue: impl FnMut(&HttpRequest) -> HttpOutcome) -> Answered {
    let mut part = Part::default();
    for _ in 0..5_000 {
        let request = match account.codec.request(call, &part, &signing()) {
            Ok(request) => request,
            Err(answered) => return *answered,
        };
        match account.codec.read(call, &part, &venue(&request)).reading {
            Reading::Answered(answered) => return answered,
            Reading::More(next) => part = next,
            Reading::ClockWrong { .. } => panic!("the clock is right"),
        }
    }
    panic!("a conversation without end");
}

fn facts(answered: Answered) -> Facts {
    match answered {
        Answered::Done(facts) => facts,
        other => panic!("not done: {other:?}"),
    }
}
