//! Settings for a world, small enough to read in a test.

use crate::domain::ids::Symbol;
use crate::domain::money::Decimal;
use crate::domain::order::Side;
use crate::domain::settings::{
    LadderSettings, LadderSides, LadderStart, Mode, OnExit, OnStart, RiskLimits, Settings, ShutdownSettings,
    SimSettings, StartSettings, StoreSettings, StrategyKind, StrategySettings, SymbolLimits, Sync, VenueKind,
    VenueSettings,
};

/// PAPER at one venue that trades BTC-USDT in a still market, with wide limits and no strategy.
pub fn quiet() -> Settings {
    let limits = SymbolLimits {
        max_order_notional: Decimal::whole(1_000_000),
        max_position_notional: Decimal::whole(100_000_000),
        collar_through_bps: Decimal::whole(100),
        collar_away_bps: Decimal::whole(9_900),
    };
    Settings {
        mode: Mode::Paper,
        instance: "test".parse().ok(),
        config_file: None,
        state_dir: "state".into(),
        venues: vec![venue("main")],
        strategies: Vec::new(),
        risk: RiskLimits {
            given: true,
            general: limits,
            symbols: Vec::new(),
            max_open_orders: 20_000,
            max_orders_per_second: 100_000,
            max_daily_loss: Decimal::whole(1_000_000),
            uncovered_max_notional: None,
        },
        shutdown: ShutdownSettings { cancel_timeout_s: 30, recorder_timeout_s: 10, on_exit: OnExit::Cancel },
        start: StartSettings { on_start: OnStart::Cancel, other_instances: Vec::new() },
        store: StoreSettings { sync: Sync::Cycle },
    }
}

/// A still market of this name.
pub fn venue(name: &str) -> VenueSettings {
    VenueSettings {
        name: name.into(),
        kind: VenueKind::Sim,
        symbols: vec![Symbol::new("BTC-USDT")],
        exclusive_account: false,
        connection: crate::domain::settings::Connection::default(),
        sim: SimSettings { activity: 0, ..SimSettings::default() },
    }
}

/// A ladder of buys from 40,000 down, far from the market: it rests and does nothing else.
pub fn ladder(name: &str, venue: &str, rungs: u32) -> StrategySettings {
    StrategySettings {
        name: name.into(),
        venue: venue.into(),
        symbols: vec![Symbol::new("BTC-USDT")],
        kind: StrategyKind::Ladder(LadderSettings {
            sides: LadderSides::One(Side::Buy),
            start: LadderStart::Price(Decimal::whole(40_000)),
            step: Decimal::ONE,
            rungs,
            order_qty: Decimal::from_units(1_000_000_000_000_000),
            post_only: true,
        }),
    }
}
