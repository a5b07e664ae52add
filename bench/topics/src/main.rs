//! Makes topics, and counts what is in their log: `bench-topics create SERVERS PARTITIONS REPLICAS
//! TOPIC…`, `bench-topics count SERVERS TOPIC…`, `bench-topics delete SERVERS TOPIC…`.

use std::error::Error;
use std::time::Duration;

use ottla::admin::{Admin, NewTopic};

const TIMEOUT: Duration = Duration::from_secs(60);
const USAGE: &str = "usage: bench-topics create SERVERS PARTITIONS REPLICAS TOPIC…
       bench-topics count SERVERS TOPIC…
       bench-topics delete SERVERS TOPIC…";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["create", servers, partitions, replicas, topics @ ..] => {
            create(servers, partitions.parse()?, replicas.parse()?, topics).await
        }
        ["count", servers, topics @ ..] => {
            println!("{}", count(servers, topics).await?);
            Ok(())
        }
        ["delete", servers, topics @ ..] => {
            let mut admin = Admin::connect(servers, TIMEOUT).await?;
            for topic in topics {
                admin.delete_topic(topic).await?;
            }
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

/// Makes the topics, and waits until each partition has a leader that answers: a first record
/// should not have to wait for an election.
async fn create(
    servers: &str,
    partitions: i32,
    replicas: i16,
    topics: &[&str],
) -> Result<(), Box<dyn Error>> {
    let mut admin = Admin::connect(servers, TIMEOUT).await?;
    for topic in topics {
        let topic = NewTopic::new(*topic).partitions(partitions).replication(replicas);
        admin.create_topic(&topic).await?;
    }
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    for topic in topics {
        while let Err(why) = count(servers, &[topic]).await {
            if tokio::time::Instant::now() > deadline {
                return Err(format!("{topic} has no leaders yet: {why}").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// How many records came into the topics, which begin with offset 0: the sum of the end offsets. A
/// broker that discards what it counts begins each log where it ends.
async fn count(servers: &str, topics: &[&str]) -> Result<i64, Box<dyn Error>> {
    let mut admin = Admin::connect(servers, TIMEOUT).await?;
    let mut sum = 0;
    for topic in topics {
        for partition in admin.describe_topic(topic).await?.partitions {
            let Some(next) = partition.latest_offset else {
                let number = partition.partition;
                return Err(format!("no end offset for partition {number} of {topic}").into());
            };
            sum += next;
        }
    }
    Ok(sum)
}
