//! Digests that a client sends with a body, and the check of them.
//!
//! Runs on the processor's thread; pure. `Content-MD5` (RFC 1864) and `Content-Digest` (RFC 9530) with `sha-256` and
//! `sha-512`; other algorithms are passed over. Always: a digest that is sent and known is checked, or the request refused.

use super::bad::Bad;
use super::grammar::elements;
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, PAD_INDIFFERENT, STANDARD};
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};

/// RFC 8941, 4.2.7: missing padding and bits left over in it are no reason to refuse.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, PAD_INDIFFERENT.with_decode_allow_trailing_bits(true));

/// The digests that a request announces: at least one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Expected {
    md5: Option<[u8; 16]>,
    sha256: Option<[u8; 32]>,
    sha512: Option<[u8; 64]>,
}

impl Expected {
    /// Reads `Content-MD5` and the lines `Content-Digest`; `None` when there is nothing to check.
    pub(super) fn parse<'a>(
        md5: Option<&[u8]>,
        digests: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, Bad> {
        let mut expected = Self::default();
        if let Some(value) = md5 {
            let bad = Bad::request("Content-MD5 is not 16 bytes in Base64");
            expected.md5 = Some(decode(&STANDARD, value).ok_or(bad)?);
        }
        for line in digests {
            expected.digests(line).ok_or(Bad::request("Content-Digest is not a dictionary of digests"))?;
        }
        Ok(Some(expected).filter(|expected| *expected != Self::default()))
    }

    /// RFC 9530, 2: a dictionary (RFC 8941, 3.2), algorithm to byte sequence. Base64 has no comma, so it can be split at
    /// them. Of two members with one key the last counts.
    fn digests(&mut self, line: &[u8]) -> Option<()> {
        if line.is_empty() {
            return Some(());
        }
        for member in elements(line) {
            let equals = member.iter().position(|byte| *byte == b'=')?;
            let (key, value) = member.split_at_checked(equals)?;
            let bytes = value.strip_prefix(b"=:")?.strip_suffix(b":")?;
            match key {
                b"sha-256" => self.sha256 = Some(decode(&LENIENT, bytes)?),
                b"sha-512" => self.sha512 = Some(decode(&LENIENT, bytes)?),
                _ if is_key(key) && bytes.iter().all(|byte| is_base64(*byte)) => {}
                _ => return None,
            }
        }
        Some(())
    }

    /// Begins to hash a body.
    pub(super) fn begin(self) -> Digests {
        Digests {
            md5: self.md5.map(|want| (want, Md5::new())),
            sha256: self.sha256.map(|want| (want, Sha256::new())),
            sha512: self.sha512.map(|want| (want, Sha512::new())),
        }
    }
}

/// So many bytes in Base64, neither more nor less.
fn decode<const N: usize>(engine: &GeneralPurpose, text: &[u8]) -> Option<[u8; N]> {
    // A few bytes more than fit: the decoder asks for what whole groups of four would hold.
    let mut bytes = [0; 72];
    let count = engine.decode_slice(text, &mut bytes).ok()?;
    bytes.get(..count)?.try_into().ok()
}

/// RFC 8941, 3.1.2: a key is of lower-case letters, digits, `_`, `-`, `.` and `*`, and begins with a letter or `*`.
fn is_key(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'a'..=b'z' | b'*'))
        && key.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*'))
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// Digests of a body while it arrives. Hashing costs more than all else that is done with a byte: the caller counts the
/// bytes against its turn.
#[derive(Debug, Clone)]
pub(super) struct Digests {
    md5: Option<([u8; 16], Md5)>,
    sha256: Option<([u8; 32], Sha256)>,
    sha512: Option<([u8; 64], Sha512)>,
}

