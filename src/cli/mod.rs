//! Ring 4. Arguments, configuration, one file per command.
//!
//! Always holds: usage and configuration errors end with 2 before anything is touched; a closed pipe ends nothing; no
//! secret is printed.
//! Never does: trade. A run is handed to the launcher, which is the runtime.

pub mod args;
pub mod banner;
pub mod commands;
pub mod config;
pub mod console;
pub mod environment;
pub mod grace;
pub mod place;
pub mod ready;
pub mod secrets;
pub mod state_dir;
#[cfg(test)]
mod tests;

use std::ffi::OsString;

use clap::Parser;

use self::args::{Arguments, Command};
use self::commands::doctor::{Looking, Open};
use self::commands::run::Starter;
use self::config::refusal::{Refusal, told};
use self::console::Console;
use self::environment::Env;
use self::place::Place;
use self::ready::Given;
use self::secrets::{Keys, Vault};
use crate::domain::settings::Settings;

/// Exit codes (the same table stands in the help).
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// It could not be done.
    pub const FAILED: u8 = 1;
    /// The command line or the configuration is wrong.
    pub const USAGE: u8 = 2;
    /// A restart is wanted.
    pub const RESTART: u8 = 75;
}

/// The whole program: what it was called with, its environment, where secrets lie, the function that trades, and a way
/// to ask a venue. Gives the exit code.
pub fn main_with(
    args: impl IntoIterator<Item = OsString>,
    env: &Env,
    vault: Vault<'_>,
    launcher: &dyn Fn(Settings, Keys) -> u8,
    open: &Open<'_>,
) -> u8 {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut console = Console::new(&mut out, &mut err).with_colours_of_this_process(env);
    let args: Vec<OsString> = args.into_iter().collect();
    let starter = Starter { launcher, again: &|| commands::run::begin_again(&args), open };
    dispatch(&args, (env, vault), &starter, &mut console)
}

/// Runs the command that the arguments name.
pub fn dispatch(
    args: &[OsString],
    (env, vault): (&Env, Vault<'_>),
    starter: &Starter<'_>,
    console: &mut Console<'_>,
) -> u8 {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error, console),
    };
    let global = &arguments.global;
    let file = config::file_of(global.config.as_deref(), env);
    let place = Place::of(global.mode.as_deref(), global.state_dir.as_deref(), env);
    let given = Given { file: file.as_deref(), place: &place, env, vault };
    match &arguments.command {
        Command::Run { no_guard } => commands::run::run(&given, *no_guard, starter, console),
        Command::Trade => commands::run::run(&given, true, starter, console),
        Command::Config => commands::config::config(&given, console),
        Command::Doctor { offline } => {
            let looking = Looking { is_offline: *offline, open: starter.open };
            commands::doctor::doctor(&given, &looking, console)
        }
        Command::Init => commands::init::init(global.config.as_deref(), console),
        Command::Exchange(arguments) => commands::exchange::exchange(arguments, console),
        Command::Completions { shell } => commands::completions::completions(*shell, console),
        command => match &place {
            Ok(place) => with_place(command, place, console),
            Err(refusal) => refuse(std::slice::from_ref(refusal.as_ref()), console),
        },
    }
}

/// Commands that need to know which trader is meant, and nothing else.
fn with_place(command: &Command, place: &Place, console: &mut Console<'_>) -> u8 {
    use crate::domain::command::Command as Ask;
    match command {
        Command::Status { json, ready } => commands::status::status(place, *json, *ready, console),
        Command::Pause { keep_orders } => {
            let ask = Ask::Pause { keep_orders: *keep_orders };
            commands::steer::steer(place, &ask, console)
        }
        Command::Resume => commands::steer::steer(place, &Ask::Resume, console),
        Command::CancelAll => commands::steer::steer(place, &Ask::CancelAll, console),
        Command::Rearm => commands::steer::steer(place, &Ask::Rearm, console),
        Command::Stop => commands::steer::steer(place, &Ask::Stop, console),
        Command::Restart => commands::steer::steer(place, &Ask::Restart, console),
        Command::Report { json } => commands::report::report(place, *json, console),
        // The others were taken care of by the caller.
        Command::Run { .. }
        | Command::Trade
        | Command::Config
        | Command::Doctor { .. }
        | Command::Init
        | Command::Exchange(_)
        | Command::Completions { .. } => exit::USAGE,
    }
}

/// Tells all refusals.
fn refuse(refusals: &[Refusal], console: &mut Console<'_>) -> u8 {
    console.tell(&told(refusals));
    exit::USAGE
}

fn usage(error: &clap::Error, console: &mut Console<'_>) -> u8 {
    let is_error = error.use_stderr();
    let styled = error.render();
    let text = |colour| {
        if colour { styled.ansi().to_string() } else { styled.to_string() }
    };
    if is_error {
        console.tell(&text(console.colour_err));
    } else {
        console.say(&text(console.colour_out));
    }
    if is_error { exit::USAGE } else { exit::DONE }
}
