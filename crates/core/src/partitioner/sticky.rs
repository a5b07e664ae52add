//! Records without a key: uniform and sticky by bytes (KIP-794).

use crate::rng::Rng;

/// What is known of a partition when a new one to stick to is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionLoad {
    /// Batches that wait in its queue.
    pub queued_batches: u32,
    /// Whether it has a leader to send to.
    pub available: bool,
}

impl PartitionLoad {
    /// That of a partition which cannot be chosen.
    #[must_use]
    pub const fn nobody() -> Self {
        Self { queued_batches: 0, available: false }
    }
}

/// The partition that keyless records go to, and how many bytes it got since it was chosen.
///
/// A host keeps one for each topic, or one for each topic and producing thread, so that threads do
/// not all meet at one partition's lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sticky {
    partition: Option<i32>,
    bytes: usize,
}

impl Sticky {
    /// The partition for a record of `record_bytes`; `pick` chooses anew when it is time.
    ///
    /// The switch comes once `batch_size_bytes` have gone to one partition, so every partition gets
    /// the same number of bytes over time, whatever the sizes of records and batches.
    #[inline]
    pub fn partition(
        &mut self,
        record_bytes: usize,
        batch_size_bytes: usize,
        partition_count: i32,
        pick: impl FnOnce() -> i32,
    ) -> i32 {
        match self.partition {
            Some(partition) if self.bytes < batch_size_bytes && partition < partition_count => {
                self.bytes += record_bytes;
                partition
            }
            _ => {
                let partition = pick();
                *self = Self { partition: Some(partition), bytes: record_bytes };
                partition
            }
        }
    }
}

/// So many partitions are looked at for one choice, so that its cost does not grow with the topic.
const SAMPLE: usize = 32;

/// The same in 64 bits, for hosts that keep it in an atomic: two threads that write over each other
/// only let a few bytes more or less go to one partition.
impl From<Sticky> for u64 {
    fn from(sticky: Sticky) -> Self {
        let partition = sticky.partition.map_or(0, |partition| partition as u32 + 1);
        let bytes = u32::try_from(sticky.bytes).unwrap_or(u32::MAX);
        Self::from(partition) << 32 | Self::from(bytes)
    }
}

impl From<u64> for Sticky {
    fn from(bits: u64) -> Self {
        let partition = ((bits >> 32) as u32).checked_sub(1).map(|partition| partition as i32);
        Self { partition, bytes: bits as u32 as usize }
    }
}

/// Chooses one of `count` partitions at random, those with shorter queues more often when
/// `adaptive`.
///
/// A partition with `q` queued batches has the weight `longest queue + 1 - q`. Partitions without a
/// leader are left out while there are others. Of a topic with very many partitions a sample is
/// looked at, drawn anew for each choice.
pub fn pick(
    count: usize,
    load: impl Fn(usize) -> PartitionLoad,
    adaptive: bool,
    rng: &mut Rng,
) -> i32 {
    if count > SAMPLE {
        let sample: [usize; SAMPLE] = core::array::from_fn(|_| rng.below(count as u64) as usize);
        if let Some(place) = draw(SAMPLE, |place| load(sample[place]), adaptive, rng) {
            return sample[place] as i32;
        }
    }
    let chosen = draw(count, load, adaptive, rng);
    // Nobody has a leader: any will do, to wait for one.
    chosen.unwrap_or_else(|| rng.below(count as u64) as usize) as i32
}

/// A weighted draw among those that have a leader.
fn draw(
    count: usize,
    load: impl Fn(usize) -> PartitionLoad,
    adaptive: bool,
    rng: &mut Rng,
) -> Option<usize> {
    let usable = || (0..count).map(|n| (n, load(n))).filter(|(_, load)| load.available);
    let longest = usable().map(|(_, load)| load.queued_batches).max()?;
    let weight = |load: PartitionLoad| match adaptive {
        // Queues move while we look: one may be longer by now than the longest was.
        true => u64::from(longest.saturating_sub(load.queued_batches)) + 1,
        false => 1,
    };
    let total: u64 = usable().map(|(_, load)| weight(load)).sum();
    let mut ticket = rng.below(total);
    for (n, load) in usable() {
        let weight = weight(load);
        if ticket < weight {
            return Some(n);
        }
        ticket -= weight;
    }
    usable().next().map(|(n, _)| n)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn load(queued_batches: u32, available: bool) -> PartitionLoad {
        PartitionLoad { queued_batches, available }
    }

    #[test]
    fn a_keyless_record_stays_with_its_partition_until_a_batch_of_bytes_has_gone_there() {
        let mut sticky = Sticky::default();
        assert_eq!(sticky.partition(60, 100, 3, || 2), 2);
        assert_eq!(sticky.partition(60, 100, 3, || unreachable!()), 2);
        assert_eq!(sticky.partition(60, 100, 3, || 1), 1);
    }

    #[test]
    fn what_is_stuck_to_survives_the_way_through_64_bits() {
        for partition in [None, Some(0), Some(7), Some(i32::MAX)] {
            for bytes in [0, 1, 131_072, u32::MAX as usize] {
                let sticky = Sticky { partition, bytes };
                assert_eq!(Sticky::from(u64::from(sticky)), sticky);
            }
        }
    }

    /// Laws: L8. Scenarios: #121, F11.
    #[test]
    fn a_partition_that_is_gone_is_left_at_once() {
        let mut sticky = Sticky::default();
        assert_eq!(sticky.partition(1, 100, 4, || 3), 3);
        assert_eq!(sticky.partition(1, 100, 2, || 0), 0);
    }

    /// Laws: none. Scenarios: #121.
    #[test]
    fn adaptive_choice_prefers_short_queues_in_proportion() {
        let mut rng = Rng::new(1);
        let loads = [load(3, true), load(0, true), load(0, false)];
        let mut counts = vec![0_u32; 3];
        for _ in 0..5000 {
            counts[pick(3, |n| loads[n], true, &mut rng) as usize] += 1;
        }
        // Weights 1 and 4: a fifth against four fifths; nothing to the leaderless one.
        assert!((800..1200).contains(&counts[0]), "{counts:?}");
        assert_eq!(counts[2], 0);
    }

    /// Laws: none. Scenarios: #121.
    #[test]
    fn without_any_leader_all_partitions_are_in_the_draw() {
        let mut rng = Rng::new(2);
        let loads = [load(0, false), load(0, false)];
        let picks: u32 = (0..100).map(|_| pick(2, |n| loads[n], true, &mut rng) as u32).sum();
        assert!(picks > 20 && picks < 80);
    }

    #[test]
    fn of_very_many_partitions_few_are_looked_at_and_all_are_chosen_alike() {
        let mut rng = Rng::new(3);
        let looks = core::cell::Cell::new(0);
        let mut counts = vec![0_u32; 1000];
        for _ in 0..20_000 {
            let look = |_| {
                looks.set(looks.get() + 1);
                load(0, true)
            };
            counts[pick(1000, look, true, &mut rng) as usize] += 1;
        }
        assert!(looks.get() <= 20_000 * 3 * SAMPLE, "{} looks", looks.get());
        assert!(counts.iter().all(|count| (2..60).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_only_partition_with_a_leader_is_found_among_very_many() {
        let mut rng = Rng::new(4);
        assert_eq!(pick(5000, |n| load(9, n == 4321), true, &mut rng), 4321);
    }
}
