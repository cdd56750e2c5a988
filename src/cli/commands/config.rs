//! `config`: checks the configuration and prints what is in effect.

use std::path::Path;

use crate::cli::config::refusal::Refusal;
use crate::cli::config::{Loaded, load, render};
use crate::cli::console::Console;
use crate::cli::environment::Env;
use crate::cli::place::{Place, shown};
use crate::cli::{exit, refuse};

/// Prints the effective settings, or everything that is wrong.
pub fn config(file: Option<&Path>, place: &Result<Place, Box<Refusal>>, env: &Env, console: &mut Console<'_>) -> u8 {
    match load(file, place, env) {
        Err(refusals) => refuse(&refusals, console),
        Ok(loaded) => {
            console.say(&page(&loaded));
            exit::DONE
        }
    }
}

fn page(loaded: &Loaded) -> String {
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
    for note in &loaded.notes {
        text.push_str(&format!("# note: {note}\n"));
    }
    text.push('\n');
    text.push_str(&render::toml(loaded));
    text
}
