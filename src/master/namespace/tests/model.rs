//! A tree that is as simple as can be: whole paths in a map. It says what a namespace must do.

use crate::base::path::NamePath;
use crate::master::command::Checked;
use crate::request::{Attributes, Condition, Status};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelName {
    pub version: u64,
    pub created_ms: u64,
    /// Of a file: its size, its modification time and its attributes.
    pub file: Option<(u64, u64, Attributes)>,
}

/// Names by their paths; the root is not one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Model {
    pub names: BTreeMap<String, ModelName>,
    pub revision: u64,
}

impl Model {
    /// Makes a change: the version of what was changed, or why not.
    pub fn change(&mut self, change: &Checked, now_ms: u64) -> Result<u64, Status> {
        match change {
            Checked::Commit { path, condition, parents, modified_ms, attributes, size, .. } => {
                let missing = if path.is_root() { return Err(Status::IsADirectory) } else { self.missing(path)? };
                if !missing.is_empty() && !parents {
                    return Err(Status::ParentNotFound);
                }
                let old = self.names.get(path.as_str());
                if old.is_some_and(|old| old.file.is_none()) {
                    return Err(Status::IsADirectory);
                }
                check(*condition, old)?;
                let created_ms = old.map_or(now_ms, |old| old.created_ms);
                self.revision += 1;
                self.make(missing, now_ms);
                let file = Some((*size, modified_ms.unwrap_or(now_ms), attributes.clone()));
                let name = ModelName { version: self.revision, created_ms, file };
                self.names.insert(path.as_str().to_string(), name);
            }
            Checked::MakeDirectory { path, parents } => {
                let taken = if path.is_root() {
                    return if *parents { Ok(0) } else { Err(Status::AlreadyExists) };
                } else {
                    self.missing(path)?
                };
                match self.names.get(path.as_str()) {
                    Some(old) if old.file.is_none() && *parents => return Ok(old.version),
                    Some(_) => return Err(Status::AlreadyExists),
                    None if !taken.is_empty() && !parents => return Err(Status::ParentNotFound),
                    None => {}
                }
                self.revision += 1;
                self.make([taken, vec![path.as_str().to_string()]].concat(), now_ms);
            }
            Checked::Rename { from, to, replace, condition } => return self.rename(from, to, *replace, *condition),
            Checked::Remove { path, tree, condition } => {
                let old = self.there(path, Status::IntoItself)?;
                check(*condition, Some(&old))?;
                let below = self.below(path.as_str());
                if !below.is_empty() && !tree {
                    return Err(Status::DirectoryNotEmpty);
                }
                self.revision += 1;
                below.iter().for_each(|name| drop(self.names.remove(name)));
                self.names.remove(path.as_str());
            }
            Checked::SetAttributes { path, condition, attributes } => {
                let old = self.there(path, Status::IsADirectory)?;
                let Some((size, modified_ms, _)) = old.file else { return Err(Status::IsADirectory) };
                check(*condition, Some(&old))?;
                self.revision += 1;
                let file = Some((size, modified_ms, attributes.clone()));
                let name = ModelName { version: self.revision, file, ..old };
                self.names.insert(path.as_str().to_string(), name);
            }
        }
        Ok(self.revision)
    }

    /// Names in a directory, in order.
    pub fn list(&self, path: &NamePath) -> Vec<(String, ModelName)> {
        let prefix = format!("{}/", path.as_str().trim_end_matches('/'));
        let names = self.below(path.as_str()).into_iter().map(|name| {
            let found = self.names[&name].clone();
            (name[prefix.len()..].to_string(), found)
        });
        let mut names: Vec<_> = names.filter(|(name, _)| !name.contains('/')).collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        names
    }

    /// Files, directories, bytes below a path.
    pub fn usage(&self, path: &NamePath) -> (u64, u64, u64) {
        let mut usage = (0, 0, 0);
        let own = self.names.get(path.as_str()).filter(|name| name.file.is_some()).map(|_| path.as_str().to_string());
        for name in self.below(path.as_str()).into_iter().chain(own) {
            match &self.names[&name].file {
                Some((size, ..)) => usage = (usage.0 + 1, usage.1, usage.2 + size),
                None => usage.1 += 1,
            }
        }
        usage
    }

    fn rename(&mut self, from: &NamePath, to: &NamePath, replace: bool, condition: Condition) -> Result<u64, Status> {
        if from.is_root() || to.is_root() {
            return Err(Status::IntoItself);
        }
        let moved = self.there(from, Status::IntoItself)?;
        check(condition, Some(&moved))?;
        if from == to {
            return Ok(moved.version);
        }
        let is_directory = moved.file.is_none();
        if is_directory && to.as_str().starts_with(&format!("{from}/")) {
            return Err(Status::IntoItself);
        }
        if !self.missing(to)?.is_empty() {
            return Err(Status::ParentNotFound);
        }
        if let Some(old) = self.names.get(to.as_str()) {
            match (&old.file, is_directory) {
                _ if !replace => return Err(Status::AlreadyExists),
                (None, false) => return Err(Status::IsADirectory),
                (Some(_), true) => return Err(Status::NotADirectory),
                (None, true) if !self.below(to.as_str()).is_empty() => return Err(Status::DirectoryNotEmpty),
                _ => {}
            }
        }
        self.revision += 1;
        for name in self.below(from.as_str()) {
            let found = self.names.remove(&name).expect("it was listed");
            self.names.insert(format!("{to}{}", &name[from.as_str().len()..]), found);
        }
        self.names.remove(from.as_str());
        self.names.insert(to.as_str().to_string(), ModelName { version: self.revision, ..moved });
        Ok(self.revision)
    }

    fn there(&self, path: &NamePath, root: Status) -> Result<ModelName, Status> {
        if path.is_root() {
            return Err(root);
        }
        self.missing(path)?;
        self.names.get(path.as_str()).cloned().ok_or(Status::NotFound)
    }

    /// Directories above a path that are not there.
    fn missing(&self, path: &NamePath) -> Result<Vec<String>, Status> {
        let mut missing = Vec::new();
        let mut above = path.split().map(|(parent, _)| parent);
        while let Some(parent) = above.filter(|parent| !parent.is_root()) {
            match self.names.get(parent.as_str()) {
                Some(found) if found.file.is_some() => return Err(Status::NotADirectory),
                Some(_) => {}
                None => missing.insert(0, parent.as_str().to_string()),
            }
            above = parent.split().map(|(parent, _)| parent);
        }
        Ok(missing)
    }

    fn make(&mut self, paths: Vec<String>, created_ms: u64) {
        for path in paths {
            self.names.insert(path, ModelName { version: self.revision, created_ms, file: None });
        }
    }

    fn below(&self, path: &str) -> Vec<String> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        self.names.keys().filter(|name| name.starts_with(&prefix)).cloned().collect()
    }
}

fn check(condition: Condition, found: Option<&ModelName>) -> Result<(), Status> {
    match (condition, found) {
        (Condition::Any, _) | (Condition::Absent, None) => Ok(()),
        (Condition::Absent, Some(_)) => Err(Status::AlreadyExists),
        (Condition::Version(_), None) => Err(Status::NotFound),
        (Condition::Version(want), Some(found)) if found.version == want => Ok(()),
        (Condition::Version(_), Some(_)) => Err(Status::VersionMismatch),
    }
}
