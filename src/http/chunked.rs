//! Bodies that come in chunks (RFC 9112, 7.1): which of the bytes are data.
//!
//! Runs on the processor's thread; pure. Always: it needs no byte twice and keeps none, so a body may be cut anywhere; and
//! it takes what the grammar says and nothing else, because a chunk whose end two parsers find in two places smuggles a
//! request.
//!
//! | state | takes | then |
//! |---|---|---|
//! | `Size` | hex digits; CR; `;` | itself; `SizeEnd`; `Extension` |
//! | `Extension` | an extension's bytes; CR where one may end | itself; `SizeEnd` |
//! | `SizeEnd` | LF | `Data`, or `LineStart` after the size 0 |
//! | `Data` | as many bytes as the size says | `DataCr` |
//! | `DataCr`, `DataLf` | CR, LF | `DataLf`, `Size` |
//! | `LineStart` | CR; the first byte of a trailer's name | `LastLf`; `Name` |
//! | `Name`, `Value`, `LineLf` | a trailer | `LineStart` |
//! | `LastLf` | LF | `Ended` |

mod extension;

use super::bad::Bad;
use super::framing::is_framing_name;
use super::grammar::is_token_byte;
use extension::Extension;

/// Digits of a chunk's size: 64 bits.
const SIZE_DIGITS_MAX: u8 = 16;

/// Bytes of a chunk's extensions: they are dropped, and RFC 9112, 7.1.1 wants them bounded.
const EXTENSION_BYTES_MAX: usize = 256;

/// Bytes of all trailers: they are dropped.
const TRAILER_BYTES_MAX: usize = 4 << 10;

/// Lines of trailers.
const TRAILER_LINES_MAX: usize = 32;

/// As many bytes of a trailer's name as the longest name has that is refused, and one more.
const NAME_BYTES_KEPT: usize = 18;

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// All that was given is framing, and is done with: more is needed.
    More,
    /// `skip` bytes of framing, then `take` bytes of data, at least one. What is behind them comes with the next call.
    Data {
        /// Bytes to drop.
        skip: usize,
        /// Bytes of data after them.
        take: usize,
    },
    /// The body ends after these bytes of framing.
    End {
        /// Bytes to drop.
        skip: usize,
    },
}

/// Where in a body the next byte stands. A few words; a new one for each body.
#[derive(Debug, Clone)]
pub(super) struct Chunked {
    state: State,
    trailer_bytes: usize,
    trailer_lines: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Size { size: u64, digits: u8 },
    Extension { size: u64, bytes: usize, extension: Extension },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    LineStart,
    Name { name: [u8; NAME_BYTES_KEPT], bytes: usize },
    Value,
    LineLf,
    LastLf,
    Ended,
    Broken(Bad),
}

const SIZE: State = State::Size { size: 0, digits: 0 };

impl Chunked {
    /// At the first byte of a body.
    pub(super) fn begin() -> Self {
        Self { state: SIZE, trailer_bytes: 0, trailer_lines: 0 }
    }

    /// Takes bytes up to the end of the next data. They are done with: the caller drops `skip`, keeps `take`, and comes back
    /// with the rest.
    ///
    /// # Errors
    /// The connection ends, with this answer; whatever comes after it is refused in the same way.
    pub(super) fn next(&mut self, input: &[u8]) -> Result<Step, Bad> {
        for (at, byte) in input.iter().enumerate() {
            match self.state {
                State::Data { left } => return Ok(self.data(at, left, input.len() - at)),
                State::Ended => return Ok(Step::End { skip: at }),
                _ => self.state = self.framing(*byte).inspect_err(|bad| self.state = State::Broken(*bad))?,
            }
        }
        match self.state {
            State::Ended => Ok(Step::End { skip: input.len() }),
            State::Broken(bad) => Err(bad),
            _ => Ok(Step::More),
        }
    }

    fn data(&mut self, skip: usize, left: u64, given: usize) -> Step {
        let take = usize::try_from(left).map_or(given, |left| left.min(given));
        let left = left - take as u64;
        self.state = if left == 0 { State::DataCr } else { State::Data { left } };
        Step::Data { skip, take }
    }

    /// The state after one byte that is not data.
    fn framing(&mut self, byte: u8) -> Result<State, Bad> {
        match (self.state, byte) {
            (State::Size { size, digits }, _) => in_size(size, digits, byte),
            (State::Extension { size, bytes, extension }, _) => in_extension(size, bytes, extension, byte),
            (State::SizeEnd { size: 0 }, b'\n') => Ok(State::LineStart),
            (State::SizeEnd { size }, b'\n') => Ok(State::Data { left: size }),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(SIZE),
            (State::DataCr | State::DataLf, _) => {
                Err(Bad::request("the data of a chunk does not end where its size says"))
            }
            (State::LineStart, b'\r') => Ok(State::LastLf),
            (State::LastLf, b'\n') => Ok(State::Ended),
            (State::LineLf, b'\n') => Ok(State::LineStart),
            (State::SizeEnd { .. } | State::LineLf | State::LastLf, _) => {
                Err(Bad::request("a line of a chunked body does not end in CR LF"))
            }
            (State::LineStart | State::Name { .. } | State::Value, _) => self.in_trailer(byte),
            (State::Broken(bad), _) => Err(bad),
            (State::Data { .. } | State::Ended, _) => Ok(self.state),
        }
    }

