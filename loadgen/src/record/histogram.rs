//! Histograms as text: HDR V2, deflated, in base64, as the other readers of HDR histograms take it; nanoseconds.
//!
//! Any thread. Always: what came from [`Encoded::of`] decodes to the same counts; no text makes [`Encoded::decode`] panic,
//! or take more memory than a few histograms. No samples are the empty text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Read;

/// The least latency that is told from zero, in nanoseconds.
pub const LATENCY_NS_MIN: u64 = 1;
/// The largest latency that is kept, in nanoseconds: an hour. What took longer counts as that.
pub const LATENCY_NS_MAX: u64 = 3_600_000_000_000;
/// Significant decimal digits of a latency.
pub const LATENCY_DIGITS: u8 = 3;

/// An empty histogram of latencies in nanoseconds.
#[must_use]
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, LATENCY_DIGITS).expect("the constants are valid bounds")
}

/// A histogram as it stands in a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Encoded(pub String);

impl Encoded {
    /// A histogram of [`latencies`] as text.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(histogram, &mut bytes)
            .expect("counts are far below 2^63, and memory takes what is written");
        Self(STANDARD.encode(bytes))
    }

    /// The histogram. What says it is one may come from anywhere.
    ///
    /// # Errors
    ///
    /// The text is no histogram of [`latencies`]: not base64, cut, of other bounds, or with counts that cannot be.
    pub fn decode(&self) -> Result<Histogram<u64>, Damage> {
        if self.0.is_empty() {
            return Ok(latencies());
        }
        if self.0.len() > TEXT_BYTES_MAX {
            return Err(Damage::TooLong);
        }
        let packed = STANDARD.decode(&self.0).map_err(|_| Damage::NotBase64)?;
        let plain = inflate(&packed)?;
        check(&plain)?;
        // The library trusts lengths and counts, so all of them were looked at before.
        Deserializer::new().deserialize(&mut plain.as_slice()).map_err(|_| Damage::Counts)
    }
}

/// Why a text is no histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It is longer than any histogram.
    TooLong,
    /// It is not base64.
    NotBase64,
    /// It does not begin as a deflated HDR V2 histogram does.
    NotHdr,
    /// It ends too early, or is longer than it says.
    Length,
    /// Its bounds or its precision are not those of latencies.
    Bounds,
    /// Its counts do not fit.
    Counts,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "longer than a histogram can be",
            Self::NotBase64 => "not base64",
            Self::NotHdr => "not a deflated HDR V2 histogram",
            Self::Length => "cut, or longer than it says",
            Self::Bounds => "not of 1 ns to 1 h with 3 digits",
            Self::Counts => "its counts cannot be",
        })
    }
}

impl std::error::Error for Damage {}

/// What a V2 histogram of latencies can take: 33 buckets of 1,024 counts and one more, of up to 9 bytes, after its head.
const PLAIN_BYTES_MAX: usize = HEAD_BYTES + 34 * 1_024 * 9;
/// Deflating what cannot be made smaller adds a little; base64 makes 4 characters of 3 bytes.
const TEXT_BYTES_MAX: usize = (PLAIN_BYTES_MAX + 4_096) * 4 / 3;
/// Cookie, length, offset, digits: 4 bytes each; lowest, highest, ratio: 8 each.
const HEAD_BYTES: usize = 40;
const COOKIE: u32 = 0x1c84_9303 | 0x10;
const COOKIE_DEFLATED: u32 = 0x1c84_9304 | 0x10;
/// Above this a sum of counts is no longer exact as a float. No run comes near.
const COUNT_MAX: u64 = 1 << 53;

/// The plain form out of the deflated one.
fn inflate(packed: &[u8]) -> Result<Vec<u8>, Damage> {
    let (cookie, rest) = packed.split_first_chunk().ok_or(Damage::NotHdr)?;
    if u32::from_be_bytes(*cookie) != COOKIE_DEFLATED {
        return Err(Damage::NotHdr);
    }
    let (length, rest) = rest.split_first_chunk().ok_or(Damage::Length)?;
    if usize::try_from(u32::from_be_bytes(*length)) != Ok(rest.len()) {
        return Err(Damage::Length);
    }
    let mut plain = Vec::new();
    // One byte more than may be, so that too much is seen and not cut.
    let bound = u64::try_from(PLAIN_BYTES_MAX + 1).expect("a length fits 64 bits");
    ZlibDecoder::new(rest).take(bound).read_to_end(&mut plain).map_err(|_| Damage::Length)?;
    if plain.len() > PLAIN_BYTES_MAX { Err(Damage::TooLong) } else { Ok(plain) }
}

