//! Ring 1. Start: load, reconcile, resolve, sweep or adopt. Pure.
