//! Which trader is meant: the mode and the state directory. Known without reading a configuration, so that a broken
//! file never keeps anybody from stopping a running trader.

use std::path::{Path, PathBuf};

use super::config::nearest::did_you_mean;
use super::config::refusal::Refusal;
use super::environment::Env;
use crate::domain::settings::Mode;

/// Every mode, the harmless one first.
pub const MODES: [Mode; 3] = [Mode::DryRun, Mode::Paper, Mode::Live];
/// The folder state directories lie in.
const VAR: &str = "./var";

/// Mode and state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// How real it is.
    pub mode: Mode,
    /// Where its state lies, as it was given: a relative path stays short enough for a socket.
    pub state_dir: PathBuf,
    /// Whether the directory was named rather than derived from the mode.
    pub is_named: bool,
}

impl Place {
    /// From the command line, else the environment, else PAPER in `./var/paper`.
    pub fn of(mode_flag: Option<&str>, state_dir_flag: Option<&Path>, env: &Env) -> Result<Place, Box<Refusal>> {
        let (source, word) = match (mode_flag, env.get("MODE")) {
            (Some(word), _) => ("--mode", word),
            (None, Some(word)) => ("MODE", word),
            (None, None) => ("MODE", Mode::Paper.word()),
        };
        let Some(mode) = MODES.into_iter().find(|mode| mode.word() == word) else {
            let words = MODES.map(Mode::word);
            let problem = format!("This is no mode.{}", did_you_mean(&word.to_uppercase(), &words));
            let allowed = format!("Allowed: {}.", words.join(", "));
            return Err(Box::new(Refusal::of_variable(source, word, &problem, &allowed)));
        };
        let named = state_dir_flag.map(Path::to_owned).or_else(|| env.get("LASTORDERS_STATE_DIR").map(PathBuf::from));
        Ok(Place { mode, is_named: named.is_some(), state_dir: named.unwrap_or_else(|| folder(mode)) })
    }

    /// Stands in while the rest of an unsound configuration is checked.
    pub(super) fn unsettled() -> Place {
        Place { mode: Mode::Paper, state_dir: folder(Mode::Paper), is_named: false }
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.state_dir.join("control.sock")
    }

    /// Other modes that have a control socket here, for those who asked the wrong one.
    pub fn other_modes_here(&self) -> Vec<Mode> {
        let others = MODES.into_iter().filter(|mode| *mode != self.mode && !self.is_named);
        others.filter(|mode| folder(*mode).join("control.sock").exists()).collect()
    }
}

fn folder(mode: Mode) -> PathBuf {
    Path::new(VAR).join(mode.folder())
}

/// A path as people want to see it: whole, without `./`.
pub fn shown(path: &Path) -> String {
    std::path::absolute(path).map_or_else(|_| path.display().to_string(), |path| path.display().to_string())
}
