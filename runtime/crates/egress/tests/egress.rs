//! Requests to a server of the test's own, which answers as it is told, byte for byte.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};
use wasaga_domain::{
    http::{HttpError, HttpReach, HttpRequest, HttpResponse},
    message::Header,
    ports::GuestHttp as _,
};
use wasaga_egress::Egress;
use wasaga_tests::Authority;

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers each request, by its path.
struct Server {
    port: u16,
    /// What came, as it came.
    requests: Arc<Mutex<Vec<String>>>,
    listening: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Server {
    async fn start(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (requests.clone(), Arc::new(answer));
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, kept.clone(), answer.clone()));
            }
        });
        Self { port, requests, listening: listening.abort_handle() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

/// Reads one request and answers it; without an answer the connection stays open and silent.
async fn serve(
    mut stream: TcpStream,
    requests: Arc<Mutex<Vec<String>>>,
    answer: Arc<impl Fn(&str) -> Option<String>>,
) {
    let (mut all, mut part) = (String::new(), [0; 4096]);
    loop {
        let Ok(read @ 1..) = stream.read(&mut part).await else { return };
        all.push_str(&String::from_utf8_lossy(&part[..read]));
        let Some((head, body)) = all.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().expect("a number")) {
            break;
        }
    }
    let path = all.split(' ').nth(1).unwrap_or_default().to_owned();
    requests.lock().expect("not poisoned").push(all);
    match answer(&path) {
        Some(answer) => {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        None => tokio::time::sleep(PATIENCE).await,
    }
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nx-kind: plain\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
}

fn request(method: &str, url: &str) -> HttpRequest {
    let header =
        |name: &str, value: &'static str| Header { name: name.into(), value: value.into() };
    let is_get = method == "GET";
    let mut headers = vec![header("authorization", "Bearer x"), header("accept", "text/plain")];
    if !is_get {
        headers.extend([header("idempotency-key", "k-1"), header("content-type", "text/plain")]);
    }
    HttpRequest {
        method: method.into(),
        url: url.parse().expect("a URL"),
        headers,
        body: (!is_get).then(|| Bytes::from_static(b"hello")),
        within: PATIENCE,
        most_bytes: 100,
    }
}

fn reach(hosts: &[&str]) -> HttpReach {
    let hosts = hosts.iter().map(|host| host.parse().expect("a host")).collect();
    HttpReach { hosts, private: true }
}

async fn send(request: HttpRequest, reach: &HttpReach) -> Result<HttpResponse, HttpError> {
    Egress::new().expect("TLS").send(request, reach).await
}

fn here() -> HttpReach {
    reach(&["127.0.0.1:*"])
}

#[tokio::test]
async fn a_request_is_answered() {
    let server = Server::start(|_| Some(ok("there"))).await;
    let answer =
        send(request("POST", &server.url("/a%20b?q=1")), &here()).await.expect("an answer");
    assert_eq!((answer.status, &answer.body[..]), (200, &b"there"[..]));
    assert!(answer.headers.iter().any(|header| header.name == "x-kind" && header.value == "plain"));
    let [sent] = &server.requests()[..] else { panic!("one request") };
    let sent = sent.to_lowercase();
    assert!(sent.starts_with("post /a%20b?q=1 http/1.1\r\n"), "{sent}");
    let host = format!("host: 127.0.0.1:{}\r\n", server.port);
    for part in
        [&host, "idempotency-key: k-1\r\n", "content-length: 5\r\n", "user-agent: wasaga/", "hello"]
    {
        assert!(sent.contains(part), "{part} is not in {sent}");
    }
}

#[tokio::test]
async fn a_request_over_tls_is_answered_by_whom_a_trusted_authority_vouches_for() {
    let server = Server::start(|_| Some(ok("there"))).await;
    let authority = Authority::new();
    let front = authority.before(server.port).await;
    let trusting = Egress::trusting(&authority.pem()).expect("it is a certificate");
    let reach = reach(&["*:*"]);
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("https://{host}:{}/a", front.port);
        let answer = trusting.send(request("POST", &url), &reach).await.expect("an answer");
        assert_eq!((answer.status, &answer.body[..]), (200, &b"there"[..]), "{host}");
    }
    let sent = server.requests().pop().expect("two were sent").to_lowercase();
    assert!(sent.contains(&format!("host: localhost:{}\r\n", front.port)), "{sent}");

    // By nobody's word, by a stranger's, and under a name that is another's.
    let stranger = Egress::trusting(&Authority::new().pem()).expect("it is a certificate");
    let (nobody, another) = (Egress::new().expect("TLS"), "[::ffff:127.0.0.1]");
    for (egress, host) in [(&nobody, "localhost"), (&stranger, "localhost"), (&trusting, another)] {
        let url = format!("https://{host}:{}/", front.port);
        let error = egress.send(request("POST", &url), &reach).await.expect_err("no answer");
        assert!(matches!(error, HttpError::NotSent(_)), "{host}: {error:?}");
        let tells = error.to_string().contains("certificate verify failed");
        assert!(tells || host == another, "{host}: {error}");
    }
    assert_eq!(server.requests().len(), 2);
    let none = Egress::trusting("no certificate").expect_err("it is none");
    assert!(none.contains("no certificate in PEM"), "{none}");
}

