//! `pause`, `resume`, `cancel-all`, `stop`, `restart`: a word to the running trader, and its answer.

use std::time::Duration;

use crate::cli::console::Console;
use crate::cli::place::{Place, shown};
use crate::cli::{exit, state_dir};
use crate::control::client::{AskError, ask};
use crate::domain::command::Command;

/// A word that is obeyed at once.
const SHORT: Duration = Duration::from_secs(10);
/// A word that is answered after every order was cancelled and that was proved.
const LONG: Duration = Duration::from_secs(120);

/// Says it, prints the answer.
pub fn steer(place: &Place, command: &Command, console: &mut Console<'_>) -> u8 {
    let timeout = match command {
        Command::Pause { keep_orders: false } | Command::CancelAll => LONG,
        Command::Pause { keep_orders: true }
        | Command::Status
        | Command::Resume
        | Command::Rearm
        | Command::Stop
        | Command::Restart => SHORT,
    };
    match ask(&place.socket(), command, timeout) {
        Ok(answer) if answer.ok => {
            console.say(&answer.text);
            exit::DONE
        }
        Ok(answer) => {
            console.tell(&answer.text);
            exit::FAILED
        }
        Err(why) => tell_why(&why, place, timeout, console),
    }
}

/// Says why there is no answer, and what to do.
pub(super) fn tell_why(why: &AskError, place: &Place, timeout: Duration, console: &mut Console<'_>) -> u8 {
    let text = match why {
        AskError::NotRunning { socket } => not_running(place, &shown(socket)),
        AskError::Silent { .. } => {
            let mut text = format!(
                "The {} trader in {} did not answer within {} s.",
                place.mode.word(),
                shown(&place.state_dir),
                timeout.as_secs()
            );
            if let Some(pid) = state_dir::pid(&place.state_dir) {
                text.push_str(&format!("\nIt still obeys a signal: kill -TERM {pid}"));
            }
            text
        }
        AskError::Broken(why) => format!("Asking the {} trader did not work: {why}.", place.mode.word()),
    };
    console.tell(&text);
    exit::FAILED
}

fn not_running(place: &Place, socket: &str) -> String {
    let mut text = format!("No {} trader is running here: nobody listens at {socket}.", place.mode.word());
    let others = place.other_modes_here();
    if others.is_empty() {
        text.push_str("\nStart one with: lastorders run. For one elsewhere name its --state-dir.");
    }
    for mode in others {
        text.push_str(&format!("\nThere is a socket of a {0} trader: add --mode {0}.", mode.word()));
    }
    let open = state_dir::open_orders(&place.state_dir);
    if !open.is_empty() {
        text.push_str(&state_dir::open_orders_warning(&open));
    }
    text
}
