//! Any bytes, as a stream of frames in both directions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    larder::wire::fuzz_frame(bytes);
});