/// Everything that the library would believe.
fn check(plain: &[u8]) -> Result<(), Damage> {
    let (head, mut counts) = plain.split_first_chunk::<HEAD_BYTES>().ok_or(Damage::Length)?;
    let length = u32::try_from(counts.len()).map_err(|_| Damage::Length)?;
    let mut expected = Vec::with_capacity(HEAD_BYTES);
    expected.extend_from_slice(&COOKIE.to_be_bytes());
    expected.extend_from_slice(&length.to_be_bytes());
    expected.extend_from_slice(&0u32.to_be_bytes());
    expected.extend_from_slice(&u32::from(LATENCY_DIGITS).to_be_bytes());
    expected.extend_from_slice(&LATENCY_NS_MIN.to_be_bytes());
    expected.extend_from_slice(&LATENCY_NS_MAX.to_be_bytes());
    expected.extend_from_slice(&1f64.to_be_bytes());
    if head[..] != expected[..] {
        let (words, other) = (head.split_at(12), expected.split_at(12));
        return Err(match words.0 == other.0 {
            true => Damage::Bounds,
            false if head[..4] == expected[..4] => Damage::Length,
            false => Damage::NotHdr,
        });
    }
    let mut total = 0u64;
    while let Some(word) = varint(&mut counts)? {
        // Zig-zag: odd words are runs of zeros, even ones twice a count. A run that has no 63-bit length would overflow.
        let value = word >> 1;
        if value > COUNT_MAX {
            return Err(Damage::Counts);
        }
        if word & 1 == 0 {
            total += value;
        }
        if total > COUNT_MAX {
            return Err(Damage::Counts);
        }
    }
    Ok(())
}

/// The next number of 7 bits a byte, the lowest first; a ninth byte counts whole. `None` at the end.
fn varint(bytes: &mut &[u8]) -> Result<Option<u64>, Damage> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut word = 0u64;
    for place in 0..9 {
        let (byte, rest) = bytes.split_first().ok_or(Damage::Length)?;
        *bytes = rest;
        let bits = if place == 8 { *byte } else { byte & 0x7f };
        word |= u64::from(bits) << (7 * place);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Ok(Some(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::random::Numbers;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    fn sample() -> Histogram<u64> {
        let mut histogram = latencies();
        let mut numbers = Numbers::of(1, 2);
        for _ in 0..20_000 {
            histogram.saturating_record(50_000 + numbers.below(200_000));
        }
        histogram.saturating_record(0);
        histogram.saturating_record(u64::MAX);
        histogram
    }

    /// A text whose plain form is this.
    fn packed(plain: &[u8]) -> Encoded {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        let body = encoder.finish().unwrap();
        let mut bytes = COOKIE_DEFLATED.to_be_bytes().to_vec();
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&body);
        Encoded(STANDARD.encode(bytes))
    }

    fn plain(high: u64, length: u32, counts: &[u8]) -> Vec<u8> {
        let words = [COOKIE, length, 0, 3].map(u32::to_be_bytes).concat();
        [&words[..], &1u64.to_be_bytes(), &high.to_be_bytes(), &1f64.to_be_bytes(), counts].concat()
    }

    #[test]
    fn what_was_encoded_decodes_to_the_same() {
        let histogram = sample();
        let text = Encoded::of(&histogram);
        assert!(text.0.starts_with("HISTFAAA"), "the beginning that readers of HDR logs know: {}", text.0);
        assert_eq!(text.decode().unwrap(), histogram);
        assert_eq!(Encoded::of(&latencies()), Encoded::default());
        assert_eq!(Encoded::default().decode().unwrap().len(), 0);
        let mut dense = latencies();
        for index in 0..1_000_000u64 {
            dense.saturating_record(index * 3_600_000);
        }
        assert_eq!(Encoded::of(&dense).decode().unwrap(), dense);
    }

    #[test]
    fn every_cut_text_is_an_error() {
        let text = Encoded::of(&sample()).0;
        for length in 1..text.len() {
            assert!(Encoded(text[..length].to_string()).decode().is_err(), "{length} of {}", text.len());
        }
    }

    #[test]
    fn changed_bytes_never_panic() {
        let text = Encoded::of(&sample()).0;
        let whole = inflate(&STANDARD.decode(&text).unwrap()).unwrap();
        let mut numbers = Numbers::of(3, 4);
        for _ in 0..3_000 {
            let mut bytes = whole.clone();
            let place = usize::try_from(numbers.below(u64::try_from(bytes.len()).unwrap())).unwrap();
            bytes[place] = u8::try_from(numbers.below(256)).unwrap();
            if let Ok(histogram) = packed(&bytes).decode() {
                assert!(histogram.len() <= COUNT_MAX);
            }
        }
    }

    #[test]
    fn hostile_texts_are_named() {
        let hour = LATENCY_NS_MAX;
        assert_eq!(packed(&plain(hour, 1, &[2])).decode().unwrap().len(), 1, "this way of making them is right");
        assert_eq!(packed(&plain(hour, u32::MAX, &[2])).decode(), Err(Damage::Length));
        assert_eq!(packed(&plain(u64::MAX, 1, &[2])).decode(), Err(Damage::Bounds));
        // A run of zeros of 2^63 cannot be negated, and one of 2^50 leads outside; neither can such a count be.
        assert_eq!(packed(&plain(hour, 9, &[0xff; 9])).decode(), Err(Damage::Counts));
        assert_eq!(
            packed(&plain(hour, 9, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])).decode(),
            Err(Damage::Counts)
        );
        assert_eq!(
            packed(&plain(hour, 8, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 2])).decode(),
            Err(Damage::Counts)
        );
        assert_eq!(packed(&vec![0; 100 << 20]).decode(), Err(Damage::TooLong), "100 MiB in a small text");
        assert_eq!(Encoded("A".repeat(TEXT_BYTES_MAX + 1)).decode(), Err(Damage::TooLong));
        assert_eq!(Encoded("no base64!".into()).decode(), Err(Damage::NotBase64));
        assert_eq!(Encoded("AAAAAAAAAAAA".into()).decode(), Err(Damage::NotHdr));
    }
}
