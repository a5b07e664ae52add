//! Five lines of producing: `cargo run --example hello -- localhost:9092`.

use std::time::Duration;

use ottla::{Producer, Record};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "localhost:9092".into());
    let producer = Producer::from_properties([("bootstrap.servers", servers)])?;
    let record = Record::new("user-events").key("amara-1000").value(r#"{"action":"signed_in"}"#);
    let delivered = producer.send(record).await?.await?;
    println!("{}-{} at offset {:?}", delivered.topic, delivered.partition, delivered.offset);
    producer.close(Duration::from_secs(10)).await;
    Ok(())
}
