//! What `/metrics` says, in the Prometheus text format.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// One scrape, or the difference of two.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    samples: BTreeMap<Series, f64>,
}

/// Name and labels of a time series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Name of the metric.
    pub name: String,
    /// Label names and values.
    pub labels: BTreeMap<String, String>,
}

impl Metrics {
    /// Reads the text format.
    ///
    /// # Errors
    /// A line is not in the format, or a series appears twice; the message has the line.
    pub fn parse(text: &str) -> Result<Self> {
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (series, value) =
                sample(line).with_context(|| format!("not a Prometheus sample: {line}"))?;
            if samples.insert(series, value).is_some() {
                bail!("the series appears twice: {line}");
            }
        }
        Ok(Self { samples })
    }

    /// Sum of all series of this name that have these label values (and whatever others); 0 if
    /// there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.select(name, labels).map(|(_, value)| value).sum()
    }

    /// [`Self::sum`] of a counter, as the whole number that it is.
    #[must_use]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        // Counters are below 2^53 and not negative; differences of a restarted daemon's are 0.
        self.sum(name, labels).max(0.0).round() as u64
    }

    /// All series of this name that have these label values, with their values.
    pub fn select<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = (&'a Series, f64)> {
        let wanted = move |series: &Series| {
            series.name == name
                && labels.iter().all(|(label, value)| {
                    series.labels.get(*label).is_some_and(|have| have == value)
                })
        };
        let samples = self.samples.iter().map(|(series, value)| (series, *value));
        samples.filter(move |(series, _)| wanted(series))
    }

    /// Names of all metrics.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut last = "";
        self.samples.keys().map(|series| series.name.as_str()).filter(move |name| {
            let new = *name != last;
            last = name;
            new
        })
    }

    /// What was added since an earlier scrape, series by series.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let added = |(series, value): (&Series, &f64)| {
            (series.clone(), value - earlier.samples.get(series).unwrap_or(&0.0))
        };
        Self { samples: self.samples.iter().map(added).collect() }
    }
}

/// `name{label="value",…} value [timestamp]`.
fn sample(line: &str) -> Result<(Series, f64)> {
    let end = line.find(['{', ' ']).context("no value")?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.split_whitespace().next().context("no value")?;
    let value = value.parse().with_context(|| format!("{value} is not a number"))?;
    Ok((Series { name: name.to_owned(), labels }, value))
}

/// Labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (label, after) = rest.split_once("=\"").context("no closing brace")?;
        let (value, after) = quoted(after)?;
        labels.insert(label.to_owned(), value);
        rest = after;
    }
}

/// A value up to its closing quote, and what follows it.
fn quoted(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped)) => value.push(escaped),
                None => break,
            },
            plain => value.push(plain),
        }
    }
    bail!("no closing quote")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP frames_total Frames.
# TYPE frames_total counter
frames_total{direction="ingress",interface="gw0"} 7
frames_total{direction="egress",interface="gw0"} 5
frames_total{direction="ingress",interface="gw1"} 2 1700000000000

odd{text="a \"b\", {c} \\ d\n",} 1.5e3
plain 3
"#;

    #[test]
    fn sums_by_labels() {
        let metrics = Metrics::parse(TEXT).unwrap();
        assert_eq!(metrics.count("frames_total", &[]), 14);
        assert_eq!(metrics.count("frames_total", &[("interface", "gw0")]), 12);
        let both = [("interface", "gw0"), ("direction", "egress")];
        assert_eq!(metrics.count("frames_total", &both), 5);
        assert_eq!(metrics.count("frames_total", &[("interface", "gw2")]), 0);
        assert_eq!(metrics.count("frames", &[]), 0);
        assert_eq!(metrics.sum("plain", &[]), 3.0);
        let (series, value) = metrics.select("odd", &[]).next().unwrap();
        assert_eq!((series.labels["text"].as_str(), value), ("a \"b\", {c} \\ d\n", 1500.0));
        assert!(metrics.names().eq(["frames_total", "odd", "plain"]));
    }

    #[test]
    fn differences_are_by_series() {
        let before = Metrics::parse("a{x=\"1\"} 4\nb 1\n").unwrap();
        let after = Metrics::parse("a{x=\"1\"} 9\na{x=\"2\"} 2\nb 1\n").unwrap();
        let added = after.since(&before);
        assert_eq!(added.count("a", &[("x", "1")]), 5);
        assert_eq!(added.count("a", &[]), 7);
        assert_eq!(added.count("b", &[]), 0);
    }

    #[test]
    fn refuses_what_is_not_the_format() {
        for bad in ["name", "name{a=\"1\" 3", "name{a=\"1} 3", "name x", "a 1\na 2", "n{a=1} 2"] {
            let error = Metrics::parse(bad).unwrap_err();
            assert!(format!("{error:#}").contains(bad.lines().last().unwrap()), "{bad}");
        }
    }
}
