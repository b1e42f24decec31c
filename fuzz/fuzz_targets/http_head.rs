//! Any bytes, as the head of a request.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    larder::http::fuzz_head(bytes);
});
