//! The judge of a stop: reads what the exchange model wrote into its ledger and what the daemon left on disk, and says
//! where they differ.
//!
//! Always holds: nothing here uses the crate, so that one misreading cannot cancel another; every check has been shown
//! a planted defect (`planted`).
//! Never does: believe the daemon. The ledger says what happened; state, journal and report must agree with it.

pub(crate) mod exact;
pub(crate) mod files;
pub(crate) mod ledger;
pub(crate) mod verdict;

#[cfg(test)]
mod planted;
