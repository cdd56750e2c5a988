//! Keys of venue accounts: read from the environment or from files, only those a configured venue wants, only when a
//! run (or `doctor`) wants them.
//!
//! Always holds: a secret goes straight into memory that is wiped; no refusal, no `Debug` and no line of any command
//! holds one, also where it was put into the wrong variable. A key file that others may read is refused unread.
//! Never does: keep a secret in settings, or read a variable nobody asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::config::Account;
use super::config::refusal::Refusal;
use super::environment::prefix;
use crate::domain::secret::{ApiKey, Secret};
use crate::domain::settings::VenueKind;

/// Keys by the venue's name.
pub type Keys = BTreeMap<String, ApiKey>;

const KEY: &str = "API_KEY";
const SECRET: &str = "API_SECRET";
/// No key is longer.
const BYTES_MAX: usize = 16 << 10;
/// The end of a shorter key would be too much of it.
const SHOWN_FROM_CHARS: usize = 16;
/// So much of a key's name tells two keys apart.
const SHOWN_CHARS: usize = 4;

/// Where secrets come from.
#[derive(Clone, Copy)]
pub struct Vault<'v> {
    variable: &'v dyn Fn(&str) -> Option<OsString>,
}

impl<'v> Vault<'v> {
    /// The environment of this process.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads secrets of the environment")]
    pub fn of_process() -> Vault<'static> {
        Vault { variable: &|name| std::env::var_os(name) }
    }

    /// Whatever this function gives for a name.
    pub fn of(variable: &'v dyn Fn(&str) -> Option<OsString>) -> Vault<'v> {
        Vault { variable }
    }

    /// A variable; one that is set to nothing is not set.
    fn get(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

impl std::fmt::Debug for Vault<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Vault(..)")
    }
}

/// What was found for one venue.
#[derive(Debug)]
pub struct Found {
    /// The venue's name.
    pub venue: String,
    /// Which exchange.
    pub kind: VenueKind,
    /// Its key, where nothing is wrong with it.
    pub key: Option<ApiKey>,
    /// Where key and secret came from, for `doctor`: no value is in here.
    pub sources: Vec<String>,
    /// Everything that is wrong.
    pub refusals: Vec<Refusal>,
}

impl Found {
    /// The end of the key's name, where enough of it stays unseen.
    pub fn hint(&self) -> Option<String> {
        let text = self.key.as_ref()?.key.expose();
        let count = text.chars().count();
        (count >= SHOWN_FROM_CHARS).then(|| text.chars().skip(count - SHOWN_CHARS).collect())
    }
}

/// Looks for the keys of these venues.
pub fn look(accounts: &[Account], vault: Vault<'_>) -> Vec<Found> {
    let mut all: Vec<Found> = accounts.iter().map(|account| look_for_one(account, vault)).collect();
    refuse_shared_names(accounts, &mut all);
    refuse_shared_keys(accounts, &mut all);
    all
}

/// The keys, or everything that is wrong with any of them.
pub fn keys(found: Vec<Found>) -> Result<Keys, Vec<Refusal>> {
    let mut keys = Keys::new();
    let mut refusals = Vec::new();
    for Found { venue, key, refusals: bad, .. } in found {
        refusals.extend(bad);
        keys.extend(key.map(|key| (venue, key)));
    }
    if refusals.is_empty() { Ok(keys) } else { Err(refusals) }
}

/// `LASTORDERS_<NAME>`: what the variables of this one account begin with.
fn account_prefix(venue: &str) -> String {
    format!("LASTORDERS_{}", venue.to_ascii_uppercase().replace('-', "_"))
}

