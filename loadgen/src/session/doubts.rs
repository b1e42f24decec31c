//! What of a run is not to be believed.
//!
//! Pure.

use crate::engine::tally::{Tallies, Tally};
use crate::record::{Doubt, Round};

/// A generator's thread that is busier than this is what bounds the run.
const BUSY: f64 = 0.9;
/// A server whose threads wait longer for a processor than this part of the time shares it with somebody.
const CONTENDED: f64 = 0.02;
/// As much of what is seen may be the generator's own lateness.
const LATE: f64 = 0.1;
/// More requests than this part, due and never sent, leave a latency of those that had luck.
const SHED: f64 = 0.001;
/// More connections than this part of the answers, lost and opened again after a pause, make the rate that of the pauses.
const BROKEN: f64 = 0.01;
/// A second that took longer: nobody filled it.
const SECOND_MAX: f64 = 1.5;
/// Fewer answers than these have no percentiles.
const FEW: u64 = 1000;

/// The doubts about a round.
///
/// `kept`: connections that should be open all the time.
pub(super) fn doubts(round: &Round, totals: &[Tallies], is_open: bool, is_steady: bool, kept: u32) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let mut doubt = |name: &str, detail: String, spoils: &[&str]| {
        let spoils = spoils.iter().map(|figure| (*figure).to_string()).collect();
        doubts.push(Doubt { name: name.to_string(), detail, spoils });
    };
    let mut all = Tally::default();
    totals.iter().flat_map(Tallies::iter).for_each(|(_, tally)| all.add(tally));
    if all.wrong > 0 {
        doubt("wrong", format!("{} answers were not what was stored", all.wrong), &["rate", "latency", "cost"]);
    }
    if all.lost > 0 {
        doubt("lost", format!("{} requests were lost with their connections", all.lost), &[]);
    }
    if all.shed as f64 > SHED * (all.shed + all.answered()) as f64 {
        let detail = format!("{} requests were due and never sent: latency is that of the others", all.shed);
        doubt("shed", detail, &["latency"]);
    }
    if round.broken as f64 > BROKEN * all.ok as f64 {
        let detail = format!(
            "{} connections were lost or could not be had, and opened again after a pause: the rate is that of the pauses",
            round.broken
        );
        doubt("broken", detail, &["rate", "latency"]);
    }
    if let Some(fewest) = round.connections_min.filter(|fewest| *fewest < kept) {
        doubt("connections", format!("only {fewest} of {kept} connections were open at some time"), &[]);
    }
    if round.seconds <= 0.0 || all.ok == 0 {
        let why = if round.seconds > 0.0 { "" } else { ": the load ended before its warm-up did" };
        doubt(
            "short",
            format!("{} answers in {:.1} s of measuring{why}", all.ok, round.seconds),
            &["rate", "latency", "cost"],
        );
        return doubts;
    }
    let busy = round.generator.busiest_thread_seconds / round.seconds;
    if busy > BUSY {
        let detail = format!(
            "a thread of the generator was busy for {:.0} % of the time: rate and latency are its own, more --threads or a \
             lower --rate would tell; server CPU a request stands",
            busy * 100.0
        );
        doubt("generator-bound", detail, &["rate", "latency"]);
    }
    if is_open && !all.lag.is_empty() {
        let (lag, seen) = (all.lag.value_at_quantile(0.99) as f64, all.latency().value_at_quantile(0.99) as f64);
        if lag > LATE * seen.max(1e6) {
            let detail = format!(
                "requests were begun up to {:.0} us late (p99) by the generator itself, p99 of responses is {:.0} us",
                lag / 1e3,
                seen / 1e3
            );
            doubt("lag", detail, &["latency"]);
        }
    }
    if let Some(server) = &round.server {
        let waited = server.wait_seconds / round.seconds;
        if waited > CONTENDED {
            let detail =
                format!("threads of the server waited for a processor for {:.1} % of the time", waited * 100.0);
            doubt("contended", detail, &[]);
        }
    }
    let longest = round.series.iter().map(|second| second.seconds).fold(0.0, f64::max);
    if longest > SECOND_MAX {
        let detail = format!("a second of the generator took {longest:.1} s: it was stopped, or had no processor");
        doubt("paused", detail, &["rate", "latency"]);
    }
    if !is_steady {
        doubt("unsteady", format!("{:.0} s of warm-up did not become steady", round.warm_up_seconds), &[]);
    }
    if all.ok < FEW {
        doubt("few", format!("{} answers have no high percentiles", all.ok), &["latency"]);
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Cost, Second};
    use crate::workload::Verb;

    fn names(doubts: &[Doubt]) -> Vec<String> {
        doubts.iter().map(|doubt| doubt.name.clone()).collect()
    }

    fn seen(ok: u64, busy: f64, lag_ns: u64) -> Vec<String> {
        let mut tallies = Tallies::default();
        let tally = tallies.of(Verb::Get);
        tally.ok = ok;
        tally.response.saturating_record(500_000);
        tally.lag.saturating_record(lag_ns);
        let generator = Cost { busiest_thread_seconds: busy, ..Cost::default() };
        let server = Some(Cost { wait_seconds: 0.1, ..Cost::default() });
        let round = Round { seconds: 1.0, generator, server, ..Round::default() };
        names(&doubts(&round, &[tallies], true, true, 0))
    }

    #[test]
    fn a_run_says_what_was_wrong_with_it() {
        assert_eq!(seen(5000, 0.5, 1000), ["contended"]);
        assert_eq!(seen(5000, 0.95, 1000), ["generator-bound", "contended"]);
        assert_eq!(seen(5000, 0.5, 200_000), ["lag", "contended"]);
        assert_eq!(seen(10, 0.5, 1000), ["contended", "few"]);
        assert_eq!(seen(0, 0.5, 1000), ["short"]);
    }

    #[test]
    fn what_was_not_answered_is_told_even_if_nothing_was() {
        let mut tallies = Tallies::default();
        let tally = tallies.of(Verb::Get);
        (tally.wrong, tally.lost, tally.shed) = (1, 2, 3);
        let mut round = Round { seconds: 1.0, broken: 1, connections_min: Some(3), ..Round::default() };
        let told = names(&doubts(&round, &[tallies.clone()], false, true, 4));
        assert_eq!(told, ["wrong", "lost", "shed", "broken", "connections", "short"]);

        let mut tallies = Tallies::default();
        (tallies.of(Verb::Get).ok, tallies.of(Verb::Get).shed) = (5000, 5);
        round = Round { series: vec![Second { seconds: 3.0, ..Second::default() }], broken: 50, ..round };
        assert_eq!(names(&doubts(&round, &[tallies], false, true, 3)), ["paused"]);
    }
}
