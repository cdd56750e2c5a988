//! The eleven steps and the time each may take.

use std::time::Duration;

use crate::domain::settings::ShutdownSettings;
use crate::domain::time::Boot;

/// What the steps after a slow one still need: no step may eat the last four seconds.
const RESERVE: Duration = Duration::from_secs(4);

/// What a part that only has to be closed gets in any case, out of the reserve.
const CLOSE_LEAST: Duration = Duration::from_millis(250);

/// A step of the stop, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Nothing that can raise exposure starts any more.
    Gate,
    /// Every order that may rest is cancelled.
    Cancel,
    /// The venues show that none is left.
    Prove,
    /// State and draft report on disk.
    Save,
    /// Strategies told to stop.
    Strategies,
    /// Streams and request workers closed.
    Links,
    /// Control socket, page and alerts closed.
    Faces,
    /// Threads joined.
    Tasks,
    /// Recorder closed.
    Recorder,
    /// Final state and report.
    Report,
    /// Locks released, last.
    Locks,
}

impl Step {
    /// All of them.
    pub const ALL: [Step; 11] = [
        Step::Gate,
        Step::Cancel,
        Step::Prove,
        Step::Save,
        Step::Strategies,
        Step::Links,
        Step::Faces,
        Step::Tasks,
        Step::Recorder,
        Step::Report,
        Step::Locks,
    ];

    /// Its number, from 1.
    pub fn number(self) -> usize {
        self as usize + 1
    }

    /// The one after it; the last stays.
    pub fn next(self) -> Step {
        Step::ALL.get(self as usize + 1).copied().unwrap_or(Step::Locks)
    }

    /// Its name in the report.
    pub fn word(self) -> &'static str {
        match self {
            Step::Gate => "gate",
            Step::Cancel => "cancel",
            Step::Prove => "prove",
            Step::Save => "save",
            Step::Strategies => "strategies",
            Step::Links => "links",
            Step::Faces => "faces",
            Step::Tasks => "tasks",
            Step::Recorder => "recorder",
            Step::Report => "report",
            Step::Locks => "locks",
        }
    }

    /// What the log says when it begins.
    pub fn title(self) -> &'static str {
        match self {
            Step::Gate => "Closing the gate for new orders",
            Step::Cancel => "Canceling active orders",
            Step::Prove => "Proving that no order is left",
            Step::Save => "Flushing StateStore to disk",
            Step::Strategies => "Stopping strategies",
            Step::Links => "Closing streams and REST workers",
            Step::Faces => "Closing the control socket",
            Step::Tasks => "Joining threads",
            Step::Recorder => "Closing the recorder",
            Step::Report => "Writing the final report",
            Step::Locks => "Releasing locks",
        }
    }

    /// Its own budget. `Cancel` and `Prove` share one, which begins with `Cancel`.
    pub fn budget(self, settings: &ShutdownSettings) -> Duration {
        match self {
            Step::Gate | Step::Locks => Duration::ZERO,
            Step::Cancel | Step::Prove => Duration::from_secs(u64::from(settings.cancel_timeout_s)),
            Step::Save | Step::Strategies | Step::Faces => Duration::from_secs(2),
            Step::Links | Step::Tasks => Duration::from_secs(3),
            Step::Recorder => Duration::from_secs(u64::from(settings.recorder_timeout_s)),
            // Two syncs at most. A disk that others keep busy has taken longer than a second for one.
            Step::Report => Duration::from_secs(3),
        }
    }

    /// When it must end: its budget, or what the whole stop has left less the reserve, whichever is sooner. The steps
    /// that write what happened may use the reserve: it is there for them.
    pub fn deadline(self, began: Boot, stop_deadline: Boot, settings: &ShutdownSettings) -> Boot {
        let own = began.after(self.budget(settings));
        let whole = match self {
            Step::Save | Step::Report | Step::Locks => stop_deadline,
            _ => stop_deadline.before(RESERVE),
        };
        let least = match self {
            // Closing what is idle takes a moment, also when nothing is left of the budget; the reserve has it.
            Step::Links | Step::Faces | Step::Tasks => CLOSE_LEAST,
            _ => Duration::ZERO,
        };
        own.min(whole).max(began.after(least))
    }
}

/// The one deadline of a stop, from the first signal.
pub fn whole_budget(settings: &ShutdownSettings) -> Duration {
    Duration::from_secs(u64::from(settings.cancel_timeout_s) + u64::from(settings.recorder_timeout_s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::settings::OnExit;

    const SETTINGS: ShutdownSettings =
        ShutdownSettings { cancel_timeout_s: 30, recorder_timeout_s: 10, on_exit: OnExit::Cancel };

    #[test]
    fn the_steps_are_numbered_one_to_eleven_and_end_with_the_locks() {
        let mut step = Step::Gate;
        for number in 1..=11 {
            assert_eq!(step.number(), number);
            step = step.next();
        }
        assert_eq!(step, Step::Locks);
    }

    #[test]
    fn even_if_every_step_uses_all_it_may_the_stop_ends_by_its_deadline() {
        let begin = Boot::from_nanos(1_000_000_000);
        let deadline = begin.after(whole_budget(&SETTINGS));
        let mut now = begin;
        let cancel_began = begin;
        for step in Step::ALL {
            let began = if step == Step::Prove { cancel_began } else { now };
            now = now.max(step.deadline(began, deadline, &SETTINGS));
        }
        assert!(now <= deadline, "{} ms over", now.since(deadline).as_millis());
    }

    #[test]
    fn cancelling_cannot_eat_the_time_to_save() {
        let begin = Boot::from_nanos(0);
        let settings = ShutdownSettings { cancel_timeout_s: 30, recorder_timeout_s: 0, on_exit: OnExit::Cancel };
        let deadline = begin.after(whole_budget(&settings));
        assert_eq!(Step::Cancel.deadline(begin, deadline, &settings), begin.after(Duration::from_secs(26)));
    }
}
