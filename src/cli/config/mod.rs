//! From `lastorders.toml` and the environment to `domain::settings`.
//!
//! Always holds: everything that is wrong is told at once, each with its place, its value and what is allowed; a
//! configuration with one refusal starts nothing; no secret is read here, and none that strayed in is repeated.
//! Never does: guess. An unknown key is refused, a float for money is refused, the mode comes from `MODE` or `--mode`
//! alone.

pub(crate) mod address;
mod defaults;
mod homes;
mod limits;
#[cfg(test)]
mod mistakes;
pub mod nearest;
mod notes;
mod reader;
pub mod refusal;
pub mod render;
mod strategies;
#[cfg(test)]
mod tests;
pub(crate) mod venues;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use self::reader::{Reading, Section};
use self::refusal::Refusal;
use super::environment::Env;
use super::place::Place;
use crate::domain::ids::{Instance, Symbol};
use crate::domain::settings::{Mode, Settings, VenueKind, VenueSettings};

/// The file that is read where none is named.
pub const FILE: &str = "lastorders.toml";
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A configuration that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What a run works from.
    pub settings: Settings,
    /// What is kept for parts that are not built yet.
    pub extra: Extra,
    /// What the operator should know, though nothing is wrong.
    pub notes: Vec<String>,
    /// Where each value was given, by key path. What is not in here is a default.
    pub origins: BTreeMap<String, String>,
}

/// Settings of parts that are not built yet: read, checked and printed, but not in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// `[guardian]`.
    pub guardian: GuardianSettings,
    /// Where the page would listen, or `off`.
    pub web: String,
}

/// `[guardian]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardianSettings {
    /// `never`, `on-failure`, `always`.
    pub restart: &'static str,
    /// `pause`, `trade`.
    pub after_crash: &'static str,
    /// Silence that counts as a hang, in seconds.
    pub hang_timeout_s: u32,
    /// How long it goes on sweeping what may still be open, in seconds.
    pub residue_timeout_s: u32,
}

/// Which file a run reads: the one named on the command line, else the environment's, else `./lastorders.toml` if it is
/// there.
pub fn file_of(flag: Option<&Path>, env: &Env) -> Option<PathBuf> {
    match (flag, env.get("LASTORDERS_CONFIG")) {
        (Some(path), _) => Some(path.to_owned()),
        (None, Some(path)) => Some(PathBuf::from(path)),
        (None, None) => Path::new(FILE).exists().then(|| PathBuf::from(FILE)),
    }
}

/// A venue whose keys a run wants: its name and its kind.
pub type Account = (String, VenueKind);

/// What reading gave.
#[derive(Debug)]
pub struct Draft {
    /// The settings, or everything that is wrong with them.
    pub result: Result<Loaded, Vec<Refusal>>,
    /// The mode, where it is sound.
    pub mode: Mode,
    /// The real venues that could be read, so that their keys can be looked at in the same go.
    pub accounts: Vec<Account>,
}

/// Reads the file, if there is one, and makes the settings.
pub fn load(file: Option<&Path>, place: &Result<Place, Box<Refusal>>, env: &Env) -> Draft {
    let Some(path) = file else {
        return draft(None, place, env);
    };
    match text_of(path) {
        Ok(text) => draft(Some((path, &text)), place, env),
        Err(why) => {
            // The environment is checked all the same, so that one look shows everything.
            let mut refusals = vec![Refusal {
                source: path.display().to_string(),
                line: 0,
                key: String::new(),
                value: None,
                problem: why,
                allowed: "Name another file with --config or LASTORDERS_CONFIG, or write one: lastorders init."
                    .to_owned(),
            }];
            refusals.extend(place.as_ref().err().map(|refusal| refusal.as_ref().clone()));
            let mode = place.as_ref().map_or(Mode::Paper, |place| place.mode);
            Draft { result: Err(refusals), mode, accounts: Vec::new() }
        }
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| format!("The file cannot be read: {error}."))?;
    let mut text = String::new();
    match file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text) {
        Ok(_) if text.len() as u64 > FILE_BYTES_MAX => Err("The file is larger than 1 MiB.".to_owned()),
        Ok(_) => Ok(text),
        Err(error) => Err(format!("The file cannot be read: {error}.")),
    }
}

/// Makes the settings from a file's text and the environment.
#[cfg(test)]
pub fn parse(
    file: Option<(&Path, &str)>,
    place: &Result<Place, Box<Refusal>>,
    env: &Env,
) -> Result<Loaded, Vec<Refusal>> {
    draft(file, place, env).result
}

