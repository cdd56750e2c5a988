//! The journal: a record a line, in segments named by the number of their first record.
//!
//! A line is JSON and carries its number, how far the journal was synced when it was written, and a checksum of all
//! of it. The first line of a segment says whose it is.
//!
//! Always holds: a segment appears under its name only with its first line synced; a line is believed only when its
//! checksum holds and its number is the next one.
//! Never does: append to a segment of an earlier run (so a torn end is never built upon), mend a file in place.

use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskError, about, remove_if_there, replace, sha256_hex, write_all};
use crate::domain::order::Lsn;
use crate::domain::record::Record;

/// Where the segments lie.
pub const FOLDER: &str = "journal";
/// The version of the lines' form.
pub const JOURNAL_VERSION: u32 = 1;
/// How many hexadecimal digits of SHA-256 guard a line.
const SUM_DIGITS: usize = 16;

/// Whose a segment is: its first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Form of the lines.
    pub version: u32,
    /// Whose.
    pub instance: String,
    /// The machine it was written on.
    pub host: String,
    /// `PAPER` or `LIVE`.
    pub mode: String,
    /// The number of the first record.
    pub first: Lsn,
}

#[derive(Deserialize)]
struct HeaderLine {
    head: Header,
}

#[derive(Deserialize)]
struct RecordLine {
    seq: Lsn,
    synced: Lsn,
    rec: Record,
}

/// The name of the segment that begins with this record.
pub fn segment_name(first: Lsn) -> String {
    format!("{FOLDER}/{:020}.jsonl", first.0)
}

/// The first record of a segment, from its name without the folder.
pub fn first_of(name: &str) -> Option<Lsn> {
    let digits = name.strip_suffix(".jsonl")?;
    let well_formed = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    well_formed.then(|| digits.parse().ok().map(Lsn)).flatten()
}

/// The first records of all segments, in order.
pub fn segments<D: Disk>(disk: &mut D) -> Result<Vec<Lsn>, DiskError> {
    let listed = match disk.list(FOLDER) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        listed => about(disk, "list", FOLDER, listed)?,
    };
    let mut firsts: Vec<Lsn> = listed.iter().filter_map(|name| first_of(name)).collect();
    firsts.sort();
    Ok(firsts)
}

/// Closes a line that is JSON but for its checksum and last brace.
fn seal(mut line: String) -> String {
    let sum = sha256_hex(line.as_bytes());
    line.push_str(",\"sum\":\"");
    line.push_str(sum.get(..SUM_DIGITS).unwrap_or(&sum));
    line.push_str("\"}\n");
    line
}

/// Checks a line (without its end of line) against its checksum.
fn unseal(line: &[u8]) -> Result<&[u8], &'static str> {
    const MARK: &[u8] = b",\"sum\":\"";
    let ending = MARK.len() + SUM_DIGITS + 2;
    let split = line.len().checked_sub(ending).ok_or("it is too short to be a record")?;
    let (body, end) = line.split_at(split);
    let sum = end.strip_prefix(MARK).and_then(|end| end.strip_suffix(b"\"}"));
    match sum {
        None => Err("it does not end as a record does"),
        Some(sum) if sha256_hex(body).as_bytes().get(..SUM_DIGITS) == Some(sum) => Ok(line),
        Some(_) => Err("its checksum does not fit"),
    }
}

/// The line of a record.
pub fn encode(seq: Lsn, synced: Lsn, record: &Record) -> Result<String, serde_json::Error> {
    let rec = serde_json::to_string(record)?;
    Ok(seal(format!("{{\"seq\":{},\"synced\":{},\"rec\":{rec}", seq.0, synced.0)))
}

fn encode_header(header: &Header) -> Result<String, serde_json::Error> {
    Ok(seal(format!("{{\"head\":{}", serde_json::to_string(header)?)))
}

