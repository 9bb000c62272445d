//! A TCP proxy before Postgres that understands just enough of the protocol to cut a connection at a given call, or
//! at the commit of its transaction: before the server has seen it, or when it has answered but the client has not
//! heard. It can also be away altogether, or say nothing any more.

use std::{
    collections::HashMap,
    future::pending,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    sync::watch,
    task::JoinHandle,
};

/// Where to cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    BeforeCall,
    AfterCall,
    BeforeCommit,
    AfterCommit,
}

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Line {
    /// They pass.
    Open,
    /// They end at once.
    Away,
    /// They stay, and nothing passes on them ever again.
    Silent,
}

pub struct Proxy {
    port: u16,
    plan: Arc<Plan>,
    accepting: JoinHandle<()>,
}

struct Plan {
    next: Mutex<Option<(&'static str, Cut)>>,
    cuts: AtomicUsize,
    line: watch::Sender<Line>,
}

impl Proxy {
    /// A proxy before the server of this url.
    pub async fn start(url: &str) -> Self {
        let upstream = address(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = watch::Sender::new(Line::Open);
        let plan = Arc::new(Plan { next: Mutex::default(), cuts: AtomicUsize::default(), line });
        let accepting = tokio::spawn({
            let plan = Arc::clone(&plan);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (plan, upstream) = (Arc::clone(&plan), upstream.clone());
                    // It ends with its connections, however they end.
                    tokio::spawn(async move { hold(client, &upstream, &plan).await });
                }
            }
        });
        Self { port, plan, accepting }
    }

    /// The same database, through the proxy.
    pub fn url(&self, url: &str) -> String {
        url.replacen(address(url), &format!("127.0.0.1:{}", self.port), 1) + "?sslmode=disable"
    }

    /// Cuts at the next statement with this text, or at the end of its transaction.
    pub fn cut_next(&self, call: &'static str, cut: Cut) {
        *self.plan.next.lock().unwrap() = Some((call, cut));
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.plan.cuts.load(Ordering::SeqCst)
    }

    /// From now on, for the connections there are and those to come.
    pub fn turn(&self, line: Line) {
        self.plan.line.send_replace(line);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Plan {
    /// Whether to cut at this statement; `called`: the call was made in the connection's transaction.
    fn meets(&self, sql: &[u8], called: &mut bool) -> Option<Cut> {
        let mut next = self.next.lock().unwrap();
        let (call, cut) = (*next)?;
        let is_call = sql.windows(call.len()).any(|part| part == call.as_bytes());
        *called |= is_call;
        let is_commit = *called && sql.eq_ignore_ascii_case(b"commit");
        let is_here = match cut {
            Cut::BeforeCall | Cut::AfterCall => is_call,
            Cut::BeforeCommit | Cut::AfterCommit => is_commit,
        };
        is_here.then(|| {
            *next = None;
            self.cuts.fetch_add(1, Ordering::SeqCst);
            cut
        })
    }
}

/// `host:port` of a url.
fn address(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    let authority = rest.split_once('/').unwrap().0;
    authority.rsplit_once('@').map_or(authority, |(_, address)| address)
}

/// Keeps a connection as long as the line lets it.
async fn hold(client: TcpStream, upstream: &str, plan: &Plan) -> io::Result<()> {
    let mut line = plan.line.subscribe();
    let passing = pass(client, upstream, plan);
    tokio::pin!(passing);
    tokio::select! {
        biased;
        line = async { line.wait_for(|line| *line != Line::Open).await.map(|line| *line) } => {
            match line {
                Ok(Line::Silent) => pending().await,
                _ => Ok(()),
            }
        }
        ended = &mut passing => ended,
    }
}

async fn pass(client: TcpStream, upstream: &str, plan: &Plan) -> io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // The first message has no type, and the server's part of the start-up none of ours.
    let hello = message(&mut from_client, false).await?;
    to_server.write_all(&hello).await?;
    let deaf = AtomicBool::new(false);
    let requests = async {
        let (mut statements, mut called) = (HashMap::new(), false);
        loop {
            let request = message(&mut from_client, true).await?;
            let sql = match (request[0], texts(&request)) {
                (b'P', [name, sql]) => {
                    statements.insert(name.to_vec(), sql.to_vec());
                    None
                }
                (b'B', [_, name]) => statements.get(name).cloned(),
                (b'Q', [sql, _]) => Some(sql.to_vec()),
                _ => None,
            };
            match sql.and_then(|sql| plan.meets(&sql, &mut called)) {
                Some(Cut::BeforeCall | Cut::BeforeCommit) => {
                    return Err::<(), _>(io::ErrorKind::Other.into());
                }
                Some(Cut::AfterCall | Cut::AfterCommit) => deaf.store(true, Ordering::SeqCst),
                None => {}
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

/// The first two texts of a message: of Parse, statement and SQL; of Bind, portal and statement; of Query, the SQL.
fn texts(message: &[u8]) -> [&[u8]; 2] {
    let mut parts = message[5..].split(|byte| *byte == 0);
    [parts.next().unwrap_or_default(), parts.next().unwrap_or_default()]
}
