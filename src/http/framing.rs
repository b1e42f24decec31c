//! Where a request's body ends, and whether the connection goes on after it (RFC 9112, 6 and 9.3).
//!
//! Any thread; pure. Always: there is one way to read the length of a body, or the request is refused. What two parsers
//! could read differently is what a request is smuggled with (RFC 9112, 11.2).

use super::bad::Bad;
use super::grammar::{elements, is_token};
use super::head::Version;

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// It comes in chunks.
    Chunked,
}

/// Digits of a length: more would not fit 64 bits.
const LENGTH_DIGITS_MAX: usize = 19;

/// What the fields of a head have said about the body so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Announced {
    length: Option<u64>,
    codings: usize,
    chunked: usize,
    chunked_is_last: bool,
}

impl Announced {
    /// A line `Content-Length`.
    pub(super) fn length(&mut self, value: &[u8]) -> Result<(), Bad> {
        // RFC 9110, 8.6: a recipient may refuse a list even of equal lengths; a proxy that takes the first of them and
        // a server that takes the last would part.
        if self.length.is_some() {
            return Err(Bad::request("Content-Length is repeated"));
        }
        self.length = Some(length_of(value)?);
        Ok(())
    }

    /// A line `Transfer-Encoding`; several are one list (RFC 9110, 5.2).
    pub(super) fn codings(&mut self, value: &[u8]) -> Result<(), Bad> {
        for coding in elements(value) {
            if !is_token(coding) {
                return Err(Bad::request("Transfer-Encoding is not a list of names"));
            }
            self.codings += 1;
            self.chunked_is_last = coding.eq_ignore_ascii_case(b"chunked");
            self.chunked += usize::from(self.chunked_is_last);
        }
        Ok(())
    }

    /// What they say together.
    pub(super) fn framing(&self, version: Version) -> Result<Framing, Bad> {
        match (self.codings, self.length) {
            (0, None) => return Ok(Framing::None),
            (0, Some(length)) => return Ok(Framing::Length(length)),
            // RFC 9112, 6.3: it "ought to be handled as an error".
            (_, Some(_)) => return Err(Bad::request("Transfer-Encoding and Content-Length in one request")),
            (_, None) => {}
        }
        // RFC 9112, 6.1: its framing is faulty even when a length was given.
        if version == Version::Http10 {
            return Err(Bad::request("Transfer-Encoding in HTTP/1.0"));
        }
        // RFC 9112, 6.3: the length cannot be found when chunked is not the last coding.
        if !self.chunked_is_last {
            return Err(Bad::request("the last transfer coding is not chunked"));
        }
        // RFC 9112, 6.1: a coding that is not understood is answered 501; chunked may be applied only once.
        if self.codings > 1 || self.chunked > 1 {
            return Err(Bad::not_implemented("of the transfer codings only chunked is understood, once"));
        }
        Ok(Framing::Chunked)
    }
}