impl Digests {
    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some((_, hash)) = &mut self.md5 {
            hash.update(bytes);
        }
        if let Some((_, hash)) = &mut self.sha256 {
            hash.update(bytes);
        }
        if let Some((_, hash)) = &mut self.sha512 {
            hash.update(bytes);
        }
    }

    /// The body is whole: compares all that was announced.
    ///
    /// # Errors
    /// What differs, for people.
    pub(super) fn verify(self) -> Result<(), &'static str> {
        if self.md5.is_some_and(|(want, hash)| *hash.finalize() != want) {
            return Err("the body is not what Content-MD5 says");
        }
        if self.sha256.is_some_and(|(want, hash)| *hash.finalize() != want)
            || self.sha512.is_some_and(|(want, hash)| *hash.finalize() != want)
        {
            return Err("the body is not what Content-Digest says");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"{\"hello\": \"world\"}\n";
    // RFC 9530, B.1 and D.
    const SHA256: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    const SHA512: &str =
        "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:";

    fn expected(md5: Option<&str>, digests: &[&str]) -> Result<Option<Expected>, u16> {
        let digests = digests.iter().map(|text| text.as_bytes());
        Expected::parse(md5.map(str::as_bytes), digests).map_err(|bad| bad.status)
    }

    fn verify(md5: Option<&str>, digests: &[&str], body: &[u8]) -> Result<(), &'static str> {
        let mut running = expected(md5, digests).unwrap().unwrap().begin();
        body.chunks(5).for_each(|piece| running.update(piece));
        running.verify()
    }

    #[test]
    fn what_is_announced_is_checked() {
        let md5 = Some("CY9rzUYh03PK3k6DJie09g==");
        assert_eq!(verify(md5, &[], b"test"), Ok(()));
        assert!(verify(md5, &[], b"tesT").unwrap_err().contains("Content-MD5"));
        for digests in [&[SHA256][..], &[SHA512], &[SHA256, SHA512], &[&format!("{SHA512} ,\tmd5=:AA==:, {SHA256}")]] {
            assert_eq!(verify(None, digests, BODY), Ok(()), "{digests:?}");
            assert!(verify(None, digests, b"").unwrap_err().contains("Content-Digest"));
        }
        assert!(verify(md5, &[SHA256], BODY).unwrap_err().contains("Content-MD5"));
        assert!(verify(md5, &[SHA256], b"test").unwrap_err().contains("Content-Digest"));
    }

    #[test]
    fn what_is_unknown_is_passed_over() {
        for digests in [&[][..], &[""], &["md5=:AA==:"], &["crc32c=:AAAAAA==:, sha=::", "unixsum=:AA:"]] {
            assert_eq!(expected(None, digests), Ok(None), "{digests:?}");
        }
        let unpadded = SHA256.replace("=:", ":").replace("256:", "256=:");
        assert_eq!(expected(None, &[&unpadded]), expected(None, &[SHA256]));
        let wrong = format!("sha-256=:{}=:", "A".repeat(43));
        assert_eq!(expected(None, &[&wrong, SHA256]), expected(None, &[SHA256]));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for md5 in [
            "",
            "x",
            "CY9rzUYh03PK3k6DJie09g",
            "CY9rzUYh03PK3k6DJie09g=",
            "CY9rzUYh03PK3k6DJie0",
            "CY9rzUYh03PK3k6DJie09h==",
        ] {
            assert_eq!(expected(Some(md5), &[]), Err(400), "{md5:?}");
        }
        assert_eq!(expected(Some(&"A".repeat(10_000)), &[]), Err(400));
        let (twice, list) = (format!("{SHA256}{SHA256}"), format!("{SHA256},"));
        let long = format!("sha-512=:{}:", "A".repeat(10_000));
        for digest in [
            "sha-256",
            "sha-256=",
            "sha-256=::",
            "sha-256=:AA==:",
            "sha-256=\"AA==\"",
            "sha-256=1",
            "Sha-256=:AA==:",
            "=:AA==:",
            "md5=:A A:",
            "md5=:AA==:;q=1",
            "md5=AA==",
            "m\u{e4}=:AA:",
            "md5 =:AA:",
            "md5= :AA:",
            ",",
            "md5=:\0:",
            &twice,
            &list,
            &long,
        ] {
            assert_eq!(expected(None, &[digest]), Err(400), "{digest:?}");
        }
    }
}
