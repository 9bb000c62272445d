//! Topics that a real broker does not have. It would make them, but for a relay that asks it not to.

mod support;

use std::time::Duration;

use support::{World, broker, by_key, client, read, topic};
use wasaga_kafka::{ClientOptions, RelayOptions, testing::make_topic};

const WAITING: &str = "task_out where status = 'wait'";
const REFUSED: &str = "task_out where attempts > 0";

fn strict(broker: &str) -> ClientOptions {
    client(
        broker,
        &[
            ("producer.allow.auto.create.topics", "false"),
            // For so long a new topic may be unknown to some of the brokers.
            ("producer.topic.metadata.propagation.max.ms", "500"),
        ],
    )
}

fn quick() -> RelayOptions {
    RelayOptions { sweep: Duration::from_millis(100), ..RelayOptions::default() }
}

async fn emit(world: &mut World, parameters: &str) {
    world.sql.run(&format!("select wasaga.emit({parameters})")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_an_unknown_topic_is_given_up_with_the_reason() {
    let mut world = World::new().await;
    let (broker, known, unknown) = (broker(), topic("known"), topic("unknown"));
    let client = strict(&broker);
    make_topic(&client, &known, 1).await.expect("it is made");
    let rollback = format!("{{\"topic\": \"{known}\", \"key\": \"k\", \"payload\": \"undone\"}}");
    let message = format!("'{unknown}', 'k', '1', max_attempts => 3, rollback => '{rollback}'");
    emit(&mut world, &message).await;
    let relay = world.relay(&client, quick());
    wait_until!("its rollback is published", world.count(WAITING).await == 0);
    relay.stop().await;
    assert_eq!(by_key(&read(&broker, &known, 1))["k"], ["\"undone\""]);
    let letter = "select concat_ws(' ', topic, attempts, reason ->> 'code', reason ->> 'message')
        from wasaga.dead_letter_out";
    let letter = world.sql.texts(letter).await.remove(0).expect("it is text");
    assert!(letter.starts_with(&format!("{unknown} 3 kafka-unknown-topic")), "{letter}");
    assert!(letter.contains("Unknown topic"), "{letter}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_late_gets_its_messages_in_order_and_holds_up_no_other() {
    let mut world = World::new().await;
    let (broker, known, late) = (broker(), topic("known"), topic("late"));
    let client = strict(&broker);
    make_topic(&client, &known, 1).await.expect("it is made");
    for value in ["1", "2"] {
        emit(&mut world, &format!("'{late}', 'k', '{value}', max_attempts => 1000")).await;
    }
    let relay = world.relay(&client, quick());
    wait_until!("the first is refused", world.count(REFUSED).await == 1);
    emit(&mut world, &format!("'{known}', 'k', '3'")).await;
    wait_until!("the other topic goes on", world.count(WAITING).await == 2);
    make_topic(&client, &late, 1).await.expect("it is made");
    wait_until!("all are published", world.count(WAITING).await == 0);
    relay.stop().await;
    assert_eq!(by_key(&read(&broker, &late, 2))["k"], ["1", "2"]);
    assert_eq!(by_key(&read(&broker, &known, 1))["k"], ["3"]);
    assert_eq!(world.count("dead_letter_out").await, 0);
}
