//! Records as one page: plots, tables, and how to repeat them; no network is needed to read it.
//!
//! Any thread; pure. Always: the page loads nothing; all that its script does is to show in a line what stands in the page;
//! every text of a record is escaped.

pub mod axis;
pub mod bars;
pub mod escape;
pub mod forest;
pub mod plot;
pub mod section;
pub mod views;

use crate::compare::{self, Comparison, Terms};
use crate::record::Record;
use crate::record::summary::Summary;
use crate::report::units::{rate, time};
use escape::{escape, table};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A page of records. Two are compared as well, the first as A, if they are alike.
#[must_use]
pub fn render(records: &[Record]) -> String {
    let [a, b] = records else { return page(records, &side_by_side(records)) };
    let middle = match compare::compare(std::slice::from_ref(a), std::slice::from_ref(b), &Terms::default()) {
        Ok(comparison) => self::comparison(&comparison),
        Err(refusal) => format!("<section><h2>B against A</h2>{}</section>\n", paragraphs(&refusal.to_string())),
    };
    page(records, &(middle + &side_by_side(records)))
}

/// A page of a comparison and the records that it is of.
#[must_use]
pub fn render_compared(a: &[Record], b: &[Record], comparison: &Comparison) -> String {
    let records = [a, b].concat();
    page(&records, &(self::comparison(comparison) + &side_by_side(&records)))
}

/// Heading, what stands before the records, and the records.
fn page(records: &[Record], before: &str) -> String {
    let scenario = records.first().map_or("no runs", |record| &record.scenario);
    let question = records.first().map_or("", |record| &record.question);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{0}: loadgen</title>\n<style>\n{STYLE}</style></head>\n\
         <body><header><p class=\"eyebrow\">loadgen</p><h1>{0}</h1><p class=\"question\">{1}</p></header>\n<main>\n{before}",
        escape(scenario),
        escape(question)
    );
    for (index, (record, name)) in records.iter().zip(names(records)).enumerate() {
        let summary = Summary::of(record);
        html += &format!(
            "<section class=\"run\"><h2>{}</h2><p class=\"when\">{}, {} at {}</p>\n",
            escape(&name),
            escape(&record.began),
            escape(&record.target.driver),
            escape(&record.target.address)
        );
        if record.scenario != scenario {
            html += &format!("<p class=\"question\">{}: {}</p>\n", escape(&record.scenario), escape(&record.question));
        }
        html += &section::html(&format!("r{index}"), &name, record, &summary);
        html += "</section>\n";
    }
    html + &format!("</main>\n<script>\n{SCRIPT}</script></body></html>\n")
}

/// Names that tell records apart: the software, with a letter if there are several.
fn names(records: &[Record]) -> Vec<String> {
    let letters = ('A'..='Z').map(String::from).chain((27..).map(|number| number.to_string()));
    let name = |(record, letter): (&Record, String)| match records.len() {
        1 => section::title(record),
        _ => format!("{letter}: {}", section::title(record)),
    };
    records.iter().zip(letters).map(name).collect()
}

fn comparison(comparison: &Comparison) -> String {
    let class = if comparison.exit_code() == 2 { "invalid" } else { "valid" };
    let mut html = format!(
        "<section><h2>B against A</h2><div class=\"verdict {class}\"><p><b>{}</b></p></div>\n<p>A is {}; B is {}.</p>\n",
        escape(&comparison.sentence()),
        escape(&comparison.a),
        escape(&comparison.b)
    );
    html += &forest::html("forest", comparison);
    let differences = comparison.differences.iter().map(|difference| format!("Not alike: {difference}"));
    let left_out = comparison.left_out.iter().map(|reason| format!("Left out: {reason}"));
    let notes: Vec<_> = differences.chain(left_out).chain(comparison.remarks.iter().cloned()).collect();
    html + &paragraphs(&notes.join("\n")) + "</section>\n"
}

fn paragraphs(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| format!("<p class=\"note\">{}</p>\n", escape(line.trim()))).collect()
}

/// Several records in the same plots; nothing of one.
fn side_by_side(records: &[Record]) -> String {
    if records.len() < 2 {
        return String::new();
    }
    let summaries: Vec<_> = records.iter().map(Summary::of).collect();
    let names = names(records);
    let runs: Vec<_> = names.iter().cloned().zip(&summaries).collect();
    let curves: Vec<_> = names.iter().cloned().zip(records).filter(|(_, record)| !record.curve.is_empty()).collect();
    let mut html = String::from("<section><h2>Side by side</h2>\n");
    html += &figures(&runs);
    html += &views::percentiles("all", &runs).html();
    if !curves.is_empty() {
        html += &views::curve("all", &curves).html();
    }
    if summaries.iter().any(|summary| summary.server.is_some()) {
        html += &views::cost("all", &runs).html();
    }
    html + "</section>\n"
}

fn figures(runs: &[(String, &Summary)]) -> String {
    let row = |(name, summary): &(String, &Summary)| {
        let mut row = vec![name.clone()];
        let kind = section::first(summary);
        row.push(kind.map_or_else(|| "-".to_string(), |kind| format!("{}/s", rate(summary.per_second(kind.ok)))));
        for quantile in [0.5, 0.99, 0.999] {
            let histogram = kind.map(|kind| kind.latency()).filter(|histogram| !histogram.is_empty());
            let us = histogram.map(|histogram| histogram.value_at_quantile(quantile) as f64 / 1e3);
            row.push(us.map_or_else(|| "-".to_string(), time));
        }
        row.push(summary.server.as_ref().map_or_else(|| "-".to_string(), |cost| time(cost.cpu_us_per_request)));
        row
    };
    let names = ["run", "ok", "p50", "p99", "p99.9", "server CPU a request"];
    table("Of the kind that was asked for most", &names, &runs.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
