//! What calls cost at a venue: buckets of so many in a span, and which call draws how much from which.
//!
//! Always holds: billing is data, so the outbox that obeys it and the risk gate that plans with it read the same table.

use std::time::Duration;

use super::instrument::InstrumentKind;
use super::order::OrderKey;
use super::request::Call;

/// At most so many in any span of this length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// For people: what it counts.
    pub name: String,
    /// How many.
    pub limit: u32,
    /// In any span of this length.
    pub per: Duration,
}

/// Kinds of call that are billed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallClass {
    /// One order placed.
    Create,
    /// One order cancelled.
    CancelOne,
    /// Several orders cancelled.
    CancelBatch,
    /// A scope cancelled.
    CancelAll,
    /// Anything that only asks, the switch included.
    Read,
}

/// A line of the table: calls of this class (and kind of instrument) draw this much from this bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Which calls.
    pub class: CallClass,
    /// Only for instruments of this kind.
    pub kind: Option<InstrumentKind>,
    /// The place of the bucket.
    pub bucket: usize,
    /// For each request.
    pub per_request: u32,
    /// For each order it names.
    pub per_order: u32,
}

/// How a venue bills. No lines: no limits.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Billing {
    /// The buckets.
    pub buckets: Vec<Bucket>,
    /// The table. A call draws by every line that fits.
    pub charges: Vec<Charge>,
}

impl CallClass {
    /// The class of a call.
    pub fn of(call: &Call) -> CallClass {
        match call {
            Call::Create(_) => CallClass::Create,
            Call::Cancel(_) => CallClass::CancelOne,
            Call::CancelBatch(_) => CallClass::CancelBatch,
            Call::CancelAll(_) => CallClass::CancelAll,
            Call::Query(_)
            | Call::History(_)
            | Call::ListOpen(_)
            | Call::ListFills(..)
            | Call::Balances
            | Call::Positions
            | Call::Instruments
            | Call::Time
            | Call::Access
            | Call::SetSwitch(_)
            | Call::ReadSwitch => CallClass::Read,
        }
    }
}

impl Billing {
    /// The same table for an account that may go so many times as fast. Buckets that count an address and not an account
    /// are named by the caller and stay as they are.
    pub fn faster(mut self, times: u32, stays: impl Fn(&Bucket) -> bool) -> Billing {
        for bucket in self.buckets.iter_mut().filter(|bucket| !stays(bucket)) {
            bucket.limit = bucket.limit.saturating_mul(times);
        }
        self
    }

    /// Cancels a second in the long run and at once, for the kind of instrument that is slowest, single and batch
    /// cancels together where they are billed apart. `None` without limits. What a stop can do in its time is planned
    /// with it.
    pub fn cancels_per_second(&self) -> Option<(u32, u32)> {
        let kinds = [InstrumentKind::Spot, InstrumentKind::Linear];
        let named = |kind| self.charges.iter().any(|charge| charge.kind == Some(kind));
        // A kind that no line names is not traded here, unless no line names any.
        let in_use = kinds.into_iter().filter(|kind| named(*kind) || !kinds.into_iter().any(named));
        let of_kind = in_use.filter_map(|kind| {
            let (one, batch) = (self.binding(CallClass::CancelOne, kind), self.binding(CallClass::CancelBatch, kind));
            match (one, batch) {
                (Some(one), Some(batch)) if one.bucket != batch.bucket => {
                    Some((one.per_second() + batch.per_second(), one.orders + batch.orders))
                }
                (one, batch) => one.max(batch).map(|binding| (binding.per_second(), binding.orders)),
            }
        });
        let whole = |number| u32::try_from(number).unwrap_or(u32::MAX);
        of_kind.min().map(|(rate, burst)| (whole(rate), whole(burst)))
    }

    /// How many orders of a kind batch cancels can end at once. `None`: as many as there are.
    pub fn batched_at_once(&self, kind: InstrumentKind) -> Option<u64> {
        self.binding(CallClass::CancelBatch, kind).map(|binding| binding.orders)
    }

    /// How single and batch cancels of a kind share the work so that both buckets are empty at the same time: orders to
    /// cancel one by one for each batch. 0 where they draw from one bucket, or from none.
    pub fn singles_per_batch(&self, kind: InstrumentKind, batch_max: u32) -> u32 {
        match (self.binding(CallClass::CancelOne, kind), self.binding(CallClass::CancelBatch, kind)) {
            (Some(one), Some(batch)) if one.bucket != batch.bucket && batch.per_second() > 0 => {
                u32::try_from(one.per_second() * u64::from(batch_max) / batch.per_second()).unwrap_or(u32::MAX)
            }
            _ => 0,
        }
    }

    /// The bucket that lets the fewest orders through in the long run. A batch is counted by its orders; where only
    /// the request is billed, as if it held one.
    fn binding(&self, class: CallClass, kind: InstrumentKind) -> Option<Binding> {
        let fits = |charge: &&Charge| charge.class == class && charge.kind.is_none_or(|only| only == kind);
        let bindings = self.charges.iter().filter(fits).filter_map(|charge| {
            let bucket = self.buckets.get(charge.bucket)?;
            let cost = match class {
                CallClass::CancelBatch if charge.per_order > 0 => charge.per_order,
                _ => charge.per_request.saturating_add(charge.per_order),
            };
            let orders = u64::from(bucket.limit.checked_div(cost)?);
            let span_ms = u64::try_from(bucket.per.as_millis()).unwrap_or(u64::MAX).max(1);
            Some(Binding { orders_per_hour: orders.saturating_mul(3_600_000) / span_ms, orders, bucket: charge.bucket })
        });
        bindings.min()
    }

