//! Faults of a network that keeps requests for a while, delivers twice, and mixes answers up.

mod common;

use std::time::Duration;

use common::Batch;
use common::client::{Client, PATIENCE, produce_request};
use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault};
use ottla_protocol::correlation_id;
use ottla_protocol::messages::metadata::MetadataRequest;

fn cluster() -> (Cluster, Client) {
    let cluster = Cluster::builder().topic("t", 1).start().expect("starts");
    let client = Client::connect(&cluster);
    (cluster, client)
}

fn ends_at(cluster: &Cluster, offset: i64) -> bool {
    cluster.wait_for_partition("t", 0, PATIENCE, |state| state.log_end == offset)
}

const LATER: Duration = Duration::from_millis(20);

/// What the client was told to be refused is in the log in the end; when it has sent it again, the
/// broker knows it.
#[test]
fn a_request_that_was_refused_may_arrive_after_all() {
    let (cluster, mut client) = cluster();
    let code = ErrorCode::REQUEST_TIMED_OUT;
    cluster.inject(Fault::on(ApiKey::PRODUCE).error(code).serve_again(LATER));
    let batch = Batch::numbered(2).idempotent(4, 0, 0);
    assert_eq!(client.produce("t", 0, &batch).error_code, code.0);
    assert!(ends_at(&cluster, 2));
    let again = client.produce("t", 0, &batch);
    assert_eq!((again.error_code, again.base_offset), (0, 0));
    assert_eq!(cluster.log_end_offset("t", 0), Some(2));
}

#[test]
fn a_request_of_a_connection_that_broke_may_arrive_behind_its_repetition() {
    let (cluster, mut client) = cluster();
    cluster.inject(Fault::on(ApiKey::PRODUCE).disconnect().serve_again(LATER));
    let batch = |sequence| Batch::numbered(2).idempotent(4, 0, sequence);
    client.send(12, &produce_request(-1, "t", 0, batch(0).encode()));
    assert!(client.is_closed_by_broker());
    let mut other = Client::connect(&cluster);
    assert_eq!(other.produce("t", 0, &batch(0)).error_code, 0);
    // Once this answer is there the copy has been served.
    cluster.inject(Fault::on(ApiKey::PRODUCE).delay(LATER * 2));
    assert_eq!(other.produce("t", 0, &batch(2)).base_offset, 2);
    assert_eq!(cluster.log_end_offset("t", 0), Some(4));
}

#[test]
fn what_is_delivered_twice_is_there_twice_unless_its_producer_is_idempotent() {
    let (cluster, mut client) = cluster();
    cluster.inject(Fault::on(ApiKey::PRODUCE).times(2).serve_again(Duration::ZERO));
    client.produce("t", 0, &Batch::numbered(1));
    assert!(ends_at(&cluster, 2));
    client.produce("t", 0, &Batch::numbered(1).idempotent(4, 0, 0));
    // Once this answer is there the copy has been served.
    cluster.inject(Fault::on(ApiKey::PRODUCE).delay(LATER));
    let last = client.produce("t", 0, &Batch::numbered(1).idempotent(4, 0, 1));
    assert_eq!((last.error_code, last.base_offset), (0, 3));
    assert_eq!(cluster.log_end_offset("t", 0), Some(4));
}

#[test]
fn an_answer_can_come_twice() {
    let (cluster, mut client) = cluster();
    cluster.inject(Fault::on(ApiKey::METADATA).repeat_answer());
    client.send(9, &MetadataRequest::default());
    let (first, second) = (client.frame().expect("one"), client.frame().expect("another"));
    assert_eq!(first, second);
    client.call(9, &MetadataRequest::default());
}

#[test]
fn two_answers_can_change_places() {
    let (cluster, mut client) = cluster();
    cluster.inject(Fault::on(ApiKey::METADATA).swap_answer());
    let ids = [0, 1, 2].map(|_| client.send(9, &MetadataRequest::default()));
    let come = [0, 1, 2].map(|_| correlation_id(&client.frame().expect("an answer")).unwrap());
    assert_eq!(come, [ids[1], ids[0], ids[2]]);
}

#[test]
fn malformed_answers_are_for_clients_to_bear_and_nothing_to_the_broker() {
    let (cluster, mut whole) = cluster();
    let id = whole.send(9, &MetadataRequest::default());
    let right = whole.frame().expect("an answer");
    let mut others = 0;
    for _ in 0..50 {
        let mut client = Client::connect(&cluster);
        cluster.inject(Fault::on(ApiKey::METADATA).malformed_answer());
        assert_eq!(client.send(9, &MetadataRequest::default()), id);
        // Ends the answer, whatever length it told.
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = Vec::new();
        std::io::Read::read_to_end(&mut client.stream, &mut said).unwrap();
        others +=
            u32::from(said[4..] != right[..] || said[..4] != (right.len() as u32).to_be_bytes());
    }
    assert!(others > 40, "{others} of 50 were malformed");
    whole.call(9, &MetadataRequest::default());
}
