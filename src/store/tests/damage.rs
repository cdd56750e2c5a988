//! Broken, missing, swapped, stale and foreign files: each is noticed, none is taken for a fresh start.

use super::support::{INSTANCE, Run, content, fold, live, now, order_id, record, records, report, who};
use crate::domain::ids::{Epoch, Instance};
use crate::domain::order::Lsn;
use crate::domain::settings::{Mode, Sync};
use crate::domain::snapshot::{STATE_VERSION, State};
use crate::store::journal::segment_name;
use crate::store::load::{Identity, Loaded, Refusal, Resumed, load};
use crate::store::report::save_report;
use crate::store::sim_disk::SimDisk;
use crate::store::snapshot::{PREVIOUS, STATE, encode};
use crate::store::thread::{Message, SegmentLimits};

const N_RECORDS: usize = 9;

/// A disk with both generations (0 and 4 records) and a journal that reaches to record 9.
fn used_disk() -> SimDisk {
    let disk = SimDisk::new();
    let mut run = Run::start_with(&disk, Sync::Cycle, SegmentLimits::default()).unwrap();
    run.append(4);
    run.work([Message::SaveState]);
    run.append(3);
    run.append(2);
    disk.after_kill()
}

fn open(disk: &SimDisk) -> Result<Resumed, Refusal> {
    load(&mut disk.clone(), &who())
}

fn is_everything(resumed: &Resumed) -> bool {
    content(&resumed.state) == content(&fold(&records(N_RECORDS)))
}

fn flip(disk: &SimDisk, name: &str, index: usize, bit: u8) {
    let mut bytes = disk.peek(name).unwrap();
    bytes[index] ^= 1 << bit;
    disk.poke(name, &bytes);
}

#[test]
fn an_undamaged_directory_gives_all_of_it_back() {
    let resumed = open(&used_disk()).unwrap();
    assert_eq!(resumed.loaded, Loaded::Good);
    assert_eq!(resumed.next, Lsn(N_RECORDS as u64 + 1));
    assert!(is_everything(&resumed) && resumed.notices.is_empty(), "{:?}", resumed.notices);
}

#[test]
fn a_first_start_is_the_only_one_that_is_absent() {
    let resumed = open(&SimDisk::new()).unwrap();
    assert_eq!((resumed.loaded, resumed.next), (Loaded::Absent, Lsn(1)));
}

#[test]
fn every_flipped_bit_of_the_state_is_noticed_and_costs_nothing() {
    let disk = used_disk();
    let n_bytes = disk.peek(STATE).unwrap().len();
    for index in 0..n_bytes {
        let disk = disk.after_kill();
        flip(&disk, STATE, index, (index % 8) as u8);
        let resumed = open(&disk).unwrap();
        assert!(matches!(resumed.loaded, Loaded::Older(_)), "byte {index}: {:?}", resumed.loaded);
        assert!(is_everything(&resumed), "byte {index}");
    }
}

#[test]
fn every_truncation_of_the_state_is_noticed_and_costs_nothing() {
    let disk = used_disk();
    let bytes = disk.peek(STATE).unwrap();
    for length in 0..bytes.len() {
        let disk = disk.after_kill();
        disk.poke(STATE, &bytes[..length]);
        let resumed = open(&disk).unwrap();
        assert!(matches!(resumed.loaded, Loaded::Older(_)), "length {length}: {:?}", resumed.loaded);
        assert!(is_everything(&resumed), "length {length}");
    }
}

/// What is left of the journal after damage to it, by the caller's own count.
fn check_journal_damage(disk: &SimDisk, case: &str) {
    let resumed = open(disk).unwrap_or_else(|refusal| panic!("{case}: {refusal}"));
    let n = usize::try_from(resumed.state.journal_seq.0).unwrap();
    assert!(n >= 4, "{case}: state.json alone holds 4");
    match &resumed.loaded {
        Loaded::Damaged(why) => {
            assert!(why.contains("journal/") && why.contains("line "), "{case}: {why}");
            assert_eq!(resumed.state.misfits, 0, "{case}");
        }
        Loaded::Good | Loaded::Older(_) => {
            assert_eq!(content(&resumed.state), content(&fold(&records(n))), "{case}");
            let noticed = !resumed.notices.is_empty();
            assert!(n == N_RECORDS || noticed, "{case}: {n} records, nothing noticed");
        }
        Loaded::Absent => panic!("{case}: a fresh start"),
    }
}

