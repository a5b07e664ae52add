//! Where a partition is: its replicas, who leads, and where it is on its way to.

use serde::{Deserialize, Serialize};

use crate::mutant::{self, Mutant};
use crate::nodes::FIRST_NODE_ID;

/// Where a partition's replicas are and who leads, as the controller has decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Placement {
    /// The nodes with a replica; the first is the preferred leader.
    pub(crate) replicas: Vec<i32>,
    /// Those of them that have all that was acknowledged to acks=all. Never empty.
    pub(crate) isr: Vec<i32>,
    /// -1 while nobody may lead.
    pub(crate) leader: i32,
    /// Rises with each new leader.
    pub(crate) leader_epoch: i32,
    /// Rises with each change.
    pub(crate) partition_epoch: i32,
    /// Replicas that are on their way in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) adding: Vec<i32>,
    /// Replicas that are to go once those are in sync.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) removing: Vec<i32>,
}

impl Placement {
    /// A new partition: all replicas are in sync, the first one leads.
    pub(crate) fn new(replicas: Vec<i32>) -> Self {
        let leader = replicas.first().copied().unwrap_or(-1);
        Self {
            isr: replicas.clone(),
            replicas,
            leader,
            leader_epoch: 0,
            partition_epoch: 0,
            adding: Vec::new(),
            removing: Vec::new(),
        }
    }

    /// Of the only node of a cluster that was one node.
    pub(crate) fn alone(leader_epoch: i32) -> Self {
        Self { leader_epoch, ..Self::new(vec![FIRST_NODE_ID]) }
    }

    /// Whether replicas are on their way.
    pub(crate) fn is_moving(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The same partition on its way to `target`.
    pub(crate) fn towards(&self, target: &[i32]) -> Self {
        let settled = without(&self.replicas, &self.adding);
        let removing = without(&settled, target);
        let replicas: Vec<i32> = target.iter().chain(&removing).copied().collect();
        let isr = replicas.iter().copied().filter(|id| self.isr.contains(id)).collect();
        Self { isr, adding: without(target, &settled), removing, replicas, ..self.clone() }
    }

    /// The same partition with what was there before the move, all of it.
    pub(crate) fn back(&self) -> Self {
        Self {
            replicas: without(&self.replicas, &self.adding),
            isr: without(&self.isr, &self.adding),
            adding: Vec::new(),
            removing: Vec::new(),
            ..self.clone()
        }
    }

    /// The same partition at the end of its move; `None` while it is not there yet.
    pub(crate) fn arrived(&self) -> Option<Self> {
        let mut isr = without(&self.isr, &self.removing);
        if mutant::is_on(Mutant::ArrivesTooSoon) {
            isr = without(&self.replicas, &self.removing);
        }
        let are_all_there = self.adding.iter().all(|id| isr.contains(id)) && !isr.is_empty();
        (self.is_moving() && are_all_there).then(|| Self {
            replicas: without(&self.replicas, &self.removing),
            isr,
            adding: Vec::new(),
            removing: Vec::new(),
            ..self.clone()
        })
    }
}

/// Says why placements in a file cannot be.
pub(crate) fn check_placements(placements: &[Placement]) -> Result<(), String> {
    for (index, place) in placements.iter().enumerate() {
        let Placement { replicas, isr, leader, .. } = place;
        let is_known = |node: &i32| replicas.contains(node);
        let mut others = isr.iter().chain(&place.adding).chain(&place.removing);
        if replicas.is_empty() || isr.is_empty() || !others.all(is_known) {
            return Err(format!("partition {index} has replicas {replicas:?} and ISR {isr:?}"));
        }
        if *leader != -1 && !isr.contains(leader) {
            return Err(format!("partition {index} has leader {leader} and ISR {isr:?}"));
        }
    }
    Ok(())
}

fn without(list: &[i32], gone: &[i32]) -> Vec<i32> {
    list.iter().copied().filter(|id| !gone.contains(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(replicas: &[i32], isr: &[i32]) -> Placement {
        Placement { isr: isr.to_vec(), ..Placement::new(replicas.to_vec()) }
    }

    #[test]
    fn a_partition_has_old_and_new_replicas_until_all_new_ones_are_in_sync() {
        let moving = place(&[1, 2], &[1, 2]).towards(&[2, 3]);
        assert_eq!(moving.replicas, [2, 3, 1]);
        assert_eq!((&moving.adding[..], &moving.removing[..]), (&[3][..], &[1][..]));
        assert_eq!((&moving.isr[..], moving.arrived()), (&[2, 1][..], None));
        let arrived = Placement { isr: vec![2, 3, 1], ..moving }.arrived().unwrap();
        assert_eq!((arrived.replicas, arrived.isr), (vec![2, 3], vec![2, 3]));
    }

    #[test]
    fn a_move_that_is_taken_back_leaves_what_was_there() {
        let moving = place(&[1, 2], &[1, 2]).towards(&[3, 4]);
        let back = Placement { isr: vec![3, 1, 2], ..moving }.back();
        assert_eq!((&back.replicas[..], &back.isr[..]), (&[1, 2][..], &[1, 2][..]));
        assert!(!back.is_moving());
    }

    #[test]
    fn a_move_that_is_changed_adds_only_what_was_not_there_at_first() {
        let moving = place(&[1, 2], &[1, 2]).towards(&[3, 4]);
        let other = Placement { isr: vec![3, 1, 2], ..moving }.towards(&[1, 4]);
        assert_eq!(other.replicas, [1, 4, 2]);
        assert_eq!((&other.adding[..], &other.removing[..]), (&[4][..], &[2][..]));
        // What was new and is not wanted any more is not in sync any more.
        assert_eq!(other.isr, [1, 2]);
    }

    #[test]
    fn fewer_replicas_are_there_at_once_unless_none_of_them_is_in_sync() {
        let fewer = place(&[1, 2, 3], &[1, 2]).towards(&[2]);
        assert_eq!(fewer.arrived().unwrap().replicas, [2]);
        let lagging = place(&[1, 2, 3], &[1, 2]).towards(&[3]);
        assert_eq!(lagging.arrived(), None);
        let other_order = place(&[1, 2], &[1, 2]).towards(&[2, 1]);
        assert_eq!((other_order.is_moving(), &other_order.replicas[..]), (false, &[2, 1][..]));
    }
}