fn look_for_one((venue, kind): &Account, vault: Vault<'_>) -> Found {
    let own = account_prefix(venue);
    let is_own = [KEY, SECRET]
        .iter()
        .any(|word| vault.has(&format!("{own}_{word}")) || vault.has(&format!("{own}_{word}_FILE")));
    // A key and a secret from two places would not fit each other, so one place gives both.
    let prefix = if is_own { own.as_str() } else { prefix(*kind) };
    let mut found = Found { venue: venue.clone(), kind: *kind, key: None, sources: Vec::new(), refusals: Vec::new() };
    let halves = [KEY, SECRET].map(|word| {
        let name = format!("{prefix}_{word}");
        match half(&name, vault) {
            Ok(Some((secret, source))) => {
                found.sources.push(source);
                Some(secret)
            }
            Ok(None) => {
                let mut mend = format!("Set {name}, or {name}_FILE to a file only you can read.");
                if !is_own {
                    mend.push_str(&format!("\n    For this account alone: {own}_{word}, or the same with _FILE."));
                }
                found.refusals.push(refused(&name, &format!("LIVE needs it for venue `{venue}`."), &mend));
                None
            }
            Err(refusal) => {
                found.refusals.push(*refusal);
                None
            }
        }
    });
    if let [Some(key), Some(secret)] = halves {
        found.key = Some(ApiKey { key, secret });
    }
    found
}

/// A refusal of a variable, without its value.
fn refused(name: &str, problem: &str, allowed: &str) -> Refusal {
    Refusal {
        source: "environment".to_owned(),
        line: 0,
        key: name.to_owned(),
        value: None,
        problem: problem.to_owned(),
        allowed: allowed.to_owned(),
    }
}

/// One half of a key, with where it came from; `None` where neither variable is set.
fn half(name: &str, vault: Vault<'_>) -> Result<Option<(Secret, String)>, Box<Refusal>> {
    let name_of_file = format!("{name}_FILE");
    match (vault.get(name), vault.get(&name_of_file)) {
        (None, None) => Ok(None),
        (Some(value), None) => {
            let text = value.into_string().map_err(|_| no_key(name))?;
            Ok(Some((checked(name, Zeroizing::new(text))?, name.to_owned())))
        }
        (None, Some(path)) => {
            let (text, mode) = read_file(&name_of_file, Path::new(&path))?;
            Ok(Some((checked(&name_of_file, text)?, format!("{name_of_file}, mode {mode:04o}"))))
        }
        (Some(_), Some(_)) => {
            let problem = format!("{name_of_file} is set too, and both cannot hold.");
            Err(Box::new(refused(name, &problem, "Unset one of the two.")))
        }
    }
}

fn no_key(name: &str) -> Box<Refusal> {
    let problem = "What it gives is no key: it has characters no key has, or several lines.";
    Box::new(refused(name, problem, "Copy the key again, as the exchange shows it; of RSA keys nothing is known here."))
}

/// Takes the line ends away that editors and `echo` leave, and refuses what cannot be a key.
fn checked(name: &str, mut text: Zeroizing<String>) -> Result<Secret, Box<Refusal>> {
    let length = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(length);
    if text.is_empty() {
        return Err(Box::new(refused(name, "What it gives is empty.", "Put the key there, and nothing else.")));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(no_key(name));
    }
    // Moved, not copied.
    Ok(Secret::new(std::mem::take(&mut *text)))
}

/// Reads a key file, after a look at who else may.
fn read_file(name: &str, path: &Path) -> Result<(Zeroizing<String>, u32), Box<Refusal>> {
    let refuse = |problem: &str, allowed: &str| Err(Box::new(refused(name, problem, allowed)));
    // The path is not repeated before something was found there: it may be a secret put into the wrong variable.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return refuse(
                "It names a file that is not there.",
                "Name the file that holds the key, with its whole path.",
            );
        }
        Err(error) => {
            return refuse(&format!("The file it names cannot be read: {error}."), "Check its owner and its mode.");
        }
    };
    let data = match file.metadata() {
        Ok(data) => data,
        Err(error) => return refuse(&format!("The file it names cannot be looked at: {error}."), "Check its owner."),
    };
    let shown = shell_word(path);
    if !data.is_file() {
        return refuse(&format!("{shown} is no regular file."), "Name the file that holds the key.");
    }
    let (mode, me) = (data.mode() & 0o7777, rustix::process::geteuid().as_raw());
    if data.uid() != me && data.uid() != 0 {
        let owner = data.uid();
        return refuse(
            &format!("{shown} belongs to user {owner}; this runs as user {me}."),
            &format!("chown {me} {shown} && chmod 600 {shown}"),
        );
    }
    if mode & 0o077 != 0 && !is_credential(data.uid(), data.gid(), mode, me) {
        return refuse(
            &format!("Others may read or change {shown} (mode {mode:04o}). It was not read."),
            &format!("chmod 600 {shown}   (and replace the key at the exchange if others could have read it)"),
        );
    }
    match contents(&file) {
        Ok(text) => Ok((text, mode)),
        Err(why) => refuse(&format!("{shown} {why}"), "Put the key there, and nothing else."),
    }
}

