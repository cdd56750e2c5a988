//! What the venue promises and how it bills: its published numbers as data.

use std::time::Duration;

use super::hosts::Hosts;
use super::orders::{BATCH_MAX, scopes};
use super::requests::CREATE_WINDOW_MAX;
use super::symbols::Category;
use crate::domain::instrument::{BatchBy, InstrumentKind, Switch, VenueTraits};
use crate::domain::rates::{Billing, Bucket, CallClass, Charge};
use crate::domain::request::Call;
use crate::domain::settings::{Environment, VenueSettings};

/// Places of the buckets in `Billing::buckets`.
mod place {
    pub(super) const SPOT_CREATE: usize = 0;
    pub(super) const LINEAR_CREATE: usize = 1;
    pub(super) const SPOT_CANCEL: usize = 2;
    pub(super) const LINEAR_CANCEL: usize = 3;
    pub(super) const SPOT_BATCH: usize = 4;
    pub(super) const LINEAR_BATCH: usize = 5;
    pub(super) const CANCEL_ALL: usize = 6;
    pub(super) const READ: usize = 7;
    pub(super) const ADDRESS: usize = 8;
}

/// Limits of an ordinary account, in any second: orders of a category, created or cancelled.
const fn per_second(category: Category) -> u32 {
    match category {
        Category::Spot => 20,
        Category::Linear => 10,
    }
}

/// How the venue bills, by account: each endpoint and category has its own count, a batch counts its orders and has a
/// count of its own, and all requests of an address together are watched. Above the address's limit lies a ban.
pub fn billing() -> Billing {
    let second = Duration::from_secs(1);
    let bucket = |name: &str, limit, per| Bucket { name: name.to_owned(), limit, per };
    let buckets = vec![
        bucket("spot creates", per_second(Category::Spot), second),
        bucket("linear creates", per_second(Category::Linear), second),
        bucket("spot cancels", per_second(Category::Spot), second),
        bucket("linear cancels", per_second(Category::Linear), second),
        bucket("spot batch cancels", per_second(Category::Spot), second),
        bucket("linear batch cancels", per_second(Category::Linear), second),
        // A cancel-all does not say which category it bills: the smaller limit holds for each.
        bucket("cancel-alls", per_second(Category::Linear), second),
        // Every list has 50 of its own; together they stay within one.
        bucket("reads", 50, second),
        bucket("requests of this address", 600, Duration::from_secs(5)),
    ];
    let (spot, linear) = (Some(InstrumentKind::Spot), Some(InstrumentKind::Linear));
    let charge = |class, kind, bucket, per_request, per_order| Charge { class, kind, bucket, per_request, per_order };
    let mut charges = vec![
        charge(CallClass::Create, spot, place::SPOT_CREATE, 1, 0),
        charge(CallClass::Create, linear, place::LINEAR_CREATE, 1, 0),
        charge(CallClass::CancelOne, spot, place::SPOT_CANCEL, 1, 0),
        charge(CallClass::CancelOne, linear, place::LINEAR_CANCEL, 1, 0),
        charge(CallClass::CancelBatch, spot, place::SPOT_BATCH, 0, 1),
        charge(CallClass::CancelBatch, linear, place::LINEAR_BATCH, 0, 1),
        charge(CallClass::CancelAll, None, place::CANCEL_ALL, 1, 0),
        charge(CallClass::Read, None, place::READ, 1, 0),
    ];
    let every =
        [CallClass::Create, CallClass::CancelOne, CallClass::CancelBatch, CallClass::CancelAll, CallClass::Read];
    charges.extend(every.map(|class| charge(class, None, place::ADDRESS, 1, 0)));
    Billing { buckets, charges }
}

