//! A plot of lines over an axis, as inline SVG with its table.
//!
//! Any thread; pure. Always: everything that the lines show stands in the table beneath; without data the axes stay, and
//! say that there is none.

use super::axis::{Axis, Kind, Unit};
use super::escape::{escape, table};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 826.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 252.0;
/// Width of the number of a mark.
const NUMBER: f64 = 14.0;

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Plot {
    /// Unique in the page.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it shows, in a sentence.
    pub description: String,
    /// Name, spread and unit of the horizontal axis.
    pub x: (&'static str, Kind, Unit),
    /// The same of the vertical one.
    pub y: (&'static str, Kind, Unit),
    /// Lines.
    pub series: Vec<Series>,
    /// Vertical lines, and what they are.
    pub marks: Vec<(f64, String)>,
}

/// A line.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// From the left; the vertical value may be none.
    pub points: Vec<(f64, f64)>,
    /// The number of its colour.
    pub colour: usize,
    /// Whether it is dashed.
    pub is_dashed: bool,
    /// Whether its points are drawn.
    pub has_dots: bool,
}

impl Plot {
    /// The figure as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let xs = self.xs();
        let x = Axis::of(self.x.1, self.x.2, xs.iter().copied(), [LEFT, RIGHT]);
        let ys = self.series.iter().flat_map(|series| series.points.iter().map(|point| point.1));
        let y = Axis::of(self.y.1, self.y.2, ys, [BOTTOM, TOP]);
        let (id, title) = (escape(&self.id), escape(&self.title));
        let mut html = format!("<figure><figcaption><b>{title}</b> {}</figcaption>\n", escape(&self.description));
        html += &self.legend();
        html += &format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{} The table below has the values.</desc>\n",
            escape(&self.description)
        );
        html += &frame(&x, &y, self.x.0, self.y.0);
        if xs.is_empty() {
            let (middle, centre) = (f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM));
            html +=
                &format!("<text class=\"none\" x=\"{middle}\" y=\"{centre}\" text-anchor=\"middle\">no data</text>\n");
        }
        html += &self.marks(&x);
        for series in &self.series {
            html += &line(series, &x, &y);
        }
        html += &self.columns(&xs, &x);
        html += "</svg>\n";
        html += &self.key_of_marks();
        if !xs.is_empty() {
            html += &format!("<details><summary>Values of this plot</summary>{}</details>", self.table(&xs));
        }
        html + "</figure>\n"
    }

    /// All horizontal values with a place, each once, in order.
    fn xs(&self) -> Vec<f64> {
        let all = self.series.iter().flat_map(|series| series.points.iter());
        let mut xs: Vec<f64> = all.filter(|(x, y)| x.is_finite() && y.is_finite()).map(|point| point.0).collect();
        xs.sort_unstable_by(f64::total_cmp);
        xs.dedup_by(|a, b| a.total_cmp(b).is_eq());
        xs
    }

    fn legend(&self) -> String {
        let mut html = String::from("<ul class=\"legend\">");
        for series in &self.series {
            html += &format!(
                "<li><svg viewBox=\"0 0 28 10\" aria-hidden=\"true\"><path class=\"{}\" d=\"M1 5H27\"/></svg>{}</li>",
                class(series),
                escape(&series.name)
            );
        }
        html + "</ul>\n"
    }

    fn marks(&self, x: &Axis) -> String {
        let mut svg = String::new();
        let mut free = LEFT;
        for (index, (at, _)) in self.marks.iter().enumerate() {
            let Some(at) = x.pixel(*at) else { continue };
            // Numbers of lines that lie close stand beside each other.
            let place = at.max(free);
            free = place + NUMBER;
            svg += &format!(
                "<path class=\"mark\" d=\"M{at:.1} {TOP}V{BOTTOM}\"/><text class=\"mark\" x=\"{place:.1}\" y=\"{:.1}\" \
                 text-anchor=\"middle\">{}</text>\n",
                TOP - 6.0,
                index + 1
            );
        }
        svg
    }

    fn key_of_marks(&self) -> String {
        if self.marks.is_empty() {
            return String::new();
        }
        let mut html = String::from("<ol class=\"marks\">");
        for (at, what) in &self.marks {
            html += &format!("<li>{}: {}</li>", escape(&self.x.2.text(*at)), escape(what));
        }
        html + "</ol>\n"
    }

    /// Columns that nobody sees, one for each horizontal value: pointing at one tells its values.
    fn columns(&self, xs: &[f64], x: &Axis) -> String {
        let pixels: Vec<f64> = xs.iter().filter_map(|value| x.pixel(*value)).collect();
        if pixels.len() != xs.len() {
            return String::new();
        }
        let edge = |a: Option<&f64>, b: Option<&f64>, end: f64| match (a, b) {
            (Some(a), Some(b)) => f64::midpoint(*a, *b),
            _ => end,
        };
        let mut svg = String::from("<g class=\"hits\">");
        for (index, (value, at)) in xs.iter().zip(&pixels).enumerate() {
            let from = edge(index.checked_sub(1).and_then(|before| pixels.get(before)), Some(at), LEFT);
            let to = edge(Some(at), pixels.get(index + 1), RIGHT);
            let mut text = self.x.2.text(*value);
            for (name, y) in self.at(*value) {
                text += &format!(" · {name} {}", self.y.2.text(y));
            }
            svg += &format!(
                "<rect data-at=\"{at:.1}\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{}\"><title>{}</title></rect>",
                (to - from).max(0.0),
                BOTTOM - TOP,
                escape(&text)
            );
        }
        svg + "</g>\n"
    }

    fn at(&self, x: f64) -> impl Iterator<Item = (&str, f64)> {
        self.series.iter().filter_map(move |series| Some((series.name.as_str(), value(series, x)?)))
    }

    fn table(&self, xs: &[f64]) -> String {
        let mut names = vec![self.x.0];
        names.extend(self.series.iter().map(|series| series.name.as_str()));
        let cell = |series: &Series, x| value(series, x).map_or_else(|| "-".to_string(), |y| self.y.2.text(y));
        let row = |x: &f64| {
            let mut row = vec![self.x.2.text(*x)];
            row.extend(self.series.iter().map(|series| cell(series, *x)));
            row
        };
        table(&self.title, &names, &xs.iter().map(row).collect::<Vec<_>>())
    }
}

