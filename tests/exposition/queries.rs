//! What a PromQL expression asks of this node: its metrics, with their labels and the function around a range. Not a parser of
//! the language; enough to see a name that is not there, and a kind that does not fit.

#[derive(Debug, PartialEq, Eq)]
pub struct Use {
    pub metric: String,
    /// Name, operator and value.
    pub matchers: Vec<(String, String, String)>,
    /// The function that takes the range behind the metric, if there is one.
    pub ranged_by: Option<String>,
}

/// The metrics of an expression, and the labels that it groups or joins by.
pub fn uses(expression: &str) -> (Vec<Use>, Vec<String>) {
    let (mut found, mut labels) = (Vec::new(), Vec::new());
    let mut around: Vec<&str> = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let word_end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let (word, behind) = rest.split_at(word_end.max(first.len_utf8()));
        rest = behind;
        match first {
            '(' => around.push(""),
            ')' => drop(around.pop()),
            '"' => rest = rest.split_once('"').expect("a string has an end").1,
            _ if word.starts_with("larder_") => {
                let (matchers, behind) = matchers(rest);
                let ranged_by = behind.starts_with('[').then(|| around.last().copied().unwrap_or_default().to_string());
                found.push(Use { metric: word.to_string(), matchers, ranged_by });
                rest = behind;
            }
            _ if first.is_ascii_alphabetic() => {
                if matches!(around.last(), Some(&("by" | "on" | "group_left" | "without" | "ignoring"))) {
                    labels.push(word.to_string());
                }
                if let Some(behind) = rest.trim_start().strip_prefix('(') {
                    around.push(word);
                    rest = behind;
                }
            }
            _ => {}
        }
    }
    (found, labels)
}

fn matchers(rest: &str) -> (Vec<(String, String, String)>, &str) {
    let Some((inside, behind)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return (Vec::new(), rest);
    };
    let one = |matcher: &str| {
        let (left, value) = matcher.trim().split_once('"').expect("a matcher has a value");
        let name = left.trim_end_matches(['=', '!', '~']);
        (name.to_string(), left[name.len()..].to_string(), value.trim_end_matches('"').to_string())
    };
    (inside.split(',').map(one).collect(), behind)
}

#[test]
fn uses_are_found_with_what_is_around_them() {
    let (found, labels) = uses(
        r#"histogram_quantile(0.99, sum by (le, stage) (rate(larder_a_bucket{stage!~"x|y",i="$i"}[5m]))) > 2 * larder_b"#,
    );
    let own = |name: &str, operator: &str, value: &str| (name.to_string(), operator.to_string(), value.to_string());
    assert_eq!(
        found,
        [
            Use {
                metric: "larder_a_bucket".to_string(),
                matchers: vec![own("stage", "!~", "x|y"), own("i", "=", "$i")],
                ranged_by: Some("rate".to_string()),
            },
            Use { metric: "larder_b".to_string(), matchers: Vec::new(), ranged_by: None },
        ]
    );
    assert_eq!(labels, ["le", "stage"]);
}
