//! Several instances on one PostgreSQL database compared with one on SQLite: acts, wakes of followers, and the kill
//! switch.

mod across;

use anyhow::Context;
use life_agent_observer_postgres::testing::Cluster;

use super::Scale;
use super::report::{Section, aimed, count, time};
use super::wrk::{Measured, Run, median, ratio};
use crate::load::server::Server;

/// Callers in all, and agents.
const LOADS: [(u64, u64); 4] = [(32, 1), (32, 1_000), (256, 1), (256, 1_000)];
/// Instances of each deployment on PostgreSQL.
const DEPLOYMENTS: [usize; 3] = [1, 2, 4];
/// The database has as much memory as a small managed one.
const DATABASE: &str = "-c shared_buffers=512MB -c max_wal_size=4GB";

/// The accepted p99 relative to SQLite's.
const SLOWER: f64 = 3.0;

/// The accepted rate relative to SQLite's, where there is a target.
fn wanted(instances: usize, callers: u64) -> Option<f64> {
    match (instances, callers) {
        (1, _) => Some(0.6),
        (2, 32) => Some(0.5),
        _ => None,
    }
}

/// The instances of one journal.
struct Deployment {
    name: String,
    servers: Vec<Server>,
}

impl Deployment {
    fn on_sqlite() -> anyhow::Result<Self> {
        Ok(Self { name: "SQLite, 1".to_owned(), servers: vec![Server::start()?] })
    }

    fn on_postgres(cluster: &Cluster, instances: usize) -> anyhow::Result<Self> {
        let address = cluster.database();
        let settings = [("DATABASE_URL", address.as_str())];
        let servers = (0..instances).map(|_| Server::with(&settings));
        let name = format!("PostgreSQL, {instances}");
        Ok(Self { name, servers: servers.collect::<anyhow::Result<_>>()? })
    }

    /// Divides the callers among the instances. The times are those of the slowest instance.
    fn measure(&self, run: &Run<'_>) -> anyhow::Result<Measured> {
        let share = run.connections / self.servers.len() as u64;
        let run = Run { connections: share.max(1), ..*run };
        let measured: Vec<_> = std::thread::scope(|scope| {
            let start = |server: &Server| {
                let addr = server.addr;
                scope.spawn(move || run.on(addr))
            };
            let running: Vec<_> = self.servers.iter().map(start).collect();
            running.into_iter().map(|run| run.join()).collect()
        });
        let mut all = Measured::default();
        for measured in measured {
            let one = measured.map_err(|_| anyhow::anyhow!("a run panicked"))??;
            all.rate += one.rate;
            (all.p50, all.p99) = (all.p50.max(one.p50), all.p99.max(one.p99));
            (all.refused, all.lost) = (all.refused + one.refused, all.lost + one.lost);
        }
        Ok(all)
    }
}

pub(super) fn measure(scale: Scale) -> anyhow::Result<Section> {
    let cluster = Cluster::start()
        .context("no PostgreSQL server is installed; on Debian: apt-get install postgresql")?;
    cluster.stop_immediately();
    cluster.start_with(DATABASE);
    let mut deployments = vec![Deployment::on_sqlite()?];
    for instances in DEPLOYMENTS {
        deployments.push(Deployment::on_postgres(&cluster, instances)?);
    }
    let mut section = Section::new("instances");
    section.line(&format!(
        "Acts, medians of {} alternating runs of {} s each; instances, database and callers share the machine. Ratios \
         are medians of the runs' ratios. Times are those of the slowest instance. Refused: an act that found its agent \
         stepped by other instances again and again.",
        scale.runs, scale.seconds
    ));
    let mut rows = Vec::new();
    for (callers, agents) in LOADS {
        rows.extend(compare(&deployments, callers, agents, scale)?);
    }
    section.table(
        &[
            "callers, agents",
            "store, instances",
            "acts/s",
            "of SQLite's",
            "p50",
            "p99",
            "of SQLite's",
            "refused",
        ],
        &rows,
    );
    for deployment in &deployments[2..] {
        let addresses: Vec<_> = deployment.servers.iter().map(|server| server.addr).collect();
        across::describe(&mut section, &deployment.name, &addresses, scale)?;
    }
    Ok(section)
}

/// The rows of one load.
fn compare(
    deployments: &[Deployment],
    callers: u64,
    agents: u64,
    scale: Scale,
) -> anyhow::Result<Vec<Vec<String>>> {
    let run = Run { kind: "act", agents, connections: callers, seconds: scale.seconds, pause: 0 };
    let mut measured = vec![Vec::new(); deployments.len()];
    for deployment in deployments {
        deployment.measure(&Run { seconds: 1, ..run })?;
    }
    for _ in 0..scale.runs {
        for (deployment, measured) in deployments.iter().zip(&mut measured) {
            measured.push(deployment.measure(&run)?);
        }
    }
    let base = measured.first().cloned().unwrap_or_default();
    let rows = deployments.iter().zip(&measured).enumerate().map(|(index, (deployment, runs))| {
        let lost: f64 = runs.iter().map(|run| run.lost).sum();
        anyhow::ensure!(lost == 0.0, "{lost} acts were not answered");
        let refused: f64 = runs.iter().map(|run| run.refused).sum();
        let of = |pick| ratio((&base, runs), pick);
        let (rate, p99) = (of(|run| run.rate), of(|run| run.p99));
        let (shown_rate, shown_p99) = (format!("{rate:.2}"), format!("{p99:.1}"));
        let ratios = match (index, wanted(deployment.servers.len(), callers)) {
            (0, _) => [shown_rate, shown_p99],
            (_, Some(wanted)) => {
                [aimed(&shown_rate, rate >= wanted), aimed(&shown_p99, p99 < SLOWER)]
            }
            (_, None) => [shown_rate, aimed(&shown_p99, p99 < SLOWER)],
        };
        let ([shown_rate, shown_p99], median) = (ratios, median(runs));
        Ok(vec![
            format!("{callers}, {agents}"),
            deployment.name.clone(),
            count(median.rate),
            shown_rate,
            time(median.p50),
            time(median.p99),
            shown_p99,
            count(refused),
        ])
    });
    rows.collect()
}
