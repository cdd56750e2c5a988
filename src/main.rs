//! The binary: registers the signals first, then everything is in the library.

use std::cell::Cell;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use lastorders::cli::commands::doctor::open;
use lastorders::cli::environment::Env;
use lastorders::cli::main_with;
use lastorders::cli::secrets::{Keys, Vault};
use lastorders::domain::settings::Settings;
use lastorders::runtime::gate::Gate;
use lastorders::runtime::signals::StopSignals;
use lastorders::runtime::trader::{self, Launch};
use lastorders::store::account_lock_folders;

fn main() -> ExitCode {
    // A SIGTERM that comes right after the start must find a handler, so this is the first thing a trader does. Other
    // commands keep the default: Ctrl-C ends them.
    let trades = std::env::args_os().skip(1).any(|argument| argument == "run" || argument == "trade");
    let signals = Cell::new(trades.then(register));
    let env = Env::of_process();
    let launcher = |settings, keys| launch(settings, keys, &env, signals.take());
    ExitCode::from(main_with(std::env::args_os(), &env, Vault::of_process(), &launcher, &open))
}

fn register() -> std::io::Result<(Gate, StopSignals)> {
    let gate = Gate::default();
    StopSignals::register(gate.flag()).map(|signals| (gate, signals))
}

fn launch(settings: Settings, keys: Keys, env: &Env, signals: Option<std::io::Result<(Gate, StopSignals)>>) -> u8 {
    let registered = signals.unwrap_or_else(register);
    let outcome = match registered {
        Ok(signals) => {
            let log_filter = env.get("RUST_LOG").unwrap_or_default().to_owned();
            let lock_folders = account_lock_folders(env.get("XDG_RUNTIME_DIR").map(Path::new));
            trader::run(settings, Launch { log_filter, keys, lock_folders, signals })
                .map_err(|refused| (refused.exit_code, refused.text))
        }
        Err(error) => Err((1, format!("signals cannot be caught, so a stop could not be orderly: {error}"))),
    };
    outcome.unwrap_or_else(|(exit_code, text)| {
        // A closed standard error leaves nobody to be told; the exit code says it too.
        let _ = writeln!(std::io::stderr(), "Not started: {text}");
        exit_code
    })
}
