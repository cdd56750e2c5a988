//! What goes wrong: at random by rates, or exactly as a test plans it.
//!
//! Always holds: a request meets at most one fault; a plan comes before the rates; a fault is only drawn where it can
//! do something, and a plan that never could is refused.
//! Never does: carry a fault out. That is where requests and pushes are handled, which also note it in the ledger.

use serde::{Deserialize, Serialize};

use super::answers::ErrorCode;
use super::asks::{AccountId, AskKind};
use super::chance::Chance;
use crate::domain::settings::SimFaults;

/// Something that goes wrong, once. `None` inside means: drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Carried out; the answer never comes.
    AnswerLost,
    /// Carried out at once; the answer comes this much later.
    DelayedAnswer {
        /// How much.
        by_ms: u32,
    },
    /// Not carried out; answered with [`ErrorCode::Server`].
    ServerError,
    /// Carried out; answered with [`ErrorCode::Server`] all the same.
    ServerErrorExecuted,
    /// Carried out only after the caller has given up (a create still before its deadline, if drawn); never answered.
    LateExecution {
        /// How long after it arrived.
        after_ms: Option<u32>,
    },
    /// Some items of a batch cancel are not carried out: answered with an error, or left out of the answer.
    PartialBatch {
        /// Which, counted from 0.
        failing: Option<Vec<usize>>,
    },
    /// A batch cancel answered in another order.
    ShuffledBatch,
    /// "Not found" for an order that is live; nothing is done.
    NotFound,
    /// A listing of open orders as it was a moment ago.
    StaleListing {
        /// How long ago.
        by_ms: Option<u32>,
    },
    /// A listing that shows half of a page and promises another page, which answers with an error.
    BrokenListing,
    /// The cancel is taken and answered, the order leaves the book only later: also at a venue whose cancels are
    /// synchronous, which then says something untrue.
    SlowCancel {
        /// How much later.
        by_ms: Option<u32>,
    },
    /// Refused for the rate limit though there is room.
    RateLimited {
        /// The wait it asks for.
        retry_after_ms: u32,
    },
    /// Refused with this code; nothing is done.
    Refused(ErrorCode),
    /// A push comes twice.
    DuplicatePush,
    /// A push never comes.
    LostPush,
    /// A push comes later, behind its successors.
    DelayedPush {
        /// How much later.
        by_ms: u32,
    },
}

impl Fault {
    /// The name in the ledger.
    pub fn word(&self) -> &'static str {
        match self {
            Fault::AnswerLost => "answer_lost",
            Fault::DelayedAnswer { .. } => "delayed_answer",
            Fault::ServerError => "server_error",
            Fault::ServerErrorExecuted => "server_error_executed",
            Fault::LateExecution { .. } => "late_execution",
            Fault::PartialBatch { .. } => "partial_batch",
            Fault::ShuffledBatch => "shuffled_batch",
            Fault::NotFound => "not_found",
            Fault::StaleListing { .. } => "stale_listing",
            Fault::BrokenListing => "broken_listing",
            Fault::SlowCancel { .. } => "slow_cancel",
            Fault::RateLimited { .. } => "rate_limited",
            Fault::Refused(_) => "refused",
            Fault::DuplicatePush => "duplicate_push",
            Fault::LostPush => "lost_push",
            Fault::DelayedPush { .. } => "delayed_push",
        }
    }

    /// Whether it can do something there.
    fn suits(&self, place: Place) -> bool {
        let ask = match place {
            Place::Ask(kind) => Some(kind),
            Place::OrderPush | Place::FillPush | Place::Http | Place::Socket => None,
        };
        match self {
            Fault::AnswerLost
            | Fault::DelayedAnswer { .. }
            | Fault::ServerError
            | Fault::ServerErrorExecuted
            | Fault::RateLimited { .. }
            | Fault::Refused(_) => ask.is_some(),
            Fault::LateExecution { .. } => ask.is_some_and(AskKind::changes_orders),
            Fault::PartialBatch { .. } => matches!(ask, Some(AskKind::CancelBatch | AskKind::CreateBatch)),
            Fault::ShuffledBatch => ask == Some(AskKind::CancelBatch),
            Fault::NotFound => matches!(ask, Some(AskKind::Cancel | AskKind::Query)),
            Fault::StaleListing { .. } => ask == Some(AskKind::ListOpen),
            Fault::BrokenListing => matches!(ask, Some(AskKind::ListOpen | AskKind::ListFills)),
            Fault::SlowCancel { .. } => ask.is_some_and(AskKind::cancels),
            Fault::DuplicatePush | Fault::LostPush | Fault::DelayedPush { .. } => ask.is_none(),
        }
    }
}

