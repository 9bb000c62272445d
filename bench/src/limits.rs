//! What the machine can do at best, in the same run.

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

/// One-row commits a second of pgbench, at the best of these numbers of clients.
const CLIENTS: [u32; 2] = [8, 32];
const SECONDS: u32 = 3;

/// pgbench's best rate of one-row inserts, a commit each; nothing where there is no pgbench.
pub fn pgbench_commits_per_s(url: &str) -> Result<Option<f64>> {
    let directory = env::var_os("WASAGA_BENCH_PG_BIN").map(PathBuf::from).unwrap_or_default();
    let (pgbench, psql) = (directory.join("pgbench"), directory.join("psql"));
    if Command::new(&pgbench).arg("--version").output().is_err() {
        return Ok(None);
    }
    let script = env::temp_dir().join(format!("wasaga-pgbench-{}.sql", std::process::id()));
    fs::write(&script, "insert into pgbench_row (value) values (random());\n")?;
    let table = "create table if not exists pgbench_row (id bigserial primary key, value float8)";
    let made = Command::new(psql).args([url, "-qc", table]).output()?;
    if !made.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&made.stderr));
    }
    let rates = CLIENTS.map(|clients| {
        let run = Command::new(&pgbench)
            .args(["-n", "-M", "prepared", "-j", "2", "-c", &clients.to_string()])
            .args(["-T", &SECONDS.to_string(), "-f"])
            .args([script.as_os_str(), url.as_ref()])
            .output()?;
        let output = String::from_utf8_lossy(&run.stdout).into_owned();
        let rate = output.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next());
        rate.and_then(|rate| rate.parse::<f64>().ok()).context(format!("pgbench said: {output}"))
    });
    fs::remove_file(&script)?;
    let mut best = 0.0_f64;
    for rate in rates {
        best = best.max(rate?);
    }
    Ok(Some(best))
}
