//! The metrics as Prometheus reads them, and `promtool`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

pub type Labels = BTreeMap<String, String>;

/// A label, the operator, and the value.
pub type Matcher = (String, String, String);

/// An answer of `/metrics`.
pub struct Exposition {
    pub text: String,
    /// The samples by the name of their series.
    samples: BTreeMap<String, Vec<(Labels, f64)>>,
    /// The type of every metric.
    pub types: BTreeMap<String, String>,
}

impl Exposition {
    pub fn parse(text: String) -> Self {
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let types = types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
        let mut samples = BTreeMap::<_, Vec<_>>::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
            let (name, labels) = selector(series);
            let value = value.parse().expect("it is a number");
            samples
                .entry(name)
                .or_default()
                .push((labels.into_iter().map(|(name, _, value)| (name, value)).collect(), value));
        }
        Self { text, samples, types }
    }

    /// Returns the metric of a series: the name without the suffix that a histogram adds.
    pub fn metric<'n>(&self, series: &'n str) -> &'n str {
        let mut parts = ["_bucket", "_sum", "_count"].into_iter().filter_map(|part| series.strip_suffix(part));
        let histogram = parts.find(|name| self.types.get(*name).is_some_and(|kind| kind == "histogram"));
        histogram.unwrap_or(series)
    }

    /// Returns all samples that have these labels, whatever other labels they have.
    pub fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let has = |of: &Labels| labels.iter().all(|(name, value)| of.get(*name).is_some_and(|it| it == value));
        let samples = self.samples.get(name).map(Vec::as_slice).unwrap_or_default();
        samples.iter().filter(|(of, _)| has(of)).map(|(_, value)| *value).collect()
    }

    /// Returns the sum of these samples; 0 if there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.all(name, labels).iter().sum()
    }

    /// Returns the only sample with these labels.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let all = self.all(name, labels);
        assert_eq!(all.len(), 1, "{name} {labels:?}: {}", self.text);
        all[0]
    }

    /// Returns the label names of a metric, without `le`, the bound of a bucket.
    pub fn labels(&self, name: &str) -> BTreeSet<&str> {
        let samples = self.samples.iter().filter(|(series, _)| self.metric(series) == name);
        let labels = samples.flat_map(|(_, samples)| samples).flat_map(|(labels, _)| labels.keys());
        labels.map(String::as_str).filter(|label| *label != "le").collect()
    }

    pub fn series(&self) -> usize {
        self.samples.values().map(Vec::len).sum()
    }
}

/// Reads `name{label="value", …}`.
fn selector(text: &str) -> (String, Vec<Matcher>) {
    let Some((name, rest)) = text.split_once('{') else { return (text.to_owned(), vec![]) };
    let mut rest = rest.strip_suffix('}').expect("it ends");
    let mut labels = Vec::new();
    while let Some((label, after)) = rest.split_once('"') {
        // No tested value contains a quote.
        let (value, after) = after.split_once('"').expect("a value ends");
        let label = label.trim_start_matches([',', ' ']);
        let operator = label.find(['=', '!']).expect("there is an operator");
        labels.push((label[..operator].to_owned(), label[operator..].to_owned(), value.to_owned()));
        rest = after;
    }
    (name.to_owned(), labels)
}

/// Returns every series of buzon that a query names, with its labels.
pub fn selectors(query: &str) -> Vec<(String, Vec<Matcher>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = query.match_indices("buzon_").map(|(at, _)| at);
    let starts = starts.filter(|at| !query[..*at].ends_with(is_name));
    let named = starts.map(|at| {
        let rest = &query[at..];
        let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let end = if rest[end..].starts_with('{') { end + rest[end..].find('}').expect("it ends") + 1 } else { end };
        selector(&rest[..end])
    });
    named.collect()
}

/// Runs `promtool` of the Debian package `prometheus`, and returns its output.
pub async fn promtool(folder: &Path, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(folder).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool is there: scripts/test --install brings it");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).await.expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().await.expect("it ends");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}
