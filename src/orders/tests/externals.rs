//! What moves the account and is no trade of an order of ours.

use super::bench::{Bench, MAIN, lots, ms, symbol};
use crate::domain::ids::{Symbol, VenueOrderId};
use crate::domain::money::Decimal;
use crate::domain::order::{FillKind, FillRow, StateName};
use crate::domain::request::{Answered, Call, Facts, PositionRow};
use crate::orders::desk::Note;

/// A trade somebody else of the account made, now.
fn foreign(bench: &Bench, name: &str, qty: i64) -> FillRow {
    let row = bench.trade(super::bench::old_id(1), name, qty);
    FillRow { client_id: None, venue_order_id: VenueOrderId::new("elsewhere"), ..row }
}

/// A bench whose books of the main venue have begun.
fn begun() -> Bench {
    let mut bench = Bench::new();
    assert!(bench.with(|desk, at, out| desk.open_books(MAIN, at, out)));
    bench.pass(1_000);
    bench
}

fn held(bench: &Bench) -> Decimal {
    bench.state.venues["main"].positions.get(&symbol()).map_or(Decimal::ZERO, |position| position.qty)
}

#[test]
fn an_entry_is_booked_once_from_pushes_lists_and_runs_alike() {
    let mut bench = begun();
    let row = foreign(&bench, "x-1", 3);
    bench.fill(MAIN, row.clone());
    bench.fill(MAIN, row.clone());
    bench.with(|desk, at, out| desk.fetch_fills(at, MAIN, out));
    let answer = bench.fills(vec![row.clone(), row.clone()]);
    bench.reply("list_fills", answer);
    assert_eq!((held(&bench), bench.desk.tally().externals, bench.desk.tally().foreign_fills), (lots(3), 1, 1));
    let mut bench = bench.restarted();
    bench.fill(MAIN, row);
    assert_eq!((held(&bench), bench.desk.tally().externals), (lots(3), 0));
    bench.agrees_with_its_records();
}

#[test]
fn every_kind_but_funding_moves_the_position_also_under_a_name_of_ours() {
    let kinds = [
        (FillKind::Funding, 0),
        (FillKind::Liquidation, 3),
        (FillKind::Deleveraging, 3),
        (FillKind::Settlement, 3),
        (FillKind::Trade, 3),
    ];
    for (kind, moved) in kinds {
        let mut bench = begun();
        let id = bench.resting(MAIN);
        let mut row = foreign(&bench, "x-1", 3);
        row.kind = kind;
        if kind != FillKind::Trade {
            row.client_id = Some(id.as_str().to_owned());
        }
        bench.fill(MAIN, row);
        assert_eq!((held(&bench), bench.filled(id), bench.desk.tally().fills), (lots(moved), 0, 0), "{kind:?}");
        assert!(bench.notes.iter().any(|note| matches!(note, Note::External { what, .. } if *what == kind)));
        bench.agrees_with_its_records();
    }
}

#[test]
fn what_happened_before_the_books_began_is_not_booked_and_not_booked_later() {
    let mut bench = Bench::new();
    let early = foreign(&bench, "x-1", 3);
    bench.fill(MAIN, early.clone());
    assert_eq!(bench.desk.tally().externals, 0, "no books yet");
    bench.pass(1_000);
    assert!(bench.with(|desk, at, out| desk.open_books(MAIN, at, out)));
    let mut bench = bench.restarted();
    bench.fill(MAIN, early);
    assert_eq!((bench.desk.tally().externals, bench.desk.tally().foreign_fills), (0, 1));
    let late = foreign(&bench, "x-2", 3);
    bench.fill(MAIN, late);
    assert_eq!(held(&bench), lots(3));
}

#[test]
fn a_trade_nobody_can_place_yet_waits_for_the_venues_name_of_our_order() {
    let mut bench = begun();
    let id = bench.sent(MAIN);
    let row = FillRow { client_id: None, ..bench.trade(id, "t-1", 4) };
    let at = row.fill.at;
    bench.fill(MAIN, row.clone());
    assert_eq!((bench.desk.tally().externals, bench.desk.tally().foreign_fills, bench.filled(id)), (0, 0, 0));
    bench.pass(1_000);
    // Still unnamed when the list shows it: the cursor stays before it.
    let answer = bench.fills(vec![row.clone()]);
    bench.reply("list_fills", answer);
    assert_eq!(bench.desk.account(MAIN).booked_to(), Some(at));
    bench.answer_create(id, Answered::Done(Facts::Created(super::bench::venue_id(id))));
    bench.pass(1_000);
    let answer = bench.fills(vec![row]);
    bench.reply("list_fills", answer);
    assert_eq!((bench.filled(id), bench.state_of(id)), (4, StateName::PartiallyFilled));
    assert_eq!((bench.desk.tally().externals, held(&bench)), (0, lots(4)));
    assert!(bench.desk.account(MAIN).booked_to() > Some(at));
    bench.agrees_with_its_records();
}

#[test]
fn positions_that_something_outran_are_not_believed() {
    let mut bench = begun();
    let since = bench.at.boot;
    let ask = |bench: &mut Bench| bench.with(|desk, at, out| desk.ask_account(at, MAIN, Call::Positions, out));
    let rows = vec![PositionRow { symbol: Symbol::new("BTC-USDT-PERP"), qty: lots(7), entry: None }];
    ask(&mut bench);
    let row = foreign(&bench, "x-1", 3);
    bench.fill(MAIN, row);
    bench.reply("positions", Answered::Done(Facts::Positions(rows.clone())));
    assert!(!bench.desk.knows_contracts(MAIN, since), "of another moment");
    ask(&mut bench);
    bench.reply("positions", Answered::Done(Facts::Positions(rows)));
    assert!(bench.desk.knows_contracts(MAIN, since));
    assert!(!bench.desk.knows_contracts(MAIN, since.after(ms(60_000))));
    let drifts: Vec<_> = bench.desk.contract_drifts(MAIN).into_values().collect();
    assert_eq!(drifts, [lots(7)], "a contract nobody configured is named as well");
}
