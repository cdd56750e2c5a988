//! See `dialect` in `src/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lastorders_fuzz::dialect::check(input));
