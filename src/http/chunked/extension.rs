//! Extensions of a chunk (RFC 9112, 7.1.1): `;name`, `;name=token`, `;name="quoted"`. They are checked and dropped.
//!
//! Runs on the processor's thread; pure. Begins behind the first `;`. Blanks around `;` and `=` are bad but legal
//! (RFC 9110, 5.6.3), except before the first `;`, where they would stand beside the size, and before the end of the line.

use crate::http::grammar::is_token_byte;

/// Where in the extensions the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extension {
    /// Behind a `;`.
    Separator,
    Name,
    /// Blanks behind a name: `=` or `;` must follow.
    AfterName,
    /// Behind a `=`.
    Equals,
    Token,
    Quoted,
    /// Behind a backslash.
    Escaped,
    /// Behind a closing quote.
    Closed,
    /// Blanks behind a value: `;` must follow.
    AfterValue,
}

impl Extension {
    /// Behind the `;` after a size.
    pub(super) fn begin() -> Self {
        Self::Separator
    }

    /// Whether the line may end here.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Token | Self::Closed)
    }

    /// The place after one more byte; `None` when it may not stand here.
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        let blank = matches!(byte, b' ' | b'\t');
        Some(match (self, byte) {
            (Self::Separator | Self::Equals, _) if blank => self,
            (Self::Separator | Self::Name, _) if is_token_byte(byte) => Self::Name,
            (Self::Name | Self::AfterName, b'=') => Self::Equals,
            (Self::Name | Self::AfterName, _) if blank => Self::AfterName,
            (Self::Name | Self::AfterName | Self::Token | Self::Closed | Self::AfterValue, b';') => Self::Separator,
            (Self::Equals, b'"') => Self::Quoted,
            (Self::Equals | Self::Token, _) if is_token_byte(byte) => Self::Token,
            (Self::Quoted, b'"') => Self::Closed,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted | Self::Escaped, b'\t' | b' '..=b'~') => Self::Quoted,
            (Self::Token | Self::Closed | Self::AfterValue, _) if blank => Self::AfterValue,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_names_and_values() {
        let takes = |text: &str| {
            text.bytes()
                .try_fold(Extension::begin(), |extension, byte| extension.next(byte))
                .is_some_and(Extension::may_end)
        };
        for good in ["a", "a=b", "a;b", " a = b ; c", "a=\"\"", "a=\"x;\\\"=\t\"", "a=\"b\";c", "chunk-signature=0f"] {
            assert!(takes(good), "{good:?} was refused");
        }
        for bad in [
            "",
            " ",
            ";",
            "a;",
            "a=",
            "a ",
            "a=b ",
            "=b",
            "a==b",
            "a b",
            "a=b c",
            "a=\"",
            "a=\"\\\"",
            "a=\"b\"c",
            "a\0",
            "a=\"\r\"",
            "a=\"\n\"",
            "a=\"\x7f\"",
            "\u{e4}",
        ] {
            assert!(!takes(bad), "{bad:?} was taken");
        }
    }
}
