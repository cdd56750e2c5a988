//! What a venue itself says: clock, key, instruments, open orders, positions, switch.
//!
//! Always holds: every answer that is not the one hoped for is a problem with its mend, and never ends the look at the
//! rest; a venue's own words are shown without the key.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ask::Ask;
use super::findings::Findings;
use super::watch::Cover;
use crate::cli::state_dir::counted;
use crate::domain::ids::{ClientOrderId, Instance, Symbol, VenueOrderId};
use crate::domain::instrument::{InstrumentRules, Switch, VenueTraits};
use crate::domain::money::Decimal;
use crate::domain::order::OrderRow;
use crate::domain::request::{Access, Answered, Call, Facts};
use crate::domain::secret::ApiKey;
use crate::domain::settings::{Settings, StrategyKind, VenueSettings};

/// Signatures and deadlines need a clock at least this close to the venue's.
const CLOCK_OFFSET_MAX_MS: u64 = 1_000;
/// The first answer pays for the connection; the best of the next ones tells the way.
const TIMES_ASKED: usize = 4;
/// A listing with more pages than this has no end.
const PAGES_MAX: usize = 1_000;
/// So many of a kind are named one by one.
const NAMED_MAX: usize = 8;

/// What is known beside what the venue says.
pub(super) struct Case<'c> {
    /// The configuration.
    pub(super) settings: &'c Settings,
    /// The venue.
    pub(super) venue: &'c VenueSettings,
    /// Its key, where there is one.
    pub(super) key: Option<&'c ApiKey>,
    /// What it promises.
    pub(super) traits: &'c VenueTraits,
    /// Whether a trader is running here, so that open orders are no surprise.
    pub(super) is_running: bool,
}

/// Asks all there is to ask. Says whether the venue's switch covers us.
pub(super) fn look(case: &Case<'_>, line: &mut dyn Ask, findings: &mut Findings) -> Cover {
    if !clock(case, line, findings) {
        return Cover::of(case.traits, case.venue, None);
    }
    let access = case.key.and_then(|_| access(case, line, findings));
    instruments(case, line, findings);
    if case.key.is_some() {
        open_orders(case, line, findings);
        positions(case, line, findings);
    }
    let may = access.as_ref().and_then(|access| access.switch);
    if case.venue.exclusive_account && case.traits.switch != Switch::None && case.key.is_some() {
        switch(case, line, findings);
    }
    Cover::of(case.traits, case.venue, may)
}

impl Case<'_> {
    /// The venue's words, without the key should it echo it.
    fn words(&self, answered: Answered) -> String {
        let text = match answered {
            Answered::Refused(refusal) => format!("it refuses: {}", refusal.text),
            Answered::Later { why, .. } => format!("not now: {why}"),
            Answered::NotSent(why) => format!("nothing could be sent: {why}"),
            Answered::Unknown(why) => format!("no answer that can be read: {why}"),
            Answered::Done(_) => "it answered something else".to_owned(),
        };
        let secrets = self.key.map_or_else(Vec::new, |key| vec![key.key.expose(), key.secret.expose()]);
        let hidden = secrets.into_iter().filter(|secret| !secret.is_empty());
        let text = hidden.fold(text, |text, secret| text.replace(secret, "[secret]"));
        // One line, and nothing a terminal would obey.
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(300).collect()
    }

    fn problem(&self, findings: &mut Findings, what: &str, mend: impl Into<String>) {
        findings.problem(format!("Venue {}: {what}", self.venue.name), mend);
    }
}

/// Whether it answers at all, and what time it has.
fn clock(case: &Case<'_>, line: &mut dyn Ask, findings: &mut Findings) -> bool {
    let mut best: Option<(Duration, i64)> = None;
    for _ in 0..TIMES_ASKED {
        let sent = line.now();
        let answered = line.ask(&Call::Time);
        let back = line.now();
        let Answered::Done(Facts::Time(server)) = answered else {
            let words = case.words(answered);
            findings.row("reached", "NO");
            let mend = match case.venue.connection.rest_url {
                Some(_) => "Is the address right (rest_url, or the variable that overrides it)? Is somebody listening?",
                None => {
                    "Look at the network, DNS and firewall of this machine, and at the exchange's status page. Some \
                     exchanges refuse whole countries (403); a regional account needs its own address (rest_url)."
                }
            };
            case.problem(findings, &format!("the time was asked for, and {words}"), mend);
            return false;
        };
        let round_trip = back.boot.since(sent.boot);
        let half_ms = i64::try_from(round_trip.as_millis() / 2).unwrap_or(i64::MAX);
        let offset_ms = server.millis().saturating_sub(back.wall.plus_millis(-half_ms).millis());
        if best.is_none_or(|(shortest, _)| round_trip < shortest) {
            best = Some((round_trip, offset_ms));
        }
    }
    let Some((round_trip, offset_ms)) = best else {
        return false;
    };
    let micros = round_trip.as_micros();
    findings.row("reached", &format!("yes, round trip {}.{:01} ms", micros / 1_000, micros % 1_000 / 100));
    let side = if offset_ms < 0 { "ahead of" } else { "behind" };
    findings.row("clock", &format!("ours is {} ms {side} the venue's", offset_ms.unsigned_abs()));
    if offset_ms.unsigned_abs() > CLOCK_OFFSET_MAX_MS {
        case.problem(
            findings,
            &format!("our clock is {} ms {side} the venue's; LIVE starts with 1000 at most.", offset_ms.unsigned_abs()),
            "Set this machine's clock and keep it right: timedatectl set-ntp true, or run chrony.",
        );
    }
    true
}

