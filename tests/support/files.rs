//! Files of data directories, read and damaged behind a node's back.

use larder::base::checksum::content_hash;
use std::collections::BTreeMap;
use std::fs::{File, read, read_dir};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Names, sizes and hashes of all that lies in a directory.
pub fn listing(directory: &Path) -> BTreeMap<String, (u64, u128)> {
    let files = read_dir(directory).expect("the directory is there").map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type().unwrap().is_file() {
            return (name, (0, 0));
        }
        let bytes = read(entry.path()).unwrap();
        (name, (bytes.len() as u64, content_hash(&bytes).0))
    });
    files.collect()
}

/// Copies all files of a directory to another, with those of the directories in it.
pub fn copy(from: &Path, to: &Path) {
    for entry in read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The segment files of a data directory.
pub fn segments(directory: &Path) -> Vec<PathBuf> {
    let paths = read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "segment")).collect()
}

/// Where these bytes lie: the file, and their place in it.
pub fn find(directory: &Path, bytes: &[u8]) -> (PathBuf, u64) {
    // A few bytes find the place quickly; they must be different everywhere.
    let few = &bytes[..bytes.len().min(64)];
    let found = segments(directory).into_iter().find_map(|path| {
        let all = read(&path).unwrap();
        // Content lies on a multiple of 4: a needle begins on one of 8, and its head is a run of such fields.
        let at = (0..all.len()).step_by(4).find(|at| all[*at..].starts_with(few))?;
        assert_eq!(&all[at..at + bytes.len()], bytes, "the content lies in one piece");
        Some((path, at as u64))
    });
    found.expect("the bytes are in a segment")
}

/// The last multiple of 8 before `at` where these bytes lie.
pub fn find_before(path: &Path, bytes: &[u8], at: u64) -> u64 {
    let all = read(path).unwrap();
    let places = (0..usize::try_from(at).unwrap()).step_by(8).rev();
    places.into_iter().find(|at| all[*at..].starts_with(bytes)).expect("the bytes are before that") as u64
}

/// Flips a bit of the byte at a place of a file, through a handle of its own.
pub fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x04], at).unwrap();
}
