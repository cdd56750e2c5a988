//! How a stop ends, and the exit code that tells the truth about it.

use crate::domain::stop::StopCause;
use crate::orders::proof::Proof;

/// A proof of every venue, and of none less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proofs(Vec<Proof>);

impl Proofs {
    /// All of them, or nothing when one is missing.
    pub(super) fn of_every_venue(proofs: impl Iterator<Item = Option<Proof>>, n_venues: usize) -> Option<Proofs> {
        let proofs: Vec<_> = proofs.collect::<Option<_>>()?;
        (proofs.len() == n_venues).then_some(Proofs(proofs))
    }
}

/// What is known of our orders at the end.
///
/// `Clean` needs the venues' own proofs, and a list of proofs is not made outside the stop:
///
/// ```compile_fail
/// use lastorders::shutdown::ending::Ending;
/// let forged = Ending::Clean(Vec::new());
/// ```
///
/// ```compile_fail
/// use lastorders::shutdown::ending::{Ending, Proofs};
/// let forged = Ending::Clean(Proofs(Vec::new()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every venue showed that none is left.
    Clean(Proofs),
    /// Left on the book on purpose, each named and known: how many.
    Kept(usize),
    /// Nothing could ever be open: DRY_RUN sends nothing.
    NeverSent,
    /// Orders are or may be open.
    Residue,
}

/// The exit code of design 7. Residue outranks everything; a state that could not be written is a failure of ours even
/// when no order is left.
pub fn exit_code(ending: &Ending, cause: &StopCause, saved: bool) -> u8 {
    match (ending, cause) {
        (Ending::Residue, _) => 3,
        // Kept at the operator's word, but this was no stop of his: he must know that they rest.
        (Ending::Kept(1..), StopCause::StartFailed(_) | StopCause::CorePanic(_)) => 3,
        (_, StopCause::StartFailed(_) | StopCause::CorePanic(_)) => 1,
        _ if !saved => 1,
        (_, StopCause::Restart) => 75,
        (_, StopCause::Signal(_) | StopCause::Command) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::SignalName;

    #[test]
    fn residue_outranks_every_other_code() {
        let causes = [
            StopCause::Signal(SignalName::Term),
            StopCause::Command,
            StopCause::Restart,
            StopCause::StartFailed("why".into()),
            StopCause::CorePanic("where".into()),
        ];
        for cause in &causes {
            for saved in [true, false] {
                assert_eq!(exit_code(&Ending::Residue, cause, saved), 3, "{cause:?}");
                assert_ne!(exit_code(&Ending::Clean(Proofs(Vec::new())), cause, saved), 3, "{cause:?}");
            }
        }
    }

    #[test]
    fn success_needs_a_clean_end_a_wish_to_stop_and_a_saved_state() {
        let term = StopCause::Signal(SignalName::Term);
        assert_eq!(exit_code(&Ending::Clean(Proofs(Vec::new())), &term, true), 0);
        assert_eq!(exit_code(&Ending::Kept(5), &term, true), 0);
        assert_eq!(
            exit_code(&Ending::Kept(5), &StopCause::CorePanic("x".into()), true),
            3,
            "they rest and nobody chose this stop"
        );
        assert_eq!(exit_code(&Ending::Kept(0), &StopCause::CorePanic("x".into()), true), 1);
        assert_eq!(exit_code(&Ending::NeverSent, &term, true), 0);
        assert_eq!(exit_code(&Ending::Clean(Proofs(Vec::new())), &term, false), 1);
        assert_eq!(exit_code(&Ending::Clean(Proofs(Vec::new())), &StopCause::Restart, true), 75);
        assert_eq!(exit_code(&Ending::Clean(Proofs(Vec::new())), &StopCause::CorePanic("x".into()), true), 1);
    }
}
