//! Any bytes, as `dmwsi_fuzz::xml` takes them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dmwsi_fuzz::xml(bytes));
