//! The lines of a head once more, for fields that may stand in it more than once.
//!
//! Runs on the processor's thread; pure. Always: the lines have been checked, so each has a name, a colon and an end. They
//! are walked again only when a field is there twice, or for the lines of an object's own attributes: nothing is allocated.

use crate::http::grammar::trim_blanks;

/// The values of a list field in the order of their lines, which together are one list (RFC 9110, 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::http) struct Values<'a> {
    name: &'static str,
    first: Option<&'a [u8]>,
    /// All lines of the head, when more than one is of this field.
    lines: Option<&'a [u8]>,
}

impl<'a> Values<'a> {
    /// One more line of the field is in the head that has these lines.
    pub(super) fn push(&mut self, name: &'static str, value: &'a [u8], lines: &'a [u8]) {
        match self.first {
            None => (self.name, self.first) = (name, Some(value)),
            Some(_) => self.lines = Some(lines),
        }
    }

    /// Whether the field is not there.
    pub(in crate::http) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The values.
    pub(in crate::http) fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let single = if self.lines.is_some() { None } else { self.first };
        let name = self.name;
        let several = Lines(self.lines.unwrap_or_default());
        let several = several.filter(move |(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        single.into_iter().chain(several.map(|(_, value)| value))
    }
}

/// The names and values of lines that have been checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.0.iter().position(|byte| *byte == b'\r')?;
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.get(2..).unwrap_or_default();
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        Some((name, trim_blanks(value.get(1..).unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_lines_are_one_list_in_order() {
        let lines = b"If-Match: \"a\"\r\nX: y\r\nif-match:\"b\", \"c\"\t\r\n\r\n";
        let mut values = Values::default();
        assert!(values.is_empty() && values.iter().next().is_none());
        values.push("if-match", b"\"a\"", lines);
        assert_eq!(values.iter().collect::<Vec<_>>(), [b"\"a\""]);
        values.push("if-match", b"\"b\", \"c\"", lines);
        assert_eq!(values.iter().collect::<Vec<_>>(), [&b"\"a\""[..], b"\"b\", \"c\""]);
    }
}
