//! The user's own metadata: lines `X-Larder-Meta-NAME: VALUE` of a PUT, stored as one attribute and sent back.
//!
//! Any thread; pure. The attribute holds lines `name: value\r\n` in the order of arrival, names in lower case. Always: what
//! is written as header lines was checked line by line, since the attribute may have come by the binary protocol; a line
//! that is not as it must be is left out.

use super::field_value::is_field_value;
use super::grammar::is_token;
use crate::base::limits::ATTRIBUTE_BYTES_MAX;

/// What the names of these header lines begin with, as they are sent.
const PREFIX_SENT: &[u8] = b"X-Larder-Meta-";

/// Bytes of tag and length before the value of an attribute.
const ATTRIBUTE_HEAD_BYTES: usize = 3;

/// Why the lines of a request cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMetadata {
    /// Together they are over what attributes may take.
    #[error("X-Larder-Meta lines take more than {ATTRIBUTE_BYTES_MAX} bytes")]
    TooLong,
    /// There is no name behind the prefix, or it is no token.
    #[error("the name of an X-Larder-Meta line is no token")]
    BadName,
    /// The value holds a control character.
    #[error("the value of an X-Larder-Meta line holds a control character")]
    BadValue,
}

/// The attribute of such lines of a head, given as what follows the prefix, and values. Empty when there are none: then
/// there is no attribute.
///
/// # Errors
/// [`BadMetadata`]. That the attributes of the request fit together is found when they are put together.
pub fn encode<'a>(lines: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Result<Vec<u8>, BadMetadata> {
    let mut run = Vec::new();
    for (name, value) in lines {
        let value = value.trim_ascii();
        if !is_token(name) {
            return Err(BadMetadata::BadName);
        }
        if !is_field_value(value) {
            return Err(BadMetadata::BadValue);
        }
        // What is refused must not take memory first.
        if run.len() + name.len() + value.len() + b": \r\n".len() > ATTRIBUTE_BYTES_MAX - ATTRIBUTE_HEAD_BYTES {
            return Err(BadMetadata::TooLong);
        }
        run.extend(name.iter().map(u8::to_ascii_lowercase));
        run.extend_from_slice(b": ");
        run.extend_from_slice(value);
        run.extend_from_slice(b"\r\n");
    }
    Ok(run)
}

/// Writes a stored attribute as lines of an answer's head.
pub fn write_lines(run: &[u8], out: &mut Vec<u8>) {
    for (name, value) in lines(run) {
        out.extend_from_slice(PREFIX_SENT);
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
}

/// The sound lines of an attribute: whole, a name in lower case, a value that stays in its line.
fn lines(run: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    run.split_inclusive(|byte| *byte == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\r\n")?;
        let (name, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
        let value = value.strip_prefix(b": ")?;
        let sound = is_token(name) && !name.iter().any(u8::is_ascii_uppercase) && is_field_value(value);
        sound.then_some((name, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(run: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_lines(run, &mut out);
        out
    }

    #[test]
    fn lines_are_stored_in_lower_case_and_in_order() {
        let run = encode([(&b"Author"[..], &b" Ren\xc3\xa9 \xff"[..]), (b"a.b", b""), (b"AUTHOR", b"b: c\td")]);
        let run = run.unwrap();
        assert_eq!(run, b"author: Ren\xc3\xa9 \xff\r\na.b: \r\nauthor: b: c\td\r\n");
        let want =
            &b"X-Larder-Meta-author: Ren\xc3\xa9 \xff\r\nX-Larder-Meta-a.b: \r\nX-Larder-Meta-author: b: c\td\r\n"[..];
        assert_eq!(sent(&run), want);
        assert_eq!(encode([]), Ok(Vec::new()));
    }

    #[test]
    fn what_cannot_be_sent_back_is_refused() {
        let one = |name: &'static [u8], value: &[u8]| encode([(name, value)]);
        assert_eq!(one(b"", b"a"), Err(BadMetadata::BadName));
        assert_eq!(one(b"a b", b"a"), Err(BadMetadata::BadName));
        assert_eq!(one(b"\xe9", b"a"), Err(BadMetadata::BadName));
        assert_eq!(one(b"a", b"a\r\nb: c"), Err(BadMetadata::BadValue));
        assert_eq!(one(b"a", b"a\0"), Err(BadMetadata::BadValue));
        let fits = ATTRIBUTE_BYTES_MAX - ATTRIBUTE_HEAD_BYTES - b"a: \r\n".len();
        let run = one(b"a", &vec![b'v'; fits]).unwrap();
        assert!(crate::request::Attributes::of(&[(5, &run)]).is_ok());
        assert_eq!(one(b"a", &vec![b'v'; fits + 1]), Err(BadMetadata::TooLong));
    }

    #[test]
    fn tricks_of_a_stored_run_are_left_out_line_by_line() {
        for trick in [
            &b"b\r\n"[..],
            b": v\r\n",
            b"b:v\r\n",
            b"b:  v\r\n",
            b"b: v \r\n",
            b"B: v\r\n",
            b"b : v\r\n",
            b"b: v\n",
            b"b: v\rc: w\r\n",
            b"b: v\r\r\n",
            b"b: \0\r\n",
            b"\r\n",
            b"\n",
            b"\r\n\r\n<html>\r\n",
            b"b\r\n: v\r\n",
        ] {
            let run = [b"a: 1\r\n", trick, b"z: 2\r\n"].concat();
            assert_eq!(sent(&run), b"X-Larder-Meta-a: 1\r\nX-Larder-Meta-z: 2\r\n", "{trick:?}");
        }
        assert_eq!(sent(b"a: 1\r\nb: cut"), b"X-Larder-Meta-a: 1\r\n");
        assert_eq!(sent(b""), b"");
    }

    proptest! {
        #[test]
        fn what_is_stored_is_sent_back(lines in proptest::collection::vec(("[a-z0-9.!~-]{1,9}", "([!-~]([ !-~]{0,9}[!-~])?)?"), 0..9)) {
                        let run = encode(lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))).unwrap();
            let want: String = lines.iter().map(|(name, value)| format!("X-Larder-Meta-{name}: {value}\r\n")).collect();
            prop_assert_eq!(String::from_utf8(sent(&run)).unwrap(), want);
        }

        #[test]
        fn any_run_gives_sound_lines(run in proptest::collection::vec(prop_oneof![
            Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), Just(b'a'), any::<u8>(),
        ], 0..200)) {
            let out = sent(&run);
            for line in out.split_inclusive(|byte| *byte == b'\n') {
                let line = line.strip_suffix(b"\r\n").unwrap();
                prop_assert!(line.starts_with(PREFIX_SENT) && line.contains(&b':'));
                prop_assert!(!line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
            }
        }
    }
}