    /// What a call draws: bucket and amount. A batch names orders of one kind only where the kind matters
    /// (`BatchBy::Kind`), so its first order speaks for all.
    pub fn draws(&self, call: &Call) -> Vec<(usize, u32)> {
        let (n_orders, kind) = orders_of(call);
        let class = CallClass::of(call);
        self.charges
            .iter()
            .filter(|charge| charge.class == class && charge.kind.is_none_or(|only| kind == Some(only)))
            .map(|charge| (charge.bucket, charge.per_request.saturating_add(charge.per_order.saturating_mul(n_orders))))
            .collect()
    }
}

fn orders_of(call: &Call) -> (u32, Option<InstrumentKind>) {
    let one = |key: &OrderKey| (1, Some(InstrumentKind::of_symbol(&key.symbol)));
    match call {
        Call::Create(create) => one(&create.key),
        Call::Cancel(key) | Call::Query(key) | Call::History(key) => one(key),
        Call::CancelBatch(keys) => (
            u32::try_from(keys.len()).unwrap_or(u32::MAX),
            keys.first().map(|key| InstrumentKind::of_symbol(&key.symbol)),
        ),
        _ => (0, None),
    }
}

/// How fast a bucket lets orders through. Compared by the long run first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Binding {
    orders_per_hour: u64,
    orders: u64,
    bucket: usize,
}

impl Binding {
    fn per_second(self) -> u64 {
        self.orders_per_hour / 3_600
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ClientOrderId, Symbol, VenueId};

    fn key(symbol: &str) -> OrderKey {
        OrderKey {
            venue: VenueId(0),
            symbol: Symbol::new(symbol),
            client_id: "lo7k2p000a1a000001".parse::<ClientOrderId>().unwrap(),
            venue_order_id: None,
        }
    }

    #[test]
    fn a_batch_pays_for_each_order_from_the_bucket_of_its_kind() {
        let bucket = |name: &str| Bucket { name: name.into(), limit: 10, per: Duration::from_secs(1) };
        let charge =
            |class, kind, bucket, per_request, per_order| Charge { class, kind, bucket, per_request, per_order };
        let (spot, linear) = (Some(InstrumentKind::Spot), Some(InstrumentKind::Linear));
        let billing = Billing {
            buckets: vec![bucket("spot batch"), bucket("linear batch"), bucket("all requests")],
            charges: vec![
                charge(CallClass::CancelBatch, spot, 0, 0, 1),
                charge(CallClass::CancelBatch, linear, 1, 0, 1),
                charge(CallClass::CancelBatch, None, 2, 1, 0),
            ],
        };
        let batch = Call::CancelBatch(vec![key("BTC-USDT-PERP"), key("ETH-USDT-PERP")]);
        assert_eq!(billing.draws(&batch), [(1, 2), (2, 1)]);
        assert_eq!(billing.draws(&Call::Cancel(key("BTC-USDT"))), []);
        assert_eq!(Billing::default().draws(&batch), []);
    }

    #[test]
    fn planning_counts_every_way_to_cancel_the_slowest_kind() {
        let bucket = |limit| Bucket { name: String::new(), limit, per: Duration::from_secs(1) };
        let charge = |class, kind, bucket| Charge { class, kind: Some(kind), bucket, per_request: 0, per_order: 1 };
        let (spot, linear) = (InstrumentKind::Spot, InstrumentKind::Linear);
        let mut billing = Billing {
            buckets: vec![bucket(20), bucket(20), bucket(10), bucket(5)],
            charges: vec![
                charge(CallClass::CancelOne, spot, 0),
                charge(CallClass::CancelBatch, spot, 1),
                charge(CallClass::CancelOne, linear, 2),
                charge(CallClass::CancelBatch, linear, 3),
                charge(CallClass::Create, linear, 3),
            ],
        };
        assert_eq!(billing.cancels_per_second(), Some((15, 15)));
        assert_eq!(billing.singles_per_batch(linear, 10), 20);
        assert_eq!(billing.singles_per_batch(spot, 10), 10);
        let mut by_request = billing.clone();
        by_request.charges[2] = Charge { per_request: 1, per_order: 0, ..by_request.charges[2].clone() };
        let address = Bucket { name: String::new(), limit: 600, per: Duration::from_secs(5) };
        by_request.buckets.push(address);
        let every = |class| Charge { class, kind: None, bucket: 4, per_request: 1, per_order: 0 };
        by_request.charges.extend([CallClass::CancelOne, CallClass::CancelBatch].map(every));
        assert_eq!(by_request.cancels_per_second(), Some((15, 15)), "a bucket of all requests binds nobody here");
        assert_eq!(by_request.singles_per_batch(linear, 10), 20);
        by_request.charges.retain(|charge| charge.kind != Some(linear));
        assert_eq!(by_request.cancels_per_second(), Some((40, 40)), "only spot is traded");
        billing.charges[1].bucket = 0;
        assert_eq!(billing.singles_per_batch(spot, 10), 0, "one bucket for both");
        assert_eq!(Billing::default().cancels_per_second(), None);
    }
}