/// The segment being written.
#[derive(Debug)]
pub struct Segment<F> {
    file: F,
    name: String,
    /// Bytes in it.
    pub n_bytes: u64,
    /// Records in it.
    pub n_records: u64,
    /// Whether something in it is not synced.
    pub dirty: bool,
    /// Everything up to here survives a power cut.
    pub synced: Lsn,
}

impl<F> Segment<F> {
    /// Makes the segment that begins with `header.first`; everything before it is safe already.
    pub fn begin<D: Disk<File = F>>(disk: &mut D, header: &Header) -> Result<Segment<F>, DiskError> {
        let name = segment_name(header.first);
        let encoded = encode_header(header).map_err(std::io::Error::from);
        let line = about(disk, "write", &name, encoded)?;
        let file = replace(disk, &name, line.as_bytes())?;
        Ok(Segment {
            file,
            name,
            n_bytes: line.len() as u64,
            n_records: 0,
            dirty: false,
            synced: Lsn(header.first.0.saturating_sub(1)),
        })
    }

    /// Appends lines. After an error this segment must not be touched again.
    pub fn append<D: Disk<File = F>>(&mut self, disk: &mut D, lines: &str, n_records: u64) -> Result<(), DiskError> {
        self.dirty = true;
        let written = write_all(disk, &mut self.file, lines.as_bytes());
        about(disk, "write", &self.name, written)?;
        self.n_bytes += lines.len() as u64;
        self.n_records += n_records;
        Ok(())
    }

    /// Makes all that was appended survive, up to this record. After an error this segment must not be touched again.
    pub fn sync<D: Disk<File = F>>(&mut self, disk: &mut D, up_to: Lsn) -> Result<(), DiskError> {
        if self.dirty {
            let synced = disk.sync(&mut self.file);
            about(disk, "sync", &self.name, synced)?;
            self.dirty = false;
        }
        self.synced = up_to;
        Ok(())
    }
}

/// Removes the segments that hold nothing after `contained`, and leftovers of segments that never began.
pub fn prune<D: Disk>(disk: &mut D, contained: Lsn) -> Result<(), DiskError> {
    let firsts = segments(disk)?;
    for pair in firsts.windows(2) {
        if let [first, next] = pair
            && next.0 <= contained.0.saturating_add(1)
        {
            remove_if_there(disk, &segment_name(*first))?;
        }
    }
    let listed = disk.list(FOLDER);
    for name in about(disk, "list", FOLDER, listed)? {
        if name.strip_suffix(".new").is_some_and(|name| first_of(name).is_some()) {
            remove_if_there(disk, &format!("{FOLDER}/{name}"))?;
        }
    }
    Ok(())
}

/// A line that was read.
enum Line {
    Record(Lsn, Lsn, Box<Record>),
    Bad { why: String, has_nul: bool },
}

/// A segment that was read.
pub struct ReadSegment {
    /// Whose it is, or why that cannot be told.
    pub header: Result<Header, String>,
    lines: Vec<Line>,
}

