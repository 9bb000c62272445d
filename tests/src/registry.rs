//! A schema registry of a test's own, as Confluent's HTTP interface has it.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use wasaga_services::free_port;

/// `reader:hush`, whom alone it answers.
const ACCOUNT: &str = "Basic cmVhZGVyOmh1c2g=";

/// A registry. Nothing is at its place until it is started; dropped, it ends.
pub struct Registry {
    port: u16,
    shared: Arc<Shared>,
    serves: Option<JoinHandle<()>>,
}

struct Shared {
    schemas: BTreeMap<u32, Value>,
    asked: AtomicUsize,
}

impl Registry {
    /// A registry of these schemas, by number, each with its type: AVRO, PROTOBUF or JSON.
    pub fn new(schemas: &[(u32, &str, &str)]) -> Self {
        let schema = |(number, kind, schema): &(u32, &str, &str)| {
            (*number, json!({"schemaType": kind, "schema": schema}))
        };
        let schemas = schemas.iter().map(schema).collect();
        let shared = Arc::new(Shared { schemas, asked: AtomicUsize::new(0) });
        Self { port: free_port().expect("a port is free"), shared, serves: None }
    }

    /// Where it is, or will be.
    pub fn url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// The port of 127.0.0.1 at which it is, or will be.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it.
    pub async fn start(&mut self) {
        let app = Router::new().route("/schemas/ids/{number}", get(schema));
        let app = app.with_state(self.shared.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await;
        let listener = listener.expect("the port is still free");
        self.serves = Some(tokio::spawn(async move {
            axum::serve(listener, app).await.expect("it serves until it is ended");
        }));
    }

    /// How often it was asked for a schema.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(serves) = &self.serves {
            serves.abort();
        }
    }
}

async fn schema(
    State(shared): State<Arc<Shared>>,
    Path(number): Path<u32>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    shared.asked.fetch_add(1, Ordering::Relaxed);
    if headers.get("authorization").is_none_or(|account| account != ACCOUNT) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error_code": 401})));
    }
    match shared.schemas.get(&number) {
        Some(schema) => (StatusCode::OK, Json(schema.clone())),
        None => (StatusCode::NOT_FOUND, Json(json!({"error_code": 40403}))),
    }
}