    fn in_trailer(&mut self, byte: u8) -> Result<State, Bad> {
        self.trailer_bytes += 1;
        self.trailer_lines += usize::from(matches!(self.state, State::LineStart));
        if self.trailer_bytes > TRAILER_BYTES_MAX || self.trailer_lines > TRAILER_LINES_MAX {
            return Err(Bad::head_too_large("the trailers are over 4 KiB or 32 lines"));
        }
        match (self.state, byte) {
            (State::LineStart, _) => in_name([0; NAME_BYTES_KEPT], 0, byte),
            (State::Name { name, bytes }, _) => in_name(name, bytes, byte),
            (_, b'\r') => Ok(State::LineLf),
            // RFC 9110, 5.5: visible characters, blanks, and bytes above ASCII.
            (_, b'\t' | b' '..=b'~' | 0x80..) => Ok(State::Value),
            _ => Err(Bad::request("a control character in a trailer")),
        }
    }
}

/// RFC 9112, 7.1: hex digits, at least one; no sign, no `0x`, no blanks around them.
fn in_size(size: u64, digits: u8, byte: u8) -> Result<State, Bad> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b'\r' if digits > 0 => return Ok(State::SizeEnd { size }),
        b';' if digits > 0 => return Ok(State::Extension { size, bytes: 1, extension: Extension::begin() }),
        _ => return Err(Bad::request("the size of a chunk is not a hexadecimal number")),
    };
    if digits == SIZE_DIGITS_MAX {
        return Err(Bad::request("the size of a chunk is over 64 bits"));
    }
    Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
}

fn in_extension(size: u64, bytes: usize, extension: Extension, byte: u8) -> Result<State, Bad> {
    if byte == b'\r' && extension.may_end() {
        return Ok(State::SizeEnd { size });
    }
    if bytes == EXTENSION_BYTES_MAX {
        return Err(Bad::request("the extensions of a chunk are over 256 bytes"));
    }
    let extension = extension.next(byte).ok_or(Bad::request("an extension of a chunk is not a name and a value"))?;
    Ok(State::Extension { size, bytes: bytes + 1, extension })
}

/// A trailer is checked as a field of a head is, and must not say where a message ends (RFC 9110, 6.5.1).
fn in_name(mut name: [u8; NAME_BYTES_KEPT], bytes: usize, byte: u8) -> Result<State, Bad> {
    if byte == b':' && bytes > 0 {
        return match name.get(..bytes).is_some_and(is_framing_name) {
            true => Err(Bad::request("a trailer is named like a field of framing")),
            false => Ok(State::Value),
        };
    }
    if !is_token_byte(byte) {
        return Err(Bad::request("a trailer has no name, a blank in or around it, or no colon"));
    }
    if let Some(place) = name.get_mut(bytes) {
        *place = byte;
    }
    Ok(State::Name { name, bytes: bytes + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data, and the bytes up to the end, if there is one.
    fn decode(input: &[u8], piece: usize) -> Result<(Vec<u8>, Option<usize>), u16> {
        let mut chunked = Chunked::begin();
        let (mut data, mut at) = (Vec::new(), 0);
        for piece in input.chunks(piece.max(1)) {
            let mut rest = piece;
            while !rest.is_empty() {
                match chunked.next(rest).map_err(|bad| bad.status)? {
                    Step::More => (at, rest) = (at + rest.len(), &[]),
                    Step::Data { skip, take } => {
                        assert!(take > 0);
                        data.extend_from_slice(&rest[skip..skip + take]);
                        (at, rest) = (at + skip + take, &rest[skip + take..]);
                    }
                    Step::End { skip } => return Ok((data, Some(at + skip))),
                }
            }
        }
        Ok((data, None))
    }

    #[test]
    fn a_body_is_its_data_however_it_is_cut() {
        let input = b"4\r\nWiki\r\n00005;a=b;c=\"\\\";\"\r\npedia\r\nA\r\n0123456789\r\n0;x\r\nX-Sum: \xff 1\r\nEmpty:\r\n\r\nGET";
        for piece in 1..=input.len() {
            assert_eq!(decode(input, piece), Ok((b"Wikipedia0123456789".to_vec(), Some(input.len() - 3))), "{piece}");
        }
        assert_eq!(decode(b"0\r\n\r\n", 9), Ok((vec![], Some(5))));
        assert_eq!(decode(b"0\r\n\r", 9), Ok((vec![], None)));
        assert_eq!(decode(b"ffffffffffffffff\r\nab", 9), Ok((b"ab".to_vec(), None)));
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extended = |bytes: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(bytes - 1)).into_bytes();
        assert!(decode(&extended(256), 7).is_ok());
        assert_eq!(decode(&extended(257), 7), Err(400));
        let lines = |lines: usize| format!("0\r\n{}\r\n", "a:b\r\n".repeat(lines)).into_bytes();
        assert!(decode(&lines(32), 7).is_ok_and(|(_, end)| end.is_some()));
        assert_eq!(decode(&lines(33), 7), Err(431));
        let trailer = |bytes: usize| format!("0\r\na:{}\r\n\r\n", "x".repeat(bytes - 3)).into_bytes();
        assert!(decode(&trailer(4096), 7).is_ok());
        assert_eq!(decode(&trailer(4097), 7), Err(431));
    }

    #[test]
    fn what_is_broken_stays_broken() {
        let mut chunked = Chunked::begin();
        let bad = chunked.next(b"x").unwrap_err();
        assert_eq!(chunked.next(b"0\r\n\r\n"), Err(bad));
        assert_eq!(chunked.next(b""), Err(bad));
        let mut chunked = Chunked::begin();
        assert_eq!(chunked.next(b"0\r\n\r\nx"), Ok(Step::End { skip: 5 }));
        assert_eq!(chunked.next(b"x"), Ok(Step::End { skip: 0 }));
    }
}