/// A credential of systemd: root's, and what looks like a right of root's group is the mask of an access list that
/// names this service's user and nobody else.
fn is_credential(owner: u32, group: u32, mode: u32, me: u32) -> bool {
    me != 0 && owner == 0 && group == 0 && mode & 0o037 == 0
}

fn contents(file: &File) -> Result<Zeroizing<String>, String> {
    // Room for all of it: a buffer that grows would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX + 1));
    let limit = BYTES_MAX as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}."))?;
    if bytes.len() > BYTES_MAX {
        return Err("is too large to hold a key.".to_owned());
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err("does not hold text.".to_owned()),
    }
}

/// A path as a shell takes it.
pub(super) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:,@%".contains(&byte);
    if text.bytes().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// `a-b` and `a_b` would read the same variables.
fn refuse_shared_names(accounts: &[Account], all: &mut [Found]) {
    let mut taken = BTreeSet::new();
    for ((venue, _), found) in accounts.iter().zip(all) {
        let prefix = account_prefix(venue);
        if !taken.insert(prefix.clone()) {
            let problem = format!("Venue `{venue}` and another one share this name for their keys.");
            found.refusals.push(refused(&format!("{prefix}_{KEY}"), &problem, "Give one of the two another name."));
            found.key = None;
        }
    }
}

