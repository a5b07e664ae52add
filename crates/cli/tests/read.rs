//! `ottla read`: where it begins and ends, and that what it prints becomes the same records again.

mod support;

use std::time::Duration;

use ottla::reader::{ReadOptions, Reader};
use ottla::{Header, Producer, Record};
use support::Broker;

fn numbers(range: std::ops::Range<u32>) -> Vec<u8> {
    range.flat_map(|n| format!("{n}\n").into_bytes()).collect()
}

#[test]
fn reading_begins_where_it_is_told() {
    let broker = Broker::start(&["--topic", "t:1"]);
    broker.produce(&["-t", "t"], &numbers(0..10)).exits(0);
    let read = |offset: &str| broker.read("t", &["-o", offset]).exits(0).stdout;
    assert_eq!(read("beginning"), numbers(0..10));
    assert_eq!(read("end"), b"");
    assert_eq!(read("7"), numbers(7..10));
    assert_eq!(read("-2"), numbers(8..10));
    assert_eq!(read("-200"), numbers(0..10));
    assert_eq!(read("10"), b"");
}

#[test]
fn the_count_and_the_partition_narrow_what_is_read() {
    let broker = Broker::start(&["--topic", "t:3"]);
    for partition in ["0", "1", "2"] {
        broker.produce(&["-t", "t", "-p", partition], partition.as_bytes()).exits(0);
    }
    assert_eq!(broker.read("t", &["-p", "1"]).exits(0).text(), "1\n");
    assert_eq!(broker.read("t", &["-p", "0,2"]).exits(0).text().len(), 4);
    assert_eq!(broker.read("t", &["-c", "2"]).exits(0).text().lines().count(), 2);
    assert_eq!(broker.read("t", &[]).exits(0).text().lines().count(), 3);
}

#[test]
fn keys_are_printed_before_a_delimiter() {
    let broker = Broker::start(&["--topic", "t:1"]);
    broker.produce(&["-t", "t", "-K", ":"], b"k:v\nnone\n").exits(0);
    assert_eq!(broker.read("t", &["-K", "\\t"]).exits(0).text(), "k\tv\n\tnone\n");
}

#[test]
fn without_e_reading_goes_on_until_enough_has_come() {
    let broker = Broker::start(&["--topic", "t:2"]);
    let words = ["read", "-b", &broker.address, "-t", "t", "-c", "3"];
    let mut command = support::ottla(words);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    for partition in ["0", "1", "0"] {
        broker.produce(&["-t", "t", "-p", partition], b"x\n").exits(0);
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"x\nx\nx\n");
    assert!(output.status.success());
}

/// A record as it is in the log, but for topic and place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Content {
    partition: i32,
    timestamp_ms: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        // Knuth's MMIX constants; the low bits are poor, so the high ones are taken.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = self.next(40) as usize;
        match self.next(6) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some("{\"a\": \"b\\u0000\"}\n\t\r\u{7f}".repeat(length / 10).into_bytes()),
            3 => Some("ß🎉\u{2028}\"\\/".repeat(length / 8).into_bytes()),
            _ => Some((0..length).map(|_| self.next(256) as u8).collect()),
        }
    }

    fn content(&mut self) -> Content {
        let names = ["", "a", "näme", "a b\"", "base64"];
        let headers = (0..self.next(4)).map(|_| {
            let name = names[self.next(names.len() as u64) as usize];
            (name.as_bytes().to_vec(), self.bytes())
        });
        Content {
            headers: headers.collect(),
            partition: self.next(3) as i32,
            timestamp_ms: Some(1_700_000_000_000 + self.next(1_000_000) as i64),
            key: self.bytes(),
            value: self.bytes(),
        }
    }
}

async fn write(bootstrap: &str, topic: &str, contents: &[Content]) {
    let producer = Producer::from_properties([("bootstrap.servers", bootstrap)]).unwrap();
    for content in contents {
        let headers: Vec<Header<'_>> = content
            .headers
            .iter()
            .map(|(name, value)| Header::new(std::str::from_utf8(name).unwrap(), value.as_deref()))
            .collect();
        let record = Record {
            topic,
            partition: Some(content.partition),
            key: content.key.as_deref(),
            value: content.value.as_deref(),
            headers: &headers,
            timestamp_ms: content.timestamp_ms,
        };
        drop(producer.send(record).await.unwrap());
    }
    assert!(producer.close(Duration::from_secs(60)).await.is_clean());
}

async fn read(bootstrap: &str, topic: &str) -> Vec<Content> {
    let options = ReadOptions::new().stop_at_end(true);
    let mut reader = Reader::open(bootstrap, topic, options).await.unwrap();
    let mut contents = Vec::new();
    while let Some(records) = reader.next().await.unwrap() {
        contents.extend(records.map(|record| {
            let record = record.unwrap();
            let owned = |bytes: &[u8]| bytes.to_vec();
            let headers = record.headers();
            Content {
                partition: record.partition,
                timestamp_ms: record.timestamp_ms,
                key: record.key.map(owned),
                value: record.value.map(owned),
                headers: headers.map(|h| (h.key.to_vec(), h.value.map(owned))).collect(),
            }
        }));
    }
    // Partitions are merged as they come; within one the order is kept, and is part of the promise.
    contents.sort_by_key(|content| content.partition);
    contents
}

#[tokio::test]
async fn what_is_read_as_ndjson_becomes_the_same_records_again() {
    let broker = Broker::start(&["--topic", "one:3", "--topic", "two:3"]);
    let mut numbers = Numbers(20_250_301);
    let mut contents: Vec<Content> = (0..2000).map(|_| numbers.content()).collect();
    write(&broker.address, "one", &contents).await;
    contents.sort_by_key(|content| content.partition);
    assert_eq!(read(&broker.address, "one").await, contents);

    let lines = broker.read("one", &["--format", "ndjson"]).exits(0).stdout;
    let options = ["-t", "two", "--format", "ndjson", "--ignore", "topic"];
    broker.produce(&options, &lines).exits(0).says("2,000 records delivered");
    assert_eq!(read(&broker.address, "two").await, contents);

    // Unchanged, it goes back to where it came from.
    broker.produce(&["--format", "ndjson"], &lines).exits(0);
    assert_eq!(read(&broker.address, "one").await.len(), 2 * contents.len());
}
