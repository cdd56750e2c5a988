//! Pings, and the venue's dead man's switch: it cancels what rests when we fall silent.
//!
//! Always holds: pings and renewals come from passes of the loop and stop with it; a switch counts as armed only after
//! the venue has shown it so, and no longer than its window after the last renewal that was proved; one request about a
//! switch is on its way at a time, so a renewal never overtakes the disarming.
//! Never does: arm a switch on an account that is not ours alone, or disarm one that anything may still rest under.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::answers::{wait_of, word_of};
use super::desk::{About, Desk, Note};
use crate::domain::action::{Action, Level};
use crate::domain::event::{LinkState, Stream};
use crate::domain::ids::VenueId;
use crate::domain::instrument::Switch;
use crate::domain::request::{Answered, Call, Facts, RefusalKind};
use crate::domain::time::{Boot, Stamp};

/// To arm a switch: some venues need seconds until it reads back.
const ARM_BUDGET: Duration = Duration::from_secs(15);
/// Between questions whether it is armed (or off), and before a request that proved nothing is repeated.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// After a try to arm it came to nothing.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// Renewals in a row without proof that someone must hear of.
const MISSES_MAX: u32 = 2;

/// What is asked about a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SwitchAsk {
    /// Arm it, or put it off.
    Arm,
    /// Disarm it.
    Disarm,
    /// How it stands.
    Read,
}

/// Where a switch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody has said whether it is wanted: a desk that took over after a panic.
    Unknown,
    /// There is none to count on: why, and when it is tried again.
    Without { why: String, again_at: Boot },
    /// It is set, and asked about until it shows.
    Arming { began: Boot, is_set: bool },
    /// The venue showed it armed.
    Armed,
    /// Nothing rests any more and it is to go.
    Disarming { is_set: bool },
    /// The venue showed it off.
    Off,
    /// It stays armed: why.
    Left(String),
}

/// One venue's pings and its switch.
#[derive(Clone, Debug)]
pub(super) struct Keeper {
    kind: Switch,
    /// Streams that are up, and when each was last pinged.
    pinged: BTreeMap<Stream, Boot>,
    private_down_since: Option<Boot>,
    phase: Phase,
    is_asking: bool,
    next_at: Boot,
    /// When the last renewal that was proved left: it holds for the window from here at least.
    held_from: Boot,
    n_missed: u32,
    has_ended: bool,
}

impl Keeper {
    pub(super) fn new(kind: Switch) -> Keeper {
        Keeper {
            kind,
            pinged: BTreeMap::new(),
            private_down_since: None,
            phase: Phase::Unknown,
            is_asking: false,
            next_at: Boot::ZERO,
            held_from: Boot::ZERO,
            n_missed: 0,
            has_ended: false,
        }
    }

    fn window(&self) -> Duration {
        match self.kind {
            Switch::None => Duration::ZERO,
            Switch::Session { window } | Switch::Timer { window, .. } => window,
        }
    }

    /// When a switch that is armed fires unless something is heard before.
    fn fires_at(&self) -> Boot {
        match (self.kind, self.private_down_since) {
            (Switch::Timer { window, .. }, _) => self.held_from.after(window),
            (Switch::Session { window }, Some(down)) => down.after(window),
            (Switch::Session { .. } | Switch::None, _) => Boot::NEVER,
        }
    }

    /// What is to be asked now.
    fn next_ask(&mut self, at: Boot) -> Option<SwitchAsk> {
        if self.has_ended || self.is_asking || at < self.next_at {
            return None;
        }
        if let Phase::Without { again_at, .. } = &self.phase
            && at >= *again_at
        {
            self.phase = Phase::Arming { began: at, is_set: false };
        }
        let needs_stream = self.needs_stream();
        match &mut self.phase {
            // A switch that hangs on the private stream cannot be had without it.
            Phase::Arming { began, .. } if needs_stream => {
                *began = at;
                None
            }
            Phase::Arming { is_set, .. } => Some(if *is_set { SwitchAsk::Read } else { SwitchAsk::Arm }),
            Phase::Disarming { is_set } => Some(if *is_set { SwitchAsk::Read } else { SwitchAsk::Disarm }),
            Phase::Armed if matches!(self.kind, Switch::Timer { .. }) => Some(SwitchAsk::Arm),
            Phase::Armed | Phase::Unknown | Phase::Without { .. } | Phase::Off | Phase::Left(_) => None,
        }
    }