/// How reading a segment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Every line was good.
    Whole,
    /// What was being written when the power went: never called durable, cut.
    Torn {
        /// Where, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// What was durable once is broken.
    Damaged {
        /// Where, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// The records of a segment after some point.
pub struct Taken {
    /// In order, without a gap.
    pub records: Vec<(Lsn, Box<Record>)>,
    /// How it ended.
    pub end: End,
    /// Bad lines before the first record that was wanted: they hide nothing.
    pub harmless: Vec<(usize, String)>,
}

impl ReadSegment {
    /// Takes a segment apart.
    pub fn parse(bytes: &[u8]) -> ReadSegment {
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
        let header = match lines.next() {
            None => Err("the file is empty".to_owned()),
            Some(line) => parse_line(line).and_then(|line: HeaderLine| match line.head.version {
                JOURNAL_VERSION => Ok(line.head),
                version => Err(format!("version {version} is not known to this program")),
            }),
        };
        let lines = lines.map(|line| match parse_line(line) {
            Ok(RecordLine { seq, synced, rec }) => Line::Record(seq, synced, Box::new(rec)),
            Err(why) => {
                let has_nul = line.contains(&0);
                Line::Bad { why, has_nul }
            }
        });
        ReadSegment { header, lines: lines.collect() }
    }

    /// The highest number of a record in it, good or not reached.
    pub fn highest(&self) -> Option<Lsn> {
        let number = |line: &Line| match line {
            Line::Record(seq, ..) => Some(*seq),
            Line::Bad { .. } => None,
        };
        self.lines.iter().filter_map(number).max()
    }

    /// The records after `base`, as far as they follow each other.
    pub fn take_after(self, base: Lsn) -> Taken {
        let highest_synced = self.lines.iter().filter_map(|line| match line {
            Line::Record(_, synced, _) => Some(*synced),
            Line::Bad { .. } => None,
        });
        let synced = highest_synced.max().unwrap_or_default();
        let mut taken = Taken { records: Vec::new(), end: End::Whole, harmless: Vec::new() };
        let mut expected = Lsn(base.0.saturating_add(1));
        let mut bad: Vec<(usize, String, bool)> = Vec::new();
        let mut gap = false;
        for (index, line) in self.lines.into_iter().enumerate() {
            let line_number = index + 2; // The header is line 1.
            match line {
                Line::Bad { why, has_nul } => bad.push((line_number, why, has_nul)),
                Line::Record(seq, ..) if seq < expected => {}
                Line::Record(seq, _, record) if seq == expected => {
                    taken.harmless.extend(bad.drain(..).map(|(line, why, _)| (line, why)));
                    taken.records.push((seq, record));
                    expected = Lsn(seq.0.saturating_add(1));
                }
                Line::Record(seq, ..) => {
                    if bad.is_empty() {
                        let why = format!("it holds record {} where {} belongs", seq.0, expected.0);
                        bad.push((line_number, why, false));
                    }
                    gap = true;
                    break;
                }
            }
        }
        let n_bad = bad.len();
        if let Some((line, why, has_nul)) = bad.into_iter().next() {
            // A power cut leaves the last line short, or leaves out whole blocks of a group of lines (they read as
            // zeros). Neither can have been synced; where a later line says it was, this is damage.
            let unsynced = synced < expected;
            let last_line_short = n_bad == 1 && !gap;
            taken.end = if unsynced && (last_line_short || has_nul) {
                End::Torn { line, why }
            } else {
                End::Damaged { line, why }
            };
        }
        taken
    }
}

fn parse_line<'line, T: Deserialize<'line>>(line: &'line [u8]) -> Result<T, String> {
    let Some(line) = line.strip_suffix(b"\n") else {
        return Err("its end is missing".to_owned());
    };
    let line = unseal(line)?;
    // The checksum holds, so this is what was written: by a newer version, if we cannot read it.
    serde_json::from_slice(line).map_err(|error| format!("this version cannot read it ({error})"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::{header, records};
    use super::*;

    fn segment(n: u64, synced: impl Fn(u64) -> u64) -> Vec<u8> {
        let mut text = encode_header(&header(Lsn(1))).unwrap();
        for (seq, record) in (1..).zip(records(n as usize)) {
            text.push_str(&encode(Lsn(seq), Lsn(synced(seq)), &record).unwrap());
        }
        text.into_bytes()
    }

    fn line_starts(bytes: &[u8]) -> Vec<usize> {
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        std::iter::once(0).chain(ends.map(|(index, _)| index + 1)).collect()
    }

    fn taken(bytes: &[u8], base: u64) -> (Vec<u64>, End) {
        let taken = ReadSegment::parse(bytes).take_after(Lsn(base));
        (taken.records.iter().map(|(seq, _)| seq.0).collect(), taken.end)
    }

    #[test]
    fn what_was_written_is_read_back_with_its_owner() {
        let bytes = segment(5, |seq| seq - 1);
        let read = ReadSegment::parse(&bytes);
        assert_eq!(read.header, Ok(header(Lsn(1))));
        let back: Vec<Record> = read.take_after(Lsn(0)).records.into_iter().map(|(_, record)| *record).collect();
        assert_eq!(back, records(5));
        assert_eq!(taken(&bytes, 3), (vec![4, 5], End::Whole));
    }

    #[test]
    fn names_sort_as_numbers_and_strange_names_are_none_of_ours() {
        assert_eq!(first_of("00000000000000000012.jsonl"), Some(Lsn(12)));
        for name in ["12.jsonl", "00000000000000000012.jsonl.new", "+0000000000000000012.jsonl", "x", ""] {
            assert_eq!(first_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_torn_last_line_is_cut_at_every_length() {
        let bytes = segment(3, |seq| seq - 1);
        let starts = line_starts(&bytes);
        for end in starts[3] + 1..starts[4] {
            let (seqs, end) = taken(&bytes[..end], 0);
            assert_eq!(seqs, [1, 2]);
            assert!(matches!(end, End::Torn { line: 4, .. }), "{end:?}");
        }
    }

    #[test]
    fn damage_before_a_later_line_is_named_by_its_line() {
        let bytes = segment(4, |seq| seq - 1);
        let starts = line_starts(&bytes);
        for line in 1..4 {
            let mut bytes = bytes.clone();
            bytes[starts[line] + 9] ^= 1;
            let (seqs, end) = taken(&bytes, 0);
            assert_eq!(seqs.len(), line - 1);
            assert!(matches!(end, End::Damaged { line: at, .. } if at == line + 1), "{end:?}");
        }
    }

    #[test]
    fn a_block_that_never_reached_the_disk_is_torn_only_where_nobody_called_it_durable() {
        for (synced_before, torn) in [(1, true), (2, false)] {
            // Records 2 to 4 were one group when `synced_before` is 1.
            let mut bytes = segment(4, |seq| (seq - 1).min(synced_before));
            let starts = line_starts(&bytes);
            bytes[starts[2]..starts[3]].fill(0);
            let (seqs, end) = taken(&bytes, 0);
            assert_eq!(seqs, [1]);
            assert_eq!(matches!(end, End::Torn { .. }), torn, "{end:?}");
        }
    }

    #[test]
    fn two_broken_last_lines_are_no_torn_end() {
        let mut bytes = segment(4, |_| 0);
        let starts = line_starts(&bytes);
        bytes[starts[3] + 9] ^= 1;
        bytes[starts[4] + 9] ^= 1;
        assert!(matches!(taken(&bytes, 0).1, End::Damaged { line: 4, .. }));
    }

    #[test]
    fn damage_in_what_the_snapshot_holds_already_hides_nothing() {
        let mut bytes = segment(6, |seq| seq - 1);
        let starts = line_starts(&bytes);
        bytes[starts[2] + 9] ^= 1;
        let taken = ReadSegment::parse(&bytes).take_after(Lsn(4));
        assert_eq!(taken.records.iter().map(|(seq, _)| seq.0).collect::<Vec<_>>(), [5, 6]);
        assert_eq!((taken.end, taken.harmless.len()), (End::Whole, 1));
    }

    #[test]
    fn a_missing_or_doubled_or_swapped_line_is_seen() {
        let bytes = segment(4, |seq| seq - 1);
        let starts = line_starts(&bytes);
        let line = |number: usize| &bytes[starts[number]..starts[number + 1]];
        let missing = [line(0), line(1), line(3), line(4)].concat();
        assert!(matches!(taken(&missing, 0).1, End::Damaged { line: 3, .. }));
        let swapped = [line(0), line(2), line(1), line(3)].concat();
        assert!(matches!(taken(&swapped, 0).1, End::Damaged { line: 2, .. }));
        let doubled = [line(0), line(1), line(1), line(2)].concat();
        assert_eq!(taken(&doubled, 0), (vec![1, 2], End::Whole));
    }
}
