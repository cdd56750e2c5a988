//! The ordered stop, on the real machines in virtual time.

use std::time::Duration;

use lastorders::domain::event::SignalName;
use lastorders::domain::settings::Settings;
use lastorders::sim::settings::{ladder, quiet};
use lastorders::sim::world::{ACCOUNT, World};

const MINUTE: Duration = Duration::from_secs(60);

fn resting(n: u32) -> Settings {
    let mut settings = quiet();
    settings.strategies = vec![ladder("rungs", "main", n)];
    settings
}

/// A world that has traded until all rungs rest, and a while longer.
fn world_with(n: u32) -> World {
    let mut world = World::new(resting(n));
    world.start().unwrap();
    assert!(
        world.run_until(MINUTE, |world| world.venues[0].exchange.open_orders(ACCOUNT).len() == n as usize),
        "{n} orders never rested: {:#?}",
        world.said
    );
    world.run_for(Duration::from_secs(5));
    world
}

#[test]
fn paper_cancels_what_rests_and_proves_it() {
    let mut world = world_with(100);
    world.signal(SignalName::Term);
    assert_eq!(world.run_to_verdict(), Some(0), "{:#?}", world.said);
    assert!(world.venues[0].exchange.open_orders(ACCOUNT).is_empty());
    let report = world.report().unwrap();
    assert_eq!((report.orders.found, report.orders.canceled, report.orders.remaining.len()), (100, 100, 0));
    assert_eq!((report.complete, report.proof.grade.as_str(), report.exit_code), (true, "by_order", 0));
}
