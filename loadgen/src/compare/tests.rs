use super::*;
use crate::record::histogram::Encoded;
use crate::record::{Doubt, Second, made_up};
use crate::workload::random::Numbers;

fn normal(numbers: &mut Numbers) -> f64 {
    (0..12).map(|_| numbers.unit()).sum::<f64>() - 6.0
}

/// Ratios of pairs that drift together and have a noise of their own.
fn drifting(seed: u64, pairs: usize, noise: f64, effect: f64) -> Vec<f64> {
    let mut numbers = Numbers::of(seed, 5);
    let mut drift = 0.0;
    let mut ratios = Vec::new();
    for _ in 0..pairs {
        drift += 0.03 * normal(&mut numbers);
        let mut side = |effect: f64| 100.0 * drift.exp() * effect * (1.0 + noise * normal(&mut numbers));
        let (a, b) = (side(1.0), side(effect));
        ratios.push(b / a);
    }
    ratios
}

/// A record with rounds of these CPU costs and nothing else.
fn costing(costs: &[f64]) -> Record {
    let mut record = made_up::record(1);
    let mut round = record.rounds.remove(0);
    round.requests.clear();
    round.series.clear();
    for cost in costs {
        let mut round = round.clone();
        round.server.as_mut().unwrap().cpu_us_per_request = *cost;
        record.rounds.push(round);
    }
    record
}

#[test]
fn of_equals_95_in_100_intervals_hold_1() {
    let holds = (0..200u64).filter(|trial| {
        let ratios = drifting(*trial, 20, 0.02, 1.0);
        let [low, high] = bootstrap::interval(&ratios, 1, *trial).unwrap();
        low <= 1.0 && 1.0 <= high
    });
    let count = holds.count();
    // 190 are expected, with a deviation of 3: four of them down, and never all.
    assert!((178..=199).contains(&count), "{count} of 200");
}

#[test]
fn five_percent_in_noise_of_one_are_always_found() {
    for trial in 0..100u64 {
        for (effect, verdict) in [(1.05, Verdict::Worse), (0.95, Verdict::Better)] {
            let ratios = drifting(1_000 + trial, 10, 0.01, effect);
            let interval = bootstrap::interval(&ratios, 1, trial).unwrap();
            assert_eq!(Verdict::of(interval, 0.02, false), verdict, "trial {trial}: {interval:?}");
        }
    }
}

#[test]
fn blocks_hold_1_more_often_where_neighbours_resemble_each_other() {
    let mut holds = [0, 0];
    for trial in 0..60u64 {
        let mut numbers = Numbers::of(trial, 9);
        let mut state = 0.0;
        let ratios: Vec<f64> = (0..120)
            .map(|_| {
                state = 0.6 * state + 0.02 * normal(&mut numbers);
                1.0 + state
            })
            .collect();
        for (count, block) in holds.iter_mut().zip([1, bootstrap::block(ratios.len())]) {
            let [low, high] = bootstrap::interval(&ratios, block, trial).unwrap();
            *count += i32::from(low <= 1.0 && 1.0 <= high);
        }
    }
    assert!(holds[1] >= 48 && holds[1] > holds[0] + 3, "single {} and blocks {} of 60", holds[0], holds[1]);
}

#[test]
fn verdicts_follow_from_interval_and_threshold() {
    let lower = |interval| Verdict::of(interval, 0.02, false);
    assert_eq!(lower([0.985, 1.01]), Verdict::Same);
    assert_eq!(lower([1.005, 1.015]), Verdict::Same, "told apart from 1, and too little to matter");
    assert_eq!(lower([1.0, 1.0]), Verdict::Same);
    assert_eq!(lower([1.01, 1.04]), Verdict::Worse);
    assert_eq!(lower([0.9, 0.99]), Verdict::Better);
    assert_eq!(lower([0.97, 1.01]), Verdict::Unclear);
    assert_eq!(Verdict::of([0.9, 0.99], 0.02, true), Verdict::Worse);
    assert_eq!(Verdict::of([1.01, 1.04], 0.02, true), Verdict::Better);
}

#[test]
fn a_run_is_the_same_as_itself() {
    let record = made_up::record(5);
    let sides = std::slice::from_ref(&record);
    let comparison = compare(sides, sides, &Terms::default()).unwrap();
    assert_eq!((comparison.pairing, comparison.exit_code()), (Pairing::Rounds, 0));
    let names: Vec<_> = comparison.figures.iter().map(|figure| figure.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "server CPU per request",
            "background put, answered as asked",
            "background put, service p50",
            "get, answered as asked",
            "get, response p50",
            "get, response p99",
            "get, response p99.9"
        ]
    );
    assert!(comparison.figures.iter().all(|figure| figure.verdict == Verdict::Same && figure.pairs == 5));
    assert_eq!(comparison.left_out.len(), 2, "too few puts for p99: {:?}", comparison.left_out);
    assert_eq!(comparison.json()["exit_code"], 0);
}

