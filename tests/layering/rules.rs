//! The two tables as rules, and what a file does against them.

use crate::paths::Path;
use std::collections::BTreeSet;

/// Who may import whom.
#[derive(Debug)]
pub struct Rules {
    layers: Vec<Layer>,
    powers: Vec<Power>,
}

#[derive(Debug)]
struct Layer {
    name: String,
    may_import: Vec<String>,
}

#[derive(Debug)]
struct Power {
    path: Vec<String>,
    owners: Vec<String>,
}

impl Rules {
    /// The rules of two texts, or the rows that contradict themselves.
    ///
    /// A row of `layers` is `name [name name]`, and names only rows above it: so cycles cannot arise. `any` is all rows
    /// above. A row of `powers` is `path [name name]`, and names rows of `layers`.
    pub fn parse(layers: &str, powers: &str) -> Result<Self, Vec<String>> {
        let mut rules = Self { layers: Vec::new(), powers: Vec::new() };
        let mut bad = Vec::new();
        for (name, mut may_import) in layers.lines().filter_map(row) {
            let above: Vec<String> = rules.layers.iter().map(|layer| layer.name.clone()).collect();
            if above.contains(&name) {
                bad.push(format!("{name} has two rows"));
            }
            if may_import == ["any"] {
                may_import = above;
            } else if let Some(other) = may_import.iter().find(|other| !above.contains(other)) {
                bad.push(format!("{name} names {other}, which is no row above it: that is how cycles begin"));
            }
            rules.layers.push(Layer { name, may_import });
        }
        for (path, owners) in powers.lines().filter_map(row) {
            if let Some(owner) = owners.iter().find(|owner| rules.layer(owner).is_none()) {
                bad.push(format!("{path} belongs to {owner}, which has no row"));
            }
            rules.powers.push(Power { path: path.split("::").map(str::to_string).collect(), owners });
        }
        if bad.is_empty() { Ok(rules) } else { Err(bad) }
    }

    fn layer(&self, name: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.name == name)
    }

    /// What a file of layer `of` does against the rules: line and sentence. `of_crate` is the name by which its paths
    /// begin with the library: `crate` inside of it, `larder` in the programs.
    pub fn violations(&self, of: &str, of_crate: &str, paths: &[Path]) -> BTreeSet<(usize, String)> {
        let Some(layer) = self.layer(of) else {
            return [(1, format!("the folder {of} has no row in the table"))].into();
        };
        paths
            .iter()
            .flat_map(|path| {
                let import = self.import(layer, of_crate, path);
                let power = self.power(layer, path);
                import.into_iter().chain(power).map(|sentence| (path.line, sentence))
            })
            .collect()
    }

    fn import(&self, layer: &Layer, of_crate: &str, path: &Path) -> Option<String> {
        let [first, rest @ ..] = &path.segments[..] else {
            return None;
        };
        // What was imported is judged where it was.
        if first != of_crate || path.through_import {
            return None;
        }
        let name = &layer.name;
        let Some(other) = rest.first().filter(|other| *other != "*") else {
            return Some(format!("{name} names the whole of the crate: name the folder"));
        };
        if other == name || layer.may_import.contains(other) || (of_crate == "crate" && self.layer(other).is_none()) {
            return None;
        }
        Some(format!("{name} may not import {other} (`{}`)", path.segments.join("::")))
    }

    fn power(&self, layer: &Layer, path: &Path) -> Option<String> {
        if path.in_test {
            return None;
        }
        let power = self.powers.iter().find(|power| {
            let of_power: Vec<&str> = power.path.iter().map(String::as_str).collect();
            path.is_in(&of_power) && !power.owners.contains(&layer.name)
        })?;
        let owners = power.owners.join(", ");
        Some(format!(
            "{} uses `{}`, but `{}` belongs to {owners}",
            layer.name,
            path.segments.join("::"),
            power.path.join("::")
        ))
    }
}

/// `name [names]`; the rest of the line is a remark.
fn row(line: &str) -> Option<(String, Vec<String>)> {
    let (name, rest) = line.split_once('[')?;
    let (names, _) = rest.split_once(']')?;
    Some((name.trim().to_string(), names.split_whitespace().map(str::to_string).collect()))
}
