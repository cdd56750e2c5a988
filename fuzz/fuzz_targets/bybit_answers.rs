//! See `bybit_answers` in `src/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lastorders_fuzz::bybit_answers::check(input));
