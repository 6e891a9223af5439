//! The programs that a storm needs.

use std::path::PathBuf;

use anyhow::Context;
use life_agent_observer_postgres::testing::Cluster;

use crate::root;

/// The library that changes the clock of a program, in Debian's package `faketime`.
const FAKETIME: &str = "faketime/libfaketimeMT.so.1";

/// Programs that all worlds use.
pub(super) struct Tools {
    pub(super) cluster: Cluster,
    pub(super) binary: PathBuf,
    pub(super) faketime: PathBuf,
}

impl Tools {
    pub(super) fn find() -> anyhow::Result<Self> {
        let binary = match std::env::var_os("LIFE_AGENT_BIN") {
            Some(binary) => PathBuf::from(binary).canonicalize()?,
            None => {
                let package = ["--package", "life-agent-server", "--bin", "life-agent"];
                crate::cargo(&[&["build", "--locked", "--quiet"][..], &package].concat())?;
                root().join("target/debug/life-agent").canonicalize()?
            }
        };
        let libraries = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let mut faketime = libraries.map(|entry| entry.path().join(FAKETIME));
        let faketime = faketime
            .find(|path| path.is_file())
            .context("different clocks need libfaketime; on Debian: apt-get install faketime")?;
        let cluster = Cluster::start()
            .context("no PostgreSQL server is installed; on Debian: apt-get install postgresql")?;
        Ok(Self { cluster, binary, faketime })
    }
}