#[test]
fn every_flipped_bit_of_the_journal_is_noticed_or_harmless() {
    let disk = used_disk();
    let name = segment_name(Lsn(1));
    let bytes = disk.peek(&name).unwrap();
    let (mut n_damaged, mut n_quiet) = (0, 0);
    for index in 0..bytes.len() {
        let disk = disk.after_kill();
        flip(&disk, &name, index, (index % 8) as u8);
        check_journal_damage(&disk, &format!("byte {index}"));
        let resumed = open(&disk).unwrap();
        n_damaged += u32::from(matches!(resumed.loaded, Loaded::Damaged(_)));
        n_quiet += u32::from(resumed.notices.is_empty());
    }
    assert!(n_damaged > 500, "{n_damaged}");
    assert_eq!(n_quiet, 0, "flips that nobody noticed");
}

#[test]
fn every_truncation_of_the_journal_gives_a_state_that_was() {
    let disk = used_disk();
    let name = segment_name(Lsn(1));
    let bytes = disk.peek(&name).unwrap();
    for length in 0..bytes.len() {
        let disk = disk.after_kill();
        disk.poke(&name, &bytes[..length]);
        let resumed = open(&disk).unwrap();
        let n = usize::try_from(resumed.state.journal_seq.0).unwrap();
        assert!(n >= 4 && resumed.loaded != Loaded::Absent, "length {length}");
        assert_eq!(content(&resumed.state), content(&fold(&records(n))), "length {length}");
        let at_an_end_of_line = length > 0 && bytes[length - 1] == b'\n';
        assert!(at_an_end_of_line || !resumed.notices.is_empty(), "length {length}: nothing noticed");
    }
}

#[test]
fn damage_in_the_middle_is_named_with_file_and_line_and_the_rest_goes_on_from_before_it() {
    let disk = used_disk();
    let name = segment_name(Lsn(1));
    let bytes = disk.peek(&name).unwrap();
    let line_7 = bytes.split_inclusive(|&byte| byte == b'\n').take(6).map(<[u8]>::len).sum::<usize>();
    flip(&disk, &name, line_7 + 20, 0);
    let resumed = open(&disk).unwrap();
    let Loaded::Damaged(why) = &resumed.loaded else { panic!("{:?}", resumed.loaded) };
    assert!(why.contains(&format!("{name}, line 7")), "{why}");
    // Record 6 is on line 7, after the line that says whose the file is.
    assert_eq!(resumed.state.orders, fold(&records(5)).orders);
    assert_eq!(resumed.next, Lsn(N_RECORDS as u64 + 1), "a number is never given twice");

    // A run that goes on all the same keeps the evidence and is whole afterwards.
    let mut run = Run::start(&disk, Sync::Cycle).unwrap();
    run.append(1);
    let aside = run.disk.names().into_iter().find(|file| file.starts_with(&format!("{name}.broken.")));
    assert_eq!(run.disk.peek(&aside.unwrap()).unwrap().len(), bytes.len());
    let again = open(&run.disk.after_kill()).unwrap();
    assert_eq!((again.loaded, again.next), (Loaded::Good, Lsn(N_RECORDS as u64 + 2)));
}

#[test]
fn a_power_cut_while_damage_is_set_right_costs_no_good_record() {
    let name = segment_name(Lsn(1));
    let start = |cut_at: usize| {
        let disk = used_disk();
        let bytes = disk.peek(&name).unwrap();
        let line_7 = bytes.split_inclusive(|&byte| byte == b'\n').take(6).map(<[u8]>::len).sum::<usize>();
        flip(&disk, &name, line_7 + 20, 0);
        disk.cut_at(cut_at);
        let _ = Run::start(&disk, Sync::Cycle);
        disk
    };
    let n_operations = start(usize::MAX).n_operations();
    assert!(n_operations > 20, "{n_operations}");
    for cut_at in 0..=n_operations {
        for (how, image) in start(cut_at).few_images() {
            let resumed = open(&image).unwrap();
            let known = fold(&records(5));
            assert_eq!(resumed.state.orders, known.orders, "cut at {cut_at}, {how}");
            assert_eq!(resumed.state.venues, known.venues, "cut at {cut_at}, {how}");
        }
    }
}

#[test]
fn a_torn_tail_is_cut_said_and_no_reason_for_doubt() {
    let disk = used_disk();
    let name = segment_name(Lsn(1));
    let mut bytes = disk.peek(&name).unwrap();
    bytes.truncate(bytes.len() - 5);
    disk.poke(&name, &bytes);
    let resumed = open(&disk).unwrap();
    assert_eq!((resumed.loaded, resumed.next), (Loaded::Good, Lsn(N_RECORDS as u64)));
    assert!(resumed.notices[0].contains(&name) && resumed.notices[0].contains("cut"), "{:?}", resumed.notices);
    // Its number is used again, and the torn line never comes back.
    let mut run = Run::start(&disk, Sync::Cycle).unwrap();
    run.append(1);
    let again = open(&run.disk.after_kill()).unwrap();
    assert!(is_everything(&again) && again.loaded == Loaded::Good, "{:?}", again.notices);
}

