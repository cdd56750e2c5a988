//! Ring 1. Stop: the ordered stop and its report. Pure.
