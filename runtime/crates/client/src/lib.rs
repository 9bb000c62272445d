//! The outbox for applications in Rust: messages to Kafka in the application's own transactions, and a relay that
//! publishes them, without the rest of a host.
//!
//! ```no_run
//! # use serde::Serialize;
//! use wasaga_client::{NewMessage, add, sqlx};
//!
//! # #[derive(Serialize)]
//! # struct Order { cents: i64 }
//! # async fn place(pool: sqlx::PgPool, order: Order) -> anyhow::Result<()> {
//! let mut transaction = pool.begin().await?;
//! sqlx::query("insert into shop.orders (order_id, cents) values ('o-1', $1)")
//!     .bind(order.cents)
//!     .execute(&mut *transaction)
//!     .await?;
//! let message = NewMessage::to("orders.placed")
//!     .key("o-1")
//!     .json(&order)?
//!     .idempotency_key("place o-1");
//! add(&mut transaction, &message).await?;
//! transaction.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! `add` needs no right but `grant execute on function wasaga.emit_many`. All else of a [`Client`] is for the owner of
//! the schema `wasaga`, or works on a [`MemoryOutbox`], without a database:
//!
//! ```
//! # use wasaga_client::{Client, MemoryOutbox, MessageFilter, NewMessage};
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # runtime.block_on(async {
//! let client = Client::new(MemoryOutbox::default());
//! let id = client.write(&NewMessage::to("orders.placed").key("o-1")).await?;
//! let filter = MessageFilter { topic: Some("orders.placed".into()), ..MessageFilter::default() };
//! let page = client.find(&filter, None, 50).await?;
//! assert_eq!(page.messages[0].id, id);
//! # anyhow::Ok(())
//! # })?;
//! # anyhow::Ok(())
//! ```
//!
//! Behind a pooler in transaction mode a [`Store`] is told of it, and the application's own sqlx names no statement that
//! another transaction may find:
//!
//! ```no_run
//! # use wasaga_client::{Client, NewMessage, Store, StoreOptions, add, sqlx::PgPool};
//! # async fn place(message: &NewMessage) -> anyhow::Result<()> {
//! let url = "postgres://wasaga:secret@pgbouncer:6432/wasaga";
//! let client = Client::new(Store::new(StoreOptions { pgbouncer: true, ..StoreOptions::new(url) })?);
//!
//! let pool = PgPool::connect("postgres://shop:secret@pgbouncer:6432/wasaga?statement-cache-capacity=0").await?;
//! let mut transaction = pool.begin_with("begin; deallocate all").await?;
//! add(&mut transaction, message).await?;
//! transaction.commit().await?;
//! # Ok(())
//! # }
//! ```

mod client;
pub mod port;
mod relay;
mod write;

pub use client::{Client, add, add_many};
pub use relay::{Relay, RelayError};
pub use write::Write;

pub use wasaga_domain::{
    message_search::{MessageFilter, TaskStatus},
    retry::RetryPolicy,
};
pub use wasaga_kafka::{
    BrokerHealth, ClientOptions, ConfigError, PublisherOptions, RelayOptions, TokenSource,
};
/// The sqlx whose transactions [`add`] takes.
pub use wasaga_store::sqlx;
pub use wasaga_store::{
    Outbox, Store, StoreError, StoreOptions,
    emit::{EmitError, NewMessage, RollbackMessage},
    outbox_find::{FoundMessage, FoundMessages, WholeMessage},
    outbox_memory::MemoryOutbox,
    publish_first::{PublishError, Published},
};
