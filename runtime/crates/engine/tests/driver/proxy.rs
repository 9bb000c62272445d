//! A TCP proxy before Postgres that understands just enough of the protocol to cut a connection at the commit call:
//! before the server has seen it, or when it has answered but the client has not heard.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    task::JoinHandle,
};

/// Where to cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    BeforeServer,
    AfterServer,
}

/// What the proxy looks for: statements with this text.
const CALL: &[u8] = b"wasaga.sagas_commit(";

pub struct Proxy {
    port: u16,
    plan: Arc<Plan>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Plan {
    next: Mutex<Option<Cut>>,
    cuts: AtomicUsize,
}

impl Proxy {
    /// A proxy before the server of this url.
    pub async fn start(url: &str) -> Self {
        let upstream = address(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = Arc::new(Plan::default());
        let accepting = tokio::spawn({
            let plan = Arc::clone(&plan);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (plan, upstream) = (Arc::clone(&plan), upstream.clone());
                    // It ends with its connections, however they end.
                    tokio::spawn(async move { pass(client, &upstream, plan).await });
                }
            }
        });
        Self { port, plan, accepting }
    }

    /// The same database, through the proxy.
    pub fn url(&self, url: &str) -> String {
        url.replacen(address(url), &format!("127.0.0.1:{}", self.port), 1) + "?sslmode=disable"
    }

    /// Cuts at the next commit call.
    pub fn cut_next(&self, cut: Cut) {
        *self.plan.next.lock().unwrap() = Some(cut);
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.plan.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// `host:port` of a url.
fn address(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    let authority = rest.split_once('/').unwrap().0;
    authority.rsplit_once('@').map_or(authority, |(_, address)| address)
}

async fn pass(client: TcpStream, upstream: &str, plan: Arc<Plan>) -> io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // The first message has no type, and the server's part of the start-up none of ours.
    let hello = message(&mut from_client, false).await?;
    to_server.write_all(&hello).await?;
    let deaf = Arc::new(AtomicBool::new(false));
    let requests = async {
        let mut commit = None;
        loop {
            let request = message(&mut from_client, true).await?;
            match (request[0], texts(&request)) {
                (b'P', [name, sql]) if sql.windows(CALL.len()).any(|part| part == CALL) => {
                    commit = Some(name.to_vec());
                }
                (b'B', [_, name]) if commit.as_deref() == Some(name) => {
                    let cut = plan.next.lock().unwrap().take();
                    if cut.is_some() {
                        plan.cuts.fetch_add(1, Ordering::SeqCst);
                    }
                    match cut {
                        Some(Cut::BeforeServer) => {
                            return Err::<(), _>(io::ErrorKind::Other.into());
                        }
                        Some(Cut::AfterServer) => deaf.store(true, Ordering::SeqCst),
                        None => {}
                    }
                }
                _ => {}
            }
            to_server.write_all(&request).await?;
        }
    };
    let answers = async {
        loop {
            let answer = message(&mut from_server, true).await?;
            if !deaf.load(Ordering::SeqCst) {
                to_client.write_all(&answer).await?;
            } else if answer[0] == b'Z' {
                return Err::<(), _>(io::ErrorKind::Other.into());
            }
        }
    };
    tokio::try_join!(requests, answers).map(|_| ())
}

/// One message of the protocol: its type, its length, its body.
async fn message(from: &mut OwnedReadHalf, typed: bool) -> io::Result<Vec<u8>> {
    let head = if typed { 5 } else { 4 };
    let mut message = vec![0; head];
    from.read_exact(&mut message).await?;
    let length = u32::from_be_bytes(message[head - 4..].try_into().unwrap()) as usize;
    message.resize(head - 4 + length, 0);
    from.read_exact(&mut message[head..]).await?;
    Ok(message)
}

/// The first two texts of a message: of Parse, statement and SQL; of Bind, portal and statement.
fn texts(message: &[u8]) -> [&[u8]; 2] {
    let mut parts = message[5..].split(|byte| *byte == 0);
    [parts.next().unwrap_or_default(), parts.next().unwrap_or_default()]
}
