//! wget, which goes on where it was; aria2, which reads many ranges at once.

use crate::origin::Origin;
use crate::program::{installed, succeeded};
use crate::support::content;
use std::process::Command;

#[test]
fn wget_goes_on_with_a_part() {
    let Some(wget) = installed("wget") else { return };
    let (origin, directory) = (Origin::start(), tempfile::tempdir().unwrap());
    let content = content(1, 12 << 20);
    origin.put("/big.bin", &[], &content);
    let file = directory.path().join("big.bin");
    for had in [0, 1, 7_654_321] {
        std::fs::write(&file, &content[..had]).unwrap();
        let mut command = Command::new(&wget);
        command.args(["--no-config", "--no-proxy", "-q", "-t", "1", "-c", &origin.url("/big.bin")]);
        succeeded(command.current_dir(directory.path()).output().unwrap());
        assert!(std::fs::read(&file).unwrap() == content, "{had}");
    }
    assert_eq!(origin.asked("GET /big.bin", 206), 2, "and a file of nothing is no part");
    // Time-stamping: what is there already is not asked for again.
    let mut command = Command::new(&wget);
    command.args(["--no-config", "--no-proxy", "-q", "-t", "1", "-N", &origin.url("/big.bin")]);
    succeeded(command.current_dir(directory.path()).output().unwrap());
    assert!(std::fs::read(&file).unwrap() == content);
}

#[test]
fn aria2_reads_eight_ranges_at_once() {
    let Some(aria2) = installed("aria2c") else { return };
    let (origin, directory) = (Origin::start(), tempfile::tempdir().unwrap());
    let content = content(2, (40 << 20) + 12_345);
    origin.put("/big.bin", &[], &content);
    let mut command = Command::new(aria2);
    command.args(["--no-conf", "--no-netrc", "--all-proxy=", "-q", "-x8", "-s8", "-k1M", "--file-allocation=none"]);
    command.arg(origin.url("/big.bin")).current_dir(directory.path());
    succeeded(command.output().unwrap());
    assert!(std::fs::read(directory.path().join("big.bin")).unwrap() == content);
    assert!(origin.asked("GET /big.bin", 206) >= 7, "{:?}", origin.log());
}