/// What the key may do.
fn access(case: &Case<'_>, line: &mut dyn Ask, findings: &mut Findings) -> Option<Access> {
    let access = match line.ask(&Call::Access) {
        Answered::Done(Facts::Access(access)) => access,
        answered => {
            let words = case.words(answered);
            let world = case.venue.connection.environment;
            findings.row("key", "NOT USABLE");
            case.problem(
                findings,
                &format!("what the key may do was asked for, and {words}"),
                format!(
                    "Is it a key of {} {} and of this region? Has it expired, or is it bound to another address? A key of \
                     one environment works in no other.",
                    case.venue.kind.word(),
                    world.word()
                ),
            );
            return None;
        }
    };
    let told = |known: Option<bool>, yes: &str, no: &str| match known {
        Some(true) => yes.to_owned(),
        Some(false) => no.to_owned(),
        None => "the venue does not tell".to_owned(),
    };
    findings.row("may trade", &told(access.may_trade, "yes", "NO"));
    findings.row("may withdraw", &told(access.may_withdraw, "YES", "no"));
    findings.row("hedge mode", &told(access.hedge_mode, "ON", "off"));
    for remark in &access.remarks {
        findings.row("key", remark);
    }
    if access.may_trade == Some(false) {
        case.problem(
            findings,
            "the key may not trade.",
            "Give it the right to place and cancel orders, or make another.",
        );
    }
    if access.may_withdraw == Some(true) {
        case.problem(
            findings,
            "the key may take money out of the account. LIVE refuses such a key: a thief of it would need no more.",
            "Make a key without the right to withdraw or transfer, and delete this one at the exchange.",
        );
    }
    if access.hedge_mode == Some(true) {
        case.problem(
            findings,
            "the account is in hedge mode, which this version cannot trade.",
            "Switch the account's position mode to one-way at the exchange; it must be flat for that.",
        );
    }
    Some(access)
}

/// Whether what is configured can be traded there, in the sizes that are configured.
fn instruments(case: &Case<'_>, line: &mut dyn Ask, findings: &mut Findings) {
    let rules = match line.ask(&Call::Instruments) {
        Answered::Done(Facts::Instruments(rules)) => rules,
        answered => {
            let words = case.words(answered);
            return case.problem(
                findings,
                &format!("the instruments were asked for, and {words}"),
                "A start needs them. Try again; then look at the exchange's status page.",
            );
        }
    };
    let known: BTreeMap<&Symbol, &InstrumentRules> = rules.iter().map(|rule| (&rule.symbol, rule)).collect();
    for (number, symbol) in case.venue.symbols.iter().enumerate() {
        let title = if number == 0 { "instruments" } else { "" };
        let Some(rule) = known.get(symbol) else {
            findings.row(title, &format!("{symbol}: NOT KNOWN there"));
            case.problem(
                findings,
                &format!("it has no {symbol}."),
                "Take it out of symbols, or write it as the venue means it.",
            );
            continue;
        };
        let InstrumentRules { tick, lot, min_qty, min_notional, .. } = rule;
        let state = if rule.tradable { "" } else { "   NOT OPEN FOR TRADING" };
        findings.row(
            title,
            &format!("{symbol}: tick {tick}, lot {lot}, least {min_qty}, worth at least {min_notional}{state}"),
        );
        if !rule.tradable {
            case.problem(
                findings,
                &format!("{symbol} is not open for trading."),
                "Wait for it, or take it out of symbols.",
            );
        }
        sizes(case, rule, findings);
    }
}

/// Sizes between two lots would all be refused.
fn sizes(case: &Case<'_>, rule: &InstrumentRules, findings: &mut Findings) {
    let here = case.settings.strategies.iter().filter(|strategy| strategy.venue == case.venue.name);
    for strategy in here.filter(|strategy| strategy.symbols.contains(&rule.symbol)) {
        let qty: Decimal = match &strategy.kind {
            StrategyKind::MarketMaker(maker) => maker.order_qty,
            StrategyKind::Ladder(ladder) => ladder.order_qty,
        };
        let (name, symbol, lot, least) = (&strategy.name, &rule.symbol, rule.lot, rule.min_qty);
        if !qty.steps_of(lot).is_some_and(|(_, is_exact)| is_exact) {
            case.problem(
                findings,
                &format!("order_qty {qty} of strategy {name} is no multiple of {symbol}'s lot {lot}."),
                format!("Choose an order_qty in steps of {lot}."),
            );
        } else if qty < least {
            case.problem(
                findings,
                &format!("order_qty {qty} of strategy {name} is less than {symbol} allows, {least}."),
                format!("Choose an order_qty of {least} or more."),
            );
        }
    }
}

