//! A server of a test's own, which keeps what it is asked.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// An address at which nobody listens.
pub async fn nobody() -> String {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}/", closed.local_addr().expect("an address"))
}

/// Answers by path: `/silent` never, `/closed` with nothing, `/large` with 2 MiB, all else with 201 and what it was sent.
pub struct Server {
    pub port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    listening: AbortHandle,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, kept.clone()));
            }
        });
        Self { port, requests, listening: listening.abort_handle() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What came, as it came, in lower case.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }

    /// A header of each request.
    pub fn headers(&self, name: &str) -> Vec<Option<String>> {
        let header = |request: &String| {
            let lines = request.lines().take_while(|line| !line.is_empty());
            let mut named = lines.filter_map(|line| line.strip_prefix(&format!("{name}: ")));
            named.next().map(str::to_owned)
        };
        self.requests().iter().map(header).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(mut stream: TcpStream, requests: Arc<Mutex<Vec<String>>>) {
    let (mut all, mut part) = (String::new(), [0; 4096]);
    let body = loop {
        let Ok(read @ 1..) = stream.read(&mut part).await else { return };
        all.push_str(&String::from_utf8_lossy(&part[..read]).to_lowercase());
        let Some((head, body)) = all.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().expect("a number")) {
            break body.to_owned();
        }
    };
    let path = all.split(' ').nth(1).unwrap_or_default().to_owned();
    requests.lock().expect("not poisoned").push(all.replace("\r\n", "\n"));
    let body = match path.as_str() {
        "/silent" => return std::future::pending().await,
        "/closed" => return,
        "/large" => "x".repeat(2 << 20),
        _ => body,
    };
    let head =
        format!("HTTP/1.1 201 Made\r\nX-Kind: echo\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all((head + &body).as_bytes()).await;
}
