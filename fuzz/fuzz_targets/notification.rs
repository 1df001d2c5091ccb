//! Any bytes, as `dmwsi_fuzz::notification` takes them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dmwsi_fuzz::notification(bytes));
