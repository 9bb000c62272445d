//! Messages in the application's own transaction.

use wasaga_client::{
    Client, EmitError, MessageFilter, NewMessage, add,
    sqlx::{self, Connection as _, PgConnection},
};
use wasaga_store::testing::database;

use crate::order;

#[tokio::test]
async fn a_message_goes_with_the_applications_commit() {
    let database = database().await;
    let client = Client::new(database.store.clone());
    // A role that may do nothing else with wasaga.
    let url = database.application("wasaga.emit_many").await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("create table shop.orders (order_id text)").execute(&mut connection).await.unwrap();
    for commit in [false, true] {
        let mut transaction = connection.begin().await.unwrap();
        sqlx::query("insert into shop.orders values ('o-1')")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let message = order(1)
            .header("tenant", "acme")
            .idempotency_key("place o-1")
            .aggregate_id("o-1")
            .event_type("order.placed")
            .cloud_event("/shop")
            .max_attempts(3)
            .rollback(NewMessage::to("orders.lost").key("o-1"));
        let id = add(&mut transaction, &message).await.unwrap();
        assert_eq!(add(&mut transaction, &message).await.unwrap(), id, "the second is the first");
        if commit {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        assert_eq!(client.message(id).await.unwrap().is_some(), commit);
    }
    let filter = MessageFilter { aggregate_id: Some("o-1".into()), ..MessageFilter::default() };
    let found = client.find(&filter, None, 10).await.unwrap().messages;
    let [message] = &found[..] else { panic!("{found:?}") };
    let whole = client.message(message.id).await.unwrap().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&whole.value.unwrap()).unwrap();
    assert_eq!(value, serde_json::json!({ "order_id": "o-1", "cents": 100 }));
    assert_eq!(message.event_type.as_deref(), Some("order.placed"));
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_says_why() {
    let database = database().await;
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let no_topic = add(&mut connection, &NewMessage::to("no topic")).await.unwrap_err();
    assert!(matches!(&no_topic, EmitError::Invalid(why) if why.contains("249")), "{no_topic}");
    let no_type = add(&mut connection, &order(1).cloud_event("/shop")).await.unwrap_err();
    assert!(matches!(&no_type, EmitError::Invalid(why) if why.contains("event_type")), "{no_type}");
    let once = || order(1).idempotency_key("once");
    add(&mut connection, &once()).await.unwrap();
    let other = add(&mut connection, &once().key("o-2")).await.unwrap_err();
    assert!(matches!(&other, EmitError::KeyTaken(why) if why.contains("once")), "{other}");
}
