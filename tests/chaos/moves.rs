//! Moving leaders while all nodes are well: AlterPartitionReassignments gives a partition the same
//! copies in another order, and ElectLeaders makes the first of them the leader. (Both are written
//! by hand here: no client of ours has use for them.)

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const ALTER_PARTITION_REASSIGNMENTS: i16 = 45;
const ELECT_LEADERS: i16 = 43;
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const TIMEOUT_MS: i32 = 4000;
const PREFERRED: u8 = 0;
const LARGEST_ANSWER_BYTES: usize = 1 << 20;

/// Has `replicas` be the copies of a partition, and the first of them its leader.
///
/// # Errors
/// The node at `server` does not answer, or refuses.
pub(crate) fn lead(
    server: SocketAddr,
    topic: &str,
    partition: i32,
    replicas: &[i32],
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&server, ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    call(&mut stream, ALTER_PARTITION_REASSIGNMENTS, 0, &reassign(topic, partition, replicas))?;
    call(&mut stream, ELECT_LEADERS, 2, &elect(topic, partition))
}

fn reassign(topic: &str, partition: i32, replicas: &[i32]) -> Vec<u8> {
    let mut body = TIMEOUT_MS.to_be_bytes().to_vec();
    count(&mut body, 1);
    string(&mut body, topic);
    count(&mut body, 1);
    body.extend(partition.to_be_bytes());
    count(&mut body, replicas.len());
    replicas.iter().for_each(|replica| body.extend(replica.to_be_bytes()));
    // No tagged fields in partition, topic and request.
    body.extend([0, 0, 0]);
    body
}

fn elect(topic: &str, partition: i32) -> Vec<u8> {
    let mut body = vec![PREFERRED];
    count(&mut body, 1);
    string(&mut body, topic);
    count(&mut body, 1);
    body.extend(partition.to_be_bytes());
    body.push(0);
    body.extend(TIMEOUT_MS.to_be_bytes());
    body.push(0);
    body
}

/// Compact lengths are one more than what they count. Ours all fit into one byte of a varint.
fn count(body: &mut Vec<u8>, count: usize) {
    assert!(count < 127, "a length of {count} takes two bytes");
    body.push(count as u8 + 1);
}

fn string(body: &mut Vec<u8>, text: &str) {
    count(body, text.len());
    body.extend(text.as_bytes());
}

/// Sends a request with the flexible header; an answer is an error code behind a throttle time.
fn call(stream: &mut TcpStream, key: i16, version: i16, body: &[u8]) -> std::io::Result<()> {
    let mut frame = Vec::new();
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    // Correlation id, no client id, no tagged fields.
    frame.extend([0, 0, 0, 1, 0xFF, 0xFF, 0]);
    frame.extend(body);
    stream.write_all(&(frame.len() as u32).to_be_bytes())?;
    stream.write_all(&frame)?;
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len) as usize;
    // Correlation id, tagged fields, throttle time, error code.
    if !(11..=LARGEST_ANSWER_BYTES).contains(&len) {
        return Err(std::io::Error::other(format!("an answer of {len} bytes")));
    }
    let mut answer = vec![0; len];
    stream.read_exact(&mut answer)?;
    // AlterPartitionReassignments has had allow_replication_factor_change since version 1 only.
    match i16::from_be_bytes([answer[9], answer[10]]) {
        0 => Ok(()),
        code => Err(std::io::Error::other(format!("error code {code}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_kafkas_schemas_have_them() {
        let expected = [
            &[0, 0, 0x0F, 0xA0, 2, 2, b't', 2, 0, 0, 0, 5, 3][..],
            &[0, 0, 0, 1],
            &[0, 0, 0, 2],
            &[0, 0, 0],
        ];
        assert_eq!(reassign("t", 5, &[1, 2]), expected.concat());
        let expected = [&[0, 2, 2, b't', 2, 0, 0, 0, 5, 0][..], &[0, 0, 0x0F, 0xA0, 0]];
        assert_eq!(elect("t", 5), expected.concat());
    }
}