/// Where a fault can strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A push of an order's state.
    OrderPush,
    /// A push of a fill.
    FillPush,
    /// A request in a dialect, before anything is known of it but its path.
    Http,
    /// A socket of a dialect.
    Socket,
    /// A request of this kind.
    #[serde(untagged)]
    Ask(AskKind),
}

/// What a plan waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// Requests of every kind.
    AnyAsk,
    /// Cancels: single, batch and all.
    AnyCancel,
    /// Pushes of an order's state.
    OrderPush,
    /// Pushes of a fill.
    FillPush,
    /// Every push.
    AnyPush,
    /// Requests of this kind.
    #[serde(untagged)]
    Ask(AskKind),
}

impl On {
    fn covers(self, place: Place) -> bool {
        match (self, place) {
            (On::Ask(kind), Place::Ask(asked)) => kind == asked,
            (On::AnyCancel, Place::Ask(asked)) => asked.cancels(),
            (On::AnyAsk, Place::Ask(_)) => true,
            (On::OrderPush, Place::OrderPush) | (On::FillPush, Place::FillPush) => true,
            (On::AnyPush, Place::OrderPush | Place::FillPush) => true,
            (On::Ask(_) | On::AnyCancel | On::AnyAsk | On::OrderPush | On::FillPush | On::AnyPush, _) => false,
        }
    }
}

/// How often a plan strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// This often, then no more.
    Exactly(u32),
    /// Until `heal`.
    Forever,
}

/// A fault that a test orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it waits for.
    pub on: On,
    /// Only of this account.
    pub account: Option<AccountId>,
    /// Only where this order is named (in a batch: among others).
    pub client_id: Option<String>,
    /// What goes wrong.
    pub fault: Fault,
    /// Matches to let pass first.
    pub skip: u32,
    /// How often.
    pub times: Times,
}

impl Plan {
    /// The next time, once.
    pub fn next(on: On, fault: Fault) -> Plan {
        Plan { on, account: None, client_id: None, fault, skip: 0, times: Times::Exactly(1) }
    }

    /// Every time from now on.
    pub fn always(on: On, fault: Fault) -> Plan {
        Plan { times: Times::Forever, ..Plan::next(on, fault) }
    }

    /// Lets this many matches pass first.
    pub fn after(self, skip: u32) -> Plan {
        Plan { skip, ..self }
    }

    /// Strikes this often.
    pub fn times(self, times: u32) -> Plan {
        Plan { times: Times::Exactly(times), ..self }
    }

    /// Only for this order.
    pub fn for_order(self, client_id: &str) -> Plan {
        Plan { client_id: Some(client_id.to_owned()), ..self }
    }

    /// Only for this account.
    pub fn for_account(self, account: AccountId) -> Plan {
        Plan { account: Some(account), ..self }
    }

    /// Whether it can ever strike.
    fn possible(&self) -> bool {
        let asks = [
            AskKind::Create,
            AskKind::CreateBatch,
            AskKind::Amend,
            AskKind::Cancel,
            AskKind::CancelBatch,
            AskKind::CancelAll,
            AskKind::Query,
            AskKind::History,
            AskKind::ListOpen,
            AskKind::ListFills,
            AskKind::Balances,
            AskKind::Positions,
            AskKind::Instruments,
            AskKind::Time,
            AskKind::SetCountdown,
            AskKind::ReadCountdown,
        ];
        let places = asks.map(Place::Ask).into_iter().chain([Place::OrderPush, Place::FillPush]);
        let struck = |place| self.on.covers(place) && self.fault.suits(place);
        self.times != Times::Exactly(0) && places.into_iter().any(struck)
    }
}

/// A plan that could never strike: a test that waits for it could never fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a plan of {fault} on {on:?} can never strike; choose a request or push that this fault can happen to")]
pub struct ImpossiblePlan {
    on: On,
    fault: &'static str,
}

