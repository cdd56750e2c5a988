//! The few lines a run begins with. Pure: settings in, text out.
//!
//! Always holds: LIVE cannot be taken for anything else, and the invented market is called invented.

use std::fmt::Write;

use super::grace::{deadline_s, grace_period_s, may_own};
use super::place::shown;
use crate::domain::ids::Symbol;
use crate::domain::settings::{Mode, OnExit, Settings, StrategyKind, VenueKind};

const RED: &str = "\x1b[1;97;41m";
const PLAIN: &str = "\x1b[0m";

/// The banner, with a line end after each line.
pub fn banner(settings: &Settings, is_coloured: bool) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    };
    head(settings, is_coloured).into_iter().for_each(&mut line);
    for venue in &settings.venues {
        let symbols: Vec<&str> = venue.symbols.iter().map(Symbol::as_str).collect();
        let named = if venue.name == venue.kind.word() {
            venue.name.clone()
        } else {
            format!("{} ({})", venue.name, venue.kind.word())
        };
        line(format!("  venue     {named}: {}", symbols.join(", ")));
        line(format!("            may own up to {} open orders", may_own(settings, venue)));
    }
    for (number, strategy) in strategy_lines(settings).into_iter().enumerate() {
        line(format!("  {:<9} {strategy}", if number == 0 { "trades" } else { "" }));
    }
    line(format!("  state     {}", shown(&settings.state_dir)));
    let at_stop = match settings.shutdown.on_exit {
        _ if settings.mode == Mode::DryRun => "there is nothing to cancel",
        OnExit::Cancel => "cancels every order and shows that it is gone",
        OnExit::Keep => "KEEPS its orders at the venue (on_exit = \"keep\")",
    };
    line(format!("  stop      Ctrl-C, SIGTERM or lastorders stop: {at_stop}"));
    line(format!(
        "            takes up to {} s; a supervisor must grant {} s before it kills",
        deadline_s(&settings.shutdown),
        grace_period_s(&settings.shutdown)
    ));
    if settings.venues.iter().any(|venue| venue.kind == VenueKind::Sim) {
        line(String::new());
        line(
            "  The market is INVENTED: prices and trades come from a random process, and say nothing about a real one."
                .to_owned(),
        );
        line(
            "  Real exchanges are not built yet; one will be chosen with VENUE or a [[venue]] in lastorders.toml."
                .to_owned(),
        );
    }
    text
}

fn head(settings: &Settings, is_coloured: bool) -> Vec<String> {
    let version = env!("CARGO_PKG_VERSION");
    let instance = settings.instance.map_or_else(String::new, |instance| format!("   instance {instance}"));
    match settings.mode {
        Mode::DryRun => {
            vec![format!("lastorders {version}   DRY_RUN: strategies run, no order is sent or recorded{instance}")]
        }
        Mode::Paper => vec![format!("lastorders {version}   PAPER: a paper account, no real money{instance}")],
        Mode::Live => {
            const WIDTH: usize = 72;
            let rule = "!".repeat(WIDTH);
            let words = format!("{:^WIDTH$}", "L I V E   -   R E A L   M O N E Y,   R E A L   O R D E R S");
            let mut lines: Vec<String> = [rule.clone(), words, rule]
                .into_iter()
                .map(|line| if is_coloured { format!("{RED}{line}{PLAIN}") } else { line })
                .collect();
            lines.push(format!("lastorders {version}   LIVE{instance}"));
            lines
        }
    }
}

/// Each strategy in a few words.
pub fn strategy_lines(settings: &Settings) -> Vec<String> {
    if settings.strategies.is_empty() {
        return vec!["nothing: there is no [[strategy]]".to_owned()];
    }
    let told = settings.strategies.iter().map(|strategy| {
        let kind = match strategy.kind {
            StrategyKind::MarketMaker(_) => "market maker",
            StrategyKind::Ladder(_) => "ladder",
        };
        let symbols: Vec<&str> = strategy.symbols.iter().map(Symbol::as_str).collect();
        format!("{}: {kind} on {}", strategy.name, symbols.join(", "))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config;
    use crate::cli::environment::Env;
    use crate::cli::place::Place;

    fn settings() -> Settings {
        let env = Env::default();
        config::parse(None, &Place::of(None, None, &env), &env).unwrap().settings
    }

    #[test]
    fn the_built_in_market_is_called_invented() {
        let text = banner(&settings(), false);
        for part in ["PAPER", "INVENTED", "BTC-USDT", "var/paper", "may own up to 60", "40 s", "45 s", "Ctrl-C"] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn live_is_unmistakable() {
        let mut settings = settings();
        settings.mode = Mode::Live;
        settings.venues[0].kind = VenueKind::Bybit;
        let plain = banner(&settings, false);
        assert!(plain.contains("R E A L   M O N E Y") && !plain.contains("INVENTED") && !plain.contains('\x1b'));
        assert!(banner(&settings, true).contains(RED));
    }

    #[test]
    fn kept_orders_are_announced() {
        let mut settings = settings();
        settings.shutdown.on_exit = OnExit::Keep;
        assert!(banner(&settings, false).contains("KEEPS"));
    }
}
