//! The highest rate at which the 99th percentile keeps an objective.
//!
//! The main thread. Each rate is a round of an open loop; which rates is the business of `search`.

use super::interrupt::Interrupt;
use super::plan::Plan;
use super::progress::Progress;
use super::search::{Found, highest};
use super::steady::WarmUp;
use super::subject::{Subject, first_load};
use super::{Outcome, record};
use crate::engine::arrivals::Arrivals;
use crate::record::histogram::latencies;
use crate::record::{Doubt, Point, Round};
use std::time::Duration;

/// As many are achieved of what is offered, or the rate is not kept.
const ACHIEVED: f64 = 0.98;
/// More failures than these are a rate that is not kept.
const FAILED: f64 = 0.001;
const WARM_UP: Duration = Duration::from_secs(2);

/// Searches. `objective_us`: what p99 of responses may be.
///
/// # Errors
/// A line, when nothing could be measured.
pub fn saturate(plan: &Plan, objective_us: f64, arguments: &[String]) -> Result<Outcome, String> {
    let interrupt = Interrupt::catch()?;
    let mut progress = Progress::new(plan.quiet);
    let target = plan.targets.first().ok_or("no target")?;
    let mut subject = Subject::new(plan, target, record(plan, target, arguments), &interrupt)?;
    subject.prepare(plan, &mut progress)?;
    let mut search =
        Search { plan: plan.clone(), arrivals: plan.arrivals, objective_us, points: Vec::new(), errors: Vec::new() };
    if let WarmUp::Steady(_) = plan.warm_up {
        search.plan.warm_up = WarmUp::For(WARM_UP);
    }
    let closed = search.measure(&mut subject, None, &mut progress)?;
    let Found { rate: found, is_confirmed } = search.find(&mut subject, closed.achieved, &mut progress)?;
    progress.end();
    let mut outcome = Outcome { records: Vec::new(), failed: 0, wrong: subject.wrong, errors: search.errors };
    let record = subject.record_mut();
    record.scenario = "saturate".to_string();
    record.question = format!("Up to which rate is the 99th percentile at most {objective_us:.0} us?");
    record.plan.insert("objective".to_string(), format!("p99 of responses at most {objective_us:.0} us"));
    record.plan.insert("arrivals".to_string(), (plan.arrivals)(found).to_string());
    record.plan.insert("found".to_string(), format!("{found:.0}/s"));
    // Beyond the highest rate lateness and losses are what was looked for.
    record.doubts.retain(|doubt| doubt.name == "wrong");
    if found <= 0.0 {
        record.doubts.push(Doubt {
            name: "unreached".to_string(),
            detail: "the objective was missed at the lowest rate that was tried".to_string(),
            spoils: vec!["rate".to_string()],
        });
    }
    if found > 0.0 && !is_confirmed {
        record.doubts.push(Doubt {
            name: "unconfirmed".to_string(),
            detail: "the search ended before what it found had held in two of three more".to_string(),
            spoils: vec!["rate".to_string()],
        });
    }
    record.curve = search.points;
    record.curve.sort_by(|one, other| one.offered.total_cmp(&other.offered));
    // The last round is, if the search came to its end, the last look at the found rate: what is shown in full.
    let last = record.rounds.pop();
    record.rounds = last.into_iter().collect();
    let (record, error) = subject.finish(plan);
    outcome.records.push(record);
    outcome.errors.extend(error);
    Ok(outcome)
}

struct Search {
    plan: Plan,
    arrivals: fn(f64) -> Arrivals,
    objective_us: f64,
    points: Vec<Point>,
    errors: Vec<String>,
}

impl Search {
    fn find(&mut self, subject: &mut Subject, closed: f64, progress: &mut Progress) -> Result<Found, String> {
        highest(closed, |rate| {
            if !self.errors.is_empty() {
                return Ok(None);
            }
            let point = self.measure(subject, Some(rate), progress)?;
            // Of a point that was cut off nothing is known.
            Ok(self.errors.is_empty().then_some(point.is_kept))
        })
    }

    /// Measures at a rate, or in a closed loop.
    fn measure(&mut self, subject: &mut Subject, rate: Option<f64>, progress: &mut Progress) -> Result<Point, String> {
        if let Some(load) = self.plan.loads.first_mut() {
            load.arrivals = rate.map_or(Arrivals::Closed, self.arrivals);
        }
        progress.begin(rate.map_or("closed loop".to_string(), |rate| format!("at {rate:.0}/s")));
        self.errors.extend(subject.round(&self.plan, progress)?);
        let round = subject.last().ok_or("no round was measured")?;
        let point = self.point(round, rate);
        if rate.is_some() {
            self.points.push(point.clone());
        }
        Ok(point)
    }

    fn point(&self, round: &Round, rate: Option<f64>) -> Point {
        let mut all = latencies();
        let (mut ok, mut failed) = (0, 0);
        for requests in first_load(&round.requests) {
            ok += requests.ok;
            failed += requests.lost + requests.shed + requests.wrong + requests.refused.values().sum::<u64>();
            if let Ok(histogram) = requests.response.decode() {
                all.add(histogram).expect("all histograms have the same bounds");
            }
        }
        let us = |quantile: f64| all.value_at_quantile(quantile) as f64 / 1e3;
        let achieved = ok as f64 / round.seconds.max(1e-9);
        let mut why = Vec::new();
        if let Some(rate) = rate {
            if us(0.99) > self.objective_us {
                why.push(format!("p99 {:.0} us", us(0.99)));
            }
            if achieved < ACHIEVED * rate {
                why.push(format!("{achieved:.0}/s achieved"));
            }
            if failed as f64 > FAILED * (ok + failed) as f64 {
                why.push(format!("{failed} failed, refused or shed"));
            }
        }
        Point {
            offered: rate.unwrap_or(achieved),
            achieved,
            p50_us: us(0.5),
            p99_us: us(0.99),
            p999_us: us(0.999),
            server_cpu_us: round.server.as_ref().map(|cost| cost.cpu_us_per_request),
            is_kept: why.is_empty(),
            why: why.join(", "),
        }
    }
}