#[test]
fn exit_codes_are_those_of_the_table() {
    let one = || costing(&[10.0, 10.1, 9.9, 10.0, 10.1, 9.9]);
    let code = |a: Record, b: Record| compare(&[a], &[b], &Terms::default()).unwrap().exit_code();
    assert_eq!(code(one(), one()), 0);
    assert_eq!(code(one(), costing(&[9.0, 9.1, 8.9, 9.0, 9.1, 8.9])), 0, "better");
    assert_eq!(code(one(), costing(&[11.0, 11.1, 10.9, 11.0, 11.1, 10.9])), 2, "worse");
    assert_eq!(code(one(), costing(&[9.0, 11.1, 8.9, 11.0, 9.1, 11.9])), 3, "unclear");
    assert_eq!(code(costing(&[1.0; 4]), costing(&[2.0; 4])), 3, "too few");
    let mut spoiled = costing(&[20.0; 6]);
    spoiled.doubts.push(Doubt { name: "contended".into(), detail: "so".into(), spoils: vec!["cost".into()] });
    let comparison = compare(&[one()], &[spoiled], &Terms::default()).unwrap();
    assert_eq!((comparison.exit_code(), comparison.figures[0].verdict), (3, Verdict::Worse));
    assert_eq!(comparison.figures[0].spoiled_by, ["B: contended"]);
    let mut wrong = one();
    wrong.rounds[0].requests.insert("get".into(), crate::record::Requests { wrong: 2, ..Default::default() });
    assert_eq!(code(one(), wrong), 2, "wrong contents, however cheap");
}

#[test]
fn runs_that_are_not_alike_are_refused_with_all_differences() {
    let a = made_up::record(2);
    let mut b = made_up::record(2);
    b.plan.insert("depth".into(), "16".into());
    b.plan.remove("sizes");
    b.scenario = "get-cold".into();
    b.target.durability = "memory".into();
    b.target.software = "another 2.0".into();
    b.seed = 8;
    let refusal = compare(std::slice::from_ref(&a), std::slice::from_ref(&b), &Terms::default()).unwrap_err();
    let Refusal::Unlike(differences) = &refusal else { panic!("{refusal}") };
    let names: Vec<_> = differences.iter().map(|difference| difference.what.as_str()).collect();
    assert_eq!(names, ["durability", "plan: depth", "plan: sizes", "scenario"]);
    assert!(refusal.to_string().contains("plan: depth: 1 and 16"), "{refusal}");
    let terms = Terms { is_unlike_allowed: true, ..Terms::default() };
    let comparison = compare(std::slice::from_ref(&a), &[b], &terms).unwrap();
    assert_eq!(comparison.differences.len(), 4);
    assert_eq!(compare(&[], &[a], &Terms::default()).unwrap_err(), Refusal::Empty("A"));
}

#[test]
fn other_numbers_of_rounds_are_paired_by_seconds() {
    let (a, mut b) = (made_up::record(1), made_up::record(2));
    for second in b.rounds.iter_mut().flat_map(|round| &mut round.series) {
        second.p99_us *= 1.2;
    }
    let comparison = compare(&[a], &[b], &Terms::default()).unwrap();
    assert_eq!(comparison.pairing, Pairing::Seconds);
    assert!(comparison.remarks[0].contains("not interleaved"), "{:?}", comparison.remarks);
    let figure = |name: &str| comparison.figures.iter().find(|figure| figure.name == name).unwrap();
    assert_eq!(figure("first stream, p99").verdict, Verdict::Worse);
    assert_eq!(figure("first stream, p99").pairs_left_out, 60);
    assert_eq!(figure("server CPU per request").verdict, Verdict::Same);
    assert_eq!(comparison.exit_code(), 2);
}

#[test]
fn zeros_and_nothing_give_no_ratio_and_no_panic() {
    let mut a = costing(&[0.0; 6]);
    a.rounds[0].series.push(Second::default());
    let comparison = compare(&[a.clone()], &[costing(&[1.0; 6])], &Terms::default()).unwrap();
    assert_eq!((comparison.figures.len(), comparison.exit_code()), (0, 3));
    assert_eq!(comparison.left_out, ["server CPU per request: no pair has it on both sides"]);
    let comparison = compare(&[a], &[costing(&[f64::NAN])], &Terms::default()).unwrap();
    assert_eq!(comparison.exit_code(), 3);
    let empty = Record { rounds: Vec::new(), ..made_up::record(1) };
    assert_eq!(compare(&[empty], &[made_up::record(1)], &Terms::default()).unwrap_err(), Refusal::Empty("A"));
    let refusal = compare(&[made_up::record(1)], &[], &Terms { threshold: f64::NAN, ..Terms::default() }).unwrap_err();
    assert!(refusal.to_string().contains("NaN"), "{refusal}");
}

#[test]
fn damaged_histograms_leave_their_figure_out() {
    let a = made_up::record(5);
    let mut b = made_up::record(5);
    for round in &mut b.rounds {
        round.requests.get_mut("get").unwrap().response = Encoded("x".into());
    }
    let comparison = compare(&[a], &[b], &Terms::default()).unwrap();
    assert!(comparison.left_out.iter().any(|text| text.starts_with("get, response p50: no pair")));
}
