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
/// Fewer answers than these have no percentiles.
const FEW: u64 = 1000;

/// The doubts about a round.
pub(super) fn doubts(round: &Round, totals: &[Tallies], is_open: bool, is_steady: bool) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let mut doubt = |name: &str, detail: String, spoils: &[&str]| {
        let spoils = spoils.iter().map(|figure| (*figure).to_string()).collect();
        doubts.push(Doubt { name: name.to_string(), detail, spoils });
    };
    let mut all = Tally::default();
    totals.iter().flat_map(Tallies::iter).for_each(|(_, tally)| all.add(tally));
    if round.seconds <= 0.0 || all.ok == 0 {
        doubt(
            "short",
            format!("{} answers in {:.1} s of measuring", all.ok, round.seconds),
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
    if !is_steady {
        doubt("unsteady", format!("{:.0} s of warm-up did not become steady", round.warm_up_seconds), &[]);
    }
    if all.ok < FEW {
        doubt("few", format!("{} answers have no high percentiles", all.ok), &["latency"]);
    }
    if all.wrong > 0 {
        doubt("wrong", format!("{} answers were not what was stored", all.wrong), &["rate", "latency", "cost"]);
    }
    if all.lost > 0 {
        doubt("lost", format!("{} requests were lost with their connections", all.lost), &[]);
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Cost;
    use crate::workload::Verb;

    fn seen(ok: u64, busy: f64, lag_ns: u64) -> Vec<String> {
        let mut tallies = Tallies::default();
        let tally = tallies.of(Verb::Get);
        tally.ok = ok;
        tally.response.saturating_record(500_000);
        tally.lag.saturating_record(lag_ns);
        let generator = Cost { busiest_thread_seconds: busy, ..Cost::default() };
        let server = Some(Cost { wait_seconds: 0.1, ..Cost::default() });
        let round = Round { seconds: 1.0, generator, server, ..Round::default() };
        doubts(&round, &[tallies], true, true).into_iter().map(|doubt| doubt.name).collect()
    }

    #[test]
    fn a_run_says_what_was_wrong_with_it() {
        assert_eq!(seen(5000, 0.5, 1000), ["contended"]);
        assert_eq!(seen(5000, 0.95, 1000), ["generator-bound", "contended"]);
        assert_eq!(seen(5000, 0.5, 200_000), ["lag", "contended"]);
        assert_eq!(seen(10, 0.5, 1000), ["contended", "few"]);
        assert_eq!(seen(0, 0.5, 1000), ["short"]);
    }
}
