//! `report`: what the last stop did.

use std::io::ErrorKind;

use crate::cli::console::Console;
use crate::cli::exit;
use crate::cli::place::{Place, shown};
use crate::cli::state_dir::{REPORT, counted};
use crate::domain::report::{OrderLine, Report};

/// Prints the last report.
pub fn report(place: &Place, is_json: bool, console: &mut Console<'_>) -> u8 {
    let path = place.state_dir.join(REPORT);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            console.tell(&format!(
                "There is no report in {}: no {} trader has stopped there yet.",
                shown(&place.state_dir),
                place.mode.word()
            ));
            return exit::FAILED;
        }
        Err(error) => {
            console.tell(&format!("{} cannot be read: {error}.", shown(&path)));
            return exit::FAILED;
        }
    };
    if is_json {
        console.say(&text);
        return exit::DONE;
    }
    match serde_json::from_str::<Report>(&text) {
        Ok(report) => {
            console.say(&page(&report));
            console.say(&format!("  file        {}", shown(&path)));
            exit::DONE
        }
        Err(error) => {
            console.tell(&format!(
                "{} is not a whole report: {error}.\nlastorders report --json prints it as it is.",
                shown(&path)
            ));
            exit::FAILED
        }
    }
}

/// The report for a person.
pub fn page(report: &Report) -> String {
    let mut lines = vec![
        format!("Stop of {}, {} trader {}, epoch {}", report.started_at, report.mode, report.instance, report.epoch),
        String::new(),
        format!("  result      {}", result(report)),
        format!("  reason      {}{}", report.reason, signals(report)),
        format!("  took        {}", seconds(report.duration_ms)),
        format!("  orders      {}", orders(report)),
        format!("  proof       {}", proof(report)),
    ];
    lines.push(format!("  positions   {}", positions(report)));
    lines.push(format!("  state file  {}", if report.state_flushed { "written" } else { "NOT WRITTEN" }));
    if report.swept_by != "trader" {
        lines.push(format!("  swept by    {}", report.swept_by));
    }
    if !report.tasks.late.is_empty() {
        lines.push(format!("  late        {}", report.tasks.late.join(", ")));
    }
    if !report.pending_jobs.is_empty() {
        lines.push(format!("  unfinished  {}", report.pending_jobs.join(", ")));
    }
    named(&mut lines, "that may be open", &report.orders.remaining);
    named(&mut lines, "kept on purpose", &report.orders.kept);
    lines.push(String::new());
    for (number, step) in report.steps.iter().enumerate() {
        let mark = if step.ok { "ok" } else { "BAD" };
        let number = number + 1;
        lines.push(
            format!("  {number:>2} {:<12} {mark:<4}{:>9}  {}", step.name, seconds(step.ms), step.note)
                .trim_end()
                .to_owned(),
        );
    }
    lines.push(String::new());
    lines.join("\n")
}

/// One line: how it ended.
pub fn result(report: &Report) -> String {
    let code = report.exit_code;
    if !report.complete {
        return format!("THE STOP DID NOT COME TO ITS END (exit code {code}): the last draft is shown");
    }
    match code {
        0 => "clean (exit code 0)".to_owned(),
        3 => "ORDERS OF OURS ARE OR MAY BE OPEN (exit code 3)".to_owned(),
        75 => "clean, a restart was wanted (exit code 75)".to_owned(),
        _ => format!("exit code {code}"),
    }
}

fn signals(report: &Report) -> String {
    let mut parts = Vec::new();
    if let Some(signal) = report.signal.as_ref().filter(|signal| **signal != report.reason) {
        parts.push(signal.clone());
    }
    if report.signals_repeated > 0 {
        parts.push(format!("{} after it", counted(report.signals_repeated as usize, "more signal")));
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

fn orders(report: &Report) -> String {
    let counts = &report.orders;
    let mut parts = vec![
        format!("{} found", counts.found),
        format!("{} canceled", counts.canceled),
        format!("{} filled meanwhile", counts.filled_meanwhile),
    ];
    if counts.unsent > 0 {
        parts.push(format!("{} never sent", counts.unsent));
    }
    if counts.cancel_errors > 0 {
        parts.push(counted(counts.cancel_errors as usize, "cancel error"));
    }
    if !counts.kept.is_empty() {
        parts.push(format!("{} kept", counts.kept.len()));
    }
    parts.push(format!("{} remaining", counts.remaining.len()));
    parts.join(", ")
}

fn proof(report: &Report) -> String {
    let proof = &report.proof;
    if !proof.proved {
        let missing = if proof.missing.is_empty() { "nothing was shown".to_owned() } else { proof.missing.join("; ") };
        return format!("NONE ({}): {missing}", proof.grade);
    }
    format!("{}, {}", proof.grade, counted(proof.listings as usize, "listing"))
}

fn positions(report: &Report) -> String {
    if report.positions.is_empty() {
        return "none".to_owned();
    }
    let held = report.positions.iter().map(|position| {
        let worth = match (&position.notional, &position.mark) {
            (Some(notional), Some(mark)) => format!(" ({} at {mark})", notional.truncated(2).with_places(2)),
            _ => String::new(),
        };
        format!("{} {}{worth}", position.symbol, position.qty)
    });
    held.collect::<Vec<String>>().join(", ")
}

fn named(lines: &mut Vec<String>, title: &str, orders: &[OrderLine]) {
    if orders.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(format!("  {} {title}:", counted(orders.len(), "order")));
    for order in orders {
        let venue_id = order.venue_order_id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        lines.push(format!(
            "    {} {} {} order_id={venue_id} {}: {}",
            order.venue,
            order.symbol,
            order.client_order_id,
            order.state.word(),
            order.why
        ));
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1_000, ms % 1_000)
}
