//! Compares records, and makes reports of them.

use super::exit::Exit;
use super::output;
use crate::compare::{self, Terms};
use crate::record::{Record, file};
use crate::report;
use std::path::PathBuf;

/// Arguments of a comparison.
#[derive(Debug, clap::Args)]
pub(super) struct Compare {
    /// Records of the one, with commas between
    #[arg(value_name = "A.json")]
    a: String,

    /// Records of the other; ratios are B to A
    #[arg(value_name = "B.json")]
    b: String,

    /// What counts as the same, in percent
    #[arg(long, default_value_t = 2.0, value_name = "PERCENT")]
    threshold: f64,

    /// Compare runs that are not alike, too
    #[arg(long)]
    unlike: bool,

    /// Write a report there
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of a report.
#[derive(Debug, clap::Args)]
pub(super) struct Report {
    /// Records
    #[arg(value_name = "FILE", required = true)]
    records: Vec<PathBuf>,

    /// Where it is written
    #[arg(long, default_value = "report.html", value_name = "FILE")]
    html: PathBuf,
}

fn read(paths: &[PathBuf]) -> Result<Vec<Record>, String> {
    paths.iter().map(|path| file::read(path).map_err(|error| error.to_string())).collect()
}

/// Makes a report.
pub(super) fn report(report: &Report) -> Result<Exit, String> {
    output::html(&report.html, &read(&report.records)?)?;
    output::print(&format!("{}\n", report.html.display()))?;
    Ok(Exit::Done)
}

/// Compares two sides, each of one record or several.
pub(super) fn compare(given: &Compare) -> Result<Exit, String> {
    let paths = |given: &str| given.split(',').map(PathBuf::from).collect::<Vec<_>>();
    let (a, b) = (read(&paths(&given.a))?, read(&paths(&given.b))?);
    let terms = Terms { threshold: given.threshold / 100.0, is_unlike_allowed: given.unlike, ..Terms::default() };
    let comparison = compare::compare(&a, &b, &terms).map_err(|refusal| refusal.to_string())?;
    if given.json {
        output::print(&format!("{:#}\n", comparison.json()))?;
    } else {
        output::print(&report::comparison::text(&comparison))?;
    }
    if let Some(path) = &given.html {
        output::page(path, &report::html::render_compared(&a, &b, &comparison))?;
    }
    Ok(Exit::Compared(comparison.exit_code()))
}