    fn needs_stream(&self) -> bool {
        matches!(self.kind, Switch::Session { .. }) && !self.pinged.contains_key(&Stream::Private)
    }

    fn give_up(&mut self, why: String, again_at: Boot) {
        self.phase = Phase::Without { why, again_at };
        self.next_at = again_at;
    }

    /// When the next renewal is due.
    fn renew_at(&self) -> Boot {
        match self.kind {
            Switch::Timer { renew_every, .. } => self.held_from.after(renew_every),
            Switch::Session { .. } | Switch::None => Boot::NEVER,
        }
    }
}

impl Desk {
    /// Whether the switch of a venue is to be used: only where nobody else places orders on the account. Armed from now
    /// on by `work`.
    pub fn use_switch(&mut self, at: Stamp, venue: VenueId, exclusive_account: bool) {
        let without = |why: &str| Phase::Without { why: why.into(), again_at: Boot::NEVER };
        let sends = self.sends();
        let keeper = &mut self.keepers[usize::from(venue.0)];
        keeper.phase = match (keeper.kind, exclusive_account) {
            (Switch::None, _) => without("the venue has none"),
            _ if !sends => without("DRY_RUN sends nothing"),
            (_, false) => without("exclusive_account = false, and it would cancel the orders of others as well"),
            (_, true) => Phase::Arming { began: at.boot, is_set: false },
        };
    }

    /// The venue says that this account may not use its switch.
    pub fn switch_denied(&mut self, venue: VenueId, out: &mut Vec<Action>) {
        if let Phase::Arming { .. } = self.keepers[usize::from(venue.0)].phase {
            self.without_switch(venue, "the account has no permission for it".into(), Boot::NEVER, out);
        }
    }

    /// Whether the venue cancels what rests there, should this process fall silent.
    pub fn is_covered(&self, venue: VenueId) -> bool {
        self.keepers[usize::from(venue.0)].phase == Phase::Armed
    }

    /// Whether it has come out if there is a switch: armed, or none to be had.
    pub fn is_switch_settled(&self, venue: VenueId) -> bool {
        !matches!(self.keepers[usize::from(venue.0)].phase, Phase::Arming { .. } | Phase::Disarming { .. })
    }

