//! Ring 1. Requests waiting: priority, rate budget, reserve for cancels. Pure.
