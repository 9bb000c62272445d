//! The way to Postgres, which can be cut.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A TCP proxy before Postgres.
pub struct Way {
    port: u16,
    open: watch::Sender<bool>,
    refused: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Way {
    /// An open way to the server of this url.
    pub async fn to(url: &str) -> Self {
        let server = address(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (open, watched) = watch::channel(true);
        let refused = Arc::new(AtomicUsize::new(0));
        let count = refused.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *watched.borrow() {
                    tokio::spawn(pass(client, server.clone(), watched.clone()));
                } else {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { port, open, refused, accepting }
    }

    /// The same database, by this way.
    pub fn url(&self, url: &str) -> String {
        url.replacen(address(url), &format!("127.0.0.1:{}", self.port), 1)
    }

    /// Cuts what is connected and refuses whoever comes, or lets them through again.
    pub fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// How many were refused.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(mut client: TcpStream, server: String, mut open: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}

/// `host:port` of a url.
fn address(url: &str) -> &str {
    let (_, rest) = url.split_once("://").expect("a url");
    let authority = rest.split('/').next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, address)| address)
}
