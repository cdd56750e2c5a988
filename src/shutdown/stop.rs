//! `Stop`: the ordered stop (design 5), as a machine. One-way, run once.
//!
//! Always holds: every step ends by an event or by its deadline and leaves a line in the report; fills are booked until
//! the streams close; `exit code 0` needs a proof from every venue and a state on disk.
//! Never does: create an order, trade, block, or leave early. There is no `?` in the steps, on purpose.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ending::{Ending, Proofs, exit_code};
use super::report::{Findings, order_line};
use super::steps::{Step, whole_budget};
use crate::domain::action::{Action, Level, Verdict};
use crate::domain::command::{Command, CommandAnswer, CommandId};
use crate::domain::event::{Closing, Event, Part, Saved, SignalName};
use crate::domain::ids::{ClientOrderId, VenueId};
use crate::domain::order::OrderState;
use crate::domain::report::StepLine;
use crate::domain::settings::{Mode, OnExit, ShutdownSettings};
use crate::domain::snapshot::SavedOrder;
use crate::domain::stop::StopCause;
use crate::domain::time::{Boot, Stamp};
use crate::orders::desk::{Desk, Note};
use crate::orders::status;
use crate::orders::sweep::{Before, Progress, Sweep};
use crate::orders::troubles::Troubles;

/// Creates that got no answer this long after the gate shut have their sockets cut.
const CREATE_PATIENCE: Duration = Duration::from_secs(2);
/// What a third SIGINT leaves.
const HURRY: Duration = Duration::from_secs(8);
/// Of that, for a last round of cancels and one listing.
const HURRY_CANCEL: Duration = Duration::from_secs(4);
/// SIGINTs further apart than this do not add up.
const IMPATIENCE_WINDOW: Duration = Duration::from_secs(10);
/// Orders named one by one in the log; the report names all.
const NAMED_MAX: usize = 50;

/// What a stop begins with.
pub struct Begin {
    /// Why.
    pub cause: StopCause,
    /// Where the process stands with its orders.
    pub desk: Desk,
    /// How far creates may be on their way that this desk did not hand over.
    pub before: Before,
    /// Open orders at venues nobody configured any more.
    pub unwatched: Vec<SavedOrder>,
    /// Commands whose answer was to come when something was proved; the stop answers them.
    pub unanswered: Vec<CommandId>,
    /// The operator's policy.
    pub settings: ShutdownSettings,
    /// Where the report will lie, for the last line.
    pub report_path: String,
}

/// The stop.
pub struct Stop {
    pub(super) desk: Desk,
    pub(super) cause: StopCause,
    pub(super) settings: ShutdownSettings,
    pub(super) began: Stamp,
    pub(super) steps: Vec<StepLine>,
    pub(super) sweeps: Vec<Sweep>,
    pub(super) findings: Findings,
    pub(super) troubles: Troubles,
    pub(super) unwatched: Vec<SavedOrder>,
    pub(super) n_signals: u32,
    pub(super) state_flushed: Option<Result<(), String>>,
    pub(super) tasks: Closing,
    before: Before,
    report_path: String,
    unanswered: Vec<CommandId>,
    deadline: Boot,
    step: Step,
    step_began: Boot,
    budget_began: Boot,
    step_entered: bool,
    step_deadline: Boot,
    report_asked: bool,
    report_saved: Option<Result<(), String>>,
    saved_up_to: u64,
    closed: Option<Closing>,
    severed: BTreeSet<u8>,
    links_asked: bool,
    interrupts: Vec<Boot>,
    /// Somebody who asked for an end has had an answer.
    cause_answered: bool,
    finished: bool,
}

impl Stop {
    /// Takes over. The first cycle shuts the gate.
    pub fn new(begin: Begin, at: Stamp) -> Stop {
        let Begin { cause, desk, before, unwatched, unanswered, settings, report_path } = begin;
        let deadline = at.boot.after(whole_budget(&settings));
        let findings = Findings::of_takeover(&desk);
        Stop {
            desk,
            cause,
            before,
            unwatched,
            began: at,
            steps: Vec::new(),
            sweeps: Vec::new(),
            findings,
            troubles: Troubles::default(),
            n_signals: 0,
            state_flushed: None,
            tasks: Closing::default(),
            report_path,
            unanswered,
            deadline,
            step: Step::Gate,
            step_began: at.boot,
            budget_began: at.boot,
            step_entered: false,
            step_deadline: at.boot,
            report_asked: false,
            report_saved: None,
            saved_up_to: 0,
            closed: None,
            severed: BTreeSet::new(),
            links_asked: false,
            interrupts: Vec::new(),
            cause_answered: false,
            finished: false,
            settings,
        }
    }

