//! Cause by venue: who cancels our orders, and how long they may rest unwatched. No more than the truth of this version.

use std::time::Duration;

use super::findings::Findings;
use crate::cli::grace::deadline_s;
use crate::domain::instrument::{Switch, VenueTraits};
use crate::domain::settings::{Mode, OnExit, OnStart, Settings, VenueKind, VenueSettings};

/// Whether the venue itself cancels when we fall silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    /// It does not: it has no such thing, or it is not used.
    None(Why),
    /// It does, after this long.
    Switch {
        /// How long we may be silent.
        window: Duration,
        /// The venue said that this account may use it.
        is_shown: bool,
    },
}

/// Why nobody covers us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The venue has no switch.
    NoSwitch,
    /// It is account-wide, and the account is not ours alone.
    NotExclusive,
    /// The venue said that this account may not use it.
    NotAllowed,
}

impl Cover {
    /// From what the venue has, what the operator allows, and what the venue said of this account.
    pub(super) fn of(traits: &VenueTraits, venue: &VenueSettings, may: Option<bool>) -> Cover {
        let window = match traits.switch {
            Switch::None => {
                return Cover::None(if venue.exclusive_account { Why::NoSwitch } else { Why::NotExclusive });
            }
            Switch::Session { window } | Switch::Timer { window, .. } => window,
        };
        match may {
            _ if !venue.exclusive_account => Cover::None(Why::NotExclusive),
            Some(false) => Cover::None(Why::NotAllowed),
            may => Cover::Switch { window, is_shown: may == Some(true) },
        }
    }

    /// In words, for the venue's chapter.
    pub(super) fn told(self) -> String {
        match self {
            Cover::None(Why::NoSwitch) => "none: the venue has no dead man's switch for us".to_owned(),
            Cover::None(Why::NotExclusive) => {
                "not used: a venue's dead man's switch is for the whole account, and exclusive_account = false"
                    .to_owned()
            }
            Cover::None(Why::NotAllowed) => {
                "none: the venue does not let this account use its dead man's switch".to_owned()
            }
            Cover::Switch { window, is_shown: true } => {
                format!("the venue cancels when we are silent for {} s", window.as_secs())
            }
            Cover::Switch { window, is_shown: false } => format!(
                "the venue would cancel when we are silent for {} s, if it lets this account; that was not asked",
                window.as_secs()
            ),
        }
    }
}

/// Cause, who cancels, how long nobody watches.
type Row = [String; 3];

/// The table, one for all venues whose rows are the same.
pub(super) fn who_cancels(settings: Option<&Settings>, covers: &[(String, Cover)], findings: &mut Findings) {
    findings.head("Who cancels our orders, and the longest time nobody watches them");
    let mut told: Vec<(Vec<String>, Vec<Row>)> = Vec::new();
    match settings {
        None => told.push((vec!["any".to_owned()], rows(None, None, Cover::None(Why::NoSwitch)))),
        Some(settings) if settings.mode == Mode::DryRun => {
            return findings.prose("DRY_RUN: no order rests anywhere.");
        }
        Some(settings) => {
            for venue in &settings.venues {
                let cover = covers.iter().find(|(name, _)| *name == venue.name);
                let cover = cover.map_or(Cover::None(Why::NoSwitch), |(_, cover)| *cover);
                let rows = rows(Some(settings), Some(venue), cover);
                match told.iter_mut().find(|(_, known)| *known == rows) {
                    Some((names, _)) => names.push(venue.name.clone()),
                    None => told.push((vec![venue.name.clone()], rows)),
                }
            }
        }
    }
    for (number, (names, rows)) in told.iter().enumerate() {
        if number > 0 {
            findings.line("");
        }
        findings.prose(&format!("venue {}", names.join(", ")));
        findings.table(["cause", "who cancels", "unwatched, at the longest"], rows);
    }
    findings.prose(
        "The guardian, a parent process that will sweep when the trader dies or hangs, is not built yet. A supervisor \
         that starts the trader again (systemd: Restart=on-failure) makes \"the next start\" come soon.",
    );
}

fn rows(settings: Option<&Settings>, venue: Option<&VenueSettings>, cover: Cover) -> Vec<Row> {
    let row = |cause: &str, who: &str, unwatched: &str| [cause, who, unwatched].map(str::to_owned);
    let (who, unwatched) = stop(settings);
    let mut rows = vec![
        row("SIGTERM, SIGINT, SIGHUP, lastorders stop", &who, &unwatched),
        row("a panic while trading", &who, &unwatched),
    ];
    if settings.is_some_and(|settings| settings.mode == Mode::Paper) {
        rows.extend(paper_rows(settings, venue));
        return rows;
    }
    let next = next_start(settings);
    let (who, unwatched) = after_death(next, "the next start looks again", cover);
    for cause in ["a panic while stopping", "SIGKILL, crash, out of memory"] {
        rows.push(row(cause, &who, &unwatched));
    }
    let (who, unwatched) = match cover {
        Cover::None(_) => {
            ("nobody until somebody kills it and starts it again".to_owned(), "until then: it may be hours".to_owned())
        }
        // Its pings are sent by the loop, so a loop that hangs sends none.
        Cover::Switch { .. } => after_death("", "whoever kills it and starts it again looks too", cover),
    };
    rows.push(row("the trader hangs", &who, &unwatched));
    let (who, unwatched) = after_death(next, "the next start looks again", cover);
    rows.push(row("power loss, machine lost", &who, &unwatched));
    let (who, unwatched) = match cover {
        Cover::None(_) => (
            "nobody: no cancel gets through; the trader asks again until one does".to_owned(),
            "while the network is away".to_owned(),
        ),
        Cover::Switch { .. } => after_death("", "the trader asks again all the while", cover),
    };
    rows.push(row("network loss", &who, &unwatched));
    rows.push(row(
        "venue down",
        "nobody while it is down; then the trader. A stop that ends before names what is left, exit code 3",
        "while the venue is down and trades; do not count on its switch",
    ));
    rows
}

