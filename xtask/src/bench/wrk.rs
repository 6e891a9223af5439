//! One run of `wrk` and its results.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Context;

use crate::load::server::KEY;
use crate::root;

/// The requests of a run.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    /// `act`, `turn`, `check` or `state`.
    pub(super) kind: &'a str,
    pub(super) agents: u64,
    pub(super) connections: u64,
    pub(super) seconds: u64,
    /// Milliseconds that a caller waits after a refusal.
    pub(super) pause: u64,
}

/// The results of a run. Times are in microseconds, from the first byte of a request to the last of its response.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measured {
    /// Responses per second, including refusals.
    pub(super) rate: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// The number of unsuccessful responses.
    pub(super) refused: f64,
    /// Requests without a response.
    pub(super) lost: f64,
}

impl Run<'_> {
    /// Runs `wrk`; blocks for its duration.
    pub(super) fn on(&self, addr: SocketAddr) -> anyhow::Result<Measured> {
        self.with_key(addr, KEY)
    }

    /// [`Self::on`] with another key.
    pub(super) fn with_key(&self, addr: SocketAddr, key: &str) -> anyhow::Result<Measured> {
        let threads = self.connections.min(2);
        let mut wrk = Command::new("wrk");
        wrk.args([format!("-t{threads}"), format!("-c{}", self.connections)]);
        wrk.args([format!("-d{}s", self.seconds), "--timeout".to_owned(), "30s".to_owned()]);
        wrk.arg("-s").arg(root().join("xtask/load/mix.lua")).arg(format!("http://{addr}"));
        wrk.args(["--", key, self.kind, &self.agents.to_string(), &self.pause.to_string()]);
        let output = wrk.output().context("`wrk` does not start; install it (Debian: `wrk`)")?;
        let text = String::from_utf8_lossy(&output.stdout);
        read(&text).with_context(|| format!("wrk measured nothing: {text}"))
    }

    /// Alternating runs on two servers, so that both meet the same load of the machine.
    pub(super) fn alternating(
        &self,
        first: SocketAddr,
        second: SocketAddr,
        times: usize,
    ) -> anyhow::Result<(Vec<Measured>, Vec<Measured>)> {
        let both = (0..times).map(|_| Ok((self.on(first)?, self.on(second)?)));
        both.collect()
    }
}

fn read(text: &str) -> Option<Measured> {
    let line = text.lines().find_map(|line| line.strip_prefix("MEASURED "))?;
    let numbers: Option<Vec<f64>> = line.split(' ').map(|number| number.parse().ok()).collect();
    let [rate, p50, p99, refused, lost] = *numbers?.as_slice() else { return None };
    Some(Measured { rate, p50, p99, refused, lost })
}

/// The median of each figure over several runs.
pub(super) fn median(runs: &[Measured]) -> Measured {
    let of = |pick: fn(&Measured) -> f64| middle(runs.iter().map(pick).collect());
    Measured {
        rate: of(|run| run.rate),
        p50: of(|run| run.p50),
        p99: of(|run| run.p99),
        refused: of(|run| run.refused),
        lost: of(|run| run.lost),
    }
}

/// The ratio of the second server to the first: the median over pairs of runs.
pub(super) fn ratio(
    (first, second): (&[Measured], &[Measured]),
    pick: fn(&Measured) -> f64,
) -> f64 {
    middle(first.iter().zip(second).map(|(first, second)| pick(second) / pick(first)).collect())
}

/// Fails unless every request of the runs succeeded.
pub(super) fn all_granted(kind: &str, runs: &[Measured]) -> anyhow::Result<()> {
    let failed: f64 = runs.iter().map(|run| run.refused + run.lost).sum();
    anyhow::ensure!(failed == 0.0, "{failed} requests of `{kind}` failed");
    Ok(())
}

/// The median; the upper one of an even number of values, and 0 without values.
pub(super) fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_script_is_read() {
        let measured = read("Running 1s test\nMEASURED 1000.5 20.0 90.0 3 0\n").unwrap();
        assert_eq!((measured.rate, measured.p99, measured.refused), (1000.5, 90.0, 3.0));
        assert!(read("MEASURED 1 2\n").is_none());
        assert!(read("").is_none());
    }

    #[test]
    fn a_median_is_taken_of_each_number_by_itself() {
        let run = |rate, p99| Measured { rate, p99, ..Measured::default() };
        let median = median(&[run(1.0, 9.0), run(3.0, 7.0), run(2.0, 8.0)]);
        assert_eq!((median.rate, median.p99), (2.0, 8.0));
    }

    #[test]
    fn a_ratio_is_that_of_runs_side_by_side() {
        let runs = |rates: [f64; 3]| rates.map(|rate| Measured { rate, ..Measured::default() });
        let (first, second) = (runs([1.0, 10.0, 100.0]), runs([2.0, 30.0, 10.0]));
        assert!((ratio((&first, &second), |run| run.rate) - 2.0).abs() < f64::EPSILON);
    }
}
