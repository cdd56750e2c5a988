//! What the operator decided, parsed and checked: the values every ring works from. `cli::config` is the only maker.
//!
//! Always holds: no secret lies in here; every amount is exact; `Default` is what a run without a file gets.

use std::path::PathBuf;

use super::ids::{Instance, Symbol};
use super::money::Decimal;
use super::order::Side;

/// How real it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Strategies run, nothing is sent or recorded.
    DryRun,
    /// A paper account on an in-process exchange.
    Paper,
    /// Real money.
    Live,
}

impl Mode {
    /// The name in environment, files and logs.
    pub fn word(self) -> &'static str {
        match self {
            Mode::DryRun => "DRY_RUN",
            Mode::Paper => "PAPER",
            Mode::Live => "LIVE",
        }
    }

    /// The name of its state directory.
    pub fn folder(self) -> &'static str {
        match self {
            Mode::DryRun => "dry_run",
            Mode::Paper => "paper",
            Mode::Live => "live",
        }
    }
}

/// Everything a run needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How real it is.
    pub mode: Mode,
    /// Ours; drawn once and kept where it is not given.
    pub instance: Option<Instance>,
    /// The file it came from, if there was one.
    pub config_file: Option<PathBuf>,
    /// Where state lies.
    pub state_dir: PathBuf,
    /// Accounts.
    pub venues: Vec<VenueSettings>,
    /// What trades.
    pub strategies: Vec<StrategySettings>,
    /// Limits.
    pub risk: RiskLimits,
    /// The stop.
    pub shutdown: ShutdownSettings,
    /// The start.
    pub start: StartSettings,
    /// The disk.
    pub store: StoreSettings,
}

/// A venue account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueSettings {
    /// The operator's name for it.
    pub name: String,
    /// Which exchange.
    pub kind: VenueKind,
    /// Symbols to trade, in our form.
    pub symbols: Vec<Symbol>,
    /// Nobody else places orders here.
    pub exclusive_account: bool,
    /// Where it is reached.
    pub connection: Connection,
    /// The built-in market, for `sim`.
    pub sim: SimSettings,
}

/// Where a venue is reached, and how fast it lets us go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Which of the venue's worlds.
    pub environment: Environment,
    /// Instead of the venue's own REST address: scheme, host and port.
    pub rest_url: Option<String>,
    /// Instead of the venue's own address for market data.
    pub ws_public_url: Option<String>,
    /// Instead of the venue's own address for the account's stream.
    pub ws_private_url: Option<String>,
    /// The account may go so many times as fast as the venue's ordinary ones. What its answers tell goes before it.
    pub rate_multiple: u32,
}

impl Default for Connection {
    fn default() -> Connection {
        Connection {
            environment: Environment::default(),
            rest_url: None,
            ws_public_url: None,
            ws_private_url: None,
            rate_multiple: 1,
        }
    }
}

/// Which of a venue's worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Environment {
    /// Real money.
    #[default]
    Mainnet,
    /// Play money at the venue.
    Testnet,
    /// Play money on the real market.
    Demo,
}

impl Environment {
    /// The name in configuration.
    pub fn word(self) -> &'static str {
        match self {
            Environment::Mainnet => "mainnet",
            Environment::Testnet => "testnet",
            Environment::Demo => "demo",
        }
    }
}

/// Which exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VenueKind {
    /// The built-in, invented market.
    Sim,
    /// Bybit v5.
    Bybit,
    /// Coinbase Advanced Trade.
    Coinbase,
    /// Binance spot.
    Binance,
    /// Binance.US.
    BinanceUs,
    /// Kraken spot.
    Kraken,
}

impl VenueKind {
    /// Every kind.
    pub const ALL: [VenueKind; 6] = [
        VenueKind::Sim,
        VenueKind::Bybit,
        VenueKind::Coinbase,
        VenueKind::Binance,
        VenueKind::BinanceUs,
        VenueKind::Kraken,
    ];

    /// The name in configuration and environment.
    pub fn word(self) -> &'static str {
        match self {
            VenueKind::Sim => "sim",
            VenueKind::Bybit => "bybit",
            VenueKind::Coinbase => "coinbase",
            VenueKind::Binance => "binance",
            VenueKind::BinanceUs => "binance-us",
            VenueKind::Kraken => "kraken",
        }
    }
}

/// The built-in market and its faults. Rates are per thousand requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimSettings {
    /// Same seed, same market.
    pub seed: u64,
    /// One way, in milliseconds.
    pub latency_ms: u32,
    /// Added at random, up to this much, each way.
    pub latency_jitter_ms: u32,
    /// How busy the invented market is, per thousand: 0 is a still market that never fills anyone, 1000 the usual pace.
    pub activity: u32,
    /// An acknowledged cancel is done at once (as Binance) instead of a moment later (as Bybit).
    pub synchronous_cancel: bool,
    /// Most orders in one batch cancel; 0: the venue has none.
    pub batch_cancel_max: u32,
    /// Cancels a second, each order in a batch counted; 0: no limit.
    pub cancels_per_second: u32,
    /// Most orders the venue lets rest at once.
    pub open_orders_max: u32,
    /// What goes wrong.
    pub faults: SimFaults,
}

impl Default for SimSettings {
    fn default() -> SimSettings {
        SimSettings {
            seed: 1,
            latency_ms: 0,
            latency_jitter_ms: 0,
            activity: 1_000,
            synchronous_cancel: false,
            batch_cancel_max: 10,
            cancels_per_second: 0,
            open_orders_max: 20_000,
            faults: SimFaults::default(),
        }
    }
}

