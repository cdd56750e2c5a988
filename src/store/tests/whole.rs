//! The store as a whole: the fold, the thread, reports, and the real disk.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crossbeam_channel::{bounded, unbounded};
use proptest::prelude::*;

use super::support::{Run, content, fold, intent, moved, now, promised, record, records, report, who};
use crate::domain::event::{Event, Saved};
use crate::domain::order::{Lsn, StateName};
use crate::domain::record::Record;
use crate::domain::settings::{Mode, Sync};
use crate::domain::snapshot::State;
use crate::domain::time::Wall;
use crate::store::directory::StateDirectory;
use crate::store::journal;
use crate::store::load::{Loaded, load};
use crate::store::report::{NoReport, archive_report, load_report, save_report};
use crate::store::sim_disk::SimDisk;
use crate::store::snapshot::{PREVIOUS, STATE};
use crate::store::thread::{Message, SegmentLimits, Store, run};

#[test]
fn a_group_costs_one_write_and_one_sync() {
    let disk = SimDisk::new();
    let mut run = Run::start_with(&disk, Sync::Cycle, SegmentLimits::default()).unwrap();
    let before = disk.n_operations();
    run.append(10);
    let done: Vec<String> = disk.log()[before..].iter().map(|what| what.split(' ').next().unwrap().into()).collect();
    assert_eq!(done, ["write", "sync"]);
    assert_eq!(run.events.len(), 1, "{:?}", run.events);
}

#[test]
fn without_sync_a_group_costs_one_write() {
    let disk = SimDisk::new();
    let mut run = Run::start_with(&disk, Sync::Os, SegmentLimits::default()).unwrap();
    run.append(1); // The epoch.
    let before = disk.n_operations();
    run.append(9);
    assert_eq!(disk.n_operations() - before, 1);
    assert_eq!(run.promised(), Lsn(10));
}

#[test]
fn a_segment_goes_once_both_generations_hold_it() {
    let disk = SimDisk::new();
    let mut run = Run::start(&disk, Sync::Cycle).unwrap();
    for _ in 0..30 {
        run.append(1);
        let firsts = journal::segments(&mut disk.clone()).unwrap();
        let contained = run.store.generations().contained().unwrap_or_default();
        assert!(firsts[0].0 <= contained.0 + 1, "{firsts:?} does not reach back to {contained:?}");
        assert!(firsts.len() <= 3, "{firsts:?}");
    }
    // Each generation alone gives everything, with the journal.
    for name in [STATE, PREVIOUS] {
        let disk = disk.after_kill();
        disk.delete(name);
        let resumed = load(&mut disk.clone(), &who()).unwrap();
        assert!(!matches!(resumed.loaded, Loaded::Damaged(_)), "{:?}", resumed.loaded);
        assert_eq!(content(&resumed.state), content(&fold(&records(30))), "without {name}");
    }
}

#[test]
fn a_save_of_what_is_saved_writes_nothing() {
    let disk = SimDisk::new();
    let mut run = Run::start_with(&disk, Sync::Cycle, SegmentLimits::default()).unwrap();
    run.append(2);
    run.work([Message::SaveState]);
    let before = disk.n_operations();
    run.work([Message::SaveState, Message::SaveState]);
    assert_eq!(disk.n_operations(), before);
    assert_eq!(run.events.iter().filter(|event| matches!(event, Event::Saved(..))).count(), 3);
}

#[test]
fn a_copy_holds_what_was_appended_before_it() {
    let disk = SimDisk::new();
    let mut run = Run::start(&disk, Sync::Cycle).unwrap();
    let (reply, copies) = bounded(1);
    run.work([Message::Append(Lsn(1), Box::new(record(0))), Message::Copy(reply)]);
    assert_eq!(content(&copies.recv().unwrap()), content(&fold(&records(1))));
}

