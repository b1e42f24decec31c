//! The body of an answer, as it comes.
//!
//! A worker's thread.
//!
//! ```text
//! Length(n)                    n bytes
//! ChunkSize -> Chunk(n)        a line with the size in hexadecimal digits, then so many bytes
//! Chunk(0)  -> ChunkSize       CR LF behind the bytes
//! ChunkSize -> Trailer         after a size of 0: lines, until an empty one
//! Trailer   -> Length(0)       all is here
//! ToTheEnd                     all bytes until the server closes
//! ```

use super::Garbage;
use crate::driver::line::line;

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes.
    Length(u64),
    /// The size of a chunk.
    ChunkSize,
    /// So many bytes of a chunk, and CR LF.
    Chunk(u64),
    /// Lines behind the last chunk.
    Trailer,
    /// Whatever comes before the end of the connection.
    ToTheEnd,
}

/// What stands at the front.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Not enough to know.
    Nothing,
    /// So many bytes that are no content.
    Frame(usize),
    /// Content.
    Content(&'a [u8]),
    /// Nothing belongs to the body any more.
    End,
}

impl Body {
    /// All of a chunked one.
    pub(super) const CHUNKED: Self = Self::ChunkSize;

    /// Takes the next part.
    pub(super) fn part<'a>(&mut self, input: &'a [u8]) -> Result<Part<'a>, Garbage> {
        match self {
            Self::Length(0) => Ok(Part::End),
            Self::Length(left) | Self::Chunk(left @ 1..) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= taken as u64;
                Ok(content(input.get(..taken).unwrap_or_default()))
            }
            Self::Chunk(0) => match line(input)? {
                Some((b"", taken)) => {
                    *self = Self::ChunkSize;
                    Ok(Part::Frame(taken))
                }
                Some(_) => Err(Garbage::instead_of("the end of a chunk", input)),
                None => Ok(Part::Nothing),
            },
            Self::ChunkSize => {
                let Some((text, taken)) = line(input)? else { return Ok(Part::Nothing) };
                *self = match size(text).ok_or_else(|| Garbage::instead_of("the size of a chunk", input))? {
                    0 => Self::Trailer,
                    bytes => Self::Chunk(bytes),
                };
                Ok(Part::Frame(taken))
            }
            Self::Trailer => {
                let Some((text, taken)) = line(input)? else { return Ok(Part::Nothing) };
                if text.is_empty() {
                    *self = Self::Length(0);
                }
                Ok(Part::Frame(taken))
            }
            Self::ToTheEnd => Ok(content(input)),
        }
    }
}

fn content(bytes: &[u8]) -> Part<'_> {
    if bytes.is_empty() { Part::Nothing } else { Part::Content(bytes) }
}

/// The size in the line before a chunk; extensions behind a semicolon mean nothing here.
fn size(text: &[u8]) -> Option<u64> {
    let digits = text.split(|byte| *byte == b';').next()?.trim_ascii_end();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_hexadecimal_digits() {
        assert_eq!((size(b"1aF;name=value"), size(b"0"), size(b"10 ;x")), (Some(0x1af), Some(0), Some(16)));
        for wrong in [&b""[..], b";", b"+1", b"0x1", b"1 1", b"10000000000000000"] {
            assert_eq!(size(wrong), None);
        }
    }
}
