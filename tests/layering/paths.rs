//! The paths that a Rust file names, made whole: groups taken apart, `self` and `super` followed, imports put in.
//!
//! Always: a path of the crate begins with `crate`; what stands under `#[cfg(test)]` is marked as a test's.

use crate::lexer::{Token, Word, tokens};
use std::collections::HashMap;

/// A path, where it stands, and whether only tests are built with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub segments: Vec<String>,
    pub line: usize,
    pub in_test: bool,
    /// Whether an import was put in for its first segment: then the import is a path of its own too.
    pub through_import: bool,
}

impl Path {
    /// Whether the path is `prefix`, lies under it, or is a glob over something above it.
    pub fn is_in(&self, prefix: &[&str]) -> bool {
        let glob = self.segments.last().is_some_and(|last| last == "*");
        let segments = &self.segments[..self.segments.len() - usize::from(glob)];
        let common = segments.iter().zip(prefix).take_while(|(a, b)| a == b).count();
        common == prefix.len() || (glob && common == segments.len())
    }
}

/// What one file names.
#[derive(Debug, Default)]
pub struct Named {
    pub paths: Vec<Path>,
    /// Modules in files of their own that only tests are built with.
    pub test_modules: Vec<String>,
}

/// The paths of a file whose module is `module` (such as `["net", "acceptor"]`).
pub fn named(text: &str, module: &[String]) -> Named {
    let tokens = tokens(text);
    let mut walk = Walk { tokens: &tokens, at: 0, leaves: Vec::new(), inline: Vec::new(), depth: 0 };
    let (tests, test_modules) = test_extents(&tokens);
    walk.run();
    let in_test = |at: usize| tests.iter().any(|(from, to)| (*from..*to).contains(&at));
    let imports: HashMap<_, _> = walk.leaves.iter().filter_map(Leaf::import).collect();
    let paths = walk
        .leaves
        .iter()
        .map(|leaf| {
            let (segments, through_import) = whole(leaf, module, &imports);
            Path { segments, line: leaf.line, in_test: in_test(leaf.at), through_import }
        })
        .collect();
    Named { paths, test_modules }
}

/// A path as it was written.
#[derive(Debug)]
struct Leaf {
    segments: Vec<String>,
    /// The name that a `use` gives it here.
    import: Option<String>,
    line: usize,
    at: usize,
    /// The modules in this file that it stands in.
    inline: Vec<String>,
}

impl Leaf {
    fn import(&self) -> Option<(String, Vec<String>)> {
        let name = self.import.clone()?;
        (self.segments.first() != Some(&name)).then(|| (name, self.segments.clone()))
    }
}

fn whole(leaf: &Leaf, module: &[String], imports: &HashMap<String, Vec<String>>) -> (Vec<String>, bool) {
    let mut segments = leaf.segments.clone();
    let mut through_import = false;
    // Imports of imports are short chains; a circle of them is not Rust.
    for _ in 0..8 {
        let Some(target) = segments.first().and_then(|first| imports.get(first)) else {
            break;
        };
        if leaf.import.is_some() && !through_import && *target == segments {
            break;
        }
        segments.splice(..1, target.iter().cloned());
        through_import = true;
    }
    let mut place: Vec<String> = module.iter().chain(&leaf.inline).cloned().collect();
    let mut climbed = 0;
    for segment in &segments {
        match segment.as_str() {
            "self" => {}
            "super" => drop(place.pop()),
            _ => break,
        }
        climbed += 1;
    }
    if climbed > 0 {
        place.insert(0, "crate".to_string());
        segments.splice(..climbed, place);
    }
    (segments, through_import)
}

/// Stretches of tokens under `#[cfg(test)]`, and the modules in other files that are.
fn test_extents(tokens: &[Token]) -> (Vec<(usize, usize)>, Vec<String>) {
    let (mut extents, mut modules) = (Vec::new(), Vec::new());
    for at in (0..tokens.len()).filter(|at| tokens[*at].word == Word::Mark('#')) {
        let words: Vec<String> = tokens[at..].iter().take(8).map(|token| spelled(&token.word)).collect();
        if words.join("").starts_with("#![cfg(test)]") {
            extents.push((at, tokens.len()));
        }
        if !words.join("").starts_with("#[cfg(test)]") {
            continue;
        }
        let body = at + 7;
        let mut depth = 0;
        let end = tokens[body..].iter().position(|token| {
            match token.word {
                Word::Mark('{') => depth += 1,
                Word::Mark('}') => depth -= 1,
                Word::Mark(';') => return depth == 0,
                _ => return false,
            }
            depth == 0
        });
        let end = end.map_or(tokens.len(), |end| body + end + 1);
        extents.push((at, end));
        let item: Vec<String> = tokens[body..end].iter().map(|token| spelled(&token.word)).collect();
        if let [.., keyword, name, semicolon] = &item[..]
            && (keyword.as_str(), semicolon.as_str()) == ("mod", ";")
        {
            modules.push(name.clone());
        }
    }
    (extents, modules)
}

fn spelled(word: &Word) -> String {
    match word {
        Word::Name(name) => name.clone(),
        Word::Into => "::".to_string(),
        Word::Mark(mark) => mark.to_string(),
    }
}