fn draft(file: Option<(&Path, &str)>, place: &Result<Place, Box<Refusal>>, env: &Env) -> Draft {
    let (path, text) = file.map_or((None, ""), |(path, text)| (Some(path), text));
    let name = path.map_or_else(|| format!("{FILE} (there is none)"), |path| path.display().to_string());
    let reading = Reading::new(&name, text);
    let tree = reading.parse();
    let root = Section::root(&reading, &tree);
    root.knows("venue");
    root.knows("strategy");
    let mut refusals: Vec<Refusal> = Vec::new();
    let place = match place {
        Ok(place) => place.clone(),
        Err(refusal) => {
            refusals.push(refusal.as_ref().clone());
            Place::unsettled()
        }
    };
    let mode = place.mode;
    let mut extra = defaults::extra();
    let mut names = Names::default();

    let instance = instance(&root, env, mode, &mut refusals);
    let (mut venues, is_demonstration) = if root.has("venue") {
        refuse_beside_file(env, path, &mut refusals);
        (venues::of_file(&root, mode, &mut names), false)
    } else {
        let venue = venues::of_environment(env, mode, &mut refusals);
        match &venue {
            Some(venue) => names.know(venue),
            None => names.is_incomplete(),
        }
        (venue.into_iter().collect(), !root.has("strategy"))
    };
    let mut addresses = BTreeMap::new();
    venues::take_addresses(&mut venues, env, (&mut refusals, &mut names.spoilt), &mut addresses);
    let source = if root.has("venue") { name.as_str() } else { "environment" };
    refusals.extend(venues::not_openable(&venues, mode, source, &names.spoilt));
    let is_real = |venue: &VenueSettings| venue.kind != VenueKind::Sim;
    let strategies = if is_demonstration {
        venues.iter().map(defaults::strategy).collect()
    } else {
        strategies::of_file(&root, &names)
    };
    let usual = defaults::risk(is_demonstration && venues.iter().any(is_real));
    let risk = limits::risk(&root, mode, &names, usual);
    let shutdown = limits::shutdown(&root);
    let start = limits::start(&root);
    limits::check_keep(&root, mode, &shutdown, &start, &risk);
    let guardian_given = limits::guardian(&root, &mut extra);
    let store = limits::store(&root);
    root.finish();
    extra.web = web(env, &mut refusals);
    refuse_not_text(env, &mut refusals);

    let accounts = accounts(&venues, env, root.has("venue"));
    let settings = Settings {
        mode,
        instance,
        config_file: path.map(Path::to_owned),
        state_dir: place.state_dir,
        venues,
        strategies,
        risk,
        shutdown,
        start,
        store,
    };
    let (mut of_file, mut origins) = reading.finish();
    of_file.sort_by_key(|refusal| refusal.line);
    refusals.extend(of_file);
    if !refusals.is_empty() {
        return Draft { result: Err(refusals), mode, accounts };
    }
    note_origins(env, &mut origins);
    origins.extend(addresses);
    let notes = notes::notes(&settings, &extra, env, (guardian_given, is_demonstration));
    Draft { result: Ok(Loaded { settings, extra, notes, origins }), mode, accounts }
}

/// The real venues, for their keys. A venue of the environment is one of them also where something else of it is refused.
fn accounts(venues: &[VenueSettings], env: &Env, is_of_file: bool) -> Vec<Account> {
    let is_wanted = |kind: VenueKind| kind != VenueKind::Sim && venues::is_built(kind);
    if venues.is_empty() && !is_of_file {
        let named = VenueKind::ALL.into_iter().find(|kind| env.get("VENUE") == Some(kind.word()));
        return named.filter(|kind| is_wanted(*kind)).map(|kind| (kind.word().to_owned(), kind)).into_iter().collect();
    }
    venues.iter().filter(|venue| is_wanted(venue.kind)).map(|venue| (venue.name.clone(), venue.kind)).collect()
}

/// A symbol in our form, or what is allowed.
fn symbol(text: &str) -> Result<Symbol, String> {
    const ALLOWED: &str =
        "Allowed: BASE-QUOTE or BASE-QUOTE-PERP in capitals and digits, such as BTC-USDT or BTC-USDT-PERP.";
    let is_code = |part: &str| {
        (1..=20).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        [base, quote] | [base, quote, "PERP"] if is_code(base) && is_code(quote) => Ok(Symbol::new(text)),
        _ => Err(ALLOWED.to_owned()),
    }
}

