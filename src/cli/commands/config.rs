//! `config`: checks the configuration and prints what is in effect.

use crate::cli::config::{Loaded, render};
use crate::cli::console::Console;
use crate::cli::place::shown;
use crate::cli::ready::{self, Given};
use crate::cli::{exit, refuse};

/// Prints the effective settings, or everything that is wrong. Of keys it says where they come from, in LIVE.
pub fn config(given: &Given<'_>, console: &mut Console<'_>) -> u8 {
    let checked = ready::check(given);
    let sources: Vec<String> =
        checked.found.iter().map(|found| format!("{}: {}", found.venue, found.sources.join("; "))).collect();
    match checked.ready() {
        Err(refusals) => refuse(&refusals, console),
        Ok(ready) => {
            console.say(&page(&ready.loaded, &sources));
            exit::DONE
        }
    }
}

fn page(loaded: &Loaded, sources: &[String]) -> String {
    let settings = &loaded.settings;
    let file = match &settings.config_file {
        Some(file) => shown(file),
        None => "no file: the defaults".to_owned(),
    };
    let mut text = format!(
        "# What is in effect; no secret is in here. Saved to a file, this is a configuration.\n\
         # mode             {}   (from MODE or --mode, never from a file)\n\
         # state directory  {}\n\
         # read from        {file}\n\
         # A comment behind a value says where it was given; the other values are defaults.\n",
        settings.mode.word(),
        shown(&settings.state_dir),
    );
    for source in sources {
        text.push_str(&format!("# keys of         {source}\n"));
    }
    for note in &loaded.notes {
        text.push_str(&format!("# note: {note}\n"));
    }
    text.push('\n');
    text.push_str(&render::toml(loaded));
    text
}
