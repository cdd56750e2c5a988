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
}
