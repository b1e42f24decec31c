//! What the generator itself costs a request, without sockets: encoding, decoding, comparing, counting.
//!
//! The calling thread.

use crate::driver::{Driver, Output, Reply, Sink, Slot};
use crate::workload::{Key, Object, Step, Verb, payload};
use std::time::{Duration, Instant};

/// Requests that are encoded before their answers are decoded.
const BATCH: u32 = 16;

/// What it took.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Requests.
    pub requests: u64,
    /// How long they took.
    pub time: Duration,
}

struct Counting {
    done: u64,
    right: u64,
    key: Key,
    came: u64,
}

impl Sink for Counting {
    fn content(&mut self, _: Slot, bytes: &[u8]) {
        self.right += u64::from(payload::matches(self.key, self.came, bytes));
        self.came += bytes.len() as u64;
    }

    fn done(&mut self, _: Slot, _: Reply) {
        self.done += 1;
        self.came = 0;
    }
}

/// Encodes GETs of an object in RESP's way, and decodes made-up answers to them.
///
/// # Errors
/// A line, should the driver not understand its own protocol.
pub fn measure(driver: &mut dyn Driver, object_bytes: u64, time: Duration) -> Result<Taken, String> {
    let key = Key { seed: 1, number: 1 };
    let step = Step { verb: Verb::Get, object: Object { key, bytes: object_bytes, id: None }, range: None, place: 0 };
    let mut output = Output::default();
    driver.open(&mut output);
    output.clear();
    let mut answers = Vec::new();
    for _ in 0..BATCH {
        answers.extend_from_slice(format!("${object_bytes}\r\n").as_bytes());
        payload::append(key, 0, object_bytes, &mut answers);
        answers.extend_from_slice(b"\r\n");
    }
    let mut counting = Counting { done: 0, right: 0, key, came: 0 };
    let begun = Instant::now();
    while begun.elapsed() < time {
        for slot in 0..BATCH {
            driver.encode(&step, Slot(slot), &mut output);
        }
        output.clear();
        let taken = driver.decode(&answers, &mut counting).map_err(|garbage| garbage.to_string())?;
        if taken != answers.len() {
            return Err(format!("{taken} of {} bytes were understood", answers.len()));
        }
    }
    let time = begun.elapsed();
    if counting.right < counting.done {
        return Err("a content was not that of its key".to_string());
    }
    Ok(Taken { requests: counting.done, time })
}
