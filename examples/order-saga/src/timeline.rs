//! A saga's history, printed as it grows.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::Client;
use serde_json::Value;
use tokio::time;

const POLL: Duration = Duration::from_millis(50);

/// Follows one saga.
pub struct Timeline {
    client: Client,
    saga: String,
    name: &'static str,
    printed: usize,
}

impl Timeline {
    /// Of the saga of this id on the host at this url.
    pub fn new(client: Client, url: &str, saga: &str, name: &'static str) -> Self {
        Self { client, saga: format!("{url}/api/v1/sagas/{saga}"), name, printed: 0 }
    }

    /// Prints each entry of the history as it comes, and returns the status in which the saga ended.
    pub async fn follow(mut self, patience: Duration) -> Result<String> {
        let end = Instant::now() + patience;
        loop {
            // The status first: whatever led to it is in the history then.
            let status = self.get("").await?["status"].as_str().unwrap_or_default().to_owned();
            let history = self.get("/history").await?;
            let events = history["events"].as_array().context("the history has events")?;
            for event in &events[self.printed..] {
                self.print(event);
            }
            self.printed = events.len();
            if matches!(&*status, "completed" | "compensated" | "failed" | "needs_attention") {
                return Ok(status);
            }
            if Instant::now() > end {
                bail!(
                    "{} is still {status} after {} s: {}",
                    self.name,
                    patience.as_secs(),
                    self.saga
                );
            }
            time::sleep(POLL).await;
        }
    }

    async fn get(&self, of: &str) -> Result<Value> {
        let response = self.client.get(format!("{}{of}", self.saga)).send().await?;
        Ok(response.error_for_status()?.json().await?)
    }

    fn print(&self, event: &Value) {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        let time = text("at").split('T').nth(1).unwrap_or_default();
        let undo =
            if text("direction") == "undo" && !text("step").is_empty() { "undo " } else { "" };
        let step = format!("{undo}{}", text("step"));
        let why = event["error"]["message"].as_str().map(|why| format!(": {why}"));
        println!(
            "{:<22}{time:<14} {step:<26}{}{}",
            self.name,
            text("kind"),
            why.unwrap_or_default()
        );
    }
}
