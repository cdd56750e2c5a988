//! `completions`: a script for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::args::Arguments;
use crate::cli::console::Console;
use crate::cli::exit;

/// Prints the script.
pub fn completions(shell: Shell, console: &mut Console<'_>) -> u8 {
    // Into memory first: the generator panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "lastorders", &mut script);
    console.say(&String::from_utf8_lossy(&script));
    exit::DONE
}