#[tokio::test]
async fn what_has_no_connection_is_not_sent() {
    let server = Server::start(|_| Some(ok(""))).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("one");
    let anywhere = reach(&["*:*"]);
    // No label of a name is so long: it is refused without a question to anybody.
    let nowhere = format!("http://{}.example/", "x".repeat(64));
    for url in [
        format!("http://{closed}/"),
        nowhere,
        // A server that speaks no TLS.
        server.url("/").replace("http:", "https:"),
    ] {
        let error = send(request("POST", &url), &anywhere).await.expect_err("no answer");
        assert!(matches!(error, HttpError::NotSent(_)), "{url}: {error:?}");
    }
}

#[tokio::test]
async fn what_got_no_whole_answer_may_have_been_done() {
    let server = Server::start(|path| match path {
        "/closed" => Some(String::new()),
        "/broken" => Some("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".into()),
        "/headers" => {
            let many = "h: x\r\n".repeat(200);
            Some(format!("HTTP/1.1 200 OK\r\n{many}content-length: 0\r\n\r\n"))
        }
        _ => None,
    })
    .await;
    for path in ["/closed", "/broken", "/headers", "/silent"] {
        let begun = Instant::now();
        let within = Duration::from_millis(if path == "/silent" { 300 } else { 20_000 });
        let asked = HttpRequest { within, ..request("POST", &server.url(path)) };
        let error = send(asked, &here()).await.expect_err("no answer");
        assert!(matches!(error, HttpError::MaybeSent(_)), "{path}: {error:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{path}");
    }
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn an_answer_is_bounded() {
    let server = Server::start(|path| match path {
        "/told" => Some(ok(&"x".repeat(101))),
        "/chunked" => {
            let chunk = format!("40\r\n{}\r\n", "x".repeat(64));
            Some(format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
            ))
        }
        _ => Some(ok(&"x".repeat(100))),
    })
    .await;
    for path in ["/told", "/chunked"] {
        let error = send(request("GET", &server.url(path)), &here()).await;
        assert_eq!(error, Err(HttpError::TooLarge(100)), "{path}");
    }
    assert_eq!(
        send(request("GET", &server.url("/fits")), &here()).await.expect("it fits").body.len(),
        100
    );
}