#[test]
fn a_damaged_state_is_moved_aside_and_the_one_before_it_is_used() {
    let disk = used_disk();
    let mut bytes = disk.peek(STATE).unwrap();
    bytes[100] ^= 4;
    disk.poke(STATE, &bytes);
    let run = Run::start(&disk, Sync::Cycle).unwrap();
    assert_eq!(content(run.store.state()), content(&fold(&records(N_RECORDS))));
    assert_eq!(disk.peek(&format!("{STATE}.broken.{}", now())), Some(bytes));
    assert_eq!(open(&disk.after_kill()).unwrap().loaded, Loaded::Good);
}

#[test]
fn missing_damaged_and_unreadable_are_three_answers() {
    let missing = used_disk();
    missing.delete(STATE);
    let resumed = open(&missing).unwrap();
    assert!(matches!(&resumed.loaded, Loaded::Older(why) if why.contains("missing")), "{:?}", resumed.loaded);
    assert!(is_everything(&resumed));

    let damaged = used_disk();
    damaged.poke(STATE, b"{}");
    let resumed = open(&damaged).unwrap();
    assert!(matches!(&resumed.loaded, Loaded::Older(why) if why.contains("damaged")), "{:?}", resumed.loaded);

    let unreadable = used_disk();
    unreadable.fail(crate::store::sim_disk::Fault {
        at: 0,
        n: 1,
        error: 13, // EACCES
    });
    assert!(matches!(open(&unreadable), Err(Refusal::Unreadable(_))));
}

#[test]
fn the_journal_alone_gives_the_state_where_it_reaches_back_to_the_beginning() {
    let disk = used_disk();
    disk.delete(STATE);
    disk.poke(PREVIOUS, b"rubbish");
    let resumed = open(&disk).unwrap();
    assert!(matches!(resumed.loaded, Loaded::Older(_)), "{:?}", resumed.loaded);
    assert!(is_everything(&resumed));
}

#[test]
fn files_that_give_no_state_are_refused_and_never_a_fresh_start() {
    for (state, previous, journal) in
        [(true, true, false), (true, false, false), (false, true, false), (false, false, true)]
    {
        let disk = SimDisk::new();
        if state {
            disk.poke(STATE, b"rubbish");
        }
        if previous {
            disk.poke(PREVIOUS, b"");
        }
        if journal {
            let mut run = Run::start(&disk, Sync::Cycle).unwrap();
            run.append(9);
            run.append(9);
            let firsts: Vec<String> = disk.names().into_iter().filter(|name| name.starts_with("journal/")).collect();
            assert!(!firsts.contains(&segment_name(Lsn(1))), "{firsts:?}");
            disk.delete(STATE);
            disk.delete(PREVIOUS);
        }
        assert!(matches!(open(&disk), Err(Refusal::NothingWhole(_))), "{state} {previous} {journal}");
    }
}

#[test]
fn a_state_that_vanished_is_told_from_a_first_start_by_what_else_is_there() {
    let mut disk = SimDisk::new();
    save_report(&mut disk, &report(true, now())).unwrap();
    let unnamed = Identity { instance: None, ..who() };
    let resumed = load(&mut disk, &unnamed).unwrap();
    assert!(matches!(resumed.loaded, Loaded::Damaged(_)), "{:?}", resumed.loaded);
    assert_eq!((resumed.instance.as_str(), resumed.state.epoch), (INSTANCE, Epoch(77)));

    let disk = SimDisk::new();
    disk.poke("state.json.broken.2026", b"");
    assert!(matches!(open(&disk).unwrap().loaded, Loaded::Damaged(_)));
}

#[test]
fn a_missing_segment_is_a_gap_and_no_later_record_is_folded_in() {
    let disk = SimDisk::new();
    let mut run = Run::start(&disk, Sync::Cycle).unwrap();
    for _ in 0..4 {
        run.append(2);
    }
    let disk = disk.after_kill();
    let journal: Vec<String> = disk.names().into_iter().filter(|name| name.starts_with("journal/")).collect();
    assert!(journal.len() >= 2, "{journal:?}");
    // Without state.json the one before it needs the older segment.
    disk.delete(STATE);
    disk.delete(&journal[0]);
    let resumed = open(&disk).unwrap();
    assert!(matches!(&resumed.loaded, Loaded::Damaged(why) if why.contains("missing")), "{:?}", resumed.loaded);
    assert_eq!(resumed.state.misfits, 0);

    let disk = used_disk();
    disk.delete(&segment_name(Lsn(1)));
    assert!(matches!(open(&disk).unwrap().loaded, Loaded::Damaged(_)));
}

