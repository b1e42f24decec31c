//! The figures of a comparison as intervals around 1: a forest plot, as inline SVG with its table.
//!
//! Any thread; pure. Always: the verdict stands there as a word, not as a colour alone.

use super::axis::{Axis, Kind, Unit};
use super::escape::{escape, table};
use crate::compare::Comparison;
use crate::compare::figure::{Figure, Verdict};
use crate::report::{comparison, units};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 640.0;
const ROW: f64 = 30.0;
const TOP: f64 = 26.0;
/// Letters of a name that fit beside the plot.
const LETTERS: usize = 36;
/// Ratios further apart than this have a logarithmic axis.
const LINEAR_MOST: f64 = 3.0;

/// The figure as HTML.
#[must_use]
pub fn html(id: &str, comparison: &Comparison) -> String {
    let figures = &comparison.figures;
    let id = escape(id);
    let title = "Ratios B/A";
    let description = format!(
        "The median ratio of each figure with its 95 % interval; the band is what counts as the same, {} % around 1.",
        units::digits(100.0 * comparison.threshold)
    );
    let bottom = TOP + ROW * figures.len().max(1) as f64;
    let x = axis(comparison);
    let mut html = format!(
        "<figure><figcaption><b>{title}</b> {}</figcaption>\n\
         <svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{} {} The table below has the values.</desc>\n",
        escape(&description),
        bottom + 44.0,
        escape(&description),
        escape(&comparison.sentence()),
    );
    let band = [1.0 - comparison.threshold, 1.0 + comparison.threshold].map(|edge| x.pixel(edge));
    if let [Some(from), Some(to)] = band {
        html += &format!(
            "<rect class=\"band\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            to - from,
            bottom - TOP
        );
    }
    for (at, text) in x.ticks() {
        html += &format!(
            "<path class=\"grid\" d=\"M{at:.1} {TOP}V{bottom}\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 18.0,
            escape(&text)
        );
    }
    if let Some(one) = x.pixel(1.0) {
        html += &format!("<path class=\"one\" d=\"M{one:.1} {}V{bottom}\"/>\n", TOP - 6.0);
    }
    if figures.is_empty() {
        html += &format!("<text class=\"none\" x=\"{LEFT}\" y=\"{}\">no figure has pairs</text>", TOP + 20.0);
    }
    for (index, figure) in figures.iter().enumerate() {
        html += &row(figure, TOP + ROW * (index as f64 + 0.5), &x);
    }
    html += &format!(
        "<path class=\"base\" d=\"M{LEFT} {bottom}H{RIGHT}\"/>\
         <text class=\"name\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">B/A</text></svg>\n",
        f64::midpoint(LEFT, RIGHT),
        bottom + 38.0
    );
    html + &values(figures) + "</figure>\n"
}

fn axis(comparison: &Comparison) -> Axis {
    let reach = 1.5 * comparison.threshold;
    let ends = comparison.figures.iter().flat_map(|figure| figure.interval);
    let values: Vec<f64> = ends.chain([1.0 - reach, 1.0 + reach]).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    let kind = if low > 0.0 && high / low > LINEAR_MOST { Kind::Log } else { Kind::Linear };
    Axis::of(kind, Unit::Ratio, values.into_iter(), [LEFT, RIGHT])
}

fn row(figure: &Figure, y: f64, x: &Axis) -> String {
    let name: String = figure.name.chars().take(LETTERS).collect();
    let class = match figure.believed() {
        Some(Verdict::Better) => "better",
        Some(Verdict::Worse) => "worse",
        Some(Verdict::Same) => "same",
        _ => "unclear",
    };
    let mut svg =
        format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 12.0, y + 4.0, escape(&name));
    let [low, high] = figure.interval.map(|end| x.pixel(end));
    if let (Some(low), Some(high), Some(middle)) = (low, high, x.pixel(figure.ratio)) {
        svg += &format!(
            "<g class=\"{class}\"><path d=\"M{low:.1} {y:.1}H{high:.1}M{low:.1} {:.1}v10M{high:.1} {:.1}v10\"/>\
             <rect x=\"{:.1}\" y=\"{:.1}\" width=\"9\" height=\"9\"/><title>{}</title></g>",
            y - 5.0,
            y - 5.0,
            middle - 4.5,
            y - 4.5,
            escape(&format!("{}: {:.4}, {}", figure.name, figure.ratio, comparison::interval(figure)))
        );
    }
    let spoiled = if figure.spoiled_by.is_empty() { "" } else { " (spoiled)" };
    svg += &format!(
        "<text class=\"value\" x=\"{}\" y=\"{:.1}\">{:.3}</text><text class=\"{class}\" x=\"{}\" y=\"{:.1}\">{}{spoiled}</text>\n",
        RIGHT + 14.0,
        y + 4.0,
        figure.ratio,
        RIGHT + 66.0,
        y + 4.0,
        figure.verdict.word()
    );
    svg
}

fn values(figures: &[Figure]) -> String {
    let row = |figure: &Figure| {
        vec![
            figure.name.clone(),
            format!("{} {}", units::digits(figure.a), figure.unit),
            format!("{} {}", units::digits(figure.b), figure.unit),
            format!("{:.4}", figure.ratio),
            comparison::interval(figure),
            comparison::pairs(figure),
            comparison::verdict(figure),
        ]
    };
    let names = ["figure", "median of A", "median of B", "B/A", "95 % interval", "pairs", "verdict"];
    table("Figures of both sides", &names, &figures.iter().map(row).collect::<Vec<_>>())
}