struct Walk<'a> {
    tokens: &'a [Token],
    at: usize,
    leaves: Vec<Leaf>,
    /// Modules with a body in this file, and the depth of braces that they began at.
    inline: Vec<(String, usize)>,
    depth: usize,
}

impl Walk<'_> {
    fn run(&mut self) {
        while let Some(token) = self.tokens.get(self.at) {
            match &token.word {
                Word::Mark('{') => self.depth += 1,
                Word::Mark('}') => self.leave(),
                Word::Name(name) if name == "use" => {
                    self.at += 1;
                    self.tree(&[], true);
                    continue;
                }
                Word::Name(name) if name == "mod" => self.enter(),
                Word::Name(_) if self.begins_a_path() => {
                    self.tree(&[], false);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    fn enter(&mut self) {
        if let (Some(Word::Name(name)), Some(Word::Mark('{'))) = (self.word(1), self.word(2)) {
            self.inline.push((name.clone(), self.depth));
        }
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.inline.last().is_some_and(|(_, depth)| *depth == self.depth) {
            self.inline.pop();
        }
    }

    fn word(&self, ahead: usize) -> Option<&Word> {
        self.tokens.get(self.at + ahead).map(|token| &token.word)
    }

    /// Whether the name here is the first of several segments.
    fn begins_a_path(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map(|token| &token.word);
        self.word(1) == Some(&Word::Into) && before != Some(&Word::Mark('.'))
    }

    /// One path, or a group of them, behind `prefix`.
    fn tree(&mut self, prefix: &[String], in_use: bool) {
        let mut segments = prefix.to_vec();
        let begin = self.at;
        loop {
            match self.word(0).cloned() {
                // A leading `::` begins a path too.
                Some(Word::Into) => self.at += 1,
                Some(Word::Mark('{')) if in_use => return self.group(&segments),
                Some(Word::Mark('*')) if in_use => {
                    segments.push("*".to_string());
                    self.at += 1;
                    break;
                }
                Some(Word::Name(name)) => {
                    segments.push(name);
                    self.at += 1;
                    if self.word(0) != Some(&Word::Into) {
                        break;
                    }
                }
                _ => break,
            }
        }
        // `a::{self}` names `a`.
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        let import = in_use.then(|| self.alias().or_else(|| segments.last().cloned())).flatten();
        let line = self.tokens.get(begin).map_or(0, |token| token.line);
        let inline = self.inline.iter().map(|(name, _)| name.clone()).collect();
        if !segments.is_empty() {
            self.leaves.push(Leaf { segments, import, line, at: begin, inline });
        }
        // A tree takes at least one token, whatever it is.
        self.at = self.at.max(begin + 1);
    }

    fn group(&mut self, prefix: &[String]) {
        self.at += 1;
        loop {
            match self.word(0) {
                Some(Word::Mark('}')) | None => break,
                Some(Word::Mark(',')) => self.at += 1,
                _ => self.tree(prefix, true),
            }
        }
        self.at += 1;
    }

    fn alias(&mut self) -> Option<String> {
        let (Some(Word::Name(keyword)), Some(Word::Name(name))) = (self.word(0), self.word(1)) else {
            return None;
        };
        let name = (keyword == "as").then(|| name.clone())?;
        self.at += 2;
        Some(name)
    }
}

#[test]
fn paths_are_made_whole() {
    let text = "
        use crate::base::{self, ids::{ObjectId as Id, *}, limits};
        use super::super::store; use std::{fs, thread as t};
        fn f() { t::spawn(limits::A); ::mio::Poll::new(); a.b::<u8>(); Vec::<u8>::new(); $crate::wire::X }
        mod inner { use super::super::net; mod deep { fn f() { super::super::super::io::g() } } }
        #[cfg(test)] mod tests { use crate::cli; }
        #[cfg(test)]
        mod behaviour;
        fn g() { crate::node::run() }";
    let module = ["disk".to_string(), "real".to_string()];
    let named = named(text, &module);
    let found: Vec<_> = named.paths.iter().map(|path| (path.segments.join("::"), path.line, path.in_test)).collect();
    let want = [
        ("crate::base", 2, false),
        ("crate::base::ids::ObjectId", 2, false),
        ("crate::base::ids::*", 2, false),
        ("crate::base::limits", 2, false),
        ("crate::store", 3, false),
        ("std::fs", 3, false),
        ("std::thread", 3, false),
        ("std::thread::spawn", 4, false),
        ("crate::base::limits::A", 4, false),
        ("mio::Poll::new", 4, false),
        ("Vec", 4, false),
        ("crate::wire::X", 4, false),
        ("crate::disk::net", 5, false),
        ("crate::disk::io::g", 5, false),
        ("crate::cli", 6, true),
        ("crate::node::run", 9, false),
    ];
    let want: Vec<_> = want.into_iter().map(|(path, line, test)| (path.to_string(), line, test)).collect();
    // `Vec::<u8>::new` ends at its type argument, and the rest of it begins no path.
    assert_eq!(found, want);
    assert_eq!(named.test_modules, ["behaviour"]);
}
