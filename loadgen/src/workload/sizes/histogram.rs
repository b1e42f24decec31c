//! Sizes by weight, as a file tells them: `bytes weight` a line, the smaller first, `#` before what is for people.
//!
//! Any thread; fixed once it is read. Always: sizes grow, weights are finite and not all zero, there is at least one.

use super::OBJECT_BYTES_MAX;
use larder::base::size::Size;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Far more than any law needs; a file of something else is not read to its end.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Sizes by weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    name: String,
    /// Bytes, and the share of objects that are at most that large; the last share is 1.
    steps: Vec<(u64, f64)>,
}

impl Histogram {
    /// Reads a file.
    ///
    /// # Errors
    /// A line that names the file, and the line in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
            .map_err(|error| format!("{name}: cannot read: {error}"))?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(format!("{name}: is over {}: this is no histogram of sizes", Size(FILE_BYTES_MAX)));
        }
        Self::parse(&name, &text)
    }

    /// Reads a text; `name` is where it is from.
    ///
    /// # Errors
    /// A line that tells the name, and the line of the text.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut steps: Vec<(u64, f64)> = Vec::new();
        let mut sum = 0.0;
        for (index, line) in text.lines().enumerate() {
            let line = line.split_once('#').map_or(line, |(before, _)| before).trim();
            if line.is_empty() {
                continue;
            }
            let at = |error: String| format!("{name}:{}: {error}", index + 1);
            let (bytes, weight) = bar(line).map_err(at)?;
            if let Some((before, _)) = steps.last().filter(|(before, _)| *before >= bytes) {
                return Err(at(format!("{bytes} comes after {before}: sizes must grow")));
            }
            sum += weight;
            steps.push((bytes, sum));
        }
        if steps.is_empty() {
            return Err(format!("{name}: is empty: want lines of bytes and weight"));
        }
        if !(sum > 0.0 && sum.is_finite()) {
            return Err(format!("{name}: the weights add up to {sum}: no size can be drawn"));
        }
        // A size that is never drawn must not be the largest.
        let drawn = 1 + steps.iter().filter(|(_, share)| *share < sum).count();
        steps.truncate(drawn);
        for (_, share) in &mut steps {
            *share /= sum;
        }
        Ok(Self { name: name.to_string(), steps })
    }

    /// The size below which this share of the objects is; `share` is from 0 to 1, without 1.
    #[must_use]
    pub fn at(&self, share: f64) -> u64 {
        let index = self.steps.partition_point(|(_, up_to)| *up_to <= share);
        self.steps.get(index).map_or(self.largest(), |(bytes, _)| *bytes)
    }

    /// The largest size that can be drawn.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.steps.last().expect("an empty histogram was refused").0
    }

    /// Where it is from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn bar(line: &str) -> Result<(u64, f64), String> {
    let mut fields = line.split_whitespace();
    let (Some(bytes), Some(weight), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(format!("{line:?}: want bytes and weight, as \"4096 12.5\""));
    };
    let Size(bytes) = bytes.parse().map_err(|error| format!("{error}"))?;
    if bytes > OBJECT_BYTES_MAX {
        return Err(format!("{bytes} is over {}, the largest object", Size(OBJECT_BYTES_MAX)));
    }
    let weight = weight
        .parse::<f64>()
        .ok()
        .filter(|weight| weight.is_finite() && *weight >= 0.0)
        .ok_or_else(|| format!("{weight}: a weight is a number from 0 on"))?;
    Ok((bytes, weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_by_weight() {
        let text = "# sizes\n\n10 1\n 20\t2.5 # more\n30 0\n4KiB 1.5\n8192 0\n";
        let histogram = Histogram::parse("sizes", text).unwrap();
        assert_eq!(histogram.largest(), 4096, "8192 is never drawn");
        for (share, bytes) in
            [(0.0, 10), (0.19, 10), (0.2, 20), (0.69, 20), (0.7, 4096), (0.999_999_999_999_999_9, 4096)]
        {
            assert_eq!(histogram.at(share), bytes, "{share}");
        }
        let first_is_never = Histogram::parse("sizes", "10 0\n20 1").unwrap();
        assert_eq!(first_is_never.at(0.0), 20);
    }

    #[test]
    fn nonsense_names_file_and_line() {
        for (text, error) in [
            ("", "sizes: is empty"),
            ("# nothing\n \n", "sizes: is empty"),
            ("10 1\n10 1", "sizes:2: 10 comes after 10: sizes must grow"),
            ("10 1\n\n9 1", "sizes:3: 9 comes after 10: sizes must grow"),
            ("10 0\n20 0", "sizes: the weights add up to 0"),
            ("10 1e308\n20 1e308", "sizes: the weights add up to inf"),
            ("10 -1", "sizes:1: -1: a weight is a number from 0 on"),
            ("10 NaN", "sizes:1: NaN: a weight"),
            ("10 inf", "sizes:1: inf: a weight"),
            ("10 one", "sizes:1: one: a weight"),
            ("-10 1", "sizes:1: \"-10\" is no size"),
            ("ten 1", "sizes:1: \"ten\" is no size"),
            ("1.5 1", "sizes:1: \"1.5\" is no size"),
            ("10", "sizes:1: \"10\": want bytes and weight"),
            ("10 1 1", "sizes:1: \"10 1 1\": want bytes and weight"),
            ("99999999999999999999 1", "is no size"),
            ("1GiB 1", "sizes:1: 1073741824 is over 512 MiB, the largest object"),
        ] {
            let told = Histogram::parse("sizes", text).unwrap_err();
            assert!(told.contains(error), "{text:?}: {told}");
        }
    }

    #[test]
    fn files_are_named_in_errors() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sizes");
        std::fs::write(&path, b"10 1\n\xff\xfe").unwrap();
        let told = Histogram::read(&path).unwrap_err();
        assert!(told.starts_with(&format!("{}: cannot read", path.display())), "{told}");
        std::fs::write(&path, "10 1\n20 3\n").unwrap();
        assert_eq!(Histogram::read(&path).unwrap().largest(), 20);
        assert!(Histogram::read(directory.path()).unwrap_err().contains("cannot read"));
    }
}
