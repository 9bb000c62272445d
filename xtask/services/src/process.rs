//! Processes by id: parents, groups and CPU time as /proc tells them, and signals. Linux only.

use std::fs;

use anyhow::{Context, Result, bail};
use rustix::param::clock_ticks_per_second;
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// One process as `/proc/PID/stat` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Ended, and not yet waited for by its parent.
    pub zombie: bool,
    /// User and system time of it and of the children it has waited for, in clock ticks.
    cpu_ticks: u64,
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the command in parentheses, and may hold blanks and parentheses.
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split(' ').collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            pid,
            parent: number(1)? as u32,
            group: number(2)? as u32,
            zombie: fields.first() == Some(&"Z"),
            cpu_ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        })
    }

    /// The process of that id, when there is one.
    pub fn of(pid: u32) -> Option<Self> {
        Self::read(pid)
    }
}

/// `pid` and all its descendants, parents before children. Empty when there is no such process.
pub fn tree(pid: u32) -> Vec<Process> {
    let all = all();
    let mut found: Vec<Process> = all.iter().copied().filter(|p| p.pid == pid).collect();
    let mut next = 0;
    while let Some(parent) = found.get(next).map(|p| p.pid) {
        found.extend(all.iter().copied().filter(|p| p.parent == parent));
        next += 1;
    }
    found
}

/// Sends `signal` to one process; one that has already ended is no error.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        let _ = kill_process(pid, signal);
    }
}

/// CPU time (user and system, seconds) of `pid`, its descendants, and the children each of them
/// has waited for. In steps of a clock tick, usually 10 ms.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let tree = tree(pid);
    if tree.is_empty() {
        bail!("there is no process {pid}");
    }
    let ticks: u64 = tree.iter().map(|p| p.cpu_ticks).sum();
    Ok(ticks as f64 / clock_ticks_per_second() as f64)
}

/// CPU time (user and system, seconds) of this process alone, its threads included.
pub fn own_cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    let ticks: u64 = stat
        .rsplit(')')
        .next()
        .into_iter()
        .flat_map(|rest| rest.split_whitespace().skip(11).take(2))
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Ok(ticks as f64 / clock_ticks_per_second() as f64)
}

/// CPU time (seconds, to the nanosecond) of this process's threads that live and whose names are these.
pub fn own_threads_cpu_seconds(names: &[&str]) -> Result<f64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir("/proc/self/task").context("cannot read /proc/self/task")? {
        let of = |file: &str| fs::read_to_string(thread.as_ref().ok()?.path().join(file)).ok();
        // One that ends meanwhile is gone.
        let (Some(name), Some(times)) = (of("comm"), of("schedstat")) else { continue };
        if names.contains(&name.trim_end()) {
            let on_cpu = times.split(' ').next().and_then(|time| time.parse::<u64>().ok());
            nanoseconds += on_cpu.context("/proc/self/task/*/schedstat begins with a number")?;
        }
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// Every process that is visible to this one.
pub(crate) fn all() -> Vec<Process> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::read)
        .collect()
}

/// The arguments with which `pid` was started; empty when it has ended.
pub(crate) fn arguments(pid: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments = line.split(|byte| *byte == 0).filter(|argument| !argument.is_empty());
    arguments.map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, id};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn cpu_counts_this_process_and_children_that_have_ended() {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(50) {
            std::hint::black_box(0);
        }
        assert!(own_cpu_seconds().unwrap() > 0.0);
        let before = cpu_seconds(id()).unwrap();
        let status = Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"])
            .status()
            .unwrap();
        assert!(status.success());
        assert!(cpu_seconds(id()).unwrap() > before);
    }

    #[test]
    fn threads_are_counted_by_their_names() {
        let busy = std::thread::Builder::new().name("busy".into()).spawn(|| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(20) {
                std::hint::black_box(0);
            }
            (own_threads_cpu_seconds(&["busy"]).unwrap(), own_threads_cpu_seconds(&[]).unwrap())
        });
        let (own, none) = busy.unwrap().join().unwrap();
        assert!(own > 0.0 && own < own_cpu_seconds().unwrap() + 0.02);
        assert!(none < 1e-9);
    }

    #[test]
    fn a_tree_holds_grandchildren() {
        let mut shell = Command::new("sh").args(["-c", "sleep 30 & wait"]).spawn().unwrap();
        let grown =
            crate::net::wait_until(Duration::from_secs(5), || Ok(tree(shell.id()).len() == 2));
        for process in tree(shell.id()) {
            signal(process.pid, Signal::KILL);
        }
        shell.wait().unwrap();
        assert!(grown.unwrap());
    }
}
