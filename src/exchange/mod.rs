//! Ring 1. A model of a venue: book, matching, accounts, faults. Pure.
