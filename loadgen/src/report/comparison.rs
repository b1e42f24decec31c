//! A comparison as a table for a terminal.
//!
//! Any thread; pure. Always: the sentence with the result comes last, where a terminal leaves it in sight.

use super::text::Table;
use super::units::{digits, printable};
use crate::compare::figure::Figure;
use crate::compare::{Comparison, Pairing};

/// The comparison as text, ending in a line break.
#[must_use]
pub fn text(comparison: &Comparison) -> String {
    let mut text = printable(&format!("{}: A is {}, B is {}", comparison.scenario, comparison.a, comparison.b));
    text += match comparison.pairing {
        Pairing::Rounds => "\npaired by rounds; ratios are B/A with their 95 % interval\n\n",
        Pairing::Seconds => "\npaired by seconds; ratios are B/A with their 95 % interval\n\n",
    };
    if !comparison.figures.is_empty() {
        let mut table = Table::of(&["figure", "A", "B", "B/A", "95 % interval", "pairs", "verdict"]);
        for figure in &comparison.figures {
            table.row(vec![
                printable(&figure.name),
                format!("{} {}", digits(figure.a), figure.unit),
                format!("{} {}", digits(figure.b), figure.unit),
                format!("{:.4}", figure.ratio),
                interval(figure),
                pairs(figure),
                verdict(figure),
            ]);
        }
        text += &table.text();
        text.push('\n');
    }
    for difference in &comparison.differences {
        text += &format!("not alike: {}\n", printable(&difference.to_string()));
    }
    for reason in &comparison.left_out {
        text += &format!("left out: {}\n", printable(reason));
    }
    for remark in &comparison.remarks {
        text += &format!("remark: {}\n", printable(remark));
    }
    text + &printable(&comparison.sentence()) + "\n"
}

/// The interval as text.
#[must_use]
pub fn interval(figure: &Figure) -> String {
    let [low, high] = figure.interval;
    format!("{low:.4} to {high:.4}")
}

/// How many pairs there are, and how many were left out.
#[must_use]
pub fn pairs(figure: &Figure) -> String {
    match figure.pairs_left_out {
        0 => figure.pairs.to_string(),
        without => format!("{} ({without} left out)", figure.pairs),
    }
}

/// The verdict, and whether it is to be believed.
#[must_use]
pub fn verdict(figure: &Figure) -> String {
    match figure.spoiled_by.is_empty() {
        true => figure.verdict.word().to_string(),
        false => {
            printable(&format!("{}, not to be believed ({})", figure.verdict.word(), figure.spoiled_by.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Terms, compare};
    use crate::record::{Doubt, made_up};

    #[test]
    fn figures_are_rows_and_the_result_is_last() {
        let a = made_up::record(5);
        let mut b = made_up::record(5);
        for round in &mut b.rounds {
            round.server.as_mut().unwrap().cpu_us_per_request *= 1.1;
        }
        b.doubts.push(Doubt { name: "lag".into(), detail: "late".into(), spoils: vec!["latency".into()] });
        let text = text(&compare(&[a], &[b], &Terms::default()).unwrap());
        assert!(text.contains("server CPU per request"), "{text}");
        assert!(text.contains("1.1000  1.1000 to 1.1000"), "{text}");
        assert!(text.contains("same, not to be believed (B: lag)"), "{text}");
        assert!(text.ends_with("B is worse in: server CPU per request.\n"), "{text}");
    }
}
