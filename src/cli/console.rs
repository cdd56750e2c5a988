//! Where words for the operator go.
//!
//! Always holds: a reader that went away (a closed pipe) ends nothing and is no error.

use std::io::{IsTerminal, Write};

use super::environment::Env;

/// Standard output and standard error, or what a test puts in their place.
pub struct Console<'c> {
    out: &'c mut dyn Write,
    err: &'c mut dyn Write,
    /// Whether standard output understands colours.
    pub colour_out: bool,
    /// Whether standard error understands colours.
    pub colour_err: bool,
}

impl<'c> Console<'c> {
    /// On these writers, without colours.
    pub fn new(out: &'c mut dyn Write, err: &'c mut dyn Write) -> Console<'c> {
        Console { out, err, colour_out: false, colour_err: false }
    }

    /// Colours where there is a terminal and `NO_COLOR` is not set.
    pub fn with_colours_of_this_process(mut self, env: &Env) -> Console<'c> {
        let wanted = env.get("NO_COLOR").is_none();
        self.colour_out = wanted && std::io::stdout().is_terminal();
        self.colour_err = wanted && std::io::stderr().is_terminal();
        self
    }

    /// Results: to standard output, with a line end.
    pub fn say(&mut self, text: &str) {
        put(self.out, text);
    }

    /// Everything else: to standard error, with a line end.
    pub fn tell(&mut self, text: &str) {
        put(self.err, text);
    }
}

fn put(to: &mut dyn Write, text: &str) {
    // A closed pipe or a full disk: nobody is left to be told.
    let _ = writeln!(to, "{}", text.trim_end_matches('\n')).and_then(|()| to.flush());
}
