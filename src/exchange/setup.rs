//! What kind of venue the model plays: what it lists, who has accounts, its limits, delays and faults.

use std::collections::BTreeMap;

use super::asks::AccountId;
use super::faults::FaultRates;
use crate::domain::ids::Symbol;
use crate::domain::instrument::{InstrumentKind, InstrumentRules};
use crate::domain::money::Decimal;
use crate::domain::settings::SimSettings;

/// What becomes of a post-only order that would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostOnlyCross {
    /// Accepted, then pushed as canceled.
    AcceptThenCancel,
    /// Accepted, then pushed as rejected.
    AcceptThenReject,
    /// Refused in the answer.
    Refuse,
}

/// An instrument and where its invented price begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The rules.
    pub rules: InstrumentRules,
    /// The first price.
    pub start_price: Decimal,
}

/// Everything that makes a venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Same seed and same requests at the same times: the same venue, byte for byte.
    pub seed: u64,
    /// What is traded.
    pub listings: Vec<Listing>,
    /// Who has an account, and what they begin with. Currencies an account does not name it has none of.
    pub accounts: BTreeMap<AccountId, BTreeMap<String, Decimal>>,
    /// One way.
    pub latency_us: i64,
    /// Added at random, up to this much, each way.
    pub latency_jitter_us: i64,
    /// How busy the crowd is, per thousand; 0: a painted market that trades with nobody.
    pub activity: u32,
    /// There is no crowd: the market is what [`super::Exchange::feed`] is told, and nothing before that.
    pub fed: bool,
    /// Between two quotes of a symbol, about.
    pub quote_every_us: i64,
    /// A cancel that is answered is done.
    pub synchronous_cancel: bool,
    /// Otherwise the order leaves the book this much after the cancel was taken.
    pub cancel_delay_us: i64,
    /// What becomes of a post-only order that would take.
    pub post_only_cross: PostOnlyCross,
    /// Most orders one cancel-all takes; the others stay.
    pub cancel_all_max: usize,
    /// Most orders in one batch cancel; 0: there is none.
    pub batch_cancel_max: usize,
    /// Cancels a second and account, each order of a batch counted; 0: no limit.
    pub cancels_per_second: u32,
    /// Creates a second and account; 0: no limit.
    pub creates_per_second: u32,
    /// Most live orders of an account.
    pub open_orders_max: usize,
    /// Ended orders that can still be queried, all accounts together.
    pub closed_orders_max: usize,
    /// Fills that can still be listed, for each account.
    pub fills_max: usize,
    /// Rows on a page.
    pub page_size: usize,
    /// How far the history of ended orders is behind.
    pub history_lag_us: i64,
    /// How far the list of fills is behind.
    pub fills_lag_us: i64,
    /// Of the resting side, in hundredths of a percent.
    pub maker_fee_bps: Decimal,
    /// Of the taking side, in hundredths of a percent.
    pub taker_fee_bps: Decimal,
    /// A contract needs one part in this many of its worth as margin.
    pub leverage: u32,
    /// What goes wrong at random.
    pub faults: FaultRates,
}

impl Setup {
    /// A venue without delays and faults that lists these symbols and has one account with play money.
    pub fn new(symbols: &[Symbol]) -> Setup {
        let listings: Vec<Listing> = symbols.iter().map(Listing::for_symbol).collect();
        let mut setup = Setup {
            seed: 1,
            listings,
            accounts: BTreeMap::new(),
            latency_us: 0,
            latency_jitter_us: 0,
            activity: 1_000,
            fed: false,
            quote_every_us: 100_000,
            synchronous_cancel: false,
            cancel_delay_us: 5_000,
            post_only_cross: PostOnlyCross::AcceptThenCancel,
            cancel_all_max: usize::MAX,
            batch_cancel_max: 10,
            cancels_per_second: 0,
            creates_per_second: 0,
            open_orders_max: 20_000,
            closed_orders_max: 20_000,
            fills_max: 20_000,
            page_size: 50,
            history_lag_us: 0,
            fills_lag_us: 0,
            maker_fee_bps: Decimal::whole(2),
            // 5.5
            taker_fee_bps: Decimal::from_units(5_500_000_000_000_000_000),
            leverage: 10,
            faults: FaultRates::default(),
        };
        setup.open_account(AccountId(0));
        setup
    }