#[tokio::test]
async fn private_addresses_and_hosts_that_are_not_granted_are_denied() {
    let server = Server::start(|_| Some(ok(""))).await;
    let public = HttpReach { private: false, ..reach(&["*:*"]) };
    let port = server.port;
    for (url, reach, told) in [
        (server.url("/"), &public, "grant http_private = true"),
        (format!("http://localhost:{port}/"), &public, "grant http_private = true"),
        (format!("http://2130706433:{port}/"), &public, "grant http_private = true"),
        (format!("http://[::ffff:127.0.0.1]:{port}/"), &public, "grant http_private = true"),
        (format!("http://0.0.0.0:{port}/"), &reach(&["*:*"]), "can't be granted"),
        ("http://169.254.169.254/latest".into(), &reach(&["*:*"]), "can't be granted"),
        (server.url("/"), &reach(&["127.0.0.1"]), "not among the hosts"),
        (server.url("/"), &reach(&["example.com:*"]), "not among the hosts"),
    ] {
        match send(request("POST", &url), reach).await {
            Err(HttpError::Denied(why)) => assert!(why.contains(told), "{url}: {why}"),
            other => panic!("{url} is not denied: {other:?}"),
        }
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn redirects_are_followed_within_the_grant() {
    let other = Server::start(|_| Some(ok("other"))).await;
    let (there, port) = (other.port, other.port);
    let server = Server::start(move |path| match path {
        "/same" => Some(redirect(302, "/end#x")),
        "/other" => Some(redirect(302, &format!("http://localhost:{port}/end"))),
        "/see" => Some(redirect(303, "/end")),
        "/again" => Some(redirect(307, "/end")),
        "/away" => Some(redirect(307, &format!("http://localhost:{port}/end"))),
        "/metadata" => Some(redirect(302, "http://169.254.169.254/")),
        "/file" => Some(redirect(302, "file:///etc/passwd")),
        "/account" => Some(redirect(302, &format!("http://a:b@localhost:{port}/"))),
        "/loop" => Some(redirect(302, "/loop")),
        _ => Some(ok("end")),
    })
    .await;
    let both = reach(&["127.0.0.1:*", "localhost:*", "169.254.169.254"]);
    let last =
        |server: &Server| server.requests().last().cloned().unwrap_or_default().to_lowercase();

    // Within an origin everything goes along.
    assert_eq!(
        &send(request("GET", &server.url("/same")), &both).await.expect("it").body[..],
        b"end"
    );
    let sent = last(&server);
    assert!(sent.starts_with("get /end ") && sent.contains("authorization: "), "{sent}");

    // To another one only what is harmless does.
    assert_eq!(
        &send(request("GET", &server.url("/other")), &both).await.expect("it").body[..],
        b"other"
    );
    let sent = last(&other);
    assert!(sent.contains("accept: text/plain") && !sent.contains("authorization"), "{sent}");
    assert!(sent.contains(&format!("host: localhost:{there}")), "{sent}");

    // A change that was made is looked at, and neither keyed nor made again.
    assert_eq!(
        &send(request("POST", &server.url("/see")), &both).await.expect("it").body[..],
        b"end"
    );
    let sent = last(&server);
    assert!(
        sent.starts_with("get /end ")
            && !sent.contains("idempotency-key")
            && !sent.contains("hello"),
        "{sent}"
    );
    assert_eq!(
        &send(request("POST", &server.url("/again")), &both).await.expect("it").body[..],
        b"end"
    );
    let sent = last(&server);
    assert!(
        sent.starts_with("post /end ")
            && sent.contains("idempotency-key: k-1")
            && sent.contains("hello"),
        "{sent}"
    );

    let seen = other.requests().len();
    for (method, path, told) in [
        ("GET", "/metadata", "can't be granted"),
        ("GET", "/file", "no http or https URL"),
        ("GET", "/account", "without an account"),
        ("GET", "/loop", "more than 5 times"),
    ] {
        match send(request(method, &server.url(path)), &both).await {
            Err(HttpError::Denied(why)) => assert!(why.contains(told), "{path}: {why}"),
            other => panic!("{path} is not denied: {other:?}"),
        }
    }
    match send(request("GET", &server.url("/other")), &here()).await {
        Err(HttpError::Denied(why)) => assert!(why.contains("localhost"), "{why}"),
        other => panic!("it is not denied: {other:?}"),
    }
    // Whatever becomes of the redirect, the first request was sent.
    for (path, reach) in [("/away", &both), ("/metadata", &both), ("/other", &here())] {
        let error = send(request("POST", &server.url(path)), reach).await;
        assert!(matches!(error, Err(HttpError::MaybeSent(_))), "{path}: {error:?}");
    }
    assert_eq!(other.requests().len(), seen);
}
