//! What the benches share: a clock, medians, tables.
//!
//! Never does: judge. A bench prints figures for a person to read; nothing fails because a machine was busy.

#![allow(clippy::disallowed_methods, reason = "a bench is there to read a clock")]
#![allow(dead_code, reason = "each bench uses its part")]

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How long something took, and what came of it.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let result = std::hint::black_box(work());
    (began.elapsed(), result)
}

/// The middle one; zero for none.
pub(crate) fn median(samples: &[Duration]) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// `a / b` with two places, without a float.
pub(crate) fn ratio(a: u128, b: u128) -> String {
    let hundredths = a.saturating_mul(100).checked_div(b.max(1)).unwrap_or(0);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A time in the unit that suits it.
pub(crate) fn shown(time: Duration) -> String {
    let ns = time.as_nanos();
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{} us", ratio(ns, 1_000)),
        _ => format!("{} ms", ratio(ns, 1_000_000)),
    }
}

/// Writes lines to standard output. A reader that hangs up ends the bench's words, not the bench.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// A table: the first row is its head, the first column is to the left.
pub(crate) fn table(title: &str, rows: &[Vec<String>]) {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..n_columns).map(|column| width(column).unwrap_or(0)).collect();
    say(&format!("\n{title}"));
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        say(format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end());
    }
}

/// A row of a table.
pub(crate) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}