/// RFC 9110, 8.6: digits, at least one, and nothing else.
fn length_of(value: &[u8]) -> Result<u64, Bad> {
    if value.is_empty() || value.len() > LENGTH_DIGITS_MAX || !value.iter().all(u8::is_ascii_digit) {
        return Err(Bad::request("Content-Length is not a length"));
    }
    Ok(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

/// Whether a field of this name says where a message ends or whom it is for. Some proxies take `_` for `-`, so such
/// names count too.
pub(super) fn is_framing_name(name: &[u8]) -> bool {
    const NAMES: [&str; 5] = ["host", "connection", "expect", "content-length", "transfer-encoding"];
    NAMES.iter().any(|framing| {
        let same =
            |(given, wanted): (&u8, u8)| given.to_ascii_lowercase() == wanted || (wanted == b'-' && *given == b'_');
        framing.len() == name.len() && name.iter().zip(framing.bytes()).all(same)
    })
}

/// What the lines `Connection` have said so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Persistence {
    close: bool,
    keep_alive: bool,
}

impl Persistence {
    /// A line `Connection`.
    pub(super) fn options(&mut self, value: &[u8]) -> Result<(), Bad> {
        // RFC 9110, 5.6.1: a recipient ignores a reasonable number of empty elements.
        for option in elements(value).filter(|option| !option.is_empty()) {
            if !is_token(option) {
                return Err(Bad::request("Connection is not a list of names"));
            }
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            // RFC 9110, 7.6.1: a field that is for all recipients may not be an option; a proxy that removes the field
            // would forward another message than it read.
            if is_framing_name(option) {
                return Err(Bad::request("Connection names a field that is not for one hop"));
            }
        }
        Ok(())
    }

    /// RFC 9112, 9.3: close wins; HTTP/1.1 goes on by default, HTTP/1.0 if it asks to.
    pub(super) fn keeps_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(version: Version, lengths: &[&str], codings: &[&str]) -> Result<Framing, u16> {
        let mut announced = Announced::default();
        lengths.iter().try_for_each(|value| announced.length(value.as_bytes())).map_err(|bad| bad.status)?;
        codings.iter().try_for_each(|value| announced.codings(value.as_bytes())).map_err(|bad| bad.status)?;
        announced.framing(version).map_err(|bad| bad.status)
    }

    #[test]
    fn a_body_has_one_length_or_none() {
        use Version::{Http10, Http11};
        let most = "9999999999999999999";
        for (version, lengths, codings, want) in [
            (Http11, &[][..], &[][..], Ok(Framing::None)),
            (Http10, &["0"], &[], Ok(Framing::Length(0))),
            (Http11, &["007"], &[], Ok(Framing::Length(7))),
            (Http11, &[most], &[], Ok(Framing::Length(9_999_999_999_999_999_999))),
            (Http11, &["18446744073709551616"], &[], Err(400)),
            (Http11, &["5", "5"], &[], Err(400)),
            (Http11, &[], &["chunked"], Ok(Framing::Chunked)),
            (Http11, &[], &["ChUnKeD"], Ok(Framing::Chunked)),
            (Http10, &[], &["chunked"], Err(400)),
            (Http11, &["5"], &["chunked"], Err(400)),
            (Http11, &["5"], &["identity"], Err(400)),
            (Http11, &[], &["gzip, chunked"], Err(501)),
            (Http11, &[], &["gzip", "chunked"], Err(501)),
            (Http11, &[], &["chunked", "chunked"], Err(501)),
            (Http11, &[], &["chunked", "gzip"], Err(400)),
            (Http11, &[], &["chunked,"], Err(400)),
            (Http11, &[], &["chunked;q=1"], Err(400)),
            (Http11, &[], &["\"chunked\""], Err(400)),
            (Http11, &[], &[""], Err(400)),
        ] {
            assert_eq!(framing(version, lengths, codings), want, "{version:?} {lengths:?} {codings:?}");
        }
    }

    #[test]
    fn close_wins_and_the_version_has_a_default() {
        for (values, on_10, on_11) in [
            (&[][..], false, true),
            (&["keep-alive"], true, true),
            (&["Keep-Alive, TE"], true, true),
            (&["close"], false, false),
            (&["keep-alive", "x,, CLOSE"], false, false),
            (&["closed"], false, true),
        ] {
            let mut persistence = Persistence::default();
            values.iter().try_for_each(|value| persistence.options(value.as_bytes())).unwrap();
            assert_eq!(persistence.keeps_alive(Version::Http10), on_10, "{values:?}");
            assert_eq!(persistence.keeps_alive(Version::Http11), on_11, "{values:?}");
        }
        for bad in ["content-length", "keep-alive, Transfer-Encoding", "host", "transfer_encoding", "a b", "a;b"] {
            assert!(Persistence::default().options(bad.as_bytes()).is_err(), "{bad:?} was taken");
        }
    }
}
