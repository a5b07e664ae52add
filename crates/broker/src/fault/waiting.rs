//! The faults that wait for their requests.

use std::collections::VecDeque;

use ottla_protocol::ApiKey;

use super::Fault;
use super::random::RandomFaults;
use crate::rng::Rng;

/// The faults that wait for their requests.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: VecDeque<Fault>,
    by_chance: Option<(RandomFaults, Rng)>,
}

impl Faults {
    pub(crate) fn inject(&mut self, fault: Fault) {
        self.waiting.push_back(fault);
    }

    /// From now on requests that meet no other fault meet one by chance.
    pub(crate) fn leave_to_chance(&mut self, faults: RandomFaults) {
        let rng = Rng::new(faults.seed);
        self.by_chance = Some((faults, rng));
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.by_chance = None;
    }

    /// How many faults still wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The fault that a request meets. `touches` says whether the request touches a partition that
    /// the given predicate takes; it is only asked where the fault is for a part.
    pub(crate) fn meet(
        &mut self,
        api: ApiKey,
        client_id: Option<&str>,
        node: i32,
        touches: impl Fn(&dyn Fn(&str, i32) -> bool) -> bool,
    ) -> Option<Fault> {
        let matches = |fault: &Fault| {
            fault.api.is_none_or(|wanted| wanted == api)
                && fault.node.is_none_or(|wanted| wanted == node)
                && (fault.client_id.is_none() || fault.client_id.as_deref() == client_id)
                && (!fault.is_for_a_part() || touches(&|topic, part| fault.covers(topic, part)))
        };
        for index in 0..self.waiting.len() {
            let fault = &mut self.waiting[index];
            if !matches(fault) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            let met = fault.clone();
            match &mut fault.times {
                Some(0 | 1) => {
                    self.waiting.remove(index);
                }
                Some(times) => *times -= 1,
                None => {}
            }
            return (met.times != Some(0)).then_some(met);
        }
        let (faults, rng) = self.by_chance.as_mut()?;
        faults.next(api, rng)
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::ErrorCode;

    use super::super::Action;
    use super::*;

    fn meets(faults: &mut Faults, api: ApiKey, touched: &[(&str, i32)]) -> Option<Action> {
        let touches = |covers: &dyn Fn(&str, i32) -> bool| {
            touched.iter().any(|(topic, partition)| covers(topic, *partition))
        };
        faults.meet(api, Some("client"), 1, touches).map(|fault| fault.action)
    }

    #[test]
    fn a_fault_happens_as_often_as_it_says() {
        let mut faults = Faults::default();
        faults.inject(Fault::on(ApiKey::PRODUCE).after(1).times(2).disconnect());
        assert_eq!(meets(&mut faults, ApiKey::FETCH, &[]), None);
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &[]), None);
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &[]), Some(Action::Disconnect));
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &[]), Some(Action::Disconnect));
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &[]), None);
        assert_eq!(faults.len(), 0);
    }

    #[test]
    fn faults_come_in_order_and_only_to_what_they_name() {
        let mut faults = Faults::default();
        faults.inject(Fault::on(ApiKey::PRODUCE).topic("t").partition(1).drop_request());
        faults.inject(Fault::on(ApiKey::PRODUCE).drop_response());
        faults.inject(Fault::on_any().client_id("other").disconnect());
        faults.inject(Fault::on_any().node(2).disconnect());
        let touched = [("t", 0), ("u", 1)];
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &touched), Some(Action::DropResponse));
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &touched), None);
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &[("t", 1)]), Some(Action::DropRequest));
        assert_eq!(faults.len(), 2);
    }

    #[test]
    fn a_standing_fault_stays_until_it_is_cleared() {
        let mut faults = Faults::default();
        faults.inject(Fault::on_any().always().error(ErrorCode::REQUEST_TIMED_OUT));
        for _ in 0..3 {
            let action = meets(&mut faults, ApiKey::METADATA, &[]);
            assert_eq!(action, Some(Action::Error(ErrorCode::REQUEST_TIMED_OUT)));
        }
        faults.clear();
        assert_eq!(meets(&mut faults, ApiKey::METADATA, &[]), None);
    }
}
