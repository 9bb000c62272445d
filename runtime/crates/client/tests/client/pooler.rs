//! The client, and applications beside it, behind `PgBouncer` in transaction mode.

use tokio::{task::JoinSet, time::timeout};
use wasaga_client::{
    Client, MessageFilter, PublishError, Published, RelayOptions, Store, StoreOptions, add,
    sqlx::{self, postgres::PgPoolOptions},
};
use wasaga_kafka::DevBroker;
use wasaga_services::PgBouncer;
use wasaga_store::{
    testing::{TestDatabase, database},
    testing_sql::Session,
};

use crate::{BOUND, kafka, order, published};

/// A pooler with fewer connections than anybody here has.
fn pooler(database: &TestDatabase) -> PgBouncer {
    PgBouncer::start(&database.url, 2).unwrap()
}

fn client(database: &TestDatabase, pooler: &PgBouncer) -> Client {
    let url = pooler.url(&database.url).unwrap();
    let options = StoreOptions { pgbouncer: true, ..StoreOptions::new(url) };
    Client::new(Store::new(options).unwrap())
}

/// The ids of all messages, read page by page, the oldest first.
async fn found(client: &Client) -> Vec<i64> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = client.find(&MessageFilter::default(), after, 7).await.unwrap();
        ids.extend(page.messages.iter().map(|message| message.id));
        after = page.next;
        if after.is_none() {
            ids.reverse();
            return ids;
        }
    }
}

#[tokio::test]
async fn messages_go_with_an_applications_commits() {
    let database = database().await;
    let pooler = pooler(&database);
    let application = database.application("wasaga.emit, wasaga.emit_many").await;
    Session::open(&application).await.run("create table shop.orders (order_id text)").await;
    let url = pooler.url(&application).unwrap() + "?statement-cache-capacity=0";
    let pool = PgPoolOptions::new().max_connections(8).connect_lazy(&url).unwrap();
    let mut placing = JoinSet::new();
    for n in 0..40 {
        let (pool, commit) = (pool.clone(), n % 4 != 0);
        placing.spawn(async move {
            let mut transaction = pool.begin_with("begin; deallocate all").await.unwrap();
            sqlx::query("insert into shop.orders values ($1)")
                .bind(format!("o-{n}"))
                .execute(&mut *transaction)
                .await
                .unwrap();
            let added = add(&mut transaction, &order(n)).await.unwrap();
            let emitted: i64 =
                sqlx::query_scalar("select wasaga.emit('orders', $1, idempotency_key => $2)")
                    .bind(format!("o-{n}"))
                    .bind(format!("place o-{n}"))
                    .fetch_one(&mut *transaction)
                    .await
                    .unwrap();
            if commit {
                transaction.commit().await.unwrap();
            } else {
                transaction.rollback().await.unwrap();
            }
            ([emitted, added], commit)
        });
    }
    let placed = timeout(BOUND, placing.join_all()).await.unwrap();
    let committed = placed.into_iter().filter(|(_, commit)| *commit);
    let mut committed: Vec<_> = committed.flat_map(|(ids, _)| ids).collect();
    committed.sort_unstable();
    assert_eq!(committed.len(), 60);
    assert_eq!(found(&client(&database, &pooler)).await, committed);
    let orders = "select count(*) from shop.orders";
    assert_eq!(Session::open(&application).await.number(orders).await, 30);
}

#[tokio::test]
async fn messages_are_published_first_or_by_a_relay() {
    let database = database().await;
    let (pooler, broker) = (pooler(&database), DevBroker::start().unwrap());
    let client = kafka(client(&database, &pooler), broker.bootstrap());
    let mut publishing = JoinSet::new();
    for n in 0..20 {
        let client = client.clone();
        publishing.spawn(async move {
            let message = order(n).idempotency_key(format!("place o-{n}"));
            let first = client.publish(&message).await.unwrap();
            (first, client.publish(&message).await.unwrap())
        });
    }
    let mut ids = Vec::new();
    for answers in timeout(BOUND, publishing.join_all()).await.unwrap() {
        let (
            Published::Published { id, .. } | Published::Stored { id },
            Published::Known { id: known },
        ) = answers
        else {
            panic!("{answers:?}")
        };
        assert_eq!(known, id);
        ids.push(id);
    }
    // Nobody else is under way.
    let alone = client.publish(&order(20)).await.unwrap();
    let Published::Published { id, .. } = alone else { panic!("{alone:?}") };
    ids.push(id);
    ids.sort_unstable();
    assert_eq!(found(&client).await, ids);

    ids.push(client.write(&order(21)).await.unwrap());
    let relay = client.start_relay(RelayOptions::default()).await.unwrap();
    for id in ids {
        published(&client, id).await;
    }
    timeout(BOUND, relay.stop()).await.unwrap();
    let mut sql = Session::open(&database.url).await;
    assert_eq!(sql.number("select count(*) from wasaga.hosts").await, 0, "no lease is left");
}

#[tokio::test]
async fn a_message_that_is_refused_gives_its_connection_back() {
    let database = database().await;
    let (pooler, broker) = (pooler(&database), DevBroker::start().unwrap());
    let client = kafka(client(&database, &pooler), broker.bootstrap());
    let too_large = order(1).bytes(vec![b'x'; 2_000_000]);
    for _ in 0..5 {
        let refused = timeout(BOUND, client.publish(&too_large)).await.unwrap();
        assert!(matches!(refused, Err(PublishError::Refused(_))), "{refused:?}");
    }
    let written = timeout(BOUND, client.write(&order(2))).await.unwrap().unwrap();
    assert_eq!(found(&client).await, [written]);
}