    /// Why no order should be placed because of the switch: it is about to fire, or fired and is not armed again yet.
    pub fn switch_forbids(&self, at: Stamp, venue: VenueId) -> Option<&'static str> {
        let keeper = &self.keepers[usize::from(venue.0)];
        match (&keeper.phase, keeper.kind) {
            (Phase::Arming { .. }, _) => Some("the venue's dead man's switch is being armed"),
            (Phase::Armed, Switch::Timer { renew_every, .. })
                if keeper.n_missed > 0 && at.boot.after(renew_every) >= keeper.fires_at() =>
            {
                Some("the venue's dead man's switch is about to fire: its renewals are not confirmed")
            }
            _ => None,
        }
    }

    /// Nothing of ours rests at these venues, shown: their switches go. The others stay armed on purpose.
    pub fn disarm_switches(&mut self, at: Stamp, proved: &BTreeSet<VenueId>, why_left: &str) {
        for (venue, keeper) in self.catalogue.venues().iter().zip(&mut self.keepers) {
            // An arming under way may have taken effect already.
            if !matches!(keeper.phase, Phase::Armed | Phase::Arming { .. }) {
                continue;
            }
            keeper.next_at = at.boot;
            keeper.phase = if proved.contains(&venue.id) {
                Phase::Disarming { is_set: false }
            } else {
                Phase::Left(why_left.to_owned())
            };
        }
    }

    /// The streams and workers go: nothing is pinged or renewed from now on.
    pub fn end_keepalive(&mut self) {
        for keeper in &mut self.keepers {
            keeper.has_ended = true;
            if let Phase::Disarming { .. } = keeper.phase {
                keeper.phase = Phase::Left("the venue did not show in time that it is off".into());
            }
        }
    }

    /// What is to be known of the switches, in words, for report and status.
    pub fn switch_words(&self) -> String {
        if self.keepers.iter().all(|keeper| keeper.kind == Switch::None) {
            return "none: no venue of this configuration has one".into();
        }
        let venues = self.catalogue.venues().iter().zip(&self.keepers);
        let words: Vec<_> = venues.map(|(venue, keeper)| format!("{}: {}", venue.name, keeper.words())).collect();
        words.join("; ")
    }

    pub(super) fn stream_changed(&mut self, at: Stamp, venue: VenueId, stream: Stream, state: &LinkState) {
        let keeper = &mut self.keepers[usize::from(venue.0)];
        match state {
            LinkState::Up => {
                // A stream that opens has just spoken.
                keeper.pinged.insert(stream, at.boot);
            }
            LinkState::Down(_) => {
                keeper.pinged.remove(&stream);
            }
        }
        if stream == Stream::Private {
            match state {
                LinkState::Up if at.boot < keeper.fires_at() => keeper.private_down_since = None,
                LinkState::Up => {}
                LinkState::Down(_) => {
                    keeper.private_down_since.get_or_insert(at.boot);
                }
            }
        }
    }

    /// Every stream that is up is pinged as often as its venue wants.
    pub(super) fn ping(&mut self, at: Stamp, out: &mut Vec<Action>) {
        for (venue, keeper) in self.catalogue.venues().iter().zip(&mut self.keepers) {
            let Some(every) = venue.traits.ping_every.filter(|_| !keeper.has_ended) else { continue };
            for (stream, pinged) in &mut keeper.pinged {
                if at.boot >= pinged.after(every) {
                    *pinged = at.boot;
                    out.push(Action::Ping(venue.id, *stream));
                }
            }
        }
    }

    /// Arms, renews, reads and disarms, as each is due.
    pub(super) fn keep_switches(&mut self, at: Stamp, out: &mut Vec<Action>) {
        for place in 0..self.keepers.len() {
            let venue = VenueId(place as u8); // The catalogue holds at most 256 venues.
            self.note_fired(at, venue, out);
            self.stop_arming(at, venue, out);
            let keeper = &mut self.keepers[place];
            let Some(ask) = keeper.next_ask(at.boot) else { continue };
            keeper.is_asking = true;
            let call = match ask {
                SwitchAsk::Arm => Call::SetSwitch(Some(keeper.window())),
                SwitchAsk::Disarm => Call::SetSwitch(None),
                SwitchAsk::Read => Call::ReadSwitch,
            };
            // One that waits longer than this is of a moment that has gone.
            let not_after = at.boot.after(self.catalogue.venue(venue).traits.create_deadline);
            self.send(at, venue, call, About::Switch(ask), not_after, out);
        }
    }

    /// A silence longer than the window: the venue has taken everything off, for all we know.
    fn note_fired(&mut self, at: Stamp, venue: VenueId, out: &mut Vec<Action>) {
        let keeper = &mut self.keepers[usize::from(venue.0)];
        if keeper.phase != Phase::Armed || keeper.has_ended || at.boot < keeper.fires_at() {
            return;
        }
        keeper.phase = Phase::Arming { began: at.boot, is_set: false };
        keeper.next_at = at.boot;
        keeper.private_down_since = None;
        keeper.n_missed = 0;
        let (name, window_s) = (&self.catalogue.venue(venue).name, keeper.window().as_secs());
        let text = format!(
            "{name}: the dead man's switch was not held off for {window_s} s: it is taken to have fired. Orders are compared with the venue, and it is armed again"
        );
        out.push(Action::Say(Level::Error, text));
        self.notes.push(Note::SwitchLost(venue));
    }

    fn stop_arming(&mut self, at: Stamp, venue: VenueId, out: &mut Vec<Action>) {
        let keeper = &mut self.keepers[usize::from(venue.0)];
        let Phase::Arming { began, .. } = keeper.phase else { return };
        if !keeper.is_asking && at.boot >= began.after(ARM_BUDGET) && !keeper.needs_stream() {
            let why = format!("it did not show as armed within {} s", ARM_BUDGET.as_secs());
            self.without_switch(venue, why, at.boot.after(TRY_AGAIN), out);
        }
    }

    fn without_switch(&mut self, venue: VenueId, why: String, again_at: Boot, out: &mut Vec<Action>) {
        let name = &self.catalogue.venue(venue).name;
        out.push(Action::Say(
            Level::Warn,
            format!(
                "{name}: no dead man's switch on this account: {why}. Should this machine fail, nobody cancels what rests before the next start does"
            ),
        ));
        self.keepers[usize::from(venue.0)].give_up(why, again_at);
    }

    pub(super) fn switch_answered(
        &mut self,
        at: Stamp,
        venue: VenueId,
        (ask, asked): (SwitchAsk, Stamp),
        answered: Answered,
        out: &mut Vec<Action>,
    ) {
        self.keepers[usize::from(venue.0)].is_asking = false;
        match ask {
            SwitchAsk::Arm => self.arm_answered(at, venue, asked.boot, answered, out),
            SwitchAsk::Disarm => self.disarm_answered(at, venue, answered),
            SwitchAsk::Read => self.read_answered(at, venue, answered, out),
        }
    }

    fn arm_answered(&mut self, at: Stamp, venue: VenueId, asked: Boot, answered: Answered, out: &mut Vec<Action>) {
        let name = self.catalogue.venue(venue).name.clone();
        let keeper = &mut self.keepers[usize::from(venue.0)];
        match (&mut keeper.phase, &answered) {
            (Phase::Arming { is_set, .. }, Answered::Done(_)) => {
                *is_set = true;
                keeper.held_from = asked;
                keeper.next_at = at.boot;
            }
            (Phase::Armed, Answered::Done(_)) => {
                keeper.held_from = asked;
                keeper.n_missed = 0;
                keeper.next_at = keeper.renew_at();
            }
            // The venue will not: no permission, or no such thing on this account.
            (Phase::Arming { .. }, Answered::Refused(refusal)) if refusal.kind != RefusalKind::NotNow => {
                let why = refusal.text.clone();
                self.without_switch(venue, why, Boot::NEVER, out);
            }
            (Phase::Armed, _) => {
                keeper.n_missed += 1;
                keeper.next_at = at.boot.after(wait_of(&answered).max(ASK_AGAIN));
                if keeper.n_missed == MISSES_MAX {
                    let left_s = at.boot.until(keeper.fires_at()).as_secs();
                    let why = word_of(&answered);
                    out.push(Action::Say(
                        Level::Error,
                        format!("{name}: the dead man's switch was not renewed {MISSES_MAX} times in a row ({why}); it fires in {left_s} s and cancels every order there"),
                    ));
                }
            }
            // Too late for the phase it was sent in: what is asked next says how it stands.
            _ => keeper.next_at = at.boot.after(wait_of(&answered).max(ASK_AGAIN)),
        }
        if let Phase::Disarming { .. } = self.keepers[usize::from(venue.0)].phase {
            self.keepers[usize::from(venue.0)].next_at = at.boot;
        }
    }

    fn disarm_answered(&mut self, at: Stamp, venue: VenueId, answered: Answered) {
        let keeper = &mut self.keepers[usize::from(venue.0)];
        let Phase::Disarming { is_set } = &mut keeper.phase else { return };
        match answered {
            Answered::Done(_) => {
                *is_set = true;
                keeper.next_at = at.boot;
            }
            Answered::Refused(refusal) if refusal.kind != RefusalKind::NotNow => {
                keeper.phase = Phase::Left(format!("the venue does not let it be disarmed ({})", refusal.text));
            }
            other => keeper.next_at = at.boot.after(wait_of(&other).max(ASK_AGAIN)),
        }
    }

    fn read_answered(&mut self, at: Stamp, venue: VenueId, answered: Answered, out: &mut Vec<Action>) {
        let name = &self.catalogue.venue(venue).name;
        let keeper = &mut self.keepers[usize::from(venue.0)];
        keeper.next_at = at.boot.after(wait_of(&answered).max(ASK_AGAIN));
        match (&mut keeper.phase, answered) {
            (Phase::Arming { .. }, Answered::Done(Facts::Switch(Some(_)))) => {
                keeper.phase = Phase::Armed;
                keeper.n_missed = 0;
                keeper.next_at = keeper.renew_at();
                let window_s = keeper.window().as_secs();
                let text = format!(
                    "{name}: the dead man's switch is armed: {window_s} s without us, and the venue cancels every order of the account"
                );
                out.push(Action::Say(Level::Info, text));
            }
            // A timer shows at once or has run out; a switch that hangs on the stream may take seconds.
            (Phase::Arming { is_set, .. }, Answered::Done(Facts::Switch(None))) => {
                *is_set = matches!(keeper.kind, Switch::Session { .. });
            }
            (Phase::Arming { .. }, Answered::Refused(refusal)) if refusal.kind != RefusalKind::NotNow => {
                let why = format!("whether it is armed cannot be read ({})", refusal.text);
                self.without_switch(venue, why, Boot::NEVER, out);
            }
            (Phase::Disarming { .. }, Answered::Done(Facts::Switch(None))) => keeper.phase = Phase::Off,
            (Phase::Disarming { is_set }, Answered::Done(Facts::Switch(Some(_)))) => *is_set = false,
            _ => {}
        }
    }
}

