//! Any state directory: what a start makes of it.
//!
//! A line that begins with `=` begins a file: `=state`, `=prev`, `=report`, `=older`, `=journal <first record>`, `=broken`.
//! The lines that follow are its content. The checksums, which no chance would ever hit, are put on here: over the body of
//! a state and over each line of a journal. A `!` behind the name leaves the file as it stands.
//!
//! Must hold: reading changes nothing and gives the same again; where any file lay there is no fresh start; what a store
//! then calls durable is found by the next start, and so is the state as the store had it.

use std::collections::BTreeMap;

use lastorders::domain::event::Event;
use lastorders::domain::order::Lsn;
use lastorders::domain::record::Record;
use lastorders::domain::settings::{Mode, Sync};
use lastorders::domain::snapshot::State;
use lastorders::sim::disk::MemoryDisk;
use lastorders::store::journal::segment_name;
use lastorders::store::load::{Identity, Loaded, Resumed, load};
use lastorders::store::snapshot::{PREVIOUS, STATE};
use lastorders::store::thread::{Message, SegmentLimits, Store};
use lastorders::store::{Disk, load_report};
use ring::digest;

use crate::accounts::NOW;
use crate::script::{lines, number_or, word};

const LAST_LINE_START: &str = "  \"checksum\": \"";

/// Runs one input.
pub fn check(input: &[u8]) {
    let files = files(input);
    let disk = disk(&files);
    let read = |disk: &MemoryDisk| load(&mut disk.clone(), &who());
    let first = read(&disk);
    for (name, bytes) in &files {
        assert_eq!(disk.file(name).as_ref(), Some(bytes), "reading changed {name}");
    }
    let again = read(&disk);
    match (&first, &again) {
        (Ok(first), Ok(again)) => assert_eq!(shown(first), shown(again), "read twice"),
        (Err(first), Err(again)) => assert_eq!(first.to_string(), again.to_string(), "read twice"),
        (first, again) => panic!("{first:?} and {again:?}"),
    }
    let _ = load_report(&mut disk.clone());
    let Ok(resumed) = first else { return };
    assert!(files.is_empty() || resumed.loaded != Loaded::Absent, "a fresh start among files");
    // Numbers at the very end of the range are no start that can be gone on from.
    if resumed.next.0 < u64::MAX / 2 {
        goes_on(&disk, resumed);
    }
}

/// A run on what was found, a save, a crash, and the next start.
fn goes_on(disk: &MemoryDisk, resumed: Resumed) {
    let lsn = resumed.next;
    let mut store = Store::open(disk.clone(), resumed, Sync::Cycle, SegmentLimits::default(), || NOW);
    assert_eq!(store.refused(), None, "the disk is good");
    let mut durable = Lsn(0);
    let mut note = |event: Event| {
        if let Event::Durable(news) = event {
            durable = durable.max(news.up_to());
        }
    };
    let record = |n: i64| Record::Cursor { venue: "fuzz".into(), booked_to: NOW.plus_millis(n) };
    store.work([Message::Append(lsn, Box::new(record(1))), Message::SaveState], &mut note);
    let next = Lsn(lsn.0 + 1);
    store.work([Message::Append(next, Box::new(record(2)))], &mut note);
    assert_eq!(durable, next, "two records on a good disk");
    let resumed = load(&mut disk.clone(), &who()).unwrap_or_else(|refusal| panic!("its own files: {refusal}"));
    assert_eq!(resumed.loaded, Loaded::Good, "its own files: {:?}", resumed.notices);
    assert_eq!(resumed.next, Lsn(next.0 + 1), "a durable record is gone");
    let content = |state: &State| State { generation: 0, saved_at: NOW, ..state.clone() };
    assert_eq!(content(&resumed.state), content(store.state()), "another state than the store had");
}

fn who() -> Identity {
    Identity { instance: "test".parse().ok(), host: "fuzz".into(), mode: Mode::Paper, chance: 1 }
}

fn shown(resumed: &Resumed) -> String {
    format!("{resumed:?}")
}

/// The files an input describes. Of two with one name the last counts.
fn files(input: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut current: Option<(String, bool)> = None;
    let mut content: Vec<String> = Vec::new();
    for line in lines(input).chain(["=end".to_owned()]) {
        let Some(head) = line.strip_prefix('=') else {
            content.push(line);
            continue;
        };
        if let Some((name, is_raw)) = current.take() {
            let bytes = if is_raw { content.join("\n").into_bytes() } else { whole(&name, &content) };
            files.insert(name, bytes);
        }
        content.clear();
        let is_raw = head.ends_with('!');
        let (kind, number) = word(head.trim_end_matches('!'));
        let name = match kind {
            "state" => STATE.to_owned(),
            "prev" => PREVIOUS.to_owned(),
            "report" => "last_shutdown.json".to_owned(),
            "older" => "shutdowns/2026-11-20T10:11:12.123Z.json".to_owned(),
            "broken" => "state.json.broken.2026-11-20T10:11:12.123Z".to_owned(),
            "journal" => segment_name(Lsn(number_or(number, 1))),
            _ => continue,
        };
        current = Some((name, is_raw));
    }
    files
}

/// A file's content with its checksums.
fn whole(name: &str, content: &[String]) -> Vec<u8> {
    match name {
        STATE | PREVIOUS => {
            let body = content.join("\n");
            let body = body.trim_end().strip_suffix('}').unwrap_or(&body).trim_end();
            let body = format!("{body},\n");
            let sum = sum_of(&body);
            format!("{body}{LAST_LINE_START}{sum}\"}}\n").into_bytes()
        }
        name if name.starts_with("journal/") => {
            let sealed = content.iter().filter(|line| !line.is_empty()).map(|line| {
                let body = line.trim_end().strip_suffix('}').unwrap_or(line);
                let sum = sum_of(body);
                format!("{body},\"sum\":\"{}\"}}\n", &sum[..16])
            });
            sealed.collect::<String>().into_bytes()
        }
        _ => content.join("\n").into_bytes(),
    }
}

fn sum_of(text: &str) -> String {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn disk(files: &BTreeMap<String, Vec<u8>>) -> MemoryDisk {
    let mut disk = MemoryDisk::default();
    for (name, bytes) in files {
        let file = disk.create(name);
        let written = file.and_then(|mut file| disk.write(&mut file, bytes));
        assert_eq!(written.ok(), Some(bytes.len()), "a disk in memory");
    }
    disk
}
