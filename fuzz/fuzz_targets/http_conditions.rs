//! Any bytes, as the lines of a head that make conditions and ranges, and as stored values that become lines of a head.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    larder::http::fuzz_conditions(bytes);
});