/// On paper nothing rests anywhere but in this process.
fn paper_rows(settings: Option<&Settings>, venue: Option<&VenueSettings>) -> Vec<Row> {
    let row = |cause: &str, who: &str, unwatched: &str| [cause, who, unwatched].map(str::to_owned);
    let next = next_start(settings);
    let stands_still = "not at all: without the trader its paper exchange stands still";
    let mut rows: Vec<Row> = ["a panic while stopping", "SIGKILL, crash, out of memory", "power loss"]
        .map(|cause| row(cause, next, stands_still))
        .into();
    rows.push(row("the trader hangs", "nobody until somebody kills it and starts it again", "until then"));
    if venue.is_some_and(|venue| venue.kind != VenueKind::Sim) {
        rows.push(row(
            "network loss, venue down",
            "the trader: the orders rest here and can be cancelled",
            "not at all; without prices nothing is filled",
        ));
    }
    rows
}

fn stop(settings: Option<&Settings>) -> (String, String) {
    let shutdown = settings.map(|settings| &settings.shutdown);
    match shutdown.map(|shutdown| shutdown.on_exit) {
        Some(OnExit::Keep) => (
            "nobody: on_exit = \"keep\" leaves them at the venue and names them".to_owned(),
            "until the next start, which takes them back".to_owned(),
        ),
        Some(OnExit::Cancel) | None => {
            let within = shutdown.map_or_else(String::new, |shutdown| format!(": within {} s", deadline_s(shutdown)));
            ("the trader's ordered stop: at once, proved".to_owned(), format!("not at all{within}"))
        }
    }
}

fn next_start(settings: Option<&Settings>) -> &'static str {
    match settings.map(|settings| settings.start.on_start) {
        Some(OnStart::Adopt) => "nobody; the next start gives them back to their strategies",
        Some(OnStart::Cancel) | None => "nobody before the next start, which finds and cancels them",
    }
}

/// Who cancels when we are gone, and after how long: without a switch, and what comes beside one.
fn after_death(without: &str, beside: &str, cover: Cover) -> (String, String) {
    match cover {
        Cover::None(_) => (without.to_owned(), "until the next start".to_owned()),
        Cover::Switch { window, is_shown: true } => {
            let seconds = window.as_secs();
            (format!("the venue, after {seconds} s of silence; {beside}"), format!("{seconds} s"))
        }
        Cover::Switch { window, is_shown: false } => {
            let seconds = window.as_secs();
            (
                format!("the venue, after {seconds} s of silence, if it lets this account; {beside}"),
                format!("{seconds} s if it does, else without end"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traits(switch: Switch) -> VenueTraits {
        VenueTraits { switch, ..VenueTraits::default() }
    }

    fn venue(exclusive_account: bool) -> VenueSettings {
        VenueSettings {
            name: "main".to_owned(),
            kind: VenueKind::Bybit,
            symbols: Vec::new(),
            exclusive_account,
            connection: crate::domain::settings::Connection::default(),
            sim: crate::domain::settings::SimSettings::default(),
        }
    }

    #[test]
    fn a_switch_covers_only_an_account_that_is_ours_alone_and_may_use_it() {
        let window = Duration::from_secs(10);
        let session = Switch::Session { window };
        for (switch, is_exclusive, may, expected) in [
            (Switch::None, true, None, Cover::None(Why::NoSwitch)),
            (Switch::None, false, Some(true), Cover::None(Why::NotExclusive)),
            (session, false, Some(true), Cover::None(Why::NotExclusive)),
            (session, true, Some(false), Cover::None(Why::NotAllowed)),
            (session, true, None, Cover::Switch { window, is_shown: false }),
            (session, true, Some(true), Cover::Switch { window, is_shown: true }),
        ] {
            assert_eq!(Cover::of(&traits(switch), &venue(is_exclusive), may), expected);
        }
    }

    #[test]
    fn every_cause_has_an_answer_and_only_a_switch_makes_a_death_short() {
        let bare = rows(None, None, Cover::None(Why::NoSwitch));
        let window = Duration::from_secs(10);
        let covered = rows(None, None, Cover::Switch { window, is_shown: true });
        let causes =
            ["SIGTERM", "panic while trading", "panic while stopping", "SIGKILL", "hangs", "power", "network", "venue"];
        for (number, cause) in causes.iter().enumerate() {
            assert!(bare[number][0].contains(cause) && covered[number][0].contains(cause), "{cause}");
            assert!(bare[number].iter().all(|cell| !cell.is_empty()));
        }
        assert_eq!(bare.len(), causes.len());
        for number in [2, 3, 5] {
            assert_eq!((bare[number][2].as_str(), covered[number][2].as_str()), ("until the next start", "10 s"));
        }
        assert_eq!(covered[4][2], "10 s", "a loop that hangs sends no pings");
        assert_eq!(bare[7], covered[7], "a venue that is down cancels nothing for us");
    }
}