/// Open orders by whose they are.
#[derive(Default)]
struct Listed {
    seen: BTreeSet<VenueOrderId>,
    ours: Vec<String>,
    of_others_we_know: usize,
    of_strangers: BTreeMap<Instance, Vec<ClientOrderId>>,
    foreign: usize,
}

impl Listed {
    fn take(&mut self, row: &OrderRow, settings: &Settings) {
        // Orders move between pages while they are read.
        if !self.seen.insert(row.venue_order_id.clone()) {
            return;
        }
        let Some(id) = row.our_id() else {
            self.foreign += 1;
            return;
        };
        let instance = id.instance();
        if settings.instance == Some(instance) {
            let OrderRow { symbol, side, qty, price, .. } = row;
            self.ours.push(format!("{symbol} {} {qty} @ {price} (id={id})", side.word()));
        } else if settings.start.other_instances.contains(&instance) {
            self.of_others_we_know += 1;
        } else {
            self.of_strangers.entry(instance).or_default().push(id);
        }
    }
}

fn open_orders(case: &Case<'_>, line: &mut dyn Ask, findings: &mut Findings) {
    let mut listed = Listed::default();
    let mut page = None;
    let mut is_whole = false;
    for _ in 0..PAGES_MAX {
        match line.ask(&Call::ListOpen(page.take())) {
            Answered::Done(Facts::OpenOrders { rows, next }) => {
                rows.iter().for_each(|row| listed.take(row, case.settings));
                page = next;
            }
            answered => {
                let words = case.words(answered);
                return case.problem(
                    findings,
                    &format!("the open orders were asked for, and {words}"),
                    "A start and a stop need whole lists. Try again; look at the key's rights.",
                );
            }
        }
        if page.is_none() {
            is_whole = true;
            break;
        }
    }
    let n_strange: usize = listed.of_strangers.values().map(Vec::len).sum();
    findings.row(
        "open orders",
        &format!(
            "{} ours, {n_strange} of strange instances, {} of other_instances, {} of others",
            listed.ours.len(),
            listed.of_others_we_know,
            listed.foreign
        ),
    );
    if !is_whole {
        case.problem(findings, "its list of open orders has no end.", "Report it; do not trade on it.");
    }
    judge_listed(case, &listed, findings);
}

fn judge_listed(case: &Case<'_>, listed: &Listed, findings: &mut Findings) {
    if !listed.ours.is_empty() && !case.is_running {
        case.problem(
            findings,
            &format!("{} of ours open, and no trader is running here:{}", rest(listed.ours.len()), named(&listed.ours)),
            "lastorders run settles and cancels them at its start.",
        );
    }
    for (instance, ids) in &listed.of_strangers {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        case.problem(
            findings,
            &format!("{} open of instance {instance}, which is neither ours nor known:{}", rest(ids.len()), named(&ids)),
            format!(
                "If it is another trader of yours: other_instances = [\"{instance}\"] under [start].\nIf it is a dead one: \
                 run it once more with instance = \"{instance}\", or cancel these at the exchange."
            ),
        );
    }
    if case.venue.exclusive_account && listed.foreign + listed.of_others_we_know > 0 {
        case.problem(
            findings,
            "exclusive_account = true, but there are orders of others. A stop would cancel them too.",
            "Set exclusive_account = false, or give this trader a sub-account of its own.",
        );
    }
}

fn rest(count: usize) -> String {
    format!("{} {}", counted(count, "order"), if count == 1 { "is" } else { "are" })
}

fn named(orders: &[String]) -> String {
    let mut text: String = orders.iter().take(NAMED_MAX).map(|order| format!("\n    - {order}")).collect();
    if orders.len() > NAMED_MAX {
        text.push_str(&format!("\n    … and {} more", orders.len() - NAMED_MAX));
    }
    text
}

fn positions(case: &Case<'_>, line: &mut dyn Ask, findings: &mut Findings) {
    if !case.traits.tells_positions {
        return;
    }
    match line.ask(&Call::Positions) {
        Answered::Done(Facts::Positions(rows)) => {
            let held: Vec<String> =
                rows.iter().filter(|row| !row.qty.is_zero()).map(|row| format!("{} {}", row.symbol, row.qty)).collect();
            findings.row("contracts", if held.is_empty() { "none held" } else { "" });
            for position in held {
                findings.row("", &position);
            }
        }
        answered => {
            let words = case.words(answered);
            case.problem(
                findings,
                &format!("the positions were asked for, and {words}"),
                "A start needs them. Look at the key's rights.",
            );
        }
    }
}

fn switch(case: &Case<'_>, line: &mut dyn Ask, findings: &mut Findings) {
    let text = match line.ask(&Call::ReadSwitch) {
        Answered::Done(Facts::Switch(Some(window))) => format!("armed, {} s", window.as_secs()),
        Answered::Done(Facts::Switch(None)) => "not armed; a run arms it where the account may".to_owned(),
        answered => case.words(answered),
    };
    findings.row("switch", &text);
}
