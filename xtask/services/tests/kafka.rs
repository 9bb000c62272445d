//! A real Apache Kafka: starts, is killed, starts again on the same port, and leaves nothing.

use std::time::Duration;

use wasaga_services::{Kafka, KafkaOptions, process, wait_for_port};

#[test]
fn a_broker_comes_back_after_kill9() {
    let mut kafka = Kafka::start(KafkaOptions::default()).unwrap();
    let bootstrap = kafka.bootstrap();
    let port: u16 = bootstrap.strip_prefix("127.0.0.1:").unwrap().parse().unwrap();
    wait_for_port(port, Duration::from_secs(1)).unwrap();
    let first = kafka.pid().unwrap();
    kafka.kill9().unwrap();
    assert!(process::tree(first).is_empty() && kafka.pid().is_none());
    assert!(wait_for_port(port, Duration::ZERO).is_err());

    kafka.start_again().unwrap();
    assert_eq!(kafka.bootstrap(), bootstrap);
    wait_for_port(port, Duration::from_secs(1)).unwrap();
    kafka.stop().unwrap();
    assert!(wait_for_port(port, Duration::ZERO).is_err());
}
