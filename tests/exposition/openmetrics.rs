//! A strict parser of OpenMetrics text, as far as the node writes it: what it does not know is an error.

use std::collections::{BTreeMap, BTreeSet};

pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug)]
pub struct Family {
    pub name: String,
    pub kind: Kind,
    pub samples: Vec<Sample>,
}

#[derive(Debug)]
pub struct Sample {
    pub name: String,
    pub labels: Labels,
    pub value: f64,
}

/// The families of a text, each checked.
pub fn parse(text: &str) -> Result<Vec<Family>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end with # EOF")?;
    let mut families: Vec<Family> = Vec::new();
    let mut lines = body.split_terminator('\n').peekable();
    while let Some(line) = lines.next() {
        let (name, help) = metadata(line, "HELP")?;
        if help.is_empty() {
            return Err(format!("{name} has no help"));
        }
        let kind = match metadata(lines.next().unwrap_or_default(), "TYPE")? {
            (of, "counter") if of == name => Kind::Counter,
            (of, "gauge") if of == name => Kind::Gauge,
            (of, "histogram") if of == name => Kind::Histogram,
            other => return Err(format!("behind the help of {name} comes {other:?}")),
        };
        if let Some(line) = lines.next_if(|line| line.starts_with("# UNIT ")) {
            let (of, unit) = metadata(line, "UNIT")?;
            if of != name || !name.ends_with(&format!("_{unit}")) {
                return Err(format!("{line}: the unit is not the end of {name}"));
            }
        }
        let mut samples = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            samples.push(sample(line).map_err(|what| format!("{line}: {what}"))?);
        }
        let family = Family { name: name.to_string(), kind, samples };
        family.check().map_err(|what| format!("{name}: {what}"))?;
        families.push(family);
    }
    no_clashes(&families)?;
    Ok(families)
}

fn metadata<'a>(line: &'a str, word: &str) -> Result<(&'a str, &'a str), String> {
    let rest = line.strip_prefix("# ").and_then(|rest| rest.strip_prefix(word)).and_then(|rest| rest.strip_prefix(' '));
    let (name, value) =
        rest.and_then(|rest| rest.split_once(' ')).ok_or_else(|| format!("{line:?} is no {word} line"))?;
    is_name(name).then_some((name, value)).ok_or_else(|| format!("{name:?} is no name"))
}

fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("it has no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = read_labels(inside, &mut labels)?;
    }
    let value = rest.strip_prefix(' ').ok_or("there is no space before the value")?;
    if !is_name(name) || value.contains(' ') {
        return Err("a name that is none, or more behind the value".to_string());
    }
    let value = value.parse::<f64>().map_err(|error| error.to_string())?;
    Ok(Sample { name: name.to_string(), labels, value })
}

/// Reads `name="value",...}`; what is behind it.
fn read_labels<'a>(mut rest: &'a str, labels: &mut Labels) -> Result<&'a str, String> {
    loop {
        let (name, behind) = rest.split_once("=\"").ok_or("a label without a value")?;
        let mut value = String::new();
        let mut letters = behind.char_indices();
        let end = loop {
            match letters.next().ok_or("a label without an end")? {
                (place, '"') => break place,
                (_, '\\') => value.push(match letters.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, letter @ ('"' | '\\'))) => letter,
                    other => return Err(format!("an escape that is none: {other:?}")),
                }),
                (_, letter) => value.push(letter),
            }
        };
        if !is_name(name) || labels.insert(name.to_string(), value).is_some() {
            return Err(format!("the label {name:?} is twice there, or no name"));
        }
        match behind[end + 1..].split_at_checked(1) {
            Some((",", more)) => rest = more,
            Some(("}", more)) => return Ok(more),
            _ => return Err("labels without an end".to_string()),
        }
    }
}

/// No two families may have a sample of one name.
fn no_clashes(families: &[Family]) -> Result<(), String> {
    let mut taken = BTreeSet::new();
    for family in families {
        let names: &[&str] = match family.kind {
            Kind::Counter => &["", "_total", "_created"],
            Kind::Gauge => &[""],
            Kind::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
        };
        for end in names {
            if !taken.insert(format!("{}{end}", family.name)) {
                return Err(format!("{}{end} is there twice", family.name));
            }
        }
    }
    Ok(())
}

impl Family {
    fn check(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for sample in &self.samples {
            let Sample { name, labels, value } = sample;
            if !seen.insert((name, labels)) {
                return Err(format!("{name} {labels:?} is there twice"));
            }
            let end = name.strip_prefix(&self.name).ok_or_else(|| format!("{name} is of another family"))?;
            let fits = match self.kind {
                Kind::Counter => end == "_total" && *value >= 0.0 && value.is_finite(),
                Kind::Gauge => end.is_empty() && value.is_finite(),
                Kind::Histogram => matches!(end, "_bucket" | "_sum" | "_count") && *value >= 0.0,
            };
            let labels_fit = labels.contains_key("le") == (end == "_bucket");
            if !fits || !labels_fit {
                return Err(format!("{name} {labels:?} {value} does not fit a {:?}", self.kind));
            }
        }
        if self.kind == Kind::Histogram { self.check_buckets() } else { Ok(()) }
    }

    fn check_buckets(&self) -> Result<(), String> {
        let named = |end: &'static str| {
            self.samples.iter().filter(move |sample| sample.name.strip_prefix(&self.name) == Some(end))
        };
        let mut buckets = 0;
        for count in named("_count") {
            named("_sum").find(|sum| sum.labels == count.labels).ok_or("a count without a sum")?;
            let (mut bound, mut below) = (f64::NEG_INFINITY, 0.0);
            for bucket in named("_bucket") {
                let mut labels = bucket.labels.clone();
                let le = labels.remove("le").unwrap_or_default();
                if labels != count.labels {
                    continue;
                }
                let le = if le == "+Inf" { f64::INFINITY } else { le.parse().map_err(|_| "a bound that is none")? };
                if le <= bound || bucket.value < below {
                    return Err(format!("bucket {le} of {labels:?} is not behind {bound}, or holds less"));
                }
                (bound, below) = (le, bucket.value);
                buckets += 1;
            }
            if bound != f64::INFINITY || below != count.value {
                return Err(format!("the last bucket of {:?} is not its count", count.labels));
            }
        }
        if buckets == named("_bucket").count() { Ok(()) } else { Err("buckets without a count".to_string()) }
    }
}
