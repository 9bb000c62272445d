//! A real Postgres: starts, crashes, recovers, stops and leaves nothing.

mod wire;

use std::fs::read_link;
use std::time::Duration;

use wasaga_services::{Postgres, PostgresOptions, process, wait_for_port};

#[test]
fn commits_survive_kill9_and_restart() {
    let mut postgres = Postgres::start(PostgresOptions::default()).unwrap();
    let port = postgres.port();
    let ask = |sql: &str| wire::ask(port, sql).unwrap();
    assert_eq!(ask("show fsync"), "on");
    assert_eq!(ask("show synchronous_commit"), "on");
    assert_eq!(ask("show listen_addresses"), "127.0.0.1");
    assert_eq!(ask("show port"), port.to_string());

    ask("create table kept as select 1 as n");
    let first = postgres.pid().unwrap();
    postgres.kill9().unwrap();
    assert!(process::tree(first).is_empty() && postgres.pid().is_none());
    assert!(wire::ask(port, "select 1").is_err());

    postgres.start_again().unwrap();
    assert_eq!(ask("select n from kept"), "1");
    assert_ne!(postgres.pid(), Some(first));
    postgres.restart_fast().unwrap();
    assert_eq!(ask("select n from kept"), "1");

    let before = postgres.cpu_seconds().unwrap();
    ask("select count(*) from generate_series(1, 500000) where random() < 2");
    assert!(postgres.cpu_seconds().unwrap() > before);

    // The postmaster works in its data directory.
    let last = postgres.pid().unwrap();
    let data = read_link(format!("/proc/{last}/cwd")).unwrap();
    drop(postgres);
    assert!(process::tree(last).is_empty() && !data.exists());
    assert!(wait_for_port(port, Duration::ZERO).is_err());
}

#[test]
fn a_wrong_setting_is_shown_in_the_servers_words() {
    let settings = vec![("no_such_setting".to_owned(), "1".to_owned())];
    let options = PostgresOptions { settings, ..PostgresOptions::default() };
    let error = Postgres::start(options).err().expect("it took a setting it does not know");
    assert!(format!("{error:#}").contains("no_such_setting"), "{error:#}");
}
