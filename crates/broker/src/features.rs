//! Features (KIP-584): what the cluster can do in several ways, and the level that clients are told
//! to use. Until it was changed that is the highest.

use std::io;

use crate::nodes::Nodes;
use crate::transactions::EPOCH_BUMP_VERSION;

/// Something that has levels, from 0, which is off.
#[derive(Debug)]
pub(crate) struct Feature {
    pub(crate) name: &'static str,
    pub(crate) max_level: i16,
}

/// The consumer protocol (KIP-848).
pub(crate) const GROUP_VERSION: Feature = Feature { name: "group.version", max_level: 1 };
/// At level 2 clients let each transaction have an epoch of its own (KIP-890). The level of a
/// transaction is said by the versions of its requests.
const TRANSACTION_VERSION: Feature =
    Feature { name: "transaction.version", max_level: EPOCH_BUMP_VERSION };

/// All of them, by name.
pub(crate) const FEATURES: [Feature; 2] = [GROUP_VERSION, TRANSACTION_VERSION];

impl Nodes {
    /// The level of a feature that holds.
    pub(crate) fn feature_level(&self, feature: &Feature) -> i16 {
        self.catalog.feature_level(feature.name).unwrap_or(feature.max_level)
    }

    /// Gives features other levels. Nothing has changed when that cannot be written down.
    pub(crate) fn set_feature_levels(&mut self, levels: &[(&Feature, i16)]) -> io::Result<()> {
        if levels.iter().all(|(feature, level)| self.feature_level(feature) == *level) {
            return Ok(());
        }
        let levels = levels.iter().map(|(feature, level)| (feature.name.to_owned(), *level));
        self.catalog.set_feature_levels(levels.collect())
    }
}
