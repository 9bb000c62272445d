//! What the inbox is held against: librdkafka's own consumer, and the inserts without anything else.

use std::time::Instant;

use anyhow::Result;
use tokio::task::spawn_blocking;
use wasaga_kafka::{
    ClientOptions, ConsumerOptions,
    testing::{Place, Reader, Record},
};
use wasaga_store::{
    headers, lanes,
    task_in_insert::{Move, NewTaskIn},
    testing::database_on,
};

use super::Topic;

/// Records a second of librdkafka's consumer.
pub async fn kafka(client: &ClientOptions, topic: &Topic) -> Result<f64> {
    let (reader, records) = (Reader::new(client, &topic.name, Place::Start)?, topic.records.len());
    let took = spawn_blocking(move || {
        let begun = Instant::now();
        let mut came = 0;
        while came < records {
            came += usize::from(reader.next()?.is_some());
        }
        anyhow::Ok(begun.elapsed())
    });
    Ok(records as f64 / took.await??.as_secs_f64())
}

/// Records a second that become tasks, batch by batch, as the consumer stores them.
pub async fn sql(server: &str, Topic { name: topic, records }: &Topic) -> Result<f64> {
    let database = database_on(server.to_owned()).await;
    let options = ConsumerOptions::default();
    let task = |(offset, record): (i64, &Record)| NewTaskIn {
        lane: lanes::lane(topic, 0, Some(&record.key), offset, options.lanes),
        topic: topic.clone(),
        partition: 0,
        offset,
        key: Some(record.key.clone()),
        headers: headers::to_json(&[]),
        value: Some(record.value.clone()),
        message_id: Some(record.message_id.clone()),
        produced_at: None,
        refused: None,
    };
    let tasks: Vec<NewTaskIn> = (0..).zip(records).map(task).collect();
    let begun = Instant::now();
    let mut expected = None;
    for batch in tasks.chunks(options.batch) {
        let next = expected.unwrap_or(0) + batch.len() as i64;
        let step = Move { topic: topic.clone(), partition: 0, expected, next };
        database.store.task_in_insert("bench", &[step], batch).await?;
        expected = Some(next);
    }
    Ok(records.len() as f64 / begun.elapsed().as_secs_f64())
}