    /// The venue an operator described, with one account.
    pub fn from_settings(settings: &SimSettings, symbols: &[Symbol]) -> Setup {
        Setup {
            seed: settings.seed,
            latency_us: i64::from(settings.latency_ms) * 1_000,
            latency_jitter_us: i64::from(settings.latency_jitter_ms) * 1_000,
            activity: settings.activity,
            synchronous_cancel: settings.synchronous_cancel,
            batch_cancel_max: usize::try_from(settings.batch_cancel_max).unwrap_or(usize::MAX),
            cancels_per_second: settings.cancels_per_second,
            open_orders_max: usize::try_from(settings.open_orders_max).unwrap_or(usize::MAX),
            faults: FaultRates::from(&settings.faults),
            ..Setup::new(symbols)
        }
    }

    /// Gives an account play money: 1,000,000 of each quote currency and 100 of each base currency.
    pub fn open_account(&mut self, account: AccountId) {
        let mut purse = BTreeMap::new();
        for listing in &self.listings {
            if listing.rules.kind == InstrumentKind::Spot {
                purse.insert(listing.rules.base.clone(), Decimal::whole(100));
            }
        }
        for listing in &self.listings {
            purse.insert(listing.rules.quote.clone(), Decimal::whole(1_000_000));
        }
        self.accounts.insert(account, purse);
    }
}

impl Listing {
    /// Rules and a first price that suit the symbol: `BASE-QUOTE`, or `BASE-QUOTE-PERP` for a contract.
    pub fn for_symbol(symbol: &Symbol) -> Listing {
        let (pair, kind) = match symbol.as_str().strip_suffix("-PERP") {
            Some(pair) => (pair, InstrumentKind::Linear),
            None => (symbol.as_str(), InstrumentKind::Spot),
        };
        let (base, quote) = pair.split_once('-').unwrap_or((pair, "USD"));
        let (start, tick_places, lot_places, max_qty) = match base {
            "BTC" => (64_000, 1, 3, 1_000),
            "ETH" => (3_200, 2, 2, 20_000),
            _ => (100, 2, 1, 500_000),
        };
        let lot = step(lot_places);
        Listing {
            rules: InstrumentRules {
                symbol: symbol.clone(),
                kind,
                base: base.to_owned(),
                quote: quote.to_owned(),
                tick: step(tick_places),
                lot,
                min_qty: lot,
                max_qty: Decimal::whole(max_qty),
                min_notional: Decimal::whole(5),
                tradable: true,
            },
            start_price: Decimal::whole(start),
        }
    }
}

/// One unit of this place after the point.
fn step(places: u32) -> Decimal {
    Decimal::from_units(Decimal::ONE.units() / 10_i128.pow(places))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_get_rules_that_fit_their_kind() {
        for (symbol, base, quote, kind, tick, lot) in [
            ("BTC-USDT", "BTC", "USDT", InstrumentKind::Spot, "0.1", "0.001"),
            ("BTC-USDT-PERP", "BTC", "USDT", InstrumentKind::Linear, "0.1", "0.001"),
            ("ETH-USDC", "ETH", "USDC", InstrumentKind::Spot, "0.01", "0.01"),
            ("DOGE-EUR", "DOGE", "EUR", InstrumentKind::Spot, "0.01", "0.1"),
        ] {
            let rules = Listing::for_symbol(&Symbol::new(symbol)).rules;
            let shown = (rules.tick.to_string(), rules.lot.to_string());
            assert_eq!((rules.base.as_str(), rules.quote.as_str(), rules.kind), (base, quote, kind));
            assert_eq!(shown, (tick.to_owned(), lot.to_owned()), "{symbol}");
        }
    }

    #[test]
    fn a_currency_that_is_base_and_quote_gets_the_quotes_amount() {
        let setup = Setup::new(&[Symbol::new("USDC-USDT"), Symbol::new("BTC-USDC")]);
        assert_eq!(setup.accounts[&AccountId(0)]["USDC"], Decimal::whole(1_000_000));
    }

    #[test]
    fn an_operators_settings_arrive() {
        let mut settings =
            SimSettings { latency_ms: 7, cancels_per_second: 9, batch_cancel_max: 3, ..SimSettings::default() };
        settings.faults.answer_lost = 11;
        let setup = Setup::from_settings(&settings, &[Symbol::new("BTC-USDT")]);
        assert_eq!((setup.latency_us, setup.cancels_per_second, setup.batch_cancel_max), (7_000, 9, 3));
        assert_eq!(setup.faults.answer_lost, 11);
    }
}
