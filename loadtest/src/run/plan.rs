//! Who does what in a run: roles and topics of every client, the same for the same seed.

use crate::fleet::ClientPlan;
use crate::publisher::SplitMix;
use crate::scenario::Scenario;
use crate::subscriber::Role;

/// Who does what: stalled clients and parsed ones are spread evenly over all.
pub(super) fn plan_clients(scenario: &Scenario) -> Vec<ClientPlan> {
    let Scenario {
        clients,
        topics,
        topics_per_client,
        parsed_clients,
        seed,
        ..
    } = scenario;
    let stalled = scenario.stalled_clients();
    let reading = clients - stalled;
    let parsed = (*parsed_clients).min(reading);
    let mut random = SplitMix::new(seed ^ 0x7469_636b);
    let (mut stalled_so_far, mut reading_so_far) = (0, 0);
    (0..*clients)
        .map(|index| {
            // Bresenham: after index + 1 clients, as many are stalled as their share demands.
            let role = if (index + 1) * stalled / clients > stalled_so_far {
                stalled_so_far += 1;
                Role::Stalled
            } else {
                reading_so_far += 1;
                let due =
                    reading_so_far * parsed / reading > (reading_so_far - 1) * parsed / reading;
                if due { Role::Parsed } else { Role::Counted }
            };
            ClientPlan {
                index,
                role,
                topics: choose(*topics, *topics_per_client, &mut random),
            }
        })
        .collect()
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

    fn roles(clients: usize, parsed_clients: usize, stalled_share: f64) -> [usize; 3] {
        let scenario = Scenario {
            clients,
            parsed_clients,
            stalled_share,
            ..Scenario::default()
        };
        let plans = plan_clients(&scenario);
        [Role::Parsed, Role::Counted, Role::Stalled]
            .map(|role| plans.iter().filter(|p| p.role == role).count())
    }

    #[test]
    fn roles_are_given_out_exactly() {
        assert_eq!(roles(1_000, 100, 0.0), [100, 900, 0]);
        assert_eq!(roles(1_000, 100, 0.1), [100, 800, 100]);
        assert_eq!(roles(7, 100, 0.3), [5, 0, 2]);
        assert_eq!(roles(1, 1, 0.0), [1, 0, 0]);
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
