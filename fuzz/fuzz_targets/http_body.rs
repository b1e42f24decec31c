//! Any bytes, as a chunked body, and as digests of one.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    larder::http::fuzz_body(bytes);
});
