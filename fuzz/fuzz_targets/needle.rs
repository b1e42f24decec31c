//! Any bytes, as a needle on disk.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    larder::store::fuzz_needle(bytes);
});
