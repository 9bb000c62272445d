//! The account that runs Postgres and its pooler when this process is root, which they refuse.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::geteuid;

/// In this order: a Debian package of Postgres brings the first, every system has the second.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// The account to change to; none when this process may run Postgres itself.
    pub fn unprivileged() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let account = CANDIDATES.iter().find_map(|name| Self::of(name, &users));
        account
            .map(Some)
            .context("root may not run Postgres, and there is no user `postgres` or `nobody`")
    }

    /// Looks a user up in the text of /etc/passwd: `NAME:PASSWORD:UID:GID:…`.
    fn of(name: &str, users: &str) -> Option<Self> {
        users.lines().find_map(|line| {
            let mut fields = line.strip_prefix(name)?.strip_prefix(':')?.split(':').skip(1);
            Some(Self { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
        })
    }

    pub fn run_as(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    pub fn give(self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot give {} to uid {}", path.display(), self.uid))
    }
}

/// Whether every user can reach and run `program`: what lies in root's home is not.
pub(crate) fn open_to_all(program: &Path) -> bool {
    let enterable =
        |path: &Path| path.metadata().is_ok_and(|m| m.permissions().mode() & 0o001 != 0);
    program.ancestors().all(enterable)
}
