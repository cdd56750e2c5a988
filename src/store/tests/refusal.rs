//! Disks that refuse: full, broken, read-only, once and for ever, at every operation.

use std::collections::BTreeSet;

use super::support::{Run, now, promised, promised_while_refused, report, verdict};
use crate::domain::event::{DiskNews, Event, Saved};
use crate::domain::order::Lsn;
use crate::domain::settings::Sync;
use crate::store::sim_disk::{Fault, SimDisk};
use crate::store::snapshot::{PREVIOUS, STATE};
use crate::store::thread::Message;

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const EROFS: i32 = 30;
const EMFILE: i32 = 24;
const ERRORS: [i32; 4] = [ENOSPC, EIO, EROFS, EMFILE];

const N_RECORDS: usize = 13;

/// One run over a disk that has been used before. Gives the run, if the start was not refused.
fn story(disk: &SimDisk, sync: Sync) -> Option<Run> {
    let mut run = Run::start(disk, sync).ok()?;
    run.append(2);
    run.append(2);
    run.work([Message::SaveState]);
    run.append(1);
    run.work([Message::SaveReport(Saved::Report, Box::new(report(true, now())))]);
    run.append(3);
    run.append(1);
    Some(run)
}

fn used_disk() -> SimDisk {
    let disk = SimDisk::new();
    let mut run = Run::start(&disk, Sync::Cycle).unwrap();
    run.append(4);
    disk.after_kill()
}

fn operations_of_a_story() -> Vec<String> {
    let disk = used_disk();
    story(&disk, Sync::Cycle).unwrap();
    disk.log()
}

/// Refuses from one operation of the story on, then heals. Gives the run where there was one, and the disks that power
/// cuts would leave before and after healing, each with what was promised by then.
fn refuse_and_heal(fault: Fault) -> Option<(Run, Vec<(Lsn, SimDisk)>)> {
    let disk = used_disk();
    disk.fail(fault);
    let Some(mut run) = story(&disk, Sync::Cycle) else {
        disk.heal();
        assert_eq!(verdict(&disk.after_kill(), Lsn(4), N_RECORDS), Ok(()), "{fault:?}");
        return None;
    };
    assert!(!promised_while_refused(&run.events), "{fault:?}: {:?}", run.events);
    let so_far = promised(&run.events).max(Lsn(4));
    let mut cuts: Vec<(Lsn, SimDisk)> = disk.few_images().into_iter().map(|(_, image)| (so_far, image)).collect();
    disk.heal();
    run.retry();
    assert_eq!(run.store.refused(), None, "{fault:?}");
    assert_eq!(run.promised(), Lsn(N_RECORDS as u64), "{fault:?}: {:?}", run.events);
    // What was written from memory does not hang on one file.
    for name in [STATE, PREVIOUS] {
        let disk = disk.after_kill();
        disk.delete(name);
        assert_eq!(verdict(&disk, run.promised(), N_RECORDS), Ok(()), "{fault:?}, then {name} is lost");
    }
    run.append(1);
    cuts.extend(disk.few_images().into_iter().map(|(_, image)| (Lsn(14), image)));
    assert_eq!(disk.offences(), [""; 0], "{fault:?}");
    Some((run, cuts))
}

#[test]
fn a_disk_that_refuses_any_operation_promises_nothing_and_recovers() {
    let operations = operations_of_a_story();
    assert!(operations.len() > 40, "{}", operations.len());
    let (mut n_refused, mut seen) = (0, BTreeSet::new());
    for (at, operation) in operations.iter().enumerate() {
        for (error, n) in ERRORS.into_iter().flat_map(|error| [(error, 1), (error, usize::MAX)]) {
            let fault = Fault { at, n, error };
            let Some((run, cuts)) = refuse_and_heal(fault) else {
                assert!(operation.starts_with("read") || operation.starts_with("list"), "{operation}");
                continue;
            };
            n_refused += u32::from(run.events.iter().any(|event| matches!(event, Event::Disk(_))));
            for (promised, image) in cuts {
                if seen.insert((promised, image.content())) {
                    let case = format!("{fault:?} ({operation}), then a power cut");
                    assert_eq!(verdict(&image, promised, N_RECORDS + 1), Ok(()), "{case}");
                }
            }
        }
    }
    assert!(n_refused > 100, "only {n_refused} cases refused");
}

#[test]
fn a_refusal_is_said_once_and_so_is_its_end() {
    let disk = used_disk();
    let mut run = Run::start(&disk, Sync::Cycle).unwrap();
    disk.fail(Fault {
        at: disk.n_operations() + 1, // the sync of the next group
        n: usize::MAX,
        error: EIO,
    });
    run.append(1);
    run.append(1);
    run.retry();
    run.work([Message::SaveState]);
    let failed: Vec<&Event> = run.events.iter().collect();
    assert!(matches!(failed[..], [Event::Disk(DiskNews::Failed(_)), Event::Saved(Saved::State, Err(_))]), "{failed:?}");
    run.events.clear();
    disk.heal();
    run.work([Message::SaveState]);
    let back = format!("{:?}", run.events);
    assert!(
        matches!(
            &run.events[..],
            [Event::Disk(DiskNews::Recovered), Event::Durable(durable), Event::Saved(Saved::State, Ok(()))]
            if durable.up_to() == Lsn(6)
        ),
        "{back}"
    );
}

#[test]
fn a_start_on_a_full_disk_says_so_and_goes_on_when_there_is_room() {
    let disk = used_disk();
    let before = disk.peek("state.json");
    // Reading works on a full disk.
    let n_reads = {
        let probe = used_disk();
        crate::store::load::load(&mut probe.clone(), &super::support::who()).unwrap();
        probe.n_operations()
    };
    disk.fail(Fault { at: n_reads, n: usize::MAX, error: ENOSPC });
    let mut run = Run::start(&disk, Sync::Cycle).unwrap();
    assert!(run.store.refused().is_some_and(|why| why.contains("free some space")));
    assert!(matches!(run.events[..], [Event::Disk(DiskNews::Failed(_))]));
    run.append(2);
    assert_eq!(run.promised(), Lsn(0));
    assert_eq!(disk.peek("state.json"), before, "the old state was touched");
    disk.heal();
    run.retry();
    assert_eq!(run.promised(), Lsn(6));
    assert_eq!(verdict(&disk.after_kill(), Lsn(6), 6), Ok(()));
}

#[test]
fn a_report_that_cannot_be_written_leaves_the_journal_in_use() {
    let disk = used_disk();
    let mut run = Run::start(&disk, Sync::Cycle).unwrap();
    disk.fail(Fault { at: disk.n_operations(), n: 5, error: ENOSPC });
    run.work([Message::SaveReport(Saved::Draft, Box::new(report(false, now())))]);
    assert!(matches!(run.saved(Saved::Draft), Some(Err(_))));
    disk.heal();
    run.append(1);
    assert_eq!(run.promised(), Lsn(5));
}

#[test]
fn a_record_out_of_turn_is_said_and_lost_to_nobody() {
    let disk = used_disk();
    let mut run = Run::start(&disk, Sync::Cycle).unwrap();
    run.work([Message::Append(Lsn(9), Box::new(super::support::record(4)))]);
    assert!(matches!(run.events[..], [Event::Disk(DiskNews::Failed(_))]), "{:?}", run.events);
    run.retry();
    assert_eq!(run.promised(), Lsn(9));
    let resumed = crate::store::load::load(&mut disk.after_kill(), &super::support::who()).unwrap();
    assert_eq!(resumed.state.journal_seq, Lsn(9));
    assert_eq!(resumed.state.venues, run.store.state().venues);
}