    /// One cycle.
    pub fn cycle(&mut self, at: Stamp, events: &[Event], out: &mut Vec<Action>) {
        for id in std::mem::take(&mut self.unanswered) {
            let text = "a stop began before that was proved; the stop cancels every order and proves it".to_owned();
            out.push(Action::Answer(id, CommandAnswer { ok: false, text, data: serde_json::Value::Null }));
        }
        for event in events {
            self.desk.take(at, event, out);
            self.hear(at, event, out);
        }
        self.desk.work(at, out);
        for note in self.desk.take_notes() {
            self.note(&note, out);
        }
        // Several steps may be over in one cycle; each gets its line.
        while !self.finished {
            if !self.step_entered {
                self.enter(at, out);
            }
            let Some((ok, note)) = self.outcome(at, out) else { break };
            self.leave(at, ok, note, out);
        }
        for note in self.desk.take_notes() {
            self.note(&note, out);
        }
    }

    /// Which step it is at.
    pub fn step(&self) -> Step {
        self.step
    }

    /// The desk, for checks from outside.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    fn hear(&mut self, at: Stamp, event: &Event, out: &mut Vec<Action>) {
        match event {
            Event::Saved(Saved::State, result) => self.state_flushed = Some(result.clone()),
            Event::Saved(Saved::Report, result) => self.report_saved = Some(result.clone()),
            Event::Closed(_, closing) => self.closed = Some(closing.clone()),
            Event::Signal(signal) => self.signalled(at, *signal, out),
            Event::Command(id, command) => self.commanded(at, *id, command, out),
            _ => {}
        }
    }

    fn note(&mut self, note: &Note, out: &mut Vec<Action>) {
        match note {
            Note::Moved { id, before, after } if after.is_terminal() => {
                self.findings.ended(*id, *before, *after, &self.desk);
            }
            Note::Found(id) => {
                if let Some(order) = self.desk.orders.get(*id) {
                    self.findings.found.insert(*id, order.key.venue);
                }
            }
            Note::CancelFailed(id, why) => {
                self.findings.cancel_failed(*id, &self.desk);
                if let Some(venue) = self.desk.orders.get(*id).map(|order| order.key.venue) {
                    self.trouble(venue, &format!("cancels fail: {why}"), out);
                }
            }
            Note::CancelAllFailed(venue, why) => self.trouble(*venue, &format!("cancel-all fails: {why}"), out),
            Note::ListingFailed(venue, why) => self.trouble(*venue, &format!("no list of open orders: {why}"), out),
            Note::FillsFailed(venue, why) => self.trouble(*venue, &format!("no list of fills: {why}"), out),
            _ => {}
        }
    }

    /// Something did not come about and is tried again: told once, at once, while somebody can still do something.
    fn trouble(&mut self, venue: VenueId, why: &str, out: &mut Vec<Action>) {
        if self.troubles.is_new(venue, why) {
            let name = &self.desk.catalogue.venue(venue).name;
            out.push(say(Level::Warn, format!("{name}: {why}. The stop tries again")));
        }
    }

    fn signalled(&mut self, at: Stamp, signal: SignalName, out: &mut Vec<Action>) {
        self.n_signals += 1;
        // Whoever signals wants it to end, not to come back.
        if self.cause == StopCause::Restart {
            self.cause = StopCause::Signal(signal);
        }
        if signal != SignalName::Int {
            return;
        }
        self.interrupts.retain(|earlier| at.boot.since(*earlier) <= IMPATIENCE_WINDOW);
        self.interrupts.push(at.boot);
        // The first SIGINT began the stop, or another cause did: either way these are the second and third.
        if self.interrupts.len() >= 2 {
            self.deadline = self.deadline.min(at.boot.after(HURRY));
            self.step_deadline = self.step_deadline.min(match self.step {
                Step::Cancel | Step::Prove => at.boot.after(HURRY_CANCEL),
                _ => self.deadline,
            });
            out.push(say(Level::Warn, "Hurrying: one last round of cancels, at most 8 s in all".into()));
            return;
        }
        let left_s = at.boot.until(self.deadline).as_secs();
        out.push(say(
            Level::Warn,
            format!("Still stopping, at most {left_s} s left. Ctrl-C again within 10 s to hurry"),
        ));
        self.name_open(out);
    }

    fn commanded(&mut self, at: Stamp, id: CommandId, command: &Command, out: &mut Vec<Action>) {
        let (ok, text) = match command {
            Command::Status => {
                let phase = format!("stopping, step {}/11: {}", self.step.number(), self.step.title());
                let data = status::data(&self.desk, at, &phase, false);
                let text = status::text(&self.desk, &phase);
                out.push(Action::Answer(id, CommandAnswer { ok: true, text, data }));
                return;
            }
            Command::Pause { .. } | Command::Resume | Command::CancelAll | Command::Rearm => {
                (false, "not while stopping: every order is being cancelled")
            }
            Command::Stop | Command::Restart => self.asked_to_end(command),
        };
        out.push(Action::Answer(id, CommandAnswer { ok, text: text.to_owned(), data: serde_json::Value::Null }));
    }

    /// The command that began this stop comes here too, and is the first one that asks for what is happening.
    fn asked_to_end(&mut self, command: &Command) -> (bool, &'static str) {
        let is_first = !std::mem::replace(&mut self.cause_answered, true);
        match (command, &self.cause) {
            (Command::Stop, StopCause::Restart) => {
                // As with a signal: whoever asks for an end does not want it to come back.
                self.cause = StopCause::Command;
                (true, "stopping, and not starting again")
            }
            (Command::Stop, StopCause::Command) if is_first => {
                (true, "stopping: every order is cancelled and shown to be gone; `lastorders report` tells how it went")
            }
            (Command::Restart, StopCause::Restart) if is_first => {
                (true, "restarting: every order is cancelled and shown to be gone, then it trades on")
            }
            (Command::Restart, StopCause::Restart) => (true, "restarting already"),
            (Command::Restart, _) => (false, "stopping already, and it stays a stop"),
            _ => (true, "stopping already"),
        }
    }

    fn enter(&mut self, at: Stamp, out: &mut Vec<Action>) {
        self.step_entered = true;
        self.closed = None;
        self.step_began = at.boot;
        // Cancelling and proving share one budget.
        if self.step != Step::Prove {
            self.budget_began = at.boot;
        }
        self.step_deadline = self.step.deadline(self.budget_began, self.deadline, &self.settings);
        if self.step == Step::Gate {
            self.say_why(out);
        }
        out.push(say(Level::Info, format!("Step {}/11: {}", self.step.number(), self.step.title())));
        match self.step {
            Step::Gate => self.shut_gate(at, out),
            Step::Cancel => self.begin_cancel(at, out),
            Step::Prove | Step::Strategies | Step::Recorder => {}
            Step::Save => self.save_state(out),
            Step::Links => self.part_with_switches(at, out),
            Step::Faces => out.push(Action::Close(Part::Faces, self.left(at))),
            Step::Tasks => out.push(Action::Close(Part::Tasks, self.left(at))),
            Step::Report => self.save_again(out),
            Step::Locks => self.finish(at, out),
        }
    }

    /// Whether the step is over: how, and in words. `None` while it is not.
    fn outcome(&mut self, at: Stamp, out: &mut Vec<Action>) -> Option<(bool, String)> {
        let late = at.boot >= self.step_deadline;
        match self.step {
            Step::Gate => Some((true, format!("{} creates never left", self.findings.unsent.len()))),
            Step::Cancel => self.cancel_outcome(at, late, out),
            Step::Prove => self.prove_outcome(at, late, out),
            Step::Save => self.save_outcome(late),
            Step::Strategies | Step::Recorder => Some((true, "none".into())),
            Step::Links => self.links_outcome(at, late, out),
            Step::Faces | Step::Tasks => self.close_outcome(late),
            Step::Report => self.report_outcome(at, late, out),
            Step::Locks => Some((true, String::new())),
        }
    }

    fn leave(&mut self, at: Stamp, ok: bool, note: String, out: &mut Vec<Action>) {
        match (ok, self.step) {
            (false, step) => {
                out.push(say(Level::Error, format!("Step {}/11 did not end well: {note}", step.number())));
            }
            (true, Step::Save) => out.push(say(Level::Info, note.clone())),
            (true, _) => {}
        }
        let ms = u64::try_from(at.boot.since(self.step_began).as_millis()).unwrap_or(u64::MAX);
        self.steps.push(StepLine { name: self.step.word().into(), ok, ms, note });
        if self.step < Step::Report {
            let draft = self.report(at, false);
            out.push(Action::SaveReport(Saved::Draft, Box::new(draft)));
        }
        self.finished = self.step == Step::Locks;
        self.step = self.step.next();
        self.step_entered = false;
    }

    fn say_why(&self, out: &mut Vec<Action>) {
        let begun = match &self.cause {
            StopCause::Signal(signal) => {
                format!("SHUTDOWN SIGNAL RECEIVED ({}) - initiating graceful shutdown", signal.word())
            }
            StopCause::Command => "Stop requested by command - initiating graceful shutdown".into(),
            StopCause::Restart => "Restart requested - initiating graceful shutdown".into(),
            StopCause::StartFailed(why) => format!("The start did not get through: {why}"),
            StopCause::CorePanic(what) => format!("The trading machine failed ({what}) - initiating graceful shutdown"),
        };
        let is_failure = matches!(self.cause, StopCause::StartFailed(_) | StopCause::CorePanic(_));
        out.push(say(if is_failure { Level::Error } else { Level::Info }, begun));
    }

    fn shut_gate(&mut self, at: Stamp, out: &mut Vec<Action>) {
        out.push(Action::ShutGate);
        self.desk.close_with_reason("graceful_shutdown");
        self.desk.shut_gate(at, out);
        for note in self.desk.take_notes() {
            self.note(&note, out);
        }
    }

    fn begin_cancel(&mut self, at: Stamp, out: &mut Vec<Action>) {
        if self.desk.identity.mode == Mode::DryRun {
            return;
        }
        let n_open = self.desk.orders.n_open();
        if self.settings.on_exit == OnExit::Keep {
            out.push(say(Level::Info, format!("{n_open} orders are kept on the book (on_exit = \"keep\")")));
            return;
        }
        match n_open {
            0 => out.push(say(Level::Info, "No active orders to cancel".into())),
            n => out.push(say(Level::Info, format!("Found {n} active orders to cancel"))),
        }
        self.name_open(out);
        let venues: Vec<_> = self.desk.catalogue.venues().iter().map(|venue| venue.id).collect();
        self.sweeps = venues.into_iter().map(|venue| Sweep::new(venue, at, self.before, &self.desk)).collect();
    }

    fn name_open(&self, out: &mut Vec<Action>) {
        for order in self.desk.orders.open().take(NAMED_MAX) {
            out.push(say(Level::Info, format!("  - {}", status::order_words(&self.desk, order))));
        }
        let n_more = self.desk.orders.n_open().saturating_sub(NAMED_MAX);
        if n_more > 0 {
            out.push(say(Level::Info, format!("  - and {n_more} more; the report names all that remain")));
        }
    }

    /// Every sweep does one pass; what is left to do afterwards.
    fn sweep(&mut self, at: Stamp, out: &mut Vec<Action>) -> (bool, bool) {
        let mut sweeps = std::mem::take(&mut self.sweeps);
        let progress: Vec<_> = sweeps.iter_mut().map(|sweep| sweep.pass(at, &mut self.desk, out)).collect();
        self.sweeps = sweeps;
        self.desk.work(at, out); // What the passes wanted goes out in this cycle, not in the next.
        self.sever_silent_creates(at, out);
        let chasing = progress.contains(&Progress::Chasing);
        let proved = progress.iter().all(|progress| matches!(progress, Progress::Proved(_)));
        (chasing, proved)
    }

    fn sever_silent_creates(&mut self, at: Stamp, out: &mut Vec<Action>) {
        if at.boot < self.began.boot.after(CREATE_PATIENCE) {
            return;
        }
        for venue in self.desk.catalogue.venues() {
            if self.desk.account(venue.id).n_creates_on_their_way() > 0 && self.severed.insert(venue.id.0) {
                out.push(Action::Sever(venue.id));
            }
        }
    }

    fn cancel_outcome(&mut self, at: Stamp, late: bool, out: &mut Vec<Action>) -> Option<(bool, String)> {
        if self.desk.identity.mode == Mode::DryRun {
            return Some((true, "skipped: DRY_RUN sends nothing".into()));
        }
        if self.settings.on_exit == OnExit::Keep {
            self.list_all(at, out);
            let n_unsettled = self.n_unsettled();
            let is_known = n_unsettled == 0 && self.all_listed();
            let words = if self.all_listed() { "" } else { "; not every venue gave a complete listing" };
            let note = format!("kept by policy; {n_unsettled} orders unknown{words}");
            return (is_known || late).then_some((is_known, note));
        }
        let (chasing, _) = self.sweep(at, out);
        if chasing && !late {
            return None;
        }
        let n_open = self.desk.orders.n_open();
        let n_canceled = self.findings.canceled.len();
        match n_canceled {
            0 => {}
            1 => out.push(say(Level::Info, "Canceled 1 order".into())),
            n if self.findings_by_batch() => out.push(say(Level::Info, format!("Batch canceled {n} orders"))),
            n => out.push(say(Level::Info, format!("Canceled {n} orders one by one"))),
        }
        Some((
            n_open == 0,
            format!("{n_canceled} canceled, {} filled meanwhile, {n_open} open", self.findings.filled.len()),
        ))
    }

    fn findings_by_batch(&self) -> bool {
        self.desk.catalogue.venues().iter().any(|venue| venue.traits.batch_cancel_max > 1)
    }

    /// What is kept must be known: a complete listing of every venue since the stop began.
    fn all_listed(&self) -> bool {
        self.desk.catalogue.venues().iter().all(|venue| {
            self.desk.account(venue.id).last_listed().is_some_and(|listed| listed.started.boot >= self.began.boot)
        })
    }

    fn list_all(&mut self, at: Stamp, out: &mut Vec<Action>) {
        let venues: Vec<_> = self.desk.catalogue.venues().iter().map(|venue| venue.id).collect();
        for venue in venues {
            let listed = self.desk.account(venue).last_listed();
            if listed.is_none_or(|listed| listed.started.boot < self.began.boot) {
                self.desk.list(at, venue, out);
            }
        }
    }

    fn n_unsettled(&self) -> usize {
        let unsettled = |state: OrderState| matches!(state, OrderState::Sent { .. } | OrderState::Unknown { .. });
        self.desk.orders.open().filter(|order| unsettled(order.state)).count()
    }

    fn prove_outcome(&mut self, at: Stamp, late: bool, out: &mut Vec<Action>) -> Option<(bool, String)> {
        if self.desk.identity.mode == Mode::DryRun {
            return Some((true, "skipped: DRY_RUN sends nothing".into()));
        }
        if self.settings.on_exit == OnExit::Keep {
            let is_known = self.n_unsettled() == 0 && self.all_listed();
            return Some((is_known, "kept by policy: orders are named, not proved gone".into()));
        }
        let (_, proved) = self.sweep(at, out);
        if proved {
            let n_listings: u32 = self.sweeps.iter().map(|sweep| sweep.n_listings(&self.desk)).sum();
            return Some((true, format!("{}, {n_listings} listings", self.grade_word())));
        }
        late.then(|| (false, format!("not proved: {}", self.missing_words())))
    }

    fn save_state(&mut self, out: &mut Vec<Action>) {
        self.state_flushed = None;
        if self.desk.records() {
            self.saved_up_to = self.desk.last_lsn().0;
            out.push(Action::SaveState);
        } else {
            self.state_flushed = Some(Ok(()));
        }
    }

    fn save_outcome(&mut self, late: bool) -> Option<(bool, String)> {
        let outcome = match &self.state_flushed {
            Some(Ok(())) if !self.desk.records() => (true, "skipped: DRY_RUN records nothing".to_owned()),
            Some(Ok(())) => (true, "StateStore flushed to disk".to_owned()),
            Some(Err(why)) => (false, format!("StateStore NOT flushed: {why}")),
            None if late => (false, "StateStore NOT flushed: the disk did not answer in time".to_owned()),
            None => return None,
        };
        Some(outcome)
    }

    fn close_outcome(&mut self, late: bool) -> Option<(bool, String)> {
        let closing = match self.closed.take() {
            Some(closing) => closing,
            None if late => Closing { ok: false, note: "no word in time".into(), joined: 0, late: Vec::new() },
            None => return None,
        };
        self.tasks.joined += closing.joined;
        self.tasks.late.extend(closing.late.clone());
        Some((closing.ok, closing.note))
    }

    /// Where nothing is left, the venue's switch goes, last of all that is asked of it. Anywhere else it stays armed: it
    /// cancels what we could not.
    fn part_with_switches(&mut self, at: Stamp, out: &mut Vec<Action>) {
        let is_clean = |sweep: &&Sweep| sweep.proof().is_some() && self.desk.orders.n_open_at(sweep.venue()) == 0;
        let proved = self.sweeps.iter().filter(is_clean).map(Sweep::venue).collect();
        let why_left = match self.settings.on_exit {
            OnExit::Keep => "orders are kept on the book",
            OnExit::Cancel => "not every order is shown to be gone",
        };
        self.desk.disarm_switches(at, &proved, why_left);
        self.desk.work(at, out);
    }

    /// First the switches, for half the time; then the workers that ask and the streams.
    fn links_outcome(&mut self, at: Stamp, late: bool, out: &mut Vec<Action>) -> Option<(bool, String)> {
        if self.links_asked {
            return self.close_outcome(late);
        }
        let half = self.step_deadline.since(self.step_began) / 2;
        let waited_enough = late || at.boot >= self.step_began.after(half);
        let venues = self.desk.catalogue.venues();
        if !waited_enough && !venues.iter().all(|venue| self.desk.is_switch_settled(venue.id)) {
            return None;
        }
        self.links_asked = true;
        self.desk.end_keepalive();
        out.push(Action::Close(Part::Links, self.left(at)));
        None
    }

    /// What came after the save (a last fill, the end of a list) goes to disk as well, and so does a state that the disk
    /// refused before.
    fn save_again(&mut self, out: &mut Vec<Action>) {
        if self.desk.records() && (self.desk.last_lsn().0 > self.saved_up_to || self.state_flushed != Some(Ok(()))) {
            self.save_state(out);
        }
    }

    /// First the state, then the report: it tells whether the state is on disk.
    fn report_outcome(&mut self, at: Stamp, late: bool, out: &mut Vec<Action>) -> Option<(bool, String)> {
        let half = Step::Report.budget(&self.settings) / 2;
        let waited_enough = late || at.boot >= self.step_began.after(half);
        if !self.report_asked && (self.state_flushed.is_some() || waited_enough) {
            self.report_asked = true;
            self.write_report(at, out);
        }
        match &self.report_saved {
            Some(Ok(())) => Some((true, "complete".into())),
            Some(Err(why)) => Some((false, format!("report NOT written: {why}"))),
            None if late => Some((false, "report NOT written: the disk did not answer in time".into())),
            None => None,
        }
    }

    fn write_report(&mut self, at: Stamp, out: &mut Vec<Action>) {
        // The file tells of itself and of what comes after it; if writing fails, the draft with code 3 stays.
        let ms = u64::try_from(at.boot.since(self.step_began).as_millis()).unwrap_or(u64::MAX);
        let line =
            |step: Step, ms: u64, note: &str| StepLine { name: step.word().into(), ok: true, ms, note: note.into() };
        self.steps.push(line(Step::Report, ms, "this file"));
        self.steps.push(line(Step::Locks, 0, "released after this file was written"));
        let report = self.report(at, true);
        self.steps.truncate(self.steps.len() - 2);
        out.push(Action::SaveReport(Saved::Report, Box::new(report)));
    }

    fn finish(&mut self, at: Stamp, out: &mut Vec<Action>) {
        let saved = self.state_flushed == Some(Ok(())) && self.report_saved == Some(Ok(()));
        let ending = self.ending();
        let exit_code = exit_code(&ending, &self.cause, saved);
        self.summary(at, &ending, out);
        out.push(Action::Finish(Verdict { exit_code, summary: self.last_line(&ending, exit_code) }));
    }

    pub(super) fn ending(&self) -> Ending {
        if self.desk.identity.mode == Mode::DryRun {
            return Ending::NeverSent;
        }
        // A proof is of a moment; what was heard since counts more.
        let is_kept = self.settings.on_exit == OnExit::Keep && !self.sweeps_were_begun();
        if !self.unwatched.is_empty() || (!is_kept && self.desk.orders.n_open() > 0) {
            return Ending::Residue;
        }
        if is_kept {
            let is_known = self.n_unsettled() == 0 && self.all_listed();
            return if is_known { Ending::Kept(self.desk.orders.n_open()) } else { Ending::Residue };
        }
        let n_venues = self.desk.catalogue.venues().len();
        Proofs::of_every_venue(self.sweeps.iter().map(Sweep::proof), n_venues).map_or(Ending::Residue, Ending::Clean)
    }

    fn sweeps_were_begun(&self) -> bool {
        !self.sweeps.is_empty()
    }

    fn left(&self, at: Stamp) -> Duration {
        at.boot.until(self.step_deadline)
    }

    fn summary(&self, at: Stamp, ending: &Ending, out: &mut Vec<Action>) {
        let report = self.report(at, true);
        let (headline, level) = match ending {
            Ending::Residue => ("SHUTDOWN ENDED WITH ORDERS THAT ARE OR MAY BE OPEN", Level::Error),
            Ending::Clean(_) | Ending::Kept(_) | Ending::NeverSent => ("GRACEFUL SHUTDOWN COMPLETE", Level::Info),
        };
        let proof = match ending {
            Ending::Clean(_) => format!("proved {}", report.proof.grade),
            Ending::Kept(n_kept) => format!("{n_kept} kept by policy"),
            Ending::NeverSent => "DRY_RUN".into(),
            Ending::Residue => format!("NOT proved: {}", self.missing_words()),
        };
        let positions: Vec<_> = report.positions.iter().map(|held| format!("{} {}", held.symbol, held.qty)).collect();
        let positions = if positions.is_empty() { "none".into() } else { positions.join(", ") };
        let ms = report.duration_ms;
        let lines = [
            format!("  Orders canceled: {}", report.orders.canceled),
            format!("  Filled meanwhile: {}", report.orders.filled_meanwhile),
            format!("  Cancel errors: {}", report.orders.cancel_errors),
            format!("  Orders remaining: {} ({proof})", report.orders.remaining.len()),
            format!("  State flushed: {}", report.state_flushed),
            format!("  Positions held: {positions}"),
            format!("  Duration: {}.{:02} s", ms / 1000, ms % 1000 / 10),
        ];
        out.push(say(level, headline.into()));
        out.extend(lines.into_iter().map(|line| say(level, line)));
        for line in report.orders.remaining.iter().take(NAMED_MAX) {
            out.push(say(Level::Error, format!("  ! {}: {}", order_line(line), line.why)));
        }
    }

    fn last_line(&self, ending: &Ending, exit_code: u8) -> String {
        let n_canceled = self.findings.canceled.len();
        let proof = match ending {
            Ending::Clean(_) => format!("none left ({})", self.grade_word()),
            Ending::Kept(n_kept) => format!("{n_kept} kept by policy"),
            Ending::NeverSent => "nothing was sent (DRY_RUN)".into(),
            Ending::Residue => format!("NOT PROVED, {} may be open", self.remaining().len()),
        };
        let n_held = self.desk.positions().filter(|(_, position)| !position.qty.is_zero()).count();
        let held = if n_held == 0 { "flat".into() } else { format!("{n_held} positions held") };
        format!("{n_canceled} orders cancelled, {proof}, {held}, exit code {exit_code}, report {}", self.report_path)
    }

    pub(super) fn is_remaining(&self, id: ClientOrderId) -> bool {
        self.desk.orders.get(id).is_some_and(|order| order.state.is_open())
    }
}

pub(super) fn say(level: Level, text: String) -> Action {
    Action::Say(level, text)
}