fn instance(root: &Section<'_>, env: &Env, mode: Mode, refusals: &mut Vec<Refusal>) -> Option<Instance> {
    const FORM: &str = "Allowed: exactly four characters of 0-9 and a-z, different for each trader of an account.";
    let text = root.text("instance");
    let of_file = match text.as_deref().map(str::parse::<Instance>) {
        Some(Ok(instance)) => Some(instance),
        Some(Err(_)) => {
            let shown = text.as_deref().map(|text| format!("\"{text}\""));
            root.refuse("instance", shown.as_deref(), "This is not an instance.", FORM);
            None
        }
        None => None,
    };
    match env.get("LASTORDERS_INSTANCE").map(|text| (text, text.parse::<Instance>())) {
        Some((_, Ok(instance))) => return Some(instance),
        Some((text, Err(_))) => {
            refusals.push(Refusal::of_variable("LASTORDERS_INSTANCE", text, "This is not an instance.", FORM));
            return None;
        }
        None => {}
    }
    if mode == Mode::Live && !root.has("instance") {
        root.refuse("instance", None, "LIVE wants this: it tells our orders from everybody else's.", FORM);
    }
    of_file
}

fn refuse_beside_file(env: &Env, path: Option<&Path>, refusals: &mut Vec<Refusal>) {
    let file = path.map_or_else(String::new, |path| path.display().to_string());
    for name in ["VENUE", "SYMBOLS"] {
        if let Some(value) = env.get(name) {
            refusals.push(Refusal::of_variable(
                name,
                value,
                &format!("{file} has [[venue]] already, and both cannot hold."),
                &format!("Unset {name}, or take [[venue]] out of the file."),
            ));
        }
    }
}

fn web(env: &Env, refusals: &mut Vec<Refusal>) -> String {
    match env.get("LASTORDERS_WEB") {
        None | Some("off") => "off".to_owned(),
        Some(address) if address.parse::<SocketAddr>().is_ok() => address.to_owned(),
        Some(other) => {
            let allowed = "Allowed: off, or an address with a port such as 127.0.0.1:8247.";
            refusals.push(Refusal::of_variable("LASTORDERS_WEB", other, "This is no address.", allowed));
            "off".to_owned()
        }
    }
}

fn refuse_not_text(env: &Env, refusals: &mut Vec<Refusal>) {
    for name in env.not_text() {
        refusals.push(Refusal {
            source: "environment".to_owned(),
            line: 0,
            key: (*name).to_owned(),
            value: None,
            problem: "The value is not valid UTF-8 text.".to_owned(),
            allowed: "Set it again, or unset it.".to_owned(),
        });
    }
}

fn note_origins(env: &Env, origins: &mut BTreeMap<String, String>) {
    let mut note = |key: &str, name: &str| {
        if env.get(name).is_some() {
            origins.insert(key.to_owned(), name.to_owned());
        }
    };
    note("instance", "LASTORDERS_INSTANCE");
    if let Some(kind) = env.get("VENUE") {
        note(&format!("venue[{kind}].kind"), "VENUE");
        note(&format!("venue[{kind}].name"), "VENUE");
        note(&format!("venue[{kind}].symbols"), "SYMBOLS");
    } else {
        note("venue[sim].symbols", "SYMBOLS");
    }
}

/// Names given so far, and the symbols of venues.
#[derive(Default)]
struct Names {
    taken: Vec<String>,
    symbols: BTreeMap<String, Vec<Symbol>>,
    /// Venues with an address that was refused.
    spoilt: BTreeSet<String>,
    incomplete: bool,
}

impl Names {
    /// Takes a name; refuses one that is taken or cannot be part of a file's name.
    fn take(&mut self, section: &Section<'_>, name: &str) -> bool {
        let shown = format!("\"{name}\"");
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(is_plain) {
            let allowed = "Allowed: up to 32 characters of a-z, 0-9, - and _.";
            section.refuse("name", Some(&shown), "This cannot be a name.", allowed);
            return false;
        }
        if self.taken.iter().any(|taken| taken == name) {
            section.refuse("name", Some(&shown), "This name is taken already.", "Each needs a name of its own.");
            return false;
        }
        self.taken.push(name.to_owned());
        true
    }

    fn know(&mut self, venue: &VenueSettings) {
        self.taken.push(venue.name.clone());
        self.symbols_of(&venue.name, &venue.symbols);
    }

    fn symbols_of(&mut self, name: &str, symbols: &[Symbol]) {
        self.symbols.insert(name.to_owned(), symbols.to_vec());
    }

    /// Something was left out after a refusal: what is not known here may be known all the same.
    fn is_incomplete(&mut self) {
        self.incomplete = true;
    }

    fn is_whole(&self) -> bool {
        !self.incomplete
    }

    fn has(&self, name: &str) -> bool {
        self.taken.iter().any(|taken| taken == name)
    }

    fn listed(&self) -> Vec<&str> {
        self.taken.iter().map(String::as_str).collect()
    }

    fn symbols(&self, name: &str) -> Option<&[Symbol]> {
        self.symbols.get(name).map(Vec::as_slice)
    }

    fn all_symbols(&self) -> Vec<Symbol> {
        self.symbols.values().flatten().cloned().collect()
    }
}
