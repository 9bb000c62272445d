//! Plain clients of a broker, without tables: what the relay and the consumer are measured against.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{Header, Headers, OwnedHeaders},
    metadata::MetadataTopic,
    producer::{BaseProducer, BaseRecord, Producer as _},
    types::RDKafkaErrorCode,
};

use crate::ClientOptions;

const PATIENCE: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(10);

/// A record of a measurement.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// The value of its only header, `message-id`.
    pub message_id: String,
}

/// Makes a topic with so many partitions, of one replica.
pub async fn make_topic(
    client: &ClientOptions,
    topic: &str,
    partitions: i32,
) -> Result<(), KafkaError> {
    let admin: AdminClient<DefaultClientContext> = client.consumer("admin").create()?;
    let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let made = admin.create_topics([&topic], &AdminOptions::new()).await?;
    made.into_iter()
        .try_for_each(|made| made.map(drop).map_err(|(_, code)| KafkaError::AdminOp(code)))
}

/// Has librdkafka's producer send the records, set up as the relay's is; returns when all are acknowledged.
pub fn produce(client: &ClientOptions, topic: &str, records: &[Record]) -> Result<(), KafkaError> {
    let config =
        client.producer(PATIENCE).map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
    let producer: BaseProducer = config.create()?;
    for record in records {
        let id = Header { key: "message-id", value: Some(&record.message_id) };
        let mut sent = BaseRecord::to(topic)
            .key(&record.key)
            .payload(&record.value)
            .headers(OwnedHeaders::new_with_capacity(1).insert(id));
        while let Err((error, back)) = producer.send(sent) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error);
            }
            producer.poll(TICK);
            sent = back;
        }
    }
    producer.flush(PATIENCE)
}

/// A record as it was read: bytes that are no text are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its key.
    pub key: Option<String>,
    /// Its headers, in their order.
    pub headers: Vec<(String, String)>,
    /// Its value.
    pub value: String,
    /// Where it was.
    pub partition: i32,
}

/// Reads a topic from its start or from its end.
pub struct Reader(BaseConsumer);

impl Reader {
    /// A reader of all partitions there are now; it reads once it was polled.
    pub fn new(client: &ClientOptions, topic: &str, place: Place) -> Result<Self, KafkaError> {
        let mut config: ClientConfig = client.consumer("reader");
        config.set("fetch.wait.max.ms", "5000");
        let consumer: BaseConsumer = config.create()?;
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
        let mut all = TopicPartitionList::new();
        for partition in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
            let (start, end) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE)?;
            let offset = if place == Place::Start { start } else { end };
            all.add_partition_offset(topic, partition.id(), Offset::Offset(offset))?;
        }
        consumer.assign(&all)?;
        Ok(Self(consumer))
    }

    /// The value of the next record, and when it came; nothing where none does within a moment.
    pub fn next(&self) -> Result<Option<(Vec<u8>, Instant)>, KafkaError> {
        let Some(record) = self.0.poll(TICK) else { return Ok(None) };
        let came = Instant::now();
        Ok(Some((record?.payload().unwrap_or_default().to_vec(), came)))
    }

    /// All of the next record; nothing where none comes within a moment.
    pub fn next_whole(&self) -> Result<Option<Seen>, KafkaError> {
        let Some(record) = self.0.poll(TICK) else { return Ok(None) };
        let record = record?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = record.headers().into_iter().flat_map(Headers::iter);
        let header = |header: Header<'_, &[u8]>| {
            (header.key.to_owned(), text(header.value.unwrap_or_default()))
        };
        Ok(Some(Seen {
            key: record.key().map(text),
            headers: headers.map(header).collect(),
            value: text(record.payload().unwrap_or_default()),
            partition: record.partition(),
        }))
    }
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the first record there is.
    Start,
    /// After the last.
    End,
}