/// Two venues on one account would each sweep the other's orders and count the other's money.
fn refuse_shared_keys(accounts: &[Account], all: &mut [Found]) {
    let mut shared = Vec::new();
    for (place, found) in all.iter().enumerate() {
        let Some(key) = &found.key else {
            continue;
        };
        let same = all.iter().zip(accounts).take(place).find(|(other, (_, kind))| {
            *kind == accounts[place].1 && other.key.as_ref().is_some_and(|other| other.key.expose() == key.key.expose())
        });
        if let Some((other, _)) = same {
            shared.push((place, other.venue.clone()));
        }
    }
    for (place, other) in shared {
        let found = &mut all[place];
        let problem = format!("Venues `{other}` and `{}` have the same key, so they are one account.", found.venue);
        let own = account_prefix(&found.venue);
        let mend = format!(
            "List all symbols of the account in one [[venue]], or give each a key: {own}_{KEY} and {own}_{SECRET}."
        );
        found.refusals.push(refused(&format!("{own}_{KEY}"), &problem, &mend));
        found.key = None;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    const CANARY_KEY: &str = "canary-key-51d07c2e";
    const CANARY_SECRET: &str = "canary-secret-9e04";

    fn account(name: &str) -> Account {
        (name.to_owned(), VenueKind::Bybit)
    }

    fn look_in(accounts: &[Account], pairs: &[(&str, &str)]) -> Vec<Found> {
        let variable =
            |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        look(accounts, Vault::of(&variable))
    }

    fn key_in(accounts: &[Account], pairs: &[(&str, &str)]) -> (String, String) {
        let keys = keys(look_in(accounts, pairs)).unwrap();
        let key = &keys[&accounts[0].0];
        (key.key.expose().to_owned(), key.secret.expose().to_owned())
    }

    /// What is refused, by variable and words; nothing of the canaries may be in it.
    fn refusals_in(accounts: &[Account], pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let found = look_in(accounts, pairs);
        let debug = format!("{found:?}");
        assert!(!debug.contains("canary"), "{debug}");
        let refusals = keys(found).unwrap_err();
        refusals.into_iter().map(|refusal| (refusal.key.clone(), refusal.to_string())).collect()
    }

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Files {
            Files(tempfile::tempdir().unwrap())
        }

        fn put(&self, name: &str, text: &str, mode: u32) -> String {
            let path = self.0.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path.to_str().unwrap().to_owned()
        }
    }

    #[test]
    fn keys_come_from_the_kind_or_from_the_account_and_the_account_goes_first() {
        let kind = [("BYBIT_API_KEY", "kind-key"), ("BYBIT_API_SECRET", "kind-secret")];
        assert_eq!(key_in(&[account("main")], &kind), ("kind-key".to_owned(), "kind-secret".to_owned()));
        let own = [("LASTORDERS_MY_DESK_API_KEY", "own-key"), ("LASTORDERS_MY_DESK_API_SECRET", "own-secret")];
        let both: Vec<(&str, &str)> = kind.into_iter().chain(own).collect();
        assert_eq!(key_in(&[account("my-desk")], &both), ("own-key".to_owned(), "own-secret".to_owned()));
        assert_eq!(key_in(&[account("other")], &both), ("kind-key".to_owned(), "kind-secret".to_owned()));
    }

    #[test]
    fn a_key_file_of_ours_is_read_without_its_line_end() {
        let files = Files::new();
        for (text, mode) in [("k1\n", 0o600), ("k1", 0o400), ("k1\r\n\n", 0o600)] {
            let (key, secret) = (files.put("key", text, mode), files.put("secret", CANARY_SECRET, 0o400));
            let pairs = [("BYBIT_API_KEY_FILE", key.as_str()), ("BYBIT_API_SECRET_FILE", secret.as_str())];
            assert_eq!(key_in(&[account("main")], &pairs), ("k1".to_owned(), CANARY_SECRET.to_owned()));
            fs::remove_file(key).unwrap();
            fs::remove_file(secret).unwrap();
        }
    }

    #[test]
    fn a_link_is_followed_to_a_file_that_is_private() {
        let files = Files::new();
        files.put("target", CANARY_KEY, 0o600);
        let link = files.0.path().join("link");
        std::os::unix::fs::symlink(files.0.path().join("target"), &link).unwrap();
        let pairs = [("BYBIT_API_KEY_FILE", link.to_str().unwrap()), ("BYBIT_API_SECRET", "s")];
        assert_eq!(key_in(&[account("main")], &pairs).0, CANARY_KEY);
        files.put("target", CANARY_KEY, 0o644);
        assert_eq!(refusals_in(&[account("main")], &pairs)[0].0, "BYBIT_API_KEY_FILE");
    }

    #[test]
    fn a_file_others_may_read_is_refused_with_the_command_to_run() {
        let files = Files::new();
        for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o601, 0o610] {
            let path = files.put("key file", CANARY_KEY, mode);
            let pairs = [("BYBIT_API_KEY_FILE", path.as_str()), ("BYBIT_API_SECRET", CANARY_SECRET)];
            let refusals = refusals_in(&[account("main")], &pairs);
            assert_eq!(refusals.len(), 1, "{mode:o}");
            assert_eq!(refusals[0].0, "BYBIT_API_KEY_FILE");
            let words = &refusals[0].1;
            assert!(
                words.contains(&format!("chmod 600 '{path}'")) && words.contains(&format!("{mode:04o}")),
                "{words}"
            );
        }
    }

    #[test]
    fn what_systemd_hands_to_a_service_is_private_enough() {
        // Owner, group, mode, us.
        assert!(is_credential(0, 0, 0o440, 1000));
        for (owner, group, mode, me) in
            [(0, 0, 0o440, 0), (1000, 0, 0o440, 1000), (0, 1000, 0o440, 1000), (0, 0, 0o444, 1000), (0, 0, 0o460, 1000)]
        {
            assert!(!is_credential(owner, group, mode, me), "{owner} {group} {mode:o} {me}");
        }
    }

    /// What is set, by the ends of the names, and what is refused: variable and words.
    type MistakeCase<'c> = (&'c [(&'c str, String)], &'c [(&'c str, &'c str)]);

    #[test]
    fn each_mistake_is_refused_by_the_name_of_its_variable_and_without_its_value() {
        let files = Files::new();
        let empty = files.put("empty", "\n", 0o600);
        let binary = files.0.path().join("binary");
        fs::write(&binary, [0xff, 0xfe]).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o600)).unwrap();
        let large = files.put("large", &"x".repeat(BYTES_MAX + 1), 0o600);
        let pem = files.put("pem", "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n", 0o600);
        let pipe = files.0.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let folder = files.0.path().to_owned();
        let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let cases: &[MistakeCase<'_>] = &[
            (&[], &[("BYBIT_API_KEY", "LASTORDERS_MAIN_API_KEY"), ("BYBIT_API_SECRET", "BYBIT_API_SECRET_FILE")]),
            (&[("API_KEY", CANARY_KEY.into())], &[("BYBIT_API_SECRET", "LIVE needs it for venue `main`")]),
            (
                &[("API_KEY", String::new()), ("API_SECRET", CANARY_SECRET.into())],
                &[("BYBIT_API_KEY", "LIVE needs it")],
            ),
            (
                &[
                    ("API_KEY", CANARY_KEY.into()),
                    ("API_KEY_FILE", empty.clone()),
                    ("API_SECRET", CANARY_SECRET.into()),
                ],
                &[("BYBIT_API_KEY", "both cannot hold")],
            ),
            (
                &[("API_KEY", "canary with blanks".into()), ("API_SECRET", "canary\nlines".into())],
                &[("BYBIT_API_KEY", "no key has"), ("BYBIT_API_SECRET", "no key has")],
            ),
            (
                // The secret itself, where its file's name belongs.
                &[("API_KEY", CANARY_KEY.into()), ("API_SECRET_FILE", CANARY_SECRET.into())],
                &[("BYBIT_API_SECRET_FILE", "not there")],
            ),
            (
                &[("API_KEY_FILE", empty.clone()), ("API_SECRET_FILE", large)],
                &[("BYBIT_API_KEY_FILE", "empty"), ("BYBIT_API_SECRET_FILE", "too large")],
            ),
            (
                &[("API_KEY_FILE", text(&binary)), ("API_SECRET_FILE", pem)],
                &[("BYBIT_API_KEY_FILE", "does not hold text"), ("BYBIT_API_SECRET_FILE", "several lines")],
            ),
            (
                &[("API_KEY_FILE", text(&folder)), ("API_SECRET_FILE", text(&pipe))],
                &[("BYBIT_API_KEY_FILE", "no regular file"), ("BYBIT_API_SECRET_FILE", "no regular file")],
            ),
        ];
        for (given, expected) in cases {
            for prefix in ["BYBIT", "LASTORDERS_MAIN"] {
                let named: Vec<(String, &str)> =
                    given.iter().map(|(rest, value)| (format!("{prefix}_{rest}"), value.as_str())).collect();
                let pairs: Vec<(&str, &str)> = named.iter().map(|(name, value)| (name.as_str(), *value)).collect();
                let refusals = refusals_in(&[account("main")], &pairs);
                // Where nothing at all is set for the account, the kind is asked.
                let asked = if given.is_empty() { "BYBIT" } else { prefix };
                let names: Vec<String> = expected.iter().map(|(name, _)| name.replace("BYBIT", asked)).collect();
                assert_eq!(refusals.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), names, "{refusals:?}");
                for ((_, words), (_, word)) in refusals.iter().zip(*expected) {
                    assert!(
                        words.contains(word) || words.contains(&word.replace("BYBIT", asked)),
                        "`{word}` in {words}"
                    );
                    assert!(!words.contains("canary"), "{words}");
                }
            }
        }
    }

    #[test]
    fn two_venues_of_one_account_are_refused() {
        let pairs = [
            ("BYBIT_API_KEY", CANARY_KEY),
            ("BYBIT_API_SECRET", CANARY_SECRET),
            ("LASTORDERS_C_API_KEY", "another"),
            ("LASTORDERS_C_API_SECRET", "another"),
        ];
        let refusals = refusals_in(&[account("a"), account("b"), account("c")], &pairs);
        assert_eq!(refusals.len(), 1);
        assert!(refusals[0].1.contains("`a` and `b` have the same key"), "{refusals:?}");
        let refusals = refusals_in(&[account("c-d"), account("c_d")], &[("LASTORDERS_C_D_API_KEY", CANARY_KEY)]);
        assert!(refusals.iter().any(|(_, words)| words.contains("share this name")), "{refusals:?}");
    }

    #[test]
    fn the_end_of_a_long_key_is_shown_and_of_a_short_one_nothing() {
        for (key, hint) in [("abcdefghijklmnop", Some("mnop")), ("abcdefghijklmno", None), ("k", None)] {
            let found = look_in(&[account("main")], &[("BYBIT_API_KEY", key), ("BYBIT_API_SECRET", CANARY_SECRET)]);
            assert_eq!(found[0].hint().as_deref(), hint);
            assert_eq!(found[0].sources, ["BYBIT_API_KEY", "BYBIT_API_SECRET"]);
        }
    }
}
