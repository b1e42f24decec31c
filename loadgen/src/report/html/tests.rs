use super::*;
use crate::record::{Cost, Doubt, Event, Point, Requests, Round, Second, made_up};

/// What every page must be: well-formed as far as that can be told, of finite numbers, without anything from elsewhere.
fn check(html: &str) {
    for word in ["NaN", "inf\"", "inf ", "=\"inf", "http://", "https://", "url(", "@import", "src="] {
        assert!(!html.contains(word), "{word}");
    }
    for name in ["svg", "figure", "section", "table", "details", "div", "ul", "ol", "title", "desc", "text", "g"] {
        let opened = html.matches(&format!("<{name}>")).count() + html.matches(&format!("<{name} ")).count();
        assert_eq!(opened, html.matches(&format!("</{name}>")).count(), "{name}");
    }
    let mut ids: Vec<_> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id is there once");
    for labels in html.split("aria-labelledby=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(labels.split(' ').all(|label| ids.binary_search(&label).is_ok()), "{labels}");
    }
}

#[test]
fn a_record_is_a_page() {
    let html = render(&[made_up::record(1)]);
    check(&html);
    for expected in [
        "<h1>get-hot</h1>",
        "How long does a reader",
        "Valid for rate, latency and cost.",
        "Latency by percentile",
        "Latency over time",
        "Rate over time",
        "Latency against rate",
        "What a request costs the server",
        "stop the server for 100 ms",
        "knee: the highest rate",
        "loadgen get-hot --server 127.0.0.1:7420 --rate 40000 --seed 7",
        "Intel(R) Xeon(R) Processor",
        "zipf 0.99 of 100000",
    ] {
        assert!(html.contains(expected), "{expected}");
    }
    assert!(html.len() < 400_000, "{}", html.len());
}

#[test]
fn two_records_are_compared_and_more_stand_side_by_side() {
    let a = made_up::record(5);
    let mut b = made_up::record(5);
    for round in &mut b.rounds {
        round.server.as_mut().unwrap().cpu_us_per_request *= 1.1;
    }
    let html = render(&[a.clone(), b.clone()]);
    check(&html);
    assert!(html.contains("B is worse in: server CPU per request.") && html.contains("Ratios B/A"));
    assert!(html.contains("Side by side") && html.contains("round 5"));
    let sides = [a.clone(), b.clone()];
    let comparison = compare::compare(&sides[..1], &sides[1..], &Terms::default()).unwrap();
    check(&render_compared(&sides[..1], &sides[1..], &comparison));
    b.plan.insert("depth".into(), "<16>".into());
    let html = render(&[a.clone(), b]);
    check(&html);
    assert!(html.contains("not alike") && html.contains("plan: depth: 1 and &lt;16&gt;"));
    let html = render(&[a.clone(), a.clone(), a]);
    check(&html);
    assert!(html.contains("Side by side") && !html.contains("Ratios B/A"));
}

#[test]
fn nothing_of_a_record_becomes_markup() {
    let evil = "\"'></title></script></style><script>alert(1)</script><b onload=x>\u{1b}&amp;".to_string();
    let mut record = made_up::record(2);
    record.scenario.clone_from(&evil);
    record.question.clone_from(&evil);
    record.began.clone_from(&evil);
    record.loadgen.clone_from(&evil);
    record.arguments = vec![evil.clone()];
    let target = &mut record.target;
    for text in [&mut target.driver, &mut target.address, &mut target.software, &mut target.durability] {
        text.clone_from(&evil);
    }
    let machine = &mut record.machine;
    for text in
        [&mut machine.kernel, &mut machine.processor, &mut machine.generator_processors, &mut machine.server_processors]
    {
        text.clone_from(&evil);
    }
    record.plan.insert(evil.clone(), evil.clone());
    record.events.push(Event { at_seconds: 3.0, what: evil.clone() });
    let spoils = vec!["rate".to_string(), evil.clone()];
    record.doubts.push(Doubt { name: evil.clone(), detail: evil.clone(), spoils });
    record.curve[8].why.clone_from(&evil);
    for round in &mut record.rounds {
        let get = round.requests["get"].clone();
        let refused = [(evil.clone(), 1)].into();
        round.requests.insert(evil.clone(), Requests { refused, service: get.service.clone(), ..get });
        round.server.as_mut().unwrap().threads.insert(evil.clone(), 1.0);
        round.requests.insert(
            "put".into(),
            Requests { service: crate::record::histogram::Encoded(evil.clone()), ..Default::default() },
        );
    }
    let plain = made_up::record(2);
    for html in
        [render(std::slice::from_ref(&record)), render(&[record.clone(), record.clone()]), render(&[plain, record])]
    {
        check(&html);
        assert!(!html.contains("alert(1)</script>") && !html.contains("<b onload") && !html.contains('\u{1b}'));
        assert_eq!((html.matches("<script").count(), html.matches("<style").count()), (1, 1));
    }
}

#[test]
fn records_that_hold_little_are_pages_too() {
    check(&render(&[]));
    let mut record = made_up::record(1);
    record.curve = vec![];
    record.events = vec![];
    record.rounds = vec![];
    check(&render(&[record.clone()]));
    record.rounds = vec![Round { server: Some(Cost::default()), ..Round::default() }];
    check(&render(&[record.clone(), record.clone()]));
    let one =
        Second { at_seconds: 1.0, seconds: 1.0, ok: 1, p50_us: 5.0, p99_us: 5.0, max_us: 5.0, ..Second::default() };
    record.rounds[0].series = vec![one.clone()];
    record.rounds[0].requests = [("get".to_string(), Requests { ok: 1, ..Requests::default() })].into();
    check(&render(&[record.clone()]));
    record.rounds[0].series = vec![Second::default(); 3];
    let point = |offered: f64| Point {
        offered,
        achieved: 0.0,
        p50_us: 0.0,
        p99_us: f64::NAN,
        p999_us: f64::INFINITY,
        server_cpu_us: None,
        is_kept: false,
        why: String::new(),
    };
    record.curve = vec![point(0.0)];
    check(&render(&[record.clone()]));
    record.curve = vec![point(f64::NAN), point(f64::MAX), point(-1.0)];
    record.rounds[0].seconds = f64::NAN;
    record.rounds[0].series =
        vec![Second { at_seconds: f64::NAN, p50_us: f64::NAN, seconds: f64::NAN, ..one.clone() }; 2];
    record.rounds[0].server.as_mut().unwrap().threads.insert("t".into(), f64::NAN);
    record.rounds[0].server.as_mut().unwrap().cpu_us_per_request = f64::INFINITY;
    check(&render(&[record.clone(), record.clone()]));
    record.rounds[0].seconds = 86_400.0;
    record.rounds[0].series = (1..=86_400u32).map(|at| Second { at_seconds: f64::from(at), ..one.clone() }).collect();
    let html = render(&[record]);
    check(&html);
    assert!(html.len() < 600_000 && html.contains("each 216 seconds"), "{}", html.len());
}
