//! One file to one name: its content type and modification time go with it.
//!
//! Worker threads. Always: a file is opened only while it is read, and never read whole.

use super::failure::{Exit, Failure};
use super::files::Source;
use super::progress::{Counted, Transfer};
use crate::base::path::NamePath;
use crate::client::{ClientError, NameSession, UploadOptions};
use crate::request::{Attributes, Changed, Condition, Status};
use std::fs::{File, Metadata};
use std::time::UNIX_EPOCH;

/// What all files of a command have in common.
#[derive(Debug)]
pub struct Uploader {
    /// The session of the changes.
    pub session: NameSession,
    /// The bar.
    pub progress: Transfer,
    /// For what is stored, whatever its name says.
    pub content_type: Option<String>,
    /// What a name must lead to before.
    pub condition: Condition,
}

impl Uploader {
    /// Stores a source under a name.
    pub fn upload(&self, source: &Source, path: &NamePath) -> Result<Changed, Failure> {
        let changed = match source {
            Source::Input => {
                let mut input = Counted { inner: std::io::stdin().lock(), progress: &self.progress };
                self.session.upload(path, &mut input, &self.options(path, None)?)
            }
            Source::File(file) => match self.upload_file(file, source, path)? {
                // The node forgot the session meanwhile; with another the same file can be given again.
                Err(error) if error.status() == Some(Status::SessionUnknown) => self.upload_file(file, source, path)?,
                outcome => outcome,
            },
        };
        self.progress.add_file();
        changed.map_err(|error| failed(source, path, &error))
    }

    fn upload_file(
        &self,
        file: &std::path::Path,
        source: &Source,
        path: &NamePath,
    ) -> Result<Result<Changed, ClientError>, Failure> {
        let cannot = |error| cannot_read(source, &error);
        let file = File::open(file).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        let options = self.options(path, Some(&metadata))?;
        let mut content = Counted { inner: file, progress: &self.progress };
        Ok(self.session.upload(path, &mut content, &options))
    }

    fn options(&self, path: &NamePath, metadata: Option<&Metadata>) -> Result<UploadOptions, Failure> {
        let content_type = self.content_type.clone().or_else(|| content_type(path));
        let list: Vec<(u8, &[u8])> =
            content_type.iter().map(|text| (Attributes::CONTENT_TYPE, text.as_bytes())).collect();
        let attributes = Attributes::of(&list)
            .map_err(|error| Failure::new(Exit::Usage, format!("--content-type: it is too long: {error}")))?;
        Ok(UploadOptions {
            condition: self.condition,
            parents: true,
            modified_ms: metadata.and_then(modified_ms),
            attributes,
            size_hint: metadata.map_or(0, Metadata::len),
            ..UploadOptions::default()
        })
    }
}

/// The content type that the ending of a name stands for.
pub fn content_type(path: &NamePath) -> Option<String> {
    let (_, name) = path.split()?;
    mime_guess::from_path(name).first().map(|mime| mime.essence_str().to_owned())
}

/// A time before 1970 is none here.
fn modified_ms(metadata: &Metadata) -> Option<u64> {
    let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// Reading a source failed.
pub fn cannot_read(source: &Source, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{}: cannot read: {error}", source.shown()))
}

fn failed(source: &Source, path: &NamePath, error: &ClientError) -> Failure {
    match error {
        ClientError::Input(error) => cannot_read(source, error),
        _ => Failure::of_client(&format!("{} to {path}", source.shown()), error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::client::memory::{Fault, MemoryNode};
    use crate::wire::Opcode;

    fn path(text: &str) -> NamePath {
        NamePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn endings_stand_for_content_types() {
        for (name, want) in [("/a.jpg", Some("image/jpeg")), ("/x.PNG", Some("image/png")), ("/a", None), ("/", None)] {
            assert_eq!(content_type(&path(name)).as_deref(), want);
        }
    }

    #[test]
    fn a_file_goes_with_its_time_and_type() {
        let node = MemoryNode::new();
        let session = node.client(Client::builder()).open_session().unwrap();
        let uploader = Uploader { session, progress: Transfer::new(), content_type: None, condition: Condition::Any };
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("x");
        std::fs::write(&file, "content").unwrap();
        let time = UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123);
        File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        node.plan(Opcode::Commit, Fault::First(Box::new(|state| state.sessions.clear())));
        uploader.upload(&Source::File(file), &path("/d/cat.jpg")).unwrap();
        let entry = uploader.session.client().stat_name(&path("/d/cat.jpg")).unwrap();
        assert_eq!((entry.facts.size, entry.facts.modified_ms), (7, 1_700_000_000_123));
        assert_eq!(entry.attributes.value(Attributes::CONTENT_TYPE), Some(&b"image/jpeg"[..]));
        let missing = uploader.upload(&Source::File(place.path().join("no")), &path("/d/y")).unwrap_err();
        let Failure::Told(Exit::Failed, line) = missing else { panic!("it is told") };
        assert!(line.contains("/no: cannot read: No such file"), "{line}");
    }
}
