//! The words of a Rust file: enough of the language to find its paths, and no more.
//!
//! Always: what stands in comments, strings and character literals is no word; every word knows its line.

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// An identifier, a keyword or a number.
    Name(String),
    /// `::`
    Into,
    /// Any other character.
    Mark(char),
}

/// A word and its line, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub word: Word,
    pub line: usize,
}

/// All words of a file.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { rest: text, line: 1, found: Vec::new() };
    while !lexer.rest.is_empty() {
        lexer.step();
    }
    lexer.found
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    found: Vec<Token>,
}

impl Lexer<'_> {
    fn step(&mut self) {
        let first = self.rest.chars().next().expect("the caller looks for an end");
        if self.rest.starts_with("//") {
            self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.skip(block_comment_bytes(self.rest));
        } else if let Some(bytes) = literal_bytes(self.rest) {
            self.skip(bytes);
        } else if is_of_name(first) {
            let bytes = self.rest.find(|c| !is_of_name(c)).unwrap_or(self.rest.len());
            self.push(Word::Name(self.rest[..bytes].to_string()), bytes);
        } else if self.rest.starts_with("::") {
            self.push(Word::Into, 2);
        } else if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else {
            self.push(Word::Mark(first), first.len_utf8());
        }
    }

    fn push(&mut self, word: Word, bytes: usize) {
        self.found.push(Token { word, line: self.line });
        self.skip(bytes);
    }

    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment_bytes(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Bytes of the string, character or lifetime that the text begins with.
fn literal_bytes(text: &str) -> Option<usize> {
    let prefix = text.bytes().take_while(|b| matches!(b, b'b' | b'c' | b'r')).count();
    let (prefix, body) = text.split_at(prefix);
    if prefix.len() > 2 {
        return None;
    }
    let bytes = match body.as_bytes().first()? {
        b'"' | b'#' if prefix.contains('r') => raw_string_bytes(body)?,
        b'"' => escaped_bytes(body, '"'),
        b'\'' if matches!(prefix, "" | "b") => character_bytes(body),
        _ => return None,
    };
    Some(prefix.len() + bytes)
}

fn raw_string_bytes(body: &str) -> Option<usize> {
    let hashes = body.bytes().take_while(|b| *b == b'#').count();
    // `r#name` is an identifier.
    let inner = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(inner.find(&end).map_or(body.len(), |at| hashes + 1 + at + end.len()))
}

fn escaped_bytes(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}

/// A character literal, or a lifetime.
fn character_bytes(body: &str) -> usize {
    let mut following = body.char_indices().skip(1);
    match (following.next(), following.next()) {
        (Some((_, '\\')), _) | (Some(_), Some((_, '\''))) => escaped_bytes(body, '\''),
        _ => 1 + body[1..].find(|c| !is_of_name(c)).unwrap_or(body.len() - 1),
    }
}

#[test]
fn comments_and_literals_are_no_words() {
    let text = r####"a /* crate::b /* */ */ 'x' '\'' "cr\"ate::c" r#"cr"ate::d"# b"e" br##"f"## // crate::g
        &'long h::r#type '"' i"####;
    let words: Vec<_> = tokens(text).into_iter().map(|token| (token.word, token.line)).collect();
    let name = |text: &str| Word::Name(text.to_string());
    let want = [
        (name("a"), 1),
        (Word::Mark('&'), 2),
        (name("h"), 2),
        (Word::Into, 2),
        (name("r"), 2),
        (Word::Mark('#'), 2),
        (name("type"), 2),
        (name("i"), 2),
    ];
    assert_eq!(words, want);
}
