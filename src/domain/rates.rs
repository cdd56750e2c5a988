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
    /// Cancels a second in the long run and at once, for the kind of instrument that is slowest, all ways of cancelling
    /// it together. `None` without limits. What a stop can do in its time is planned with it.
    pub fn cancels_per_second(&self) -> Option<(u32, u32)> {
        let kinds = [InstrumentKind::Spot, InstrumentKind::Linear];
        let of_kind = kinds.into_iter().filter_map(|kind| {
            let mut sum: Option<(u64, u32)> = None;
            for charge in &self.charges {
                let cancels = matches!(charge.class, CallClass::CancelOne | CallClass::CancelBatch);
                let Some(bucket) = self.buckets.get(charge.bucket).filter(|_| cancels) else { continue };
                // A bucket that counts something else than orders (requests of an address) is not the one that binds.
                if charge.kind.is_some_and(|only| only != kind) || charge.per_order == 0 || bucket.per.is_zero() {
                    continue;
                }
                let orders = bucket.limit / charge.per_order;
                let per_second =
                    u64::from(orders) * 1_000_000_000 / u64::try_from(bucket.per.as_nanos()).unwrap_or(u64::MAX);
                let (rate, burst) = sum.unwrap_or((0, 0));
                sum = Some((rate + per_second, burst + orders));
            }
            sum
        });
        of_kind.min().map(|(rate, burst)| (u32::try_from(rate).unwrap_or(u32::MAX), burst))
    }

    /// How single and batch cancels of a kind share the work so that both buckets are empty at the same time: orders to
    /// cancel one by one for each batch. 0 where they draw from one bucket, or from none.
    pub fn singles_per_batch(&self, kind: InstrumentKind, batch_max: u32) -> u32 {
        let find = |class| {
            let fits = |charge: &&Charge| {
                charge.class == class && charge.per_order > 0 && charge.kind.is_none_or(|only| only == kind)
            };
            let charge = self.charges.iter().find(fits)?;
            Some((charge.bucket, self.buckets.get(charge.bucket)?.limit / charge.per_order))
        };
        match (find(CallClass::CancelOne), find(CallClass::CancelBatch)) {
            (Some((single, ones)), Some((batch, together))) if single != batch && together > 0 => {
                u32::try_from(u64::from(ones) * u64::from(batch_max) / u64::from(together)).unwrap_or(u32::MAX)
            }
            _ => 0,
        }
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
        billing.charges[1].bucket = 0;
        assert_eq!(billing.singles_per_batch(spot, 10), 0, "one bucket for both");
        assert_eq!(Billing::default().cancels_per_second(), None);
    }
}
