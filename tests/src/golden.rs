//! Where Kafka's own producer sends keys: written down once, so that it can be checked without
//! Java.

use crate::java;
use crate::rng::Rng;
use crate::tools;

/// The numbers of partitions for which it is written down.
pub const COUNTS: [i32; 4] = [3, 7, 12, 100];

/// A key and the partitions that Java gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlaces {
    /// The key.
    pub key: Vec<u8>,
    /// Its partition, for each of [`COUNTS`].
    pub partitions: Vec<i32>,
}

/// The file as it is in the repository.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn text() -> String {
    let file = tools::here().join("golden/murmur2.txt");
    std::fs::read_to_string(file).expect("the golden file")
}

/// What the file says.
///
/// # Panics
/// When a line is not as it should be.
#[must_use]
pub fn places() -> Vec<KeyPlaces> {
    let place = |line: &str| {
        let mut words = line.split(' ');
        let key = words.next().expect("a key").trim_matches('"');
        let _hash = words.next().expect("a hash");
        let partitions: Vec<i32> =
            words.map(|partition| partition.parse().expect("a partition")).collect();
        assert_eq!(partitions.len(), COUNTS.len());
        KeyPlaces { key: from_hex(key), partitions }
    };
    text().lines().map(place).collect()
}

/// The same text, as Java writes it now.
///
/// # Errors
/// There is no Java or there are no jars.
///
/// # Panics
/// When the program fails.
pub fn from_java() -> Result<String, String> {
    let mut java = java::source("Partitions.java")?;
    java.args(COUNTS.map(|count| count.to_string()));
    let keys: String = keys().iter().map(|key| to_hex(key) + "\n").collect();
    let told = tools::output(&mut java, keys.as_bytes());
    Ok(String::from_utf8(told).expect("plain text"))
}

/// Keys of every length up to 40 and of every kind.
fn keys() -> Vec<Vec<u8>> {
    let mut rng = Rng::fixed(794);
    let mut keys: Vec<Vec<u8>> = (0..40).map(|len| rng.bytes(len)).collect();
    keys.extend((0..100).map(|n| format!("user_{n}").into_bytes()));
    keys.extend((0..60).map(|_| rng.awkward_bytes(60)));
    keys.extend((0..60_i32).map(|n| (n.wrapping_mul(77_777_777)).to_be_bytes().to_vec()));
    // Signed bytes are where other languages go wrong.
    keys.extend((0..5).map(|len| vec![0xff; len]));
    keys.extend((0..5).map(|len| vec![0x80; len]));
    keys
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits");
    (0..text.len()).step_by(2).map(byte).collect()
}
