//! Text that becomes part of a page.
//!
//! Any thread; pure. Always: every text of a record goes through here; what comes out is text in elements and in quoted
//! attributes, and nothing else.

use crate::report::units::printable;

/// The text with all that means something to a browser written out.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in printable(text).chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// A table: its first column names the rows. All cells are escaped here.
#[must_use]
pub fn table(caption: &str, names: &[&str], rows: &[Vec<String>]) -> String {
    rows_of("figures", caption, names, rows)
}

/// The same, of words and not of figures.
#[must_use]
pub fn words(caption: &str, names: &[&str], rows: &[Vec<String>]) -> String {
    rows_of("words", caption, names, rows)
}

fn rows_of(class: &str, caption: &str, names: &[&str], rows: &[Vec<String>]) -> String {
    let mut html =
        format!("<div class=\"wide\"><table class=\"{class}\"><caption>{}</caption><thead><tr>", escape(caption));
    for name in names {
        html += &format!("<th scope=\"col\">{}</th>", escape(name));
    }
    html += "</tr></thead><tbody>\n";
    for row in rows {
        html += "<tr>";
        for (index, cell) in row.iter().enumerate() {
            html += &match index {
                0 => format!("<th scope=\"row\">{}</th>", escape(cell)),
                _ => format!("<td>{}</td>", escape(cell)),
            };
        }
        html += "</tr>\n";
    }
    html + "</tbody></table></div>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_means_something() {
        let text = "</script><img src=x onerror='a&b'>\"\u{0}";
        assert_eq!(escape(text), "&lt;/script&gt;&lt;img src=x onerror=&#39;a&amp;b&#39;&gt;&quot;\u{fffd}");
        let html = table("<c>", &["<n>"], &[vec!["<r>".into(), "<v>".into()]]);
        assert!(!html.contains("<c>") && !html.contains("<n>") && !html.contains("<r>") && !html.contains("<v>"));
    }
}
