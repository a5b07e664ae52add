//! Who gets which partitions of the topics that the members want.

use std::collections::{BTreeMap, HashMap};

use ottla_protocol::Uuid;

use super::messages::Partitions;

/// A way of sharing out partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Assignor {
    /// Evenly, and with as few partitions changing hands as possible.
    Uniform,
    /// Of each topic a range for each member, so that equal numbers of topics with equally many
    /// partitions meet at one member.
    Range,
}

/// A member as the assignors see it.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) id: &'a str,
    pub(super) instance_id: Option<&'a str>,
    /// The topics that it wants, with the number of their partitions.
    pub(super) topics: &'a BTreeMap<Uuid, i32>,
    /// What it was to have until now.
    pub(super) previous: Partitions,
}

impl Assignor {
    pub(super) fn by_name(name: &str) -> Option<Self> {
        [Self::Uniform, Self::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The share of each candidate, in their order.
    pub(super) fn assign(self, candidates: &[Candidate<'_>]) -> Vec<Partitions> {
        match self {
            Self::Uniform => Uniform::new(candidates).assign(),
            Self::Range => range(candidates),
        }
    }
}

/// For each topic the candidates that want it, by their place in the list.
fn subscribers(candidates: &[Candidate<'_>]) -> BTreeMap<Uuid, (i32, Vec<usize>)> {
    let mut topics: BTreeMap<Uuid, (i32, Vec<usize>)> = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        for (&topic, &partitions) in candidate.topics {
            topics.entry(topic).or_insert((partitions, Vec::new())).1.push(index);
        }
    }
    topics
}

fn range(candidates: &[Candidate<'_>]) -> Vec<Partitions> {
    let mut shares = vec![Partitions::new(); candidates.len()];
    for (topic, (partitions, mut wanted_by)) in subscribers(candidates) {
        // Static members come first: their order outlives a restart.
        wanted_by.sort_by_key(|&index| {
            let candidate = &candidates[index];
            (candidate.instance_id.is_none(), candidate.instance_id, candidate.id)
        });
        let count = wanted_by.len() as i32;
        let mut next = 0;
        for (place, index) in wanted_by.into_iter().enumerate() {
            let share = partitions / count + i32::from((place as i32) < partitions % count);
            shares[index].extend((next..next + share).map(|partition| (topic, partition)));
            next += share;
        }
    }
    shares
}

/// Everybody keeps what they have and still want; what is free goes to who has least; then
/// partitions move from who has more to who has less.
struct Uniform {
    topics: BTreeMap<Uuid, (i32, Vec<usize>)>,
    counts: Vec<usize>,
    owners: BTreeMap<(Uuid, i32), usize>,
}

impl Uniform {
    fn new(candidates: &[Candidate<'_>]) -> Self {
        let topics = subscribers(candidates);
        let mut counts = vec![0; candidates.len()];
        let mut owners = BTreeMap::new();
        for (index, candidate) in candidates.iter().enumerate() {
            for &(topic, partition) in &candidate.previous {
                let wants = candidate.topics.get(&topic).is_some_and(|count| partition < *count);
                if wants && owners.insert((topic, partition), index).is_none() {
                    counts[index] += 1;
                }
            }
        }
        Self { topics, counts, owners }
    }

    fn assign(mut self) -> Vec<Partitions> {
        self.share_out();
        while self.balance() {}
        let mut shares = vec![Partitions::new(); self.counts.len()];
        for (partition, owner) in self.owners {
            shares[owner].insert(partition);
        }
        shares
    }

    /// Gives away what nobody has, the topics that few want first.
    fn share_out(&mut self) {
        let mut order: Vec<Uuid> = self.topics.keys().copied().collect();
        order.sort_by_key(|topic| self.topics[topic].1.len());
        for topic in order {
            let (partitions, wanted_by) = &self.topics[&topic];
            for partition in 0..*partitions {
                if self.owners.contains_key(&(topic, partition)) {
                    continue;
                }
                let least = wanted_by.iter().copied().min_by_key(|index| self.counts[*index]);
                if let Some(index) = least {
                    self.owners.insert((topic, partition), index);
                    self.counts[index] += 1;
                }
            }
        }
    }

    /// Moves partitions from who has more to who has less. Says whether any moved.
    fn balance(&mut self) -> bool {
        let mut has_moved = false;
        // Each move brings two members closer to each other, so this comes to an end.
        let mut moves = HashMap::new();
        let mut owners: Vec<((Uuid, i32), usize)> =
            self.owners.iter().rev().map(|(partition, owner)| (*partition, *owner)).collect();
        // Who has most gives first, so that no more moves than must; the last of them, as in Kafka.
        owners.sort_by_key(|(_, owner)| std::cmp::Reverse(self.counts[*owner]));
        for ((topic, partition), owner) in owners {
            let wanted_by = &self.topics[&topic].1;
            let least = wanted_by.iter().copied().min_by_key(|index| self.counts[*index]);
            if let Some(index) = least
                && self.counts[owner] > self.counts[index] + 1
            {
                self.counts[owner] -= 1;
                self.counts[index] += 1;
                moves.insert((topic, partition), index);
                has_moved = true;
            }
        }
        self.owners.extend(moves);
        has_moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Uuid = Uuid([1; 16]);
    const U: Uuid = Uuid([2; 16]);

    /// Id, topics with their partitions, and what it had.
    type Row<'a> = (&'a str, &'a [(Uuid, i32)], &'a [(Uuid, i32)]);

    fn assign(assignor: Assignor, members: &[Row<'_>]) -> Vec<Partitions> {
        let topics: Vec<BTreeMap<Uuid, i32>> =
            members.iter().map(|(_, topics, _)| topics.iter().copied().collect()).collect();
        let candidates = members.iter().zip(&topics).map(|((id, _, previous), topics)| Candidate {
            id,
            instance_id: None,
            topics,
            previous: previous.iter().copied().collect(),
        });
        assignor.assign(&candidates.collect::<Vec<_>>())
    }

    fn sizes(shares: &[Partitions]) -> Vec<usize> {
        shares.iter().map(Partitions::len).collect()
    }

    #[test]
    fn range_gives_equal_numbers_of_topics_that_are_alike_to_one_member() {
        let topics = [(T, 3), (U, 3)];
        let shares = assign(Assignor::Range, &[("b", &topics, &[]), ("a", &topics, &[])]);
        assert_eq!(shares[1], [(T, 0), (T, 1), (U, 0), (U, 1)].into());
        assert_eq!(shares[0], [(T, 2), (U, 2)].into());
    }

    #[test]
    fn range_leaves_members_out_when_there_are_more_of_them_than_partitions() {
        let topics = [(T, 1)];
        let members: [Row<'_>; 3] = [("a", &topics, &[]), ("b", &topics, &[]), ("c", &topics, &[])];
        assert_eq!(sizes(&assign(Assignor::Range, &members)), [1, 0, 0]);
    }

    #[test]
    fn uniform_moves_no_more_than_it_must() {
        let topics = [(T, 5)];
        let all: Vec<_> = (0..5).map(|partition| (T, partition)).collect();
        let shares = assign(Assignor::Uniform, &[("a", &topics, &all), ("b", &topics, &[])]);
        assert_eq!(sizes(&shares), [3, 2]);
        let (a, b): (Vec<_>, Vec<_>) =
            (shares[0].iter().copied().collect(), shares[1].iter().copied().collect());
        let third = [("a", &topics[..], &a[..]), ("b", &topics, &b), ("c", &topics, &[])];
        let shares = assign(Assignor::Uniform, &third);
        assert_eq!(sizes(&shares), [2, 2, 1]);
        assert!(shares[0].iter().all(|partition| a.contains(partition)));
        assert!(shares[1].iter().all(|partition| b.contains(partition)));
    }

    #[test]
    fn uniform_gives_only_what_a_member_wants() {
        let shares = assign(
            Assignor::Uniform,
            &[("a", &[(T, 4), (U, 2)], &[(T, 0), (T, 1), (T, 2), (T, 3)]), ("b", &[(T, 4)], &[])],
        );
        assert_eq!(sizes(&shares), [3, 3]);
        assert!(shares[0].contains(&(U, 0)) && shares[0].contains(&(U, 1)));
        // A partition that is no more, and a topic that is not wanted any more, are let go.
        let shares = assign(Assignor::Uniform, &[("a", &[(T, 1)], &[(T, 0), (T, 1), (U, 0)])]);
        assert_eq!(shares[0], [(T, 0)].into());
    }
}
