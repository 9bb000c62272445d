//! One record over the bare protocol (Produce, version 3): clients of today refuse to send header names that are not
//! UTF-8, which others may have sent.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// Produces a record into partition 0, which this broker must lead.
pub fn produce(broker: &str, topic: &str, key: &[u8], value: &[u8], headers: &[(&[u8], &[u8])]) {
    let batch = batch(&record(key, value, headers));
    let mut request = Vec::new();
    request.extend(0_i16.to_be_bytes()); // Produce
    request.extend(3_i16.to_be_bytes()); // version
    request.extend(1_i32.to_be_bytes()); // correlation
    request.extend((-1_i16).to_be_bytes()); // no client id
    request.extend((-1_i16).to_be_bytes()); // no transaction
    request.extend((-1_i16).to_be_bytes()); // acks=all
    request.extend(10_000_i32.to_be_bytes()); // timeout
    request.extend(1_i32.to_be_bytes()); // topics
    request.extend((topic.len() as i16).to_be_bytes());
    request.extend(topic.as_bytes());
    request.extend(1_i32.to_be_bytes()); // partitions
    request.extend(0_i32.to_be_bytes());
    request.extend((batch.len() as i32).to_be_bytes());
    request.extend(batch);
    let mut stream = TcpStream::connect(broker).expect("a broker");
    stream.write_all(&(request.len() as i32).to_be_bytes()).expect("a length");
    stream.write_all(&request).expect("a request");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("an answer");
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).expect("an answer");
    // Correlation, topics, name, partitions, partition: then the error.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(answer[at..at + 2], [0, 0], "the broker refuses the record");
}

fn varint(into: &mut Vec<u8>, value: i64) {
    let mut rest = (value << 1) ^ (value >> 63);
    while rest >= 0x80 {
        into.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    into.push(rest as u8);
}

fn bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    varint(into, bytes.len() as i64);
    into.extend(bytes);
}

fn record(key: &[u8], value: &[u8], headers: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut body = vec![0, 0, 0]; // attributes, timestamp delta, offset delta
    bytes(&mut body, key);
    bytes(&mut body, value);
    varint(&mut body, headers.len() as i64);
    for (name, value) in headers {
        bytes(&mut body, name);
        bytes(&mut body, value);
    }
    let mut record = Vec::new();
    bytes(&mut record, &body);
    record
}

fn batch(record: &[u8]) -> Vec<u8> {
    let mut checked = Vec::new();
    checked.extend(0_i16.to_be_bytes()); // attributes
    checked.extend(0_i32.to_be_bytes()); // last offset delta
    checked.extend(1_700_000_000_000_i64.to_be_bytes()); // first timestamp
    checked.extend(1_700_000_000_000_i64.to_be_bytes()); // last timestamp
    checked.extend((-1_i64).to_be_bytes()); // producer id
    checked.extend((-1_i16).to_be_bytes()); // producer epoch
    checked.extend((-1_i32).to_be_bytes()); // sequence
    checked.extend(1_i32.to_be_bytes()); // records
    checked.extend(record);
    let mut batch = 0_i64.to_be_bytes().to_vec(); // base offset
    batch.extend((checked.len() as i32 + 9).to_be_bytes());
    batch.extend((-1_i32).to_be_bytes()); // leader epoch
    batch.push(2); // magic
    batch.extend(crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    batch
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    })
}