/// The value of a line at a place. Points are in order.
fn value(series: &Series, x: f64) -> Option<f64> {
    let index = series.points.binary_search_by(|point| point.0.total_cmp(&x)).ok()?;
    series.points.get(index).map(|point| point.1).filter(|y| y.is_finite())
}

fn class(series: &Series) -> String {
    format!("line c{}{}", series.colour % 6, if series.is_dashed { " dashed" } else { "" })
}

/// Grid, ticks and names of axes.
fn frame(x: &Axis, y: &Axis, x_name: &str, y_name: &str) -> String {
    let mut svg = String::from("<g class=\"axes\">");
    for (at, text) in y.ticks() {
        svg += &format!(
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            escape(&text)
        );
    }
    for (at, text) in x.ticks() {
        svg += &format!(
            "<path class=\"tick\" d=\"M{at:.1} {BOTTOM}v5\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            BOTTOM + 19.0,
            escape(&text)
        );
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    svg += &format!(
        "<path class=\"base\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>\
         <text class=\"name\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
         <text class=\"name\" x=\"0\" y=\"10\">{}</text></g>\n",
        BOTTOM + 40.0,
        escape(x_name),
        escape(y_name)
    );
    svg
}

/// A line, with gaps where it has no value, and a dot where a value has no neighbours.
fn line(series: &Series, x: &Axis, y: &Axis) -> String {
    let mut runs: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for point in &series.points {
        match (x.pixel(point.0).zip(y.pixel(point.1)), runs.last_mut()) {
            (Some(pixel), Some(run)) => run.push(pixel),
            _ => runs.push(Vec::new()),
        }
    }
    let class = class(series);
    let mut svg = String::new();
    for run in runs.iter().filter(|run| !run.is_empty()) {
        let path = run.iter().enumerate().map(|(index, (x, y))| {
            let verb = if index == 0 { 'M' } else { 'L' };
            format!("{verb}{x:.1} {y:.1}")
        });
        svg += &format!("<path class=\"{class}\" d=\"{}\"/>\n", path.collect::<String>());
        if run.len() == 1 || series.has_dots {
            for (x, y) in run {
                svg += &format!("<circle class=\"dot c{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>", series.colour % 6);
            }
        }
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: &[(f64, f64)]) -> String {
        let series =
            Series { name: "<p50>".into(), points: points.to_vec(), colour: 7, is_dashed: false, has_dots: false };
        Plot {
            id: "p".into(),
            title: "<t>".into(),
            description: "<d>".into(),
            x: ("time", Kind::Linear, Unit::Seconds),
            y: ("latency", Kind::Log, Unit::Micros),
            series: vec![series],
            marks: vec![(1.0, "<m>".into())],
        }
        .html()
    }

    #[test]
    fn little_and_odd_data_is_drawn_as_far_as_it_can_be() {
        assert!(plot(&[]).contains("no data"));
        let one = plot(&[(1.0, 70.0)]);
        assert!(one.contains("<circle") && one.contains("1 s · &lt;p50&gt; 70 us"), "{one}");
        let gap = plot(&[(1.0, 70.0), (2.0, 80.0), (3.0, f64::NAN), (4.0, 0.0), (5.0, 90.0)]);
        assert_eq!((gap.matches("class=\"line c1\" d=\"M").count(), gap.matches("<circle").count()), (3, 1), "{gap}");
        for html in [plot(&[]), one, gap, plot(&[(0.0, 0.0)]), plot(&[(f64::INFINITY, f64::NAN)])] {
            assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
            assert!(!html.contains("<t>") && !html.contains("<d>") && !html.contains("<m>") && !html.contains("<p50>"));
            assert!(html.contains("<title id=\"p-t\">") && html.contains("<desc id=\"p-d\">"));
        }
    }
}
