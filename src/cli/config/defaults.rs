//! What a run without a file gets: a small paper account on the built-in market.

use super::{Extra, GuardianSettings};
use crate::domain::ids::Symbol;
use crate::domain::money::Decimal;
use crate::domain::settings::{
    Connection, MarketMakerSettings, OnExit, OnStart, RiskLimits, ShutdownSettings, SimSettings, StartSettings,
    StoreSettings, StrategyKind, StrategySettings, SymbolLimits, Sync, VenueKind, VenueSettings,
};

/// The symbol traded where none is named.
pub(super) const SYMBOL: &str = "BTC-USDT";

/// A venue account of this kind, called by its kind.
pub(super) fn venue(kind: VenueKind, symbols: Vec<Symbol>) -> VenueSettings {
    VenueSettings {
        name: kind.word().to_owned(),
        kind,
        symbols,
        exclusive_account: false,
        connection: Connection::default(),
        sim: SimSettings::default(),
    }
}

/// A market maker with three quotes a side, sized for the default limits at the price of a bitcoin.
pub(super) fn strategy(venue: &VenueSettings) -> StrategySettings {
    StrategySettings {
        name: "mm".to_owned(),
        venue: venue.name.clone(),
        symbols: venue.symbols.clone(),
        kind: StrategyKind::MarketMaker(MarketMakerSettings {
            levels: 3,
            spread_bps: Decimal::whole(4),
            level_step_bps: Decimal::whole(2),
            order_qty: thousandths(1),
            max_position_qty: thousandths(4),
            skew_bps: Decimal::whole(2),
            requote_bps: Decimal::ONE,
            post_only: true,
        }),
    }
}

/// Small limits. The built-in market knows what a bitcoin costs; on a real one the small market maker's orders need more
/// room, or a dear bitcoin would leave it without a trade.
pub(super) fn risk(is_real_demonstration: bool) -> RiskLimits {
    let (order, position) = if is_real_demonstration { (250, 1_250) } else { (100, 500) };
    RiskLimits {
        given: false,
        general: SymbolLimits {
            max_order_notional: Decimal::whole(order),
            max_position_notional: Decimal::whole(position),
            collar_through_bps: Decimal::whole(100),
            collar_away_bps: Decimal::whole(5_000),
        },
        symbols: Vec::new(),
        max_open_orders: 60,
        max_orders_per_second: 5,
        max_daily_loss: Decimal::whole(50),
        uncovered_max_notional: None,
    }
}

pub(super) fn shutdown() -> ShutdownSettings {
    ShutdownSettings { cancel_timeout_s: 30, recorder_timeout_s: 10, on_exit: OnExit::Cancel }
}

pub(super) fn start() -> StartSettings {
    StartSettings { on_start: OnStart::Cancel, other_instances: Vec::new() }
}

pub(super) fn store() -> StoreSettings {
    StoreSettings { sync: Sync::Cycle }
}

pub(super) fn extra() -> Extra {
    Extra {
        guardian: GuardianSettings {
            restart: "on-failure",
            after_crash: "pause",
            hang_timeout_s: 3,
            residue_timeout_s: 900,
        },
        web: "off".to_owned(),
    }
}

/// So many thousandths.
const fn thousandths(count: i128) -> Decimal {
    Decimal::from_units(count * 1_000_000_000_000_000)
}
