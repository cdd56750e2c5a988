//! Power cuts: before every operation of a save and of an append, with every disk a machine may find afterwards.

use std::collections::BTreeSet;

use super::support::{Run, fold, promised, record, records, report, verdict, who};
use crate::domain::event::Saved;
use crate::domain::order::Lsn;
use crate::domain::settings::Sync;
use crate::store::load::load;
use crate::store::sim_disk::{Lie, SimDisk};
use crate::store::snapshot::STATE;
use crate::store::thread::Message;

/// Two runs with groups, saves, turned segments and a report. Gives what was promised and how much was written.
fn story(disk: &SimDisk, sync: Sync) -> (Lsn, usize) {
    let mut best = Lsn(0);
    for groups in [[1, 2, 4], [3, 1, 2]] {
        let Ok(mut run) = Run::start(disk, sync) else { break };
        for n in groups {
            run.append(n);
        }
        run.work([Message::SaveState]);
        run.append(2);
        run.work([
            Message::Append(Lsn(run.store.state().journal_seq.0 + 1), {
                let next = usize::try_from(run.store.state().journal_seq.0).unwrap();
                Box::new(record(next))
            }),
            Message::SaveState,
            Message::SaveReport(Saved::Draft, Box::new(report(false, super::support::now()))),
        ]);
        run.work([Message::Close]);
        best = best.max(promised(&run.events));
    }
    (best, 40)
}

/// Cuts the power before every operation of the story. Gives the number of disks looked at, or the first that fails.
fn cut_everywhere(sync: Sync, prepare: impl Fn(&SimDisk)) -> Result<usize, String> {
    let whole = SimDisk::new();
    prepare(&whole);
    story(&whole, sync);
    let n_operations = whole.n_operations();
    assert!(n_operations > 60, "the story is too short: {n_operations}");
    let mut seen = BTreeSet::new();
    for cut_at in 0..=n_operations {
        let disk = SimDisk::new();
        prepare(&disk);
        disk.cut_at(cut_at);
        let (promised, n_written) = story(&disk, sync);
        let next = whole.log().get(cut_at).cloned().unwrap_or_default();
        let failed = |how: &str, why: String| format!("cut before operation {cut_at} ({next}), {how}: {why}");
        verdict(&disk.after_kill(), promised, n_written).map_err(|why| failed("killed only", why))?;
        if promised > Lsn(0) {
            let disk = disk.after_kill();
            disk.delete(STATE);
            verdict(&disk, promised, n_written).map_err(|why| failed("killed, then state.json is lost", why))?;
        }
        for (how, image) in disk.images() {
            let promised = if sync == Sync::Cycle { promised } else { Lsn(0) };
            if seen.insert((promised, image.content())) {
                verdict(&image, promised, n_written).map_err(|why| failed(&how, why))?;
            }
        }
        if !disk.offences().is_empty() {
            return Err(failed("offences", disk.offences().join(", ")));
        }
    }
    Ok(seen.len())
}

#[test]
fn a_power_cut_at_any_step_loses_nothing_that_was_promised() {
    let n_images = cut_everywhere(Sync::Cycle, |_| {}).unwrap();
    assert!(n_images > 2_000, "only {n_images} disks were looked at");
}

#[test]
fn a_power_cut_is_survived_on_a_file_system_without_second_names() {
    cut_everywhere(Sync::Cycle, SimDisk::no_links).unwrap();
}

#[test]
fn a_power_cut_is_survived_when_the_disk_takes_a_few_bytes_at_a_time() {
    cut_everywhere(Sync::Cycle, |disk| disk.write_max(700)).unwrap();
}

#[test]
fn without_a_sync_a_killed_process_loses_nothing_and_a_power_cut_breaks_nothing() {
    cut_everywhere(Sync::Os, |_| {}).unwrap();
}

#[test]
fn a_disk_that_does_not_sync_its_files_is_caught() {
    let caught = cut_everywhere(Sync::Cycle, |disk| disk.lie(Lie::FileSync));
    assert!(caught.is_err(), "the checker sees nothing");
}

#[test]
fn a_disk_that_does_not_sync_its_folders_is_caught() {
    let caught = cut_everywhere(Sync::Cycle, |disk| disk.lie(Lie::FolderSync));
    assert!(caught.is_err(), "the checker sees nothing");
}

#[test]
fn a_second_power_cut_during_the_start_after_the_first_loses_nothing() {
    let whole = SimDisk::new();
    story(&whole, Sync::Cycle);
    for first_cut in (20..whole.n_operations()).step_by(11) {
        let disk = SimDisk::new();
        disk.cut_at(first_cut);
        let (promised, n_written) = story(&disk, Sync::Cycle);
        for (how, image) in disk.few_images().into_iter().step_by(3) {
            for second_cut in 0..30 {
                let again = image.after_kill();
                again.cut_at(second_cut);
                let more = Run::start(&again, Sync::Cycle).map_or(Lsn(0), |mut run| {
                    run.append(3);
                    run.promised()
                });
                for (then, image) in again.few_images() {
                    let checked = verdict(&image, promised.max(more), n_written);
                    assert_eq!(checked, Ok(()), "cuts at {first_cut} ({how}) and {second_cut} ({then})");
                }
            }
        }
    }
}

#[test]
fn an_epoch_is_synced_even_where_nothing_else_is() {
    let disk = SimDisk::new();
    let mut run = Run::start(&disk, Sync::Os).unwrap();
    run.append(1);
    assert_eq!(run.promised(), Lsn(1));
    for (how, mut image) in disk.images() {
        let resumed = load(&mut image, &who()).unwrap();
        assert_eq!(resumed.state.epoch, fold(&records(1)).epoch, "{how}");
    }
}
