//! Writes that were begun: the handle, the callback, and who waits for them.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use wasaga_client::{
    Client, EmitError, MemoryOutbox, MessageFilter, NewMessage, Store, StoreOptions,
};
use wasaga_store::testing::database;

use crate::order;

#[tokio::test]
async fn a_handle_tells_what_became_of_a_write() {
    let database = database().await;
    for client in [Client::new(database.store.clone()), Client::new(MemoryOutbox::default())] {
        let (first, second) = (client.write_async(order(1)), client.write_async(order(2)));
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        assert_ne!(first, second);
        assert!(client.message(first).await.unwrap().is_some());
        let refused = client.write_async(NewMessage::to("no topic")).await;
        assert!(matches!(refused, Err(EmitError::Invalid(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn an_early_error_reaches_the_callback() {
    let client = Client::new(MemoryOutbox::default());
    let (tell, told) = mpsc::channel();
    for message in [order(1), NewMessage::to("no topic")] {
        let tell = tell.clone();
        client.write_then(message, move |written| tell.send(written).unwrap());
    }
    client.close().await;
    let (written, refused): (Vec<_>, Vec<_>) = told.try_iter().partition(Result::is_ok);
    assert_eq!(written.len(), 1);
    assert!(matches!(&refused[..], [Err(EmitError::Invalid(why))] if why.contains("no topic")));
}

#[tokio::test]
async fn a_write_returns_at_once_also_while_the_database_is_away() {
    let url = "postgres://nobody@127.0.0.1:1/none";
    let acquire_timeout = Duration::from_millis(300);
    let store = Store::new(StoreOptions { acquire_timeout, ..StoreOptions::new(url) }).unwrap();
    let client = Client::new(store);
    let began = Instant::now();
    let write = client.write_async(order(1));
    assert!(!write.is_finished() && began.elapsed() < acquire_timeout);
    let failed = write.await.unwrap_err();
    assert!(matches!(&failed, EmitError::Store(error) if error.is_transient()), "{failed}");
}

#[tokio::test]
async fn close_waits_for_what_was_begun() {
    let database = database().await;
    let client = Client::new(database.store.clone());
    for n in 0..50 {
        client.write_then(order(n), |written| {
            written.unwrap();
        });
    }
    client.close().await;
    let all = client.find(&MessageFilter::default(), None, 100).await.unwrap();
    assert_eq!(all.messages.len(), 50);
}

#[tokio::test]
async fn no_more_writes_than_there_is_room_for_are_begun() {
    let url = "postgres://nobody@127.0.0.1:1/none";
    let acquire_timeout = Duration::from_secs(2);
    let store = Store::new(StoreOptions { acquire_timeout, ..StoreOptions::new(url) }).unwrap();
    let client = Client::new(store);
    let _writes: Vec<_> = (0..10_000).map(|n| client.write_async(order(n))).collect();
    let refused = client.write_async(order(0)).await;
    assert!(matches!(refused, Err(EmitError::Busy(10_000))), "{refused:?}");
}
