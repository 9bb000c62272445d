//! A `PgBouncer` in transaction mode on loopback, in front of a Postgres.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use wasaga_guest_build::programs::find_binary;

use crate::account::Account;
use crate::daemon::Daemon;
use crate::net::{free_port, wait_for_port};
use crate::process::Signal;
use crate::workdir::WorkDir;

const START_PATIENCE: Duration = Duration::from_secs(10);
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A running pooler, without prepared statements; any login role of its server may connect. Dropped, it is stopped.
pub struct PgBouncer {
    pooler: Option<Daemon>,
    port: u16,
    _dir: WorkDir,
}

impl PgBouncer {
    /// Starts it before the server of `url` (`postgres://USER@127.0.0.1:PORT/…`, which trusts loopback), with
    /// `connections` to each database of it for each user.
    pub fn start(url: &str, connections: u32) -> Result<Self> {
        let program = find_binary("pgbouncer")
            .context("pgbouncer is missing: install it (Debian: apt-get install pgbouncer)")?;
        let (user, server) = url
            .strip_prefix("postgres://")
            .and_then(|rest| rest.split_once('@'))
            .context("the url names no user")?;
        let (_, server_port) = server
            .split_once('/')
            .unwrap_or((server, ""))
            .0
            .split_once(':')
            .context("the url names no port")?;
        let dir = WorkDir::create("pgbouncer")?;
        let port = free_port()?;
        let account = Account::unprivileged()?;
        let file = |name: &str, text: String| -> Result<PathBuf> {
            let file = dir.path().join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            account.map_or(Ok(()), |account| account.give(&file))?;
            Ok(file)
        };
        // Since 1.21 it can follow statements that are prepared by name, and does so by default since 1.24.
        let version = Command::new(&program).arg("--version").output()?;
        let named = if follows_statements(&String::from_utf8_lossy(&version.stdout)) {
            "max_prepared_statements = 0\n"
        } else {
            ""
        };
        let users = file("users.txt", format!("\"{user}\" \"\"\n"))?;
        let settings = file(
            "pgbouncer.ini",
            format!(
                "[databases]\n* = host=127.0.0.1 port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
                 auth_user = {user}\npool_mode = transaction\ndefault_pool_size = {connections}\n\
                 max_client_conn = 500\nignore_startup_parameters = extra_float_digits\n{named}",
                users.display()
            ),
        )?;
        let mut command = Command::new(program);
        if let Some(account) = account {
            account.run_as(&mut command);
        }
        let log = dir.path().join("pgbouncer.log");
        let pooler = Daemon::spawn(command.arg(&settings), &log)?;
        let pooler = Self { pooler: Some(pooler), port, _dir: dir };
        wait_for_port(port, START_PATIENCE).with_context(|| {
            format!("its log:\n{}", fs::read_to_string(&log).unwrap_or_default())
        })?;
        Ok(pooler)
    }

    /// The url of a database of its server (`postgres://…@127.0.0.1:PORT/DATABASE`), by way of the pooler.
    pub fn url(&self, direct: &str) -> Result<String> {
        let (login, server) = direct.split_once("@127.0.0.1:").context("no url on loopback")?;
        let (_, database) = server.split_once('/').context("the url names no database")?;
        Ok(format!("{login}@127.0.0.1:{}/{database}", self.port))
    }
}

/// Whether the program that says this of its version, as `PgBouncer 1.18.0`, has `max_prepared_statements`.
fn follows_statements(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let mut number = || numbers.next().and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    (number(), number()) >= (1, 21)
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // Its server has nothing to lose.
        let _ = self.pooler.take().map(|pooler| pooler.stop(Signal::INT, STOP_PATIENCE));
    }
}

#[cfg(test)]
mod tests {
    use super::follows_statements;

    #[test]
    fn versions_are_told_apart() {
        let follows =
            |version: &str| follows_statements(&format!("PgBouncer {version}\nlibevent 2.1.12"));
        assert!(!follows("1.18.0") && !follows("1.9.0") && follows("1.21.0") && follows("1.24.1"));
    }
}
