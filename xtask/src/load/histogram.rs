//! A histogram in Prometheus' text format.

use anyhow::Context;

/// Upper bounds with the number of values at or below each, and the sum of all values.
#[derive(Clone)]
pub(crate) struct Histogram {
    buckets: Vec<(f64, f64)>,
    sum: f64,
}

impl Histogram {
    /// Reads the series without labels.
    pub(crate) fn read(metrics: &str, name: &str) -> anyhow::Result<Self> {
        Self::with_label(metrics, name, "")
    }

    /// Reads the series with this label, such as `kind="turn"`.
    pub(crate) fn with_label(metrics: &str, name: &str, label: &str) -> anyhow::Result<Self> {
        let comma = if label.is_empty() { "" } else { "," };
        let start = format!("{name}_bucket{{{label}{comma}le=\"");
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse().ok());
        let bucket = |line: &str| {
            let bound = line.strip_prefix(&start)?.split('"').next()?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound, value(line)?))
        };
        let buckets: Vec<_> = metrics.lines().filter_map(bucket).collect();
        let labels = if label.is_empty() { String::new() } else { format!("{{{label}}}") };
        let sum = format!("{name}_sum{labels} ");
        let sum = metrics.lines().find(|line| line.starts_with(&sum)).and_then(value);
        anyhow::ensure!(!buckets.is_empty(), "the metrics have no histogram `{name}`");
        Ok(Self { buckets, sum: sum.with_context(|| format!("`{name}` has no sum"))? })
    }

    /// The values added since an earlier reading.
    pub(crate) fn since(mut self, earlier: &Self) -> Self {
        for ((_, now), (_, then)) in self.buckets.iter_mut().zip(&earlier.buckets) {
            *now -= then;
        }
        self.sum -= earlier.sum;
        self
    }

    fn count(&self) -> f64 {
        self.buckets.last().map_or(0.0, |(_, count)| *count)
    }

    /// The mean of all values.
    pub(crate) fn mean(&self) -> f64 {
        self.sum / self.count()
    }

    /// The quantile as Prometheus estimates it: values are distributed evenly within a bucket.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let rank = q * self.count();
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            if *count >= rank && bound.is_finite() {
                return low + (bound - low) * (rank - below) / (count - below).max(1.0);
            }
            if bound.is_finite() {
                (low, below) = (*bound, *count);
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated_within_their_bucket() {
        let text = "# TYPE t histogram\nt_bucket{le=\"1\"} 10\nt_bucket{le=\"3\"} 20\n\
                    t_bucket{le=\"+Inf\"} 20\nt_sum 30\nt_count 20\n";
        let histogram = Histogram::read(text, "t").unwrap();
        assert_eq!((histogram.mean(), histogram.quantile(0.75)), (1.5, 2.0));
        assert!(Histogram::read(text, "u").is_err());
        assert_eq!(histogram.since(&Histogram::read(text, "t").unwrap()).quantile(0.5), 0.0);
    }

    #[test]
    fn one_of_several_is_found_by_its_label() {
        let text = "t_bucket{kind=\"a\",le=\"1\"} 4\nt_bucket{kind=\"b\",le=\"1\"} 8\n\
                    t_sum{kind=\"a\"} 2\nt_sum{kind=\"b\"} 8\n";
        let mean = |kind| Histogram::with_label(text, "t", kind).map(|histogram| histogram.mean());
        assert_eq!((mean("kind=\"a\"").unwrap(), mean("kind=\"b\"").unwrap()), (0.5, 1.0));
    }
}
