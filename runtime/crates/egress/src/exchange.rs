//! One request and its answer, in time.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};
use wasaga_domain::{
    http::{HttpError, HttpResponse},
    message::Header,
};

use crate::{Egress, hop::Hop};

impl Egress {
    /// Sends what the hop is about to the host it names.
    pub(crate) async fn exchange(
        &self,
        hop: &Hop,
        private: bool,
        until: Instant,
        most_bytes: usize,
    ) -> Result<HttpResponse, HttpError> {
        let request = hop.request()?;
        let place = hop.place();
        let connected = timeout_at(until, self.connect(&hop.url, private)).await;
        let late = |_| HttpError::NotSent(format!("{place}: no connection in time"));
        let mut sender = connected.map_err(late)??;
        let answered = async {
            let sent = sender.try_send_request(request).await;
            let answer = sent.map_err(|mut failed| {
                let why = format!("{place}: {}", causes(failed.error()));
                // What is handed back was not begun.
                match failed.take_message() {
                    Some(_) => HttpError::NotSent(why),
                    None => HttpError::MaybeSent(why),
                }
            })?;
            let (parts, body) = answer.into_parts();
            let body = read(body, most_bytes).await.map_err(|failed| match failed {
                Unread::TooLarge => HttpError::TooLarge(most_bytes),
                Unread::Broken(error) => {
                    HttpError::MaybeSent(format!("{place}: the answer's body: {}", causes(&error)))
                }
            })?;
            let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| Header {
                name: name.as_str().to_owned(),
                value: Bytes::copy_from_slice(value.as_bytes()),
            };
            let headers = parts.headers.iter().map(header).collect();
            Ok(HttpResponse { status: parts.status.as_u16(), headers, body })
        };
        let late = |_| HttpError::MaybeSent(format!("{place}: no answer in time"));
        timeout_at(until, answered).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
    }
}

enum Unread {
    TooLarge,
    Broken(hyper::Error),
}

async fn read(mut body: Incoming, most: usize) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > most as u64 {
        return Err(Unread::TooLarge);
    }
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Unread::Broken)?.into_data() else { continue };
        if all.len() + data.len() > most {
            return Err(Unread::TooLarge);
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

/// What a request carries.
pub(crate) type Content = Full<Bytes>;

/// hyper says what it did, and its causes what went wrong.
fn causes(error: &hyper::Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        said = format!("{said}: {next}");
        cause = next.source();
    }
    said
}
