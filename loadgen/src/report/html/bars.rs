//! Horizontal bars, in groups, as inline SVG with their table.
//!
//! Any thread; pure. Always: each bar has its value in figures at its end.

use super::axis::{Axis, Kind, Unit};
use super::escape::{escape, table};
use crate::report::units;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 760.0;
const BAR: f64 = 16.0;
const GAP: f64 = 10.0;
/// Letters of a name that fit beside the bars.
const LETTERS: usize = 22;

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Bars {
    /// Unique in the page.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it shows, in a sentence.
    pub description: String,
    /// Names of the bars of a group.
    pub names: Vec<String>,
    /// Groups: a name, and a value in microseconds for each bar.
    pub groups: Vec<(String, Vec<f64>)>,
}

impl Bars {
    /// The figure as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let (id, title, description) = (escape(&self.id), escape(&self.title), escape(&self.description));
        let each = BAR * self.names.len().max(1) as f64 + GAP;
        let height = (each * self.groups.len().max(1) as f64 + GAP).round();
        let values = self.groups.iter().flat_map(|(_, values)| values.iter().copied());
        let x = Axis::of(Kind::FromZero, Unit::Micros, values, [LEFT, RIGHT]);
        let mut html = format!("<figure><figcaption><b>{title}</b> {description}</figcaption>\n");
        if self.names.len() > 1 {
            html += &self.legend();
        }
        html += &format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{description} The table below has the values.</desc>\n"
        );
        if self.groups.is_empty() {
            html += &format!("<text class=\"none\" x=\"{LEFT}\" y=\"24\">no data</text>");
        }
        for (index, (name, values)) in self.groups.iter().enumerate() {
            let top = GAP + each * index as f64;
            let middle = top + (each - GAP) / 2.0 + 4.0;
            let short: String = name.chars().take(LETTERS).collect();
            html +=
                &format!("<text x=\"{}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>", LETTERS_END, escape(&short));
            for (bar, value) in values.iter().enumerate() {
                let y = top + BAR * bar as f64;
                let Some(end) = x.pixel(*value) else { continue };
                html += &format!(
                    "<rect class=\"bar c{}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>\
                     <text class=\"value\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
                    bar % 6,
                    y + 1.0,
                    (end - LEFT).max(0.0),
                    BAR - 2.0,
                    end + 6.0,
                    y + BAR - 4.0,
                    escape(&units::time(*value))
                );
            }
        }
        html += &format!("<path class=\"base\" d=\"M{LEFT} 4V{:.1}\"/></svg>\n", height - 4.0);
        if !self.groups.is_empty() {
            html += &format!("<details><summary>Values of this plot</summary>{}</details>", self.table());
        }
        html + "</figure>\n"
    }

    fn legend(&self) -> String {
        let mut html = String::from("<ul class=\"legend\">");
        for (index, name) in self.names.iter().enumerate() {
            html += &format!(
                "<li><svg viewBox=\"0 0 28 10\" aria-hidden=\"true\"><rect class=\"bar c{}\" width=\"28\" height=\"10\"/></svg>{}</li>",
                index % 6,
                escape(name)
            );
        }
        html + "</ul>\n"
    }

    fn table(&self) -> String {
        let mut names = vec!["name"];
        names.extend(self.names.iter().map(String::as_str));
        let row = |(name, values): &(String, Vec<f64>)| {
            let mut row = vec![name.clone()];
            row.extend(values.iter().map(|value| units::time(*value)));
            row
        };
        table(&self.title, &names, &self.groups.iter().map(row).collect::<Vec<_>>())
    }
}

const LETTERS_END: f64 = LEFT - 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_and_nothing_are_drawn() {
        let mut bars = Bars {
            id: "b".into(),
            title: "<t>".into(),
            description: "d".into(),
            names: vec!["<n>".into(), "m".into()],
            groups: vec![("<g>".into(), vec![0.0, f64::NAN]), ("h".into(), vec![2.0, 3.0])],
        };
        let html = bars.html();
        assert_eq!(html.matches("height=\"14.0\"").count(), 3, "{html}");
        bars.groups.clear();
        for html in [html, bars.html()] {
            assert!(!html.contains("NaN") && !html.contains("inf") && !html.contains("<g>") && !html.contains("<n>"));
        }
        assert!(bars.html().contains("no data"));
    }
}
