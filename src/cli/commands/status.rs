//! `status`: how the running trader stands.

use std::time::Duration;

use super::steer::tell_why;
use crate::cli::console::Console;
use crate::cli::exit;
use crate::cli::place::Place;
use crate::control::client::ask;
use crate::domain::command::{Command, CommandAnswer};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Prints what the trader answers; with `is_probe` the exit code says whether it is ready.
pub fn status(place: &Place, is_json: bool, is_probe: bool, console: &mut Console<'_>) -> u8 {
    match ask(&place.socket(), &Command::Status, TIMEOUT) {
        Ok(answer) => told(&answer, is_json, is_probe, console),
        Err(why) => tell_why(&why, place, TIMEOUT, console),
    }
}

fn told(answer: &CommandAnswer, is_json: bool, is_probe: bool, console: &mut Console<'_>) -> u8 {
    let is_ready = answer.data.get("ready").and_then(serde_json::Value::as_bool) == Some(true);
    if is_json {
        // A value made of JSON can be written as JSON.
        let text = serde_json::to_string_pretty(&answer.data).unwrap_or_else(|error| error.to_string());
        console.say(&text);
    } else if is_probe {
        console.say(if is_ready { "ready" } else { "not ready" });
        if !is_ready {
            console.tell(&answer.text);
        }
    } else {
        console.say(&answer.text);
    }
    if !answer.ok || (is_probe && !is_ready) { exit::FAILED } else { exit::DONE }
}