#[test]
fn the_report_of_the_last_run_moves_to_the_folder_and_is_still_shown() {
    let mut disk = SimDisk::new();
    assert!(matches!(archive_report(&mut disk, now()), Ok(None)));
    assert!(matches!(load_report(&mut disk), Ok(None)));
    for (minute, complete) in [(1, true), (2, false), (2, true)] {
        let written = report(complete, Wall::from_millis(minute * 60_000));
        save_report(&mut disk, &written).unwrap();
        assert_eq!(archive_report(&mut disk, now()).unwrap(), Some(written.clone()));
        assert!(!disk.names().contains(&"last_shutdown.json".to_owned()));
    }
    let kept: Vec<String> = disk.names();
    assert_eq!(
        kept,
        [
            "shutdowns/1970-01-01T00:01:00.000Z.json",
            "shutdowns/1970-01-01T00:02:00.000Z.2.json",
            "shutdowns/1970-01-01T00:02:00.000Z.json",
        ]
    );
    let (name, shown) = load_report(&mut disk).unwrap().unwrap();
    assert!(name.starts_with("shutdowns/") && shown.started_at == Wall::from_millis(120_000));
    save_report(&mut disk, &report(true, now())).unwrap();
    assert_eq!(load_report(&mut disk).unwrap().unwrap().0, "last_shutdown.json");
}

#[test]
fn a_damaged_report_is_said_and_kept() {
    let mut disk = SimDisk::new();
    disk.poke("last_shutdown.json", b"{");
    assert!(matches!(load_report(&mut disk), Err(NoReport::Damaged { .. })));
    assert!(matches!(archive_report(&mut disk, now()), Err(NoReport::Damaged { .. })));
    assert_eq!(disk.names(), [format!("last_shutdown.json.broken.{}", now())]);
}

#[test]
fn a_report_survives_a_power_cut_at_any_step_of_its_move() {
    let written = report(true, now());
    for cut_at in 0..8 {
        let mut disk = SimDisk::new();
        save_report(&mut disk, &written).unwrap();
        let done = disk.n_operations();
        disk.cut_at(done + cut_at);
        let _ = archive_report(&mut disk, now());
        for (how, mut image) in disk.images() {
            let found = load_report(&mut image).unwrap();
            assert_eq!(found.map(|(_, report)| report), Some(written.clone()), "{cut_at}, {how}");
        }
    }
}

#[test]
fn the_thread_records_on_a_real_disk_and_ends_when_it_is_closed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let open = |path: &Path| {
        let mut disk = StateDirectory::open(path, Mode::Paper).unwrap();
        let resumed = load(&mut disk, &who()).unwrap();
        (disk, resumed)
    };
    for (round, expected) in [(0, Loaded::Absent), (1, Loaded::Good), (2, Loaded::Good)] {
        let (disk, resumed) = open(&path);
        assert_eq!(resumed.loaded, expected);
        let store = Store::open(disk, resumed, Sync::Cycle, SegmentLimits::default(), now);
        assert_eq!(store.refused(), None);
        let (to_store, messages) = bounded(16);
        let (emit, events) = unbounded();
        let thread = std::thread::spawn(move || run(store, &messages, |event| emit.send(event).unwrap()));
        for index in round * 20..(round + 1) * 20 {
            to_store.send(Message::Append(Lsn(index as u64 + 1), Box::new(record(index)))).unwrap();
        }
        to_store.send(Message::SaveState).unwrap();
        to_store.send(Message::SaveReport(Saved::Report, Box::new(report(true, now())))).unwrap();
        let (reply, flushed) = bounded(1);
        to_store.send(Message::Flush(reply)).unwrap();
        assert_eq!(flushed.recv().unwrap(), Ok(()));
        if round == 1 {
            drop(to_store);
        } else {
            to_store.send(Message::Close).unwrap();
        }
        thread.join().unwrap();
        let events: Vec<Event> = events.iter().collect();
        assert_eq!(promised(&events), Lsn((round as u64 + 1) * 20));
        assert!(events.contains(&Event::Saved(Saved::Report, Ok(()))));
    }
    let (_, resumed) = open(&path);
    assert_eq!(content(&resumed.state), content(&fold(&records(60))));
    let mut n_files = 0;
    for folder in [path.clone(), path.join("journal")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let metadata = entry.unwrap().metadata().unwrap();
            let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(metadata.permissions().mode() & 0o7777, wanted);
            n_files += u32::from(metadata.is_file());
        }
    }
    assert!(n_files >= 4, "{n_files}");
}

