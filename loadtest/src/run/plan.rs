//! Who does what in a run: roles and topics of every client, the same for the same seed.

use crate::fleet::ClientPlan;
use crate::publisher::SplitMix;
use crate::scenario::{Scenario, Verify};
use crate::subscriber::Role;

/// Who does what: stalled clients, slow ones and parsed ones are spread evenly over all.
pub(super) fn plan_clients(scenario: &Scenario) -> Vec<ClientPlan> {
    let Scenario {
        clients,
        topics,
        topics_per_client,
        slow_clients,
        parsed_clients,
        seed,
        ..
    } = scenario;
    let mut random = SplitMix::new(seed ^ 0x7469_636b);
    let mut stalled = Share::new(scenario.stalled_clients(), *clients);
    let mut slow = Share::new(*slow_clients, clients - scenario.stalled_clients());
    let readers = scenario.readers();
    let mut parsed = Share::new((*parsed_clients).min(readers), readers);
    let others = match scenario.verify {
        Verify::All => Role::Checked,
        Verify::Sample => Role::Counted,
    };
    (0..*clients)
        .map(|index| {
            let role = if stalled.takes() {
                Role::Stalled
            } else if slow.takes() {
                Role::Slow
            } else if parsed.takes() {
                Role::Parsed
            } else {
                others
            };
            ClientPlan {
                index,
                role,
                topics: choose(*topics, *topics_per_client, &mut random),
            }
        })
        .collect()
}

/// So many out of so many, evenly: after each one, as many are taken as the share demands.
struct Share {
    wanted: usize,
    of: usize,
    asked: usize,
}

impl Share {
    fn new(wanted: usize, of: usize) -> Self {
        Self {
            wanted,
            of: of.max(1),
            asked: 0,
        }
    }

    fn takes(&mut self) -> bool {
        let before = self.asked * self.wanted / self.of;
        self.asked += 1;
        self.asked * self.wanted / self.of > before
    }
}

/// `count` different topics out of `topics`.
fn choose(topics: u32, count: u32, random: &mut SplitMix) -> Vec<u32> {
    if count == topics {
        return (0..topics).collect();
    }
    let mut chosen = std::collections::BTreeSet::new();
    while chosen.len() < count as usize {
        let topic = random.below(topics as usize);
        chosen.extend(u32::try_from(topic));
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(scenario: &Scenario) -> [usize; 5] {
        let plans = plan_clients(scenario);
        let all = [
            Role::Parsed,
            Role::Checked,
            Role::Counted,
            Role::Stalled,
            Role::Slow,
        ];
        all.map(|role| plans.iter().filter(|p| p.role == role).count())
    }

    fn scenario(clients: usize, stalled_share: f64, slow_clients: usize) -> Scenario {
        Scenario {
            clients,
            stalled_share,
            slow_clients,
            ..Scenario::default()
        }
    }

    #[test]
    fn roles_are_given_out_exactly() {
        assert_eq!(roles(&scenario(1_000, 0.0, 0)), [100, 900, 0, 0, 0]);
        assert_eq!(roles(&scenario(1_000, 0.1, 3)), [100, 797, 0, 100, 3]);
        assert_eq!(roles(&scenario(7, 0.3, 1)), [4, 0, 0, 2, 1]);
        assert_eq!(roles(&scenario(1, 0.0, 0)), [1, 0, 0, 0, 0]);
        let sample = Scenario {
            verify: Verify::Sample,
            ..scenario(1_000, 0.0, 0)
        };
        assert_eq!(roles(&sample), [100, 0, 900, 0, 0]);
    }

    #[test]
    fn topics_are_different_and_the_same_for_the_same_seed() {
        let scenario = Scenario {
            clients: 50,
            topics: 40,
            topics_per_client: 20,
            ..Scenario::default()
        };
        let topics = |plans: Vec<ClientPlan>| -> Vec<Vec<u32>> {
            plans.into_iter().map(|p| p.topics).collect()
        };
        let first = topics(plan_clients(&scenario));
        assert_eq!(first, topics(plan_clients(&scenario)));
        assert!(
            first
                .iter()
                .all(|t| t.len() == 20 && t.iter().all(|n| *n < 40))
        );
        assert_ne!(first[0], first[1]);
    }
}
