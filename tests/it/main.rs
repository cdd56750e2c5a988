//! One integration binary: behaviour across rings, as sentences.
