//! Which nodes get the replicas of a new partition.

/// Lists of `count` nodes each for partitions `first..first + partitions`.
///
/// The leaders go round the nodes from `start` on. The other replicas follow in the same order, one
/// step further with each round, so that the partitions of a node that fails are spread over all
/// the others. `nodes` has at least `count` members.
pub(crate) fn assign(
    nodes: &[i32],
    count: usize,
    partitions: usize,
    start: usize,
) -> Vec<Vec<i32>> {
    let others = nodes.len().saturating_sub(1).max(1);
    let of_partition = |partition: usize| {
        let leader = (start + partition) % nodes.len();
        let shift = partition / nodes.len();
        let follower = |step: usize| nodes[(leader + 1 + (shift + step) % others) % nodes.len()];
        std::iter::once(nodes[leader]).chain((0..count - 1).map(follower)).collect()
    };
    (0..partitions).map(of_partition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_on_different_nodes_and_leaders_are_spread() {
        let nodes = [1, 2, 3, 7, 9];
        for count in 1..=nodes.len() {
            let all = assign(&nodes, count, 50, 3);
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
        let all = assign(&[1, 2, 3], 2, 12, 0);
        let followers = |of: i32| all.iter().filter(move |r| r[0] == of).map(|r| r[1]);
        assert_eq!(followers(1).filter(|node| *node == 2).count(), 2);
        assert_eq!(followers(1).filter(|node| *node == 3).count(), 2);
    }

    #[test]
    fn one_node_has_everything() {
        assert_eq!(assign(&[4], 1, 2, 0), [[4], [4]]);
    }
}
