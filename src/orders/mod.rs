//! Ring 1. The order machine, the desk all three machines share, reconciliation and proof. Pure.
