//! Which nodes get the replicas of a new partition.

/// Lists of `count` nodes each for partitions `first..first + partitions`.
///
/// The leaders go round the nodes from `start` on. The other replicas follow in the same order, one
/// step further with each round, so that the partitions of a node that fails are spread over all
/// the others. Of those that could be next, the first in the emptiest rack is taken, so that a
/// partition is in as many racks as can be (KIP-36). `nodes` has at least `count` members.
pub(crate) fn assign<'a>(
    nodes: &[i32],
    count: usize,
    partitions: usize,
    start: usize,
    rack_of: impl Fn(i32) -> Option<&'a str>,
) -> Vec<Vec<i32>> {
    let nodes = by_turns(nodes, &rack_of);
    let others = nodes.len().saturating_sub(1);
    let of_partition = |partition: usize| {
        let leader = (start + partition) % nodes.len();
        let shift = partition / nodes.len();
        let follower = |step: usize| nodes[(leader + 1 + (shift + step) % others) % nodes.len()];
        let mut left: Vec<i32> = (0..others).map(follower).collect();
        let mut chosen = vec![nodes[leader]];
        while chosen.len() < count && !left.is_empty() {
            let taken = |at: &usize| {
                let rack = rack_of(left[*at]);
                chosen.iter().filter(|id| rack_of(**id) == rack).count()
            };
            let next = (0..left.len()).min_by_key(taken).unwrap_or_default();
            chosen.push(left.remove(next));
        }
        chosen
    };
    (0..partitions).map(of_partition).collect()
}

/// The nodes with those of a rack as far from each other as can be.
fn by_turns<'a>(nodes: &[i32], rack_of: &impl Fn(i32) -> Option<&'a str>) -> Vec<i32> {
    let turn =
        |at: usize| nodes[..at].iter().filter(|id| rack_of(**id) == rack_of(nodes[at])).count();
    let mut turns: Vec<(usize, i32)> = (0..nodes.len()).map(|at| (turn(at), nodes[at])).collect();
    turns.sort_by_key(|(turn, _)| *turn);
    turns.into_iter().map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere(_: i32) -> Option<&'static str> {
        None
    }

    #[test]
    fn a_partition_is_in_as_many_racks_as_can_be_and_leaders_go_round_the_racks() {
        // Two racks of one node, and one of three.
        let rack_of = |id: i32| Some(["c", "a", "b", "c", "c"][id as usize - 1]);
        let nodes = [1, 2, 3, 4, 5];
        for count in 1..=nodes.len() {
            for replicas in assign(&nodes, count, 40, 2, rack_of) {
                let racks: std::collections::BTreeSet<_> =
                    replicas.iter().map(|id| rack_of(*id)).collect();
                assert_eq!((replicas.len(), racks.len()), (count, count.min(3)), "{replicas:?}");
            }
        }
        let leaders = assign(&nodes, 1, 3, 0, rack_of);
        assert_eq!(
            leaders.iter().flatten().map(|id| rack_of(*id)).collect::<Vec<_>>(),
            [Some("c"), Some("a"), Some("b")]
        );
    }

    #[test]
    fn replicas_are_on_different_nodes_and_leaders_are_spread() {
        let nodes = [1, 2, 3, 7, 9];
        for count in 1..=nodes.len() {
            let all = assign(&nodes, count, 50, 3, nowhere);
            for node in nodes {
                assert_eq!(all.iter().filter(|replicas| replicas[0] == node).count(), 10);
                let held = all.iter().filter(|replicas| replicas.contains(&node)).count();
                assert_eq!(held, 10 * count);
            }
            for mut replicas in all {
                replicas.sort_unstable();
                replicas.dedup();
                assert_eq!(replicas.len(), count);
            }
        }
    }

    #[test]
    fn the_followers_of_one_leader_are_spread() {
        let all = assign(&[1, 2, 3], 2, 12, 0, nowhere);
        let followers = |of: i32| all.iter().filter(move |r| r[0] == of).map(|r| r[1]);
        assert_eq!(followers(1).filter(|node| *node == 2).count(), 2);
        assert_eq!(followers(1).filter(|node| *node == 3).count(), 2);
    }

    #[test]
    fn one_node_has_everything() {
        assert_eq!(assign(&[4], 1, 2, 0, nowhere), [[4], [4]]);
    }
}