/// Faults of the built-in market, each per thousand requests it can apply to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SimFaults {
    /// Executed, but the answer never comes.
    pub answer_lost: u32,
    /// Refused with a server error before execution; the client cannot know that.
    pub server_error: u32,
    /// Executed only after the client has given up (within the create's deadline).
    pub late_execution: u32,
    /// A batch in which some items fail.
    pub partial_batch: u32,
    /// A batch answered in another order.
    pub shuffled_batch: u32,
    /// "Not found" for an order that rests.
    pub not_found: u32,
    /// A listing from a moment ago.
    pub stale_listing: u32,
    /// A listing that breaks off with an error between two pages.
    pub broken_listing: u32,
    /// An acknowledged cancel that takes effect only after a while.
    pub slow_cancel: u32,
    /// Refused for the rate limit though there is room.
    pub rate_limited: u32,
    /// A push delivered twice.
    pub duplicate_push: u32,
    /// A push that never comes.
    pub lost_push: u32,
}

/// A strategy by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrategySettings {
    /// Its name.
    pub name: String,
    /// The venue's name.
    pub venue: String,
    /// What it trades.
    pub symbols: Vec<Symbol>,
    /// What it does.
    pub kind: StrategyKind,
}

/// What a strategy does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StrategyKind {
    /// Quotes on both sides.
    MarketMaker(MarketMakerSettings),
    /// Rests orders at steps.
    Ladder(LadderSettings),
}

/// Quotes on both sides. Distances in hundredths of a percent of the middle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketMakerSettings {
    /// Quotes a side.
    pub levels: u32,
    /// Between the best two quotes.
    pub spread_bps: Decimal,
    /// Between two levels.
    pub level_step_bps: Decimal,
    /// Of each quote.
    pub order_qty: Decimal,
    /// Never hold more than this, either way.
    pub max_position_qty: Decimal,
    /// Moves the quotes against a full position by this much.
    pub skew_bps: Decimal,
    /// Leave a quote alone while it is off by less.
    pub requote_bps: Decimal,
    /// Never take.
    pub post_only: bool,
}

/// Rests orders at steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LadderSettings {
    /// Which side or sides.
    pub sides: LadderSides,
    /// Where the first rung lies.
    pub start: LadderStart,
    /// Between rungs.
    pub step: Decimal,
    /// How many a side.
    pub rungs: u32,
    /// Of each rung.
    pub order_qty: Decimal,
    /// Never take.
    pub post_only: bool,
}

/// Which side a ladder rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LadderSides {
    /// One.
    One(Side),
    /// Both; the first rungs lie `start` away from the middle on each side.
    Both,
}

/// Where a ladder begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LadderStart {
    /// At this price; buys go down from it, sells go up.
    Price(Decimal),
    /// This far from the middle at the first quote, away from the market.
    OffsetBps(Decimal),
}

/// Limits in quote currency; `symbol` overrides for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RiskLimits {
    /// Whether a file set them (LIVE refuses otherwise).
    pub given: bool,
    /// For every symbol without its own.
    pub general: SymbolLimits,
    /// Symbols with their own.
    pub symbols: Vec<(Symbol, SymbolLimits)>,
    /// Open orders of the whole process (`NEW` and `UNKNOWN` included).
    pub max_open_orders: u32,
    /// Creates a second of the whole process.
    pub max_orders_per_second: u32,
    /// Loss since 00:00 UTC that latches trading off.
    pub max_daily_loss: Decimal,
    /// Most resting notional at venues where no switch covers it; none: no limit.
    pub uncovered_max_notional: Option<Decimal>,
}

impl RiskLimits {
    /// The limits of a symbol.
    pub fn of(&self, symbol: &Symbol) -> &SymbolLimits {
        self.symbols.iter().find(|(name, _)| name == symbol).map_or(&self.general, |(_, limits)| limits)
    }
}

/// Limits of a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolLimits {
    /// Price times quantity of one order.
    pub max_order_notional: Decimal,
    /// Worth of the position were every open order of one side filled.
    pub max_position_notional: Decimal,
    /// How far beyond the far touch a price may lie, in hundredths of a percent.
    pub collar_through_bps: Decimal,
    /// How far away from the near touch a price may lie, in hundredths of a percent.
    pub collar_away_bps: Decimal,
}

/// The stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownSettings {
    /// For cancelling and proving, in seconds.
    pub cancel_timeout_s: u32,
    /// For the recorder, in seconds.
    pub recorder_timeout_s: u32,
    /// What becomes of the orders.
    pub on_exit: OnExit,
}

/// What becomes of orders at a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExit {
    /// Cancelled and proved.
    Cancel,
    /// Kept and named.
    Keep,
}

/// The start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartSettings {
    /// What becomes of orders of older runs.
    pub on_start: OnStart,
    /// Other instances of ours on the same accounts.
    pub other_instances: Vec<Instance>,
}

/// What becomes of orders of older runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStart {
    /// Cancelled and proved.
    Cancel,
    /// Given back to their strategies.
    Adopt,
}

/// The disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// When a record counts as durable.
    pub sync: Sync,
}

/// When a record counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// After an fsync, one for each group.
    Cycle,
    /// After the write: survives a crash of the process, not a power cut.
    Os,
}
