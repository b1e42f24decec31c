//! Python's requests and urllib3: what they are asked is in requests_test.py.

use crate::origin::Origin;
use crate::program::{installed, succeeded};
use std::process::Command;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http_clients");

#[test]
fn requests_and_urllib3_do_all_that_they_can() {
    let Some(python) = installed("python3") else { return };
    if !Command::new(&python).args(["-c", "import requests, urllib3"]).output().unwrap().status.success() {
        eprintln!("skipped: requests for python3 is not installed");
        return;
    }
    let origin = Origin::start();
    let mut command = Command::new(python);
    command.args(["-B", "requests_test.py", &origin.url("")]).current_dir(SCRIPTS);
    succeeded(command.output().unwrap());
}
