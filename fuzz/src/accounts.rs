//! Accounts at Bybit with a fixed key, and orders of theirs. The values that prove something are made where the daemon
//! makes them: `Checked` by the risk gate, `Sealed` from a record that a store has written to a disk in memory.

use std::time::Duration;

use lastorders::domain::event::{Event, Quote};
use lastorders::domain::ids::{Symbol, VenueId, VenueOrderId};
use lastorders::domain::instrument::Catalogue;
use lastorders::domain::money::{Decimal, Lots, PriceTicks};
use lastorders::domain::order::{Checked, Create, OrderKey, OrderTerms, Sealed, Side, TimeInForce};
use lastorders::domain::record::{Record, RiskState};
use lastorders::domain::secret::{ApiKey, Secret};
use lastorders::domain::settings::{Connection, Mode, SimSettings, Sync, VenueKind, VenueSettings};
use lastorders::domain::time::{Boot, Stamp, Wall};
use lastorders::engine::exposure::Exposure;
use lastorders::engine::market::Market;
use lastorders::engine::risk::{GateView, RiskGate};
use lastorders::exchange::Listing;
use lastorders::sim::disk::MemoryDisk;
use lastorders::sim::settings::quiet;
use lastorders::store::load::{self, Identity};
use lastorders::store::thread::{Message, SegmentLimits, Store};
use lastorders::venues::{Account, Opening, Signing, open};

/// The venue's clock in every run.
pub const NOW: Wall = Wall::from_millis(1_700_000_000_000);
/// The key's name. No text that is shown may hold it.
pub const KEY: &str = "fuzzKEYcanary0001";
/// Its secret. Nothing at all may hold it.
pub const SECRET: &str = "fuzzSECRETcanary00000000000000001";

const VENUE: VenueId = VenueId(0);

/// Which account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Spot and contracts, nobody else trades on it, and two symbols are watched beside the configured ones.
    Whole,
    /// Spot alone, shared with others.
    SpotOnly,
}

/// An account of this shape.
pub fn account(shape: Shape) -> Account {
    let named = |names: &[&str]| names.iter().map(|name| Symbol::new(name)).collect::<Vec<Symbol>>();
    let (symbols, also, exclusive_account) = match shape {
        Shape::Whole => (named(&["BTC-USDT", "BTC-USDT-PERP"]), named(&["ETH-USDC-PERP", "SOL-USDT"]), true),
        Shape::SpotOnly => (named(&["BTC-USDT"]), Vec::new(), false),
    };
    let settings = VenueSettings {
        name: "main".into(),
        kind: VenueKind::Bybit,
        symbols,
        exclusive_account,
        connection: Connection::default(),
        sim: SimSettings::default(),
    };
    let key = ApiKey { key: Secret::new(KEY.into()), secret: Secret::new(SECRET.into()) };
    let opening = Opening { venue: VENUE, settings: &settings, key: Some(key), also: &also };
    open(&opening).unwrap_or_else(|errors| panic!("the settings are good: {errors:?}"))
}

/// What a request is signed with.
pub fn signing() -> Signing {
    Signing { now: NOW, valid_for: Duration::from_millis(2_500), nonce: 1, chance: [0; 32] }
}

/// An order of ours. `sequence` is one digit.
pub fn order(symbol: &str, sequence: u8, venue_order_id: Option<&str>) -> OrderKey {
    OrderKey {
        venue: VENUE,
        symbol: Symbol::new(symbol),
        client_id: format!("lo7k2p000a1a00000{sequence}").parse().expect("18 characters of the right ones"),
        venue_order_id: venue_order_id.map(VenueOrderId::new),
    }
}

/// A create that may leave.
pub fn create(symbol: &str) -> Create {
    let (checked, price, qty) = checked(&Symbol::new(symbol));
    Create::new(order(symbol, 1, None), checked, sealed(), price, qty)
}

/// An order through the risk gate, with its price and size on the wire.
fn checked(symbol: &Symbol) -> (Checked, Decimal, Decimal) {
    let settings = quiet();
    let mut catalogue = Catalogue::default();
    let venue = catalogue.add_venue("main", account(Shape::Whole).traits).expect("the first venue");
    let id = catalogue.learn(venue, Listing::for_symbol(symbol).rules).expect("rules that can be used");
    let instrument = catalogue.instrument(id);
    let much = Decimal::whole(10);
    let quote = Quote {
        venue,
        symbol: symbol.clone(),
        bid: Some((Decimal::whole(64_000), much)),
        ask: Some((Decimal::whole(64_010), much)),
    };
    let mut market = Market::default();
    market.take(Boot::ZERO, instrument, &quote).expect("a quote on the grid");
    let price = Decimal::whole(63_000);
    let qty = Decimal::from_units(Decimal::ONE.units() / 100);
    let terms = OrderTerms {
        instrument: id,
        side: Side::Buy,
        price: instrument.price(price).unwrap_or(PriceTicks::new(0)),
        qty: instrument.qty(qty).unwrap_or(Lots::ZERO),
        time_in_force: TimeInForce::PostOnly,
    };
    let view = GateView {
        catalogue: &catalogue,
        market: &market,
        exposure: &Exposure::default(),
        position: Decimal::ZERO,
        is_covered: &|_| true,
    };
    let mut gate = RiskGate::new(settings.risk, settings.shutdown, RiskState::default());
    let checked = gate.check(Stamp::default(), terms, &view).expect("an order within every limit");
    (checked, price, qty)
}

/// What the store says of a record it has written.
fn sealed() -> Sealed {
    let mut disk = MemoryDisk::default();
    let who = Identity { instance: "test".parse().ok(), host: "fuzz".into(), mode: Mode::Paper, chance: 1 };
    let resumed = load::load(&mut disk, &who).expect("an empty disk");
    let lsn = resumed.next;
    let mut store = Store::open(disk, resumed, Sync::Cycle, SegmentLimits::default(), || NOW);
    let record = Record::Opened { venue: "main".into(), at: NOW };
    let mut sealed = None;
    store.work([Message::Append(lsn, Box::new(record))], |event| {
        if let Event::Durable(durable) = event {
            sealed = durable.seal(lsn);
        }
    });
    sealed.expect("a record that was written")
}