/// Rates of random faults, each per thousand requests (or pushes) it can happen to.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultRates {
    /// [`Fault::AnswerLost`].
    pub answer_lost: u32,
    /// [`Fault::ServerError`].
    pub server_error: u32,
    /// [`Fault::LateExecution`].
    pub late_execution: u32,
    /// [`Fault::PartialBatch`].
    pub partial_batch: u32,
    /// [`Fault::ShuffledBatch`].
    pub shuffled_batch: u32,
    /// [`Fault::NotFound`].
    pub not_found: u32,
    /// [`Fault::StaleListing`].
    pub stale_listing: u32,
    /// [`Fault::BrokenListing`].
    pub broken_listing: u32,
    /// [`Fault::SlowCancel`].
    pub slow_cancel: u32,
    /// [`Fault::RateLimited`].
    pub rate_limited: u32,
    /// [`Fault::DuplicatePush`].
    pub duplicate_push: u32,
    /// [`Fault::LostPush`].
    pub lost_push: u32,
}

impl From<&SimFaults> for FaultRates {
    fn from(faults: &SimFaults) -> FaultRates {
        FaultRates {
            answer_lost: faults.answer_lost,
            server_error: faults.server_error,
            late_execution: faults.late_execution,
            partial_batch: faults.partial_batch,
            shuffled_batch: faults.shuffled_batch,
            not_found: faults.not_found,
            stale_listing: faults.stale_listing,
            broken_listing: faults.broken_listing,
            slow_cancel: faults.slow_cancel,
            rate_limited: faults.rate_limited,
            duplicate_push: faults.duplicate_push,
            lost_push: faults.lost_push,
        }
    }
}

impl FaultRates {
    fn table(&self) -> [(u32, Fault); 12] {
        [
            (self.answer_lost, Fault::AnswerLost),
            (self.server_error, Fault::ServerError),
            (self.late_execution, Fault::LateExecution { after_ms: None }),
            (self.partial_batch, Fault::PartialBatch { failing: None }),
            (self.shuffled_batch, Fault::ShuffledBatch),
            (self.not_found, Fault::NotFound),
            (self.stale_listing, Fault::StaleListing { by_ms: None }),
            (self.broken_listing, Fault::BrokenListing),
            (self.slow_cancel, Fault::SlowCancel { by_ms: None }),
            (self.rate_limited, Fault::RateLimited { retry_after_ms: 500 }),
            (self.duplicate_push, Fault::DuplicatePush),
            (self.lost_push, Fault::LostPush),
        ]
    }
}

/// What is happening, for matching.
pub(super) struct Scene<'a> {
    pub(super) place: Place,
    pub(super) account: AccountId,
    /// Orders it is about, by the caller's names.
    pub(super) client_ids: &'a [&'a str],
    /// Whether an order it is about is live: "not found" is a fault only then.
    pub(super) live: bool,
}

/// Rates, plans, and the chance that decides.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    rates: FaultRates,
    plans: Vec<Plan>,
    chance: Chance,
}

impl Faults {
    pub(super) fn new(rates: FaultRates, chance: Chance) -> Faults {
        Faults { rates, plans: Vec::new(), chance }
    }

    /// Adds a plan. Of two plans for one request the older strikes.
    pub(super) fn plan(&mut self, plan: Plan) -> Result<(), ImpossiblePlan> {
        if !plan.possible() {
            return Err(ImpossiblePlan { on: plan.on, fault: plan.fault.word() });
        }
        self.plans.push(plan);
        Ok(())
    }

    pub(super) fn plans_left(&self) -> usize {
        self.plans.len()
    }

    pub(super) fn heal(&mut self) {
        self.rates = FaultRates::default();
        self.plans.clear();
    }

    pub(super) fn set_rates(&mut self, rates: FaultRates) {
        self.rates = rates;
    }

