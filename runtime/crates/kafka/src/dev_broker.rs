//! A broker for development and demos: librdkafka's mock, in this process, on a loopback port.
//!
//! It speaks the Kafka protocol, so that any client connects, and topics create themselves with four partitions. Its
//! limits: everything is in memory and ends with the process; a partition holds 5 MB, and then old records go; a
//! group that lost its last member is joined again only after 45 s; aborted transactions are visible; topics
//! can't be created or described by an admin client. Each start is a cluster of its own, by its cluster id, so
//! that offsets of an earlier one are not taken for this one's.

use std::{sync::mpsc, thread};

use rdkafka::{error::KafkaError, mocking::MockCluster};

/// A running broker; it ends with this value.
#[derive(Debug)]
pub struct DevBroker {
    bootstrap: String,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl DevBroker {
    /// Starts a broker on a free port.
    pub fn start() -> Result<Self, KafkaError> {
        let (stop, stopped) = mpsc::channel::<()>();
        let (ready, started) = mpsc::channel();
        // The cluster can't leave the thread that made it.
        let serve = move || match MockCluster::new(1) {
            Ok(cluster) => {
                if ready.send(Ok(cluster.bootstrap_servers())).is_ok() {
                    // Ends with the sender.
                    let _ = stopped.recv();
                }
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("dev-broker".into()).spawn(serve).ok();
        let failed = || KafkaError::ClientCreation("the broker's thread did not start".into());
        let bootstrap = started.recv().map_err(|_| failed())??;
        Ok(Self { bootstrap, stop: Some(stop), thread })
    }

    /// What clients name as `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }
}

impl Drop for DevBroker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
