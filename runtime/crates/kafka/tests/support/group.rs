//! What the broker says of a consumer group.

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    groups::GroupInfo,
};

use super::BOUND;

/// A member of a group, and how many partitions are its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    pub partitions: u32,
}

/// The members of a group, ordered by their ids; none while they are being given their partitions.
pub fn members(bootstrap: &str, group: &str) -> Vec<Member> {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("a client");
    let groups = client.client().fetch_group_list(Some(group), BOUND).expect("the broker answers");
    let stable = groups.groups().iter().filter(|group| group.state() == "Stable");
    let mut members: Vec<Member> = stable
        .flat_map(GroupInfo::members)
        .map(|member| Member {
            id: member.id().to_owned(),
            partitions: partitions(member.assignment().unwrap_or_default()),
        })
        .collect();
    members.sort_by(|a, b| a.id.cmp(&b.id));
    members
}

/// How many of a topic's records a group has yet to commit, as tools show it.
pub fn lag(bootstrap: &str, group: &str, topic: &str) -> i64 {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .create()
        .expect("a client");
    let metadata = client.fetch_metadata(Some(topic), BOUND).expect("the broker answers");
    let mut all = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        all.add_partition(topic, partition.id());
    }
    let committed = client.committed_offsets(all, BOUND).expect("the broker answers");
    let behind = committed.elements().into_iter().map(|element| {
        let ends = client.fetch_watermarks(topic, element.partition(), BOUND);
        let (_, end) = ends.expect("the broker answers");
        match element.offset() {
            Offset::Offset(next) => {
                assert!(next <= end, "the group is past the end: {next} of {end}");
                end - next
            }
            _ => end,
        }
    });
    behind.sum()
}

/// Counts an assignment of the consumer protocol: version, topics, of each its name and its partitions.
fn partitions(mut assignment: &[u8]) -> u32 {
    fn number<const N: usize>(from: &mut &[u8]) -> u32 {
        let (bytes, rest) = from.split_first_chunk::<N>().expect("a number");
        *from = rest;
        bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
    }
    if assignment.is_empty() {
        return 0;
    }
    number::<2>(&mut assignment);
    let topics = number::<4>(&mut assignment);
    (0..topics)
        .map(|_| {
            let name = number::<2>(&mut assignment) as usize;
            assignment = &assignment[name..];
            let partitions = number::<4>(&mut assignment);
            assignment = &assignment[4 * partitions as usize..];
            partitions
        })
        .sum()
}
