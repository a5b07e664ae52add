//! Kafka's own console consumer as a reader: it starts slowly, so it reads everything at once.

use ottla_tests::record::assert_same;
use ottla_tests::wait::PATIENCE;
use ottla_tests::{Made, Rng, engine, java, needs, run};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

#[test]
fn the_console_consumer_reads_every_codec_and_every_kind_of_record() {
    let engine = engine!();
    needs!(java::libs());
    // A partition for each codec.
    let topic = engine.topic("console-consumer", CODECS.len() as i32);
    let mut rng = Rng::seeded(16);
    let mut all = Vec::new();
    for (partition, codec) in (0..).zip(CODECS) {
        let records: Vec<Made> = (0..400)
            .map(|_| Made { timestamp_ms: Some(1_700_000_000_000), ..Made::any(&mut rng, 1, 300) })
            .map(|record| record.partition(partition))
            .collect();
        let producer = engine.producer(&[("compression.type", codec)]);
        run(async {
            for record in &records {
                let headers = record.borrowed_headers();
                drop(producer.send(record.borrow(&topic, &headers)).await.expect("accepted"));
            }
            assert!(producer.close(PATIENCE).await.is_clean());
        });
        all.extend(records);
    }
    let seen = needs!(java::console_consumer(engine.servers(), &topic, all.len()));
    assert_same(&all, &seen);
}
