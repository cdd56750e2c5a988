//! Two sums an operator needs: how long a stop may take, and how many orders we may own.

use crate::domain::ids::VenueId;
use crate::domain::instrument::VenueTraits;
use crate::domain::settings::{Mode, Settings, ShutdownSettings, VenueKind, VenueSettings};
use crate::engine::risk;
use crate::runtime::paper::traits_of;
use crate::venues::{self, Opening};

/// Seconds a supervisor gives on top of our own deadline: for the process to be reaped, and for a disk that is slow.
const SUPERVISOR_MARGIN_S: u32 = 5;

/// The one deadline of a stop, counted from the first signal.
pub fn deadline_s(shutdown: &ShutdownSettings) -> u32 {
    shutdown.cancel_timeout_s.saturating_add(shutdown.recorder_timeout_s)
}

/// How long a supervisor must wait between its SIGTERM and its SIGKILL: the deadline and five seconds.
///
/// With the defaults 30 + 10 + 5 = 45: `TimeoutStopSec=45`, `docker stop -t 45`, `terminationGracePeriodSeconds: 45`.
pub fn grace_period_s(shutdown: &ShutdownSettings) -> u32 {
    deadline_s(shutdown).saturating_add(SUPERVISOR_MARGIN_S)
}

/// What the venue promises: the real one's word in LIVE, the paper exchange's otherwise.
pub fn traits(settings: &Settings, venue: &VenueSettings) -> VenueTraits {
    match (settings.mode, venue.kind) {
        (_, VenueKind::Sim) | (Mode::Paper | Mode::DryRun, _) => traits_of(&venue.sim),
        (Mode::Live, _) => real_traits(venue),
    }
}

fn real_traits(venue: &VenueSettings) -> VenueTraits {
    let opened = venues::open(&Opening { venue: VenueId(0), settings: venue, key: None, also: &[] });
    // What cannot be opened is refused with the rest of the configuration; until then it promises nothing.
    opened.map_or_else(|_| VenueTraits::default(), |account| account.traits)
}

/// Open orders we may own at a venue: never more than could be cancelled within the stop's budget.
pub fn may_own(settings: &Settings, venue: &VenueSettings) -> u32 {
    risk::may_own(&traits(settings, venue), &settings.risk, &settings.shutdown)
}

/// The same with the sum behind it, for people.
pub fn may_own_explained(settings: &Settings, venue: &VenueSettings) -> String {
    let traits = traits(settings, venue);
    let rate = match traits.cancels_per_second {
        0 => "no limit on cancels".to_owned(),
        per_second => {
            let timeout_s = settings.shutdown.cancel_timeout_s;
            let count = u64::from(per_second) * u64::from(timeout_s) * 7 / 10;
            format!("{count} (0.7 x {per_second} cancels a second x {timeout_s} s)")
        }
    };
    format!(
        "the smallest of max_open_orders {}, {rate}, the venue's own limit {}",
        settings.risk.max_open_orders, traits.open_orders_max
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config;
    use crate::cli::environment::Env;
    use crate::cli::place::Place;

    #[test]
    fn a_supervisor_grants_the_deadline_and_five_seconds() {
        for (cancel_timeout_s, recorder_timeout_s, deadline, grace) in
            [(30, 10, 40, 45), (5, 1, 6, 11), (600, 120, 720, 725)]
        {
            let shutdown = ShutdownSettings {
                cancel_timeout_s,
                recorder_timeout_s,
                on_exit: crate::domain::settings::OnExit::Cancel,
            };
            assert_eq!((deadline_s(&shutdown), grace_period_s(&shutdown)), (deadline, grace));
        }
    }

    #[test]
    fn we_never_own_what_we_could_not_cancel() {
        let env = Env::default();
        let mut settings = config::parse(None, &Place::of(None, None, &env), &env).unwrap().settings;
        // Open orders allowed, cancels a second, cancel timeout, the venue's limit: what we may own.
        let cases = [
            (60, 0, 30, 20_000, 60),
            (60, 1, 30, 20_000, 21),
            (60, 10, 30, 20_000, 60),
            (1_000, 10, 30, 20_000, 210),
            (1_000, 1, 5, 20_000, 3),
            (1_000, 0, 30, 200, 200),
            (1_000_000, 1_000_000, 600, 1_000_000, 1_000_000),
        ];
        for (open, rate, timeout, venue_max, expected) in cases {
            settings.risk.max_open_orders = open;
            settings.shutdown.cancel_timeout_s = timeout;
            let mut venue = settings.venues[0].clone();
            venue.sim.cancels_per_second = rate;
            venue.sim.open_orders_max = venue_max;
            assert_eq!(may_own(&settings, &venue), expected, "{}", may_own_explained(&settings, &venue));
        }
    }
}
