//! What is sent.

use uuid::Uuid;
use wasaga_kafka::testing::Record;

/// Records with so many keys, each with a value of so many bytes, a multiple of 32, that does not compress well.
pub fn records(count: usize, keys: usize, bytes: usize) -> Vec<Record> {
    let hex = || Uuid::new_v4().simple().to_string();
    let record = |n: usize| Record {
        key: format!("key-{}", n % keys).into_bytes(),
        value: (0..bytes / 32).map(|_| hex()).collect::<String>().into_bytes(),
        message_id: Uuid::new_v4().to_string(),
    };
    (0..count).map(record).collect()
}