#[test]
fn a_stale_state_in_the_place_of_the_newest_is_noticed() {
    let disk = used_disk();
    let (newest, previous) = (disk.peek(STATE).unwrap(), disk.peek(PREVIOUS).unwrap());
    disk.poke(STATE, &previous);
    disk.poke(PREVIOUS, &newest);
    let resumed = open(&disk).unwrap();
    assert!(matches!(&resumed.loaded, Loaded::Older(why) if why.contains("older")), "{:?}", resumed.loaded);
    assert!(is_everything(&resumed));
}

fn poked(change: impl FnOnce(&mut State)) -> SimDisk {
    let disk = used_disk();
    let mut state = open(&disk).unwrap().state;
    state.generation = 100;
    change(&mut state);
    disk.poke(STATE, &encode(&state).unwrap());
    disk
}

#[test]
fn what_belongs_to_another_is_refused_in_words() {
    let newer = poked(|state| state.version = STATE_VERSION + 1);
    assert!(matches!(open(&newer), Err(Refusal::Newer { .. })));
    let instance = poked(|state| state.instance = "0th3".into());
    let refusal = open(&instance).unwrap_err();
    assert!(matches!(&refusal, Refusal::OtherInstance { theirs, .. } if theirs == "0th3"), "{refusal}");
    assert!(matches!(load(&mut used_disk(), &live()), Err(Refusal::OtherMode { .. })));

    let host = |mode: Mode| {
        let disk = SimDisk::new();
        let mut state = fold(&records(3));
        state.host = "there".into();
        state.mode = mode.word().into();
        disk.poke(STATE, &encode(&state).unwrap());
        load(&mut disk.clone(), &Identity { mode, ..who() })
    };
    assert!(matches!(host(Mode::Live), Err(Refusal::OtherHost { .. })));
    let moved = host(Mode::Paper).unwrap();
    assert_eq!(moved.state.host, who().host);
    assert!(moved.notices.iter().any(|notice| notice.contains("there")), "{:?}", moved.notices);
}

#[test]
fn a_segment_of_another_instance_is_not_folded_in() {
    let disk = used_disk();
    let name = segment_name(Lsn(1));
    let text = String::from_utf8(disk.peek(&name).unwrap()).unwrap();
    let foreign = SimDisk::new();
    let other = Identity { instance: Some(Instance::from_chance(9)), ..who() };
    let resumed = load(&mut foreign.clone(), &other).unwrap();
    crate::store::thread::Store::open(foreign.clone(), resumed, Sync::Cycle, SegmentLimits::default(), now);
    let header = String::from_utf8(foreign.peek(&name).unwrap()).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    disk.poke(&name, format!("{header}{rest}").as_bytes());
    assert!(matches!(open(&disk), Err(Refusal::OtherInstance { .. })));
    let unnamed = Identity { instance: None, ..who() };
    let resumed = load(&mut disk.clone(), &unnamed).unwrap();
    assert!(matches!(resumed.loaded, Loaded::Damaged(_)), "{:?}", resumed.loaded);
}

#[test]
fn an_instance_is_drawn_once_and_kept() {
    let disk = SimDisk::new();
    let unnamed = |chance: u32| Identity { instance: None, chance, ..who() };
    let resumed = load(&mut disk.clone(), &unnamed(1)).unwrap();
    let drawn = resumed.instance;
    crate::store::thread::Store::open(disk.clone(), resumed, Sync::Cycle, SegmentLimits::default(), now);
    let again = load(&mut disk.clone(), &unnamed(2)).unwrap();
    assert_eq!(again.instance, drawn);
    assert_ne!(Instance::from_chance(1), Instance::from_chance(2));
}

#[test]
fn a_record_of_a_newer_program_is_damage_and_not_skipped() {
    let disk = used_disk();
    let name = segment_name(Lsn(1));
    let mut text = String::from_utf8(disk.peek(&name).unwrap()).unwrap();
    let body = format!("{{\"seq\":10,\"synced\":9,\"rec\":{{\"kind\":\"marvel\",\"id\":\"{}\"}}", order_id(1));
    let sum = crate::store::disk::sha256_hex(body.as_bytes());
    text.push_str(&format!("{body},\"sum\":\"{}\"}}\n", &sum[..16]));
    text.push_str(&crate::store::journal::encode(Lsn(11), Lsn(10), &record(11)).unwrap());
    disk.poke(&name, text.as_bytes());
    let resumed = open(&disk).unwrap();
    assert!(matches!(&resumed.loaded, Loaded::Damaged(why) if why.contains("version")), "{:?}", resumed.loaded);
}
