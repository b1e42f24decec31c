//! The body of a SCRUB: what to do.
//!
//! ```text
//! 0 action u8 (0 report, 1 start) | 1 zero [7]
//! ```
//!
//! Any thread.

use super::fields::{BadBody, Fields};

/// Bytes of the body.
pub(super) const SCRUB_BYTES: usize = 8;

pub(super) fn encode_scrub(now: bool) -> [u8; SCRUB_BYTES] {
    [u8::from(now), 0, 0, 0, 0, 0, 0, 0]
}

pub(super) fn parse_scrub(body: &[u8]) -> Result<bool, BadBody> {
    let mut fields = Fields::new("SCRUB", body);
    let now = match fields.u8("action")? {
        0 => false,
        1 => true,
        found => {
            let (frame, field, want) = ("SCRUB", "action", "0 or 1");
            return Err(BadBody::Field { frame, field, found: found.into(), want });
        }
    };
    fields.zeros::<7>()?;
    fields.end()?;
    Ok(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_known_and_whole() {
        for now in [false, true] {
            assert_eq!(parse_scrub(&encode_scrub(now)), Ok(now));
        }
        assert!(parse_scrub(&[2, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!((0..8).all(|bytes| parse_scrub(&[0; 8][..bytes]).is_err()));
        assert!(parse_scrub(&[0; 9]).is_err());
    }
}