    pub(super) fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    /// What goes wrong here, if anything.
    pub(super) fn draw(&mut self, scene: &Scene<'_>) -> Option<Fault> {
        let suits = |fault: &Fault| fault.suits(scene.place) && (*fault != Fault::NotFound || scene.live);
        let mut struck = None;
        for plan in &mut self.plans {
            let wanted = plan.client_id.as_deref();
            let meets = plan.on.covers(scene.place)
                && suits(&plan.fault)
                && plan.account.is_none_or(|account| account == scene.account)
                && wanted.is_none_or(|wanted| scene.client_ids.contains(&wanted));
            if !meets {
                continue;
            }
            if plan.skip > 0 {
                plan.skip -= 1;
            } else if struck.is_none() {
                struck = Some(plan.fault.clone());
                if let Times::Exactly(left) = &mut plan.times {
                    *left -= 1;
                }
            }
        }
        self.plans.retain(|plan| plan.times != Times::Exactly(0));
        if struck.is_some() {
            return struck;
        }
        for (rate, fault) in self.rates.table() {
            if suits(&fault) && self.chance.per_thousand(rate) {
                return Some(fault);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults() -> Faults {
        Faults::new(FaultRates::default(), Chance::new(1, 1))
    }

    fn scene<'a>(kind: AskKind, client_ids: &'a [&'a str]) -> Scene<'a> {
        Scene { place: Place::Ask(kind), account: AccountId(0), client_ids, live: true }
    }

    #[test]
    fn a_plan_strikes_after_its_skips_and_as_often_as_it_says() {
        let mut faults = faults();
        let plan = Plan::next(On::Ask(AskKind::Create), Fault::AnswerLost).after(1).times(2);
        faults.plan(plan).unwrap();
        let mut drawn = Vec::new();
        for kind in [AskKind::Create, AskKind::Cancel, AskKind::Create, AskKind::Create, AskKind::Create] {
            drawn.push(faults.draw(&scene(kind, &[])).is_some());
        }
        assert_eq!(drawn, [false, false, true, true, false]);
    }

    #[test]
    fn a_plan_for_an_order_waits_for_that_order() {
        let mut faults = faults();
        faults.plan(Plan::always(On::AnyCancel, Fault::ServerError).for_order("b")).unwrap();
        assert!(faults.draw(&scene(AskKind::Cancel, &["a"])).is_none());
        assert!(faults.draw(&scene(AskKind::CancelBatch, &["a", "b"])).is_some());
        faults.heal();
        assert!(faults.draw(&scene(AskKind::Cancel, &["b"])).is_none());
    }

    #[test]
    fn a_plan_that_can_never_strike_is_refused() {
        let mut faults = faults();
        for (on, fault) in [
            (On::Ask(AskKind::Create), Fault::BrokenListing),
            (On::FillPush, Fault::AnswerLost),
            (On::AnyAsk, Fault::LostPush),
        ] {
            assert!(faults.plan(Plan::next(on, fault)).is_err(), "{on:?}");
        }
        let never = Plan::next(On::AnyAsk, Fault::AnswerLost).times(0);
        assert!(faults.plan(never).is_err());
    }

    #[test]
    fn not_found_is_drawn_for_live_orders_only() {
        let mut faults = faults();
        faults.plan(Plan::always(On::AnyAsk, Fault::NotFound)).unwrap();
        let mut scene = scene(AskKind::Query, &[]);
        assert_eq!(faults.draw(&scene), Some(Fault::NotFound));
        scene.live = false;
        assert_eq!(faults.draw(&scene), None);
    }

    #[test]
    fn every_rate_strikes_somewhere() {
        let kinds = [AskKind::Create, AskKind::Cancel, AskKind::CancelBatch, AskKind::ListOpen];
        let mut places: Vec<Place> = kinds.map(Place::Ask).to_vec();
        places.extend([Place::OrderPush, Place::FillPush]);
        let words = FaultRates::default().table().map(|(_, fault)| fault.word());
        for (index, word) in words.into_iter().enumerate() {
            let mut rates = [0_u32; 12];
            rates[index] = 1_000;
            let [
                answer_lost,
                server_error,
                late_execution,
                partial_batch,
                shuffled_batch,
                not_found,
                stale_listing,
                broken_listing,
                slow_cancel,
                rate_limited,
                duplicate_push,
                lost_push,
            ] = rates;
            let rates = FaultRates {
                answer_lost,
                server_error,
                late_execution,
                partial_batch,
                shuffled_batch,
                not_found,
                stale_listing,
                broken_listing,
                slow_cancel,
                rate_limited,
                duplicate_push,
                lost_push,
            };
            let mut faults = Faults::new(rates, Chance::new(1, 1));
            let mut seen = Vec::new();
            for &place in &places {
                let scene = Scene { place, ..scene(AskKind::Create, &[]) };
                seen.extend(faults.draw(&scene));
            }
            assert!(!seen.is_empty() && seen.iter().all(|fault| fault.word() == word), "{word}: {seen:?}");
        }
    }
}