impl Keeper {
    fn words(&self) -> String {
        let window_s = self.window().as_secs();
        match &self.phase {
            Phase::Unknown => "left as it was: this stop took over after a failure".into(),
            Phase::Without { why, .. } => format!("none: {why}"),
            Phase::Arming { .. } => "being armed".into(),
            Phase::Armed => format!("armed, {window_s} s"),
            Phase::Disarming { .. } => "being disarmed".into(),
            Phase::Off => "disarmed after every order was shown to be gone".into(),
            Phase::Left(why) => format!("left armed, it may fire {window_s} s after the last word: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);
    const TIMER: Switch = Switch::Timer { window: WINDOW, renew_every: Duration::from_secs(5) };

    fn seconds(seconds: u64) -> Boot {
        Boot::from_nanos(seconds * 1_000_000_000)
    }

    fn armed(kind: Switch) -> Keeper {
        Keeper { phase: Phase::Armed, held_from: seconds(100), next_at: seconds(105), ..Keeper::new(kind) }
    }

    #[test]
    fn one_request_about_a_switch_is_on_its_way_at_a_time() {
        let mut keeper = armed(TIMER);
        assert_eq!(keeper.next_ask(seconds(104)), None);
        assert_eq!(keeper.next_ask(seconds(105)), Some(SwitchAsk::Arm));
        keeper.is_asking = true;
        keeper.phase = Phase::Disarming { is_set: false };
        assert_eq!(keeper.next_ask(seconds(106)), None, "the disarming waits for the renewal");
        keeper.is_asking = false;
        assert_eq!(keeper.next_ask(seconds(106)), Some(SwitchAsk::Disarm));
    }

    #[test]
    fn a_timer_fires_a_window_after_the_last_renewal_and_a_bond_a_window_after_the_stream_broke() {
        assert_eq!(armed(TIMER).fires_at(), seconds(130));
        let mut bond = armed(Switch::Session { window: WINDOW });
        assert_eq!(bond.fires_at(), Boot::NEVER);
        bond.private_down_since = Some(seconds(200));
        assert_eq!(bond.fires_at(), seconds(230));
    }

    #[test]
    fn after_the_workers_are_gone_nothing_is_asked_any_more() {
        let mut keeper = armed(TIMER);
        keeper.has_ended = true;
        assert_eq!(keeper.next_ask(seconds(200)), None);
    }
}