/// The lines of what is traded and can be used: planning goes by the slowest of them. An account that may go faster
/// creates and cancels faster; reads and the limits of an address stay.
fn billing_of(in_use: &[Category], batch_cancel_max: usize, rate_multiple: u32) -> Billing {
    let kinds: Vec<_> = in_use
        .iter()
        .map(|category| match category {
            Category::Spot => InstrumentKind::Spot,
            Category::Linear => InstrumentKind::Linear,
        })
        .collect();
    let usual = billing();
    let stays = [place::READ, place::ADDRESS].map(|place| usual.buckets[place].name.clone());
    let mut billing = usual.faster(rate_multiple, |bucket| stays.contains(&bucket.name));
    billing.charges.retain(|charge| {
        let is_used = charge.class != CallClass::CancelBatch || batch_cancel_max > 0;
        is_used && charge.kind.is_none_or(|kind| kinds.contains(&kind))
    });
    billing
}

/// Which bucket the headers of an answer to this call tell about. Not those of calls whose own limit is not the
/// bucket's (the key, the switch, public data).
pub(super) fn bucket_of(call: &Call) -> Option<usize> {
    let by_kind = |category, spot, linear| match category {
        Category::Spot => spot,
        Category::Linear => linear,
    };
    match call {
        Call::Create(create) => {
            Some(by_kind(Category::of(&create.key.symbol), place::SPOT_CREATE, place::LINEAR_CREATE))
        }
        Call::Cancel(key) => Some(by_kind(Category::of(&key.symbol), place::SPOT_CANCEL, place::LINEAR_CANCEL)),
        Call::CancelBatch(keys) => {
            keys.first().map(|key| by_kind(Category::of(&key.symbol), place::SPOT_BATCH, place::LINEAR_BATCH))
        }
        Call::Query(_) | Call::History(_) | Call::ListOpen(_) | Call::ListFills(..) => Some(place::READ),
        Call::CancelAll(_)
        | Call::Balances
        | Call::Positions
        | Call::Instruments
        | Call::Time
        | Call::Access
        | Call::SetSwitch(_)
        | Call::ReadSwitch => None,
    }
}

/// The venue's traits for a configuration. `in_use`: the categories it trades.
pub fn traits(settings: &VenueSettings, in_use: &[Category], hosts: &Hosts) -> VenueTraits {
    let is_demo = settings.connection.environment == Environment::Demo;
    // Demo accounts have no batch calls for spot.
    let batch_cancel_max = if is_demo && in_use.contains(&Category::Spot) { 0 } else { BATCH_MAX };
    let billing = billing_of(in_use, batch_cancel_max, settings.connection.rate_multiple);
    // Single and batch cancels have counts of their own, so both together are what can be cancelled. The category
    // that is slower is what we must be able to get rid of in time. Windows roll: a second's worth may go at once.
    let (cancels_per_second, cancel_burst) = billing.cancels_per_second().unwrap_or((0, 0));
    let create_deadline = CREATE_WINDOW_MAX;
    let millis = Duration::from_millis;
    // A local exchange answers at once: waiting as long as for the venue would only make its tests slow.
    let (lag, settle, listing_gap, ping_every, window) = if hosts.is_loopback {
        (millis(100), create_deadline + millis(300), millis(150), millis(1_000), Duration::from_secs(5))
    } else {
        (
            Duration::from_secs(5),
            Duration::from_secs(15),
            Duration::from_secs(1),
            millis(10_000),
            Duration::from_secs(40),
        )
    };
    // The switch hangs on the pings of the private stream: four of them fit into its window. It takes orders of the
    // whole account, and demo accounts have none.
    let has_switch = settings.exclusive_account && !is_demo;
    VenueTraits {
        cancel_ack_is_final: false,
        batch_cancel_max,
        cancel_by_client_id: true,
        create_deadline,
        lag,
        settle,
        listing_gap,
        cancels_per_second,
        cancel_burst,
        request_timeout: Duration::from_secs(5),
        // 500 in all on spot, 500 a contract; counted together here, which is the safe side.
        open_orders_max: 500,
        billing,
        batch_cancel_by: BatchBy::Kind,
        cancel_all_scopes: if settings.exclusive_account { scopes() } else { Vec::new() },
        stale_after: Some(Duration::from_secs(10)),
        switch: if has_switch { Switch::Session { window } } else { Switch::None },
        ping_every: Some(if has_switch { ping_every } else { Duration::from_secs(20) }),
        tells_positions: true,
    }
}
