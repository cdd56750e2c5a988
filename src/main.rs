//! The binary: everything is in the library.

use std::io::Write;
use std::process::ExitCode;

use lastorders::cli::environment::Env;
use lastorders::cli::main_with;
use lastorders::domain::settings::Settings;

fn main() -> ExitCode {
    ExitCode::from(main_with(std::env::args_os(), &Env::of_process(), &launch))
}

fn launch(settings: Settings) -> u8 {
    let mode = settings.mode.word();
    // A closed standard error leaves nobody to be told.
    let _ = writeln!(
        std::io::stderr(),
        "This build has no trader in it, so {mode} was not started."
    );
    1
}