#[test]
fn a_refused_real_disk_is_tried_again_by_the_thread_itself() {
    let home = tempfile::tempdir().unwrap();
    let mut disk = StateDirectory::open(&home.path().join("state"), Mode::Paper).unwrap();
    let resumed = load(&mut disk, &who()).unwrap();
    // A folder in the place of the file refuses every save, whoever runs this.
    let obstacle = disk.path_of("state.json.new");
    std::fs::create_dir(&obstacle).unwrap();
    let store = Store::open(disk, resumed, Sync::Cycle, SegmentLimits::default(), now);
    assert!(store.refused().is_some());
    let (to_store, messages) = bounded(16);
    let (emit, events) = unbounded();
    let thread = std::thread::spawn(move || run(store, &messages, |event| emit.send(event).unwrap()));
    to_store.send(Message::Append(Lsn(1), Box::new(record(0)))).unwrap();
    assert!(matches!(events.recv().unwrap(), Event::Disk(_)));
    std::fs::remove_dir(&obstacle).unwrap();
    let news: Vec<Event> = events.iter().take(2).collect();
    assert!(matches!(&news[..], [Event::Disk(_), Event::Durable(durable)] if durable.up_to() == Lsn(1)), "{news:?}");
    drop(to_store);
    thread.join().unwrap();
}

/// Records that need not make sense together.
fn any_record() -> impl Strategy<Value = Record> {
    let when = |seconds: i64| now().plus_millis(seconds * 1_000);
    prop_oneof![
        (0..200_usize).prop_map(record),
        (0..20_u32, 0..2_000_i64).prop_map(move |(number, seconds)| Record::Intent(intent(number, when(seconds)))),
        (0..20_u32, 0..10_usize, 0..2_000_i64).prop_map(move |(number, state, seconds)| moved(
            number,
            StateName::ALL[state],
            when(seconds)
        )),
        (0..20_u32, 0..30_u32, 0..2_000_i64).prop_map(move |(number, trade, seconds)| super::support::fill(
            number,
            &trade.to_string(),
            when(seconds)
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is recorded, in whatever groups, with saves and restarts between: what a start finds is what the
    /// running store had, and that is what the records come to.
    #[test]
    fn replay_gives_what_the_running_store_had(
        steps in proptest::collection::vec((proptest::collection::vec(any_record(), 0..6), 0..4_u8), 1..12),
    ) {
        let disk = SimDisk::new();
        let mut run = Run::start(&disk, Sync::Os).unwrap();
        let mut all = Vec::new();
        for (group, then) in steps {
            let first = all.len() as u64 + 1;
            let messages = (first..).zip(&group).map(|(seq, record)| Message::Append(Lsn(seq), Box::new(record.clone())));
            run.work(messages.collect::<Vec<_>>());
            all.extend(group);
            match then {
                0 => { run.work([Message::SaveState]); }
                1 => {
                    let found = load(&mut disk.clone(), &who()).unwrap();
                    prop_assert_eq!(content(&found.state), content(run.store.state()));
                    run = Run::start(&disk, Sync::Os).unwrap();
                }
                _ => {}
            }
        }
        let found = load(&mut disk.after_kill(), &who()).unwrap();
        prop_assert_eq!(content(&found.state), content(&fold(&all)));
    }

    /// A record that is in already changes nothing.
    #[test]
    fn an_old_record_changes_nothing(story in proptest::collection::vec(any_record(), 1..40)) {
        let mut state = State::empty("t3st", "here", "PAPER");
        for (seq, record) in (1..).zip(&story) {
            state.apply(Lsn(seq), record);
        }
        let before = state.clone();
        for (seq, record) in (1..).zip(&story) {
            state.apply(Lsn(seq), record);
        }
        prop_assert_eq!(state, before);
    }
}
