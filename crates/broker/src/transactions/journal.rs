//! What the journal says of transactional ids: the last word on an id holds.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::transaction::Transaction;
use crate::error::StartError;
use crate::journal::{Journal, to_lines};
use crate::log::Storage;

/// A line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    /// `None`: the id is forgotten.
    transaction: Option<Transaction>,
}

/// What a line says, without owning it.
#[derive(Serialize)]
struct LineOf<'a> {
    id: &'a str,
    transaction: Option<&'a Transaction>,
}

/// Transactional ids with what is known of them.
pub(super) type ById = BTreeMap<String, Transaction>;

/// Reads the file through.
pub(super) fn open(
    path: PathBuf,
    storage: Arc<dyn Storage>,
) -> Result<(Journal, ById), StartError> {
    let mut known = ById::new();
    let apply = |known: &mut ById, line: Line| {
        match line.transaction {
            Some(transaction) => known.insert(line.id, transaction),
            None => known.remove(&line.id),
        };
    };
    let journal = Journal::open(path, storage, &mut known, apply, all)?;
    Ok((journal, known))
}

/// Writes what is known of an id; it is in the file when this returns.
pub(super) fn write(
    journal: &mut Journal,
    id: &str,
    transaction: Option<&Transaction>,
) -> io::Result<()> {
    journal.append(&to_lines([LineOf { id, transaction }])?)
}

/// A line for each id.
pub(super) fn all(known: &ById) -> io::Result<Vec<u8>> {
    to_lines(known.iter().map(|(id, transaction)| LineOf { id, transaction: Some(transaction) }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::log::DiskStorage;

    fn open(path: &Path) -> Result<(Journal, ById), StartError> {
        super::open(path.to_owned(), Arc::new(DiskStorage { is_durable: false }))
    }

    #[test]
    fn the_last_word_on_an_id_holds_and_an_unfinished_line_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("transactions");
        let (mut journal, known) = open(&path).unwrap();
        assert!(known.is_empty());
        let mut transaction = Transaction::new(7, 1);
        for epoch in 0..3 {
            transaction.epoch = epoch;
            transaction.partitions.insert((ottla_protocol::Uuid::ZERO, i32::from(epoch)));
            write(&mut journal, "a", Some(&transaction)).unwrap();
            write(&mut journal, "b", Some(&transaction)).unwrap();
        }
        write(&mut journal, "b", None).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let expected = ById::from([("a".to_owned(), transaction)]);
        assert_eq!(open(&path).unwrap().1, expected);
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert_eq!(open(&path).unwrap().1.len(), 2);
        std::fs::write(&path, [b"garbage\n", whole.as_slice()].concat()).unwrap();
        assert!(open(&path).unwrap_err().to_string().contains("line 1"));
    }
}
