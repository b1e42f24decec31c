//! The body of the fuzz target of frames: a plain function, fed by the tests with random bytes and by a fuzzer with
//! cleverer ones.

use super::{ChecksumKind, HEADER_BYTES, Header, Hello, Opcode, PutHead, Received, Request, operation_of};
use crate::request::{Operation, Put};
use bytes::Bytes;

/// Decodes bytes as a stream of frames, in both directions; returns how many whole frames it held.
///
/// # Panics
/// When decoding panics, or what was decoded does not encode to the bytes that it came from. Neither may happen.
pub fn fuzz_frame(bytes: &[u8]) -> usize {
    let mut rest = Bytes::copy_from_slice(bytes);
    let mut frames = 0;
    while let Some((head, _)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let parsed = Header::parse(head);
        let body_bytes = match &parsed {
            Ok(header) => {
                assert_eq!(header.encode(), *head, "a header has one encoding");
                header.body_bytes
            }
            Err(error) if error.ends_connection() => {
                assert!(!error.refusal().detail.is_empty());
                return frames;
            }
            Err(error) => error.body_bytes(),
        };
        let end = HEADER_BYTES + body_bytes as usize;
        if end > rest.len() {
            fuzz_front(parsed.ok(), &rest.slice(HEADER_BYTES..));
            return frames;
        }
        let frame = rest.split_to(end);
        if let Ok(header) = parsed {
            fuzz_body(&header, &frame.slice(HEADER_BYTES..));
        }
        frames += 1;
    }
    frames
}

/// What a node does with a body of which it has only the front.
fn fuzz_front(header: Option<Header>, front: &Bytes) {
    if let Some(header) = header.filter(|header| !header.is_reply() && header.opcode == Opcode::Put.code()) {
        let _ = PutHead::parse(front, header.body_bytes);
    }
}

fn fuzz_body(header: &Header, body: &Bytes) {
    // A wrong checksum would hide the decoders from the fuzzer, so they are fed all the same.
    let _ = header.check_parts(body, &[]);
    if header.is_reply() {
        let _ = Received::parse(header, body, false);
        let _ = Received::parse(header, body, true);
        return;
    }
    let Some(opcode) = Opcode::of_code(header.opcode) else {
        return;
    };
    let request = match opcode {
        Opcode::Hello => {
            let _ = Hello::parse(body).map(|hello| hello.version());
            return;
        }
        Opcode::Put => put_of(header, body),
        _ => operation_of(opcode, body).ok(),
    };
    if let Some(request) = request.map(request_of) {
        let encoded = request.encode(ChecksumKind::None, header.correlation, header.deadline_ms);
        let again = encoded.concat();
        assert_eq!(again.get(HEADER_BYTES..), Some(&body[..]), "a request has one encoding");
    }
}

fn put_of(header: &Header, body: &Bytes) -> Option<Operation> {
    let head = PutHead::parse(body, header.body_bytes).ok()?;
    let attributes = body.slice(PutHead::BYTES..head.payload_start());
    let payload = crate::base::payload::Payload::of(body.slice(head.payload_start()..));
    head.operation(attributes, payload).ok()
}

fn request_of(operation: Operation) -> Request {
    match operation {
        Operation::Ping(bytes) => Request::Ping(bytes),
        Operation::Put(put) => {
            let Put { payload, attributes, durability, origin, .. } = *put;
            Request::Put { durability, origin, attributes, payload: payload.bytes }
        }
        Operation::Get { id, range } => Request::Get { id, range },
        Operation::Stat(id) => Request::Stat(id),
        Operation::Delete(id) => Request::Delete(id),
        Operation::Name(operation) => Request::Name(operation),
        Operation::Status => Request::Status,
        Operation::Scrub { now } => Request::Scrub { now },
        Operation::Metrics | Operation::Ready => unreachable!("no opcode leads to it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{LAST, REPLY, encode_frame};
    use proptest::prelude::*;

    fn frame(opcode: u8, flags: u16, status: u8, kind: u8, body: &[u8]) -> Vec<u8> {
        let header =
            Header { flags, status, ..Header::request(opcode, ChecksumKind::of_code(kind % 3).unwrap(), 1, 0) };
        encode_frame(header, body, &[]).to_vec()
    }

    /// Bodies near to real ones: random bytes with many zeros, so that reserved fields are often right.
    fn body() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![3 => Just(0u8), 1 => Just(1u8), 1 => any::<u8>()];
        proptest::collection::vec(byte, 0..160)
    }

    fn opcode() -> impl Strategy<Value = u8> {
        prop_oneof![4 => proptest::sample::select(Opcode::ALL.to_vec()).prop_map(Opcode::code), 1 => any::<u8>()]
    }

    proptest! {
        #[test]
        fn random_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            fuzz_frame(&bytes);
        }

        #[test]
        fn streams_of_sound_frames_are_survived(
            frames in proptest::collection::vec((opcode(), any::<bool>(), any::<bool>(), 0u8..20, any::<u8>(), body()), 0..6),
            cut in 0usize..2000,
            flip in proptest::option::of((0usize..2000, 0u8..8)),
        ) {
            let mut stream = Vec::new();
            for (opcode, reply, last, status, kind, body) in frames {
                let flags = if reply { REPLY | if last { LAST } else { 0 } } else { 0 };
                stream.extend(frame(opcode, flags, if reply { status } else { 0 }, kind, &body));
            }
            if let Some((at, bit)) = flip && let Some(byte) = stream.get_mut(at) {
                *byte ^= 1 << bit;
            }
            stream.truncate(cut);
            fuzz_frame(&stream);
        }

        #[test]
        fn names_are_survived_also_when_a_byte_is_wrong(
            operations in proptest::collection::vec(crate::wire::name::operations(), 1..4),
            flip in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut stream = Vec::new();
            for operation in &operations {
                let request = Request::Name(operation.clone());
                let mut bytes = request.encode(ChecksumKind::Crc32c, 1, 0).concat();
                if let Some((at, byte)) = flip {
                    let at = HEADER_BYTES + at.index(bytes.len() - HEADER_BYTES);
                    bytes[at] = byte;
                }
                stream.extend(bytes);
            }
            prop_assert_eq!(fuzz_frame(&stream), operations.len());
        }

        #[test]
        fn requests_come_out_as_they_went_in(payload in body(), session: u64, start: u64, length: u64) {
            let put = PutHead {
                durability: crate::request::Durability::Disk,
                origin: crate::base::ids::Origin { session, number: if session == 0 { 0 } else { start } },
                attribute_bytes: 0,
                payload_bytes: payload.len(),
            };
            let mut stream = frame(Opcode::Put.code(), 0, 0, 1, &[&put.encode()[..], &payload].concat());
            let get = [&[9; 20][..], &[0; 4], &start.to_le_bytes(), &length.to_le_bytes()].concat();
            stream.extend(frame(Opcode::Get.code(), 0, 0, 2, &get));
            stream.extend(frame(Opcode::Delete.code(), 0, 0, 0, &[7; 20]));
            prop_assert_eq!(fuzz_frame(&stream), 3);
        }
    }
}
