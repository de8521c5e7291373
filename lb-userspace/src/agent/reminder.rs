//! When what is refused is announced again: the API server forgets Events, after an hour unless `--event-ttl` of
//! kube-apiserver says otherwise, and each time that one is counted up, it is kept as long again.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use lb_model::object::{ObjectKey, Refusal};

/// Between the beginnings of two rounds; the rest of the hour is for the pace at which Events are written.
const ROUND: Duration = Duration::from_secs(45 * 60);
/// Events of one call, of which there is one a minute: as many as are written meanwhile, so that none finds the queue full
/// and starts again from the front for ever.
const SHARE: usize = 6;

/// Goes round through the refusals that are in force, a share at a time.
pub(super) struct Reminder {
    next_round: Instant,
    /// The last of the round that goes on; none between two.
    last: Option<Refusal>,
}

impl Reminder {
    /// Whose first round is a while after `now`: whatever is refused then has just been announced.
    pub(super) fn new(now: Instant) -> Self {
        Self { next_round: now + ROUND, last: None }
    }

    /// The share of `refusals` whose turn it is. Those of one object and reason come together, for they are one Event.
    pub(super) fn due<'a>(
        &mut self,
        now: Instant,
        refusals: impl Iterator<Item = &'a Refusal>,
    ) -> Vec<&'a Refusal> {
        if self.last.is_none() {
            if now < self.next_round {
                return Vec::new();
            }
            self.next_round = now + ROUND;
        }
        let sorted: BTreeSet<_> = refusals.collect();
        let mut events = BTreeSet::new();
        let after = |refusal: &&Refusal| self.last.as_ref().is_none_or(|last| *refusal > last);
        let mut rest = sorted.into_iter().filter(after).peekable();
        let mut due = Vec::new();
        while let Some(refusal) =
            rest.next_if(|refusal| events.len() < SHARE || events.contains(&event(refusal)))
        {
            events.insert(event(refusal));
            due.push(refusal);
        }
        let goes_on = rest.peek().is_some();
        self.last = due.last().filter(|_| goes_on).map(|refusal| (*refusal).clone());
        due
    }
}

/// What those that become one Event have in common.
fn event(refusal: &Refusal) -> (&str, &ObjectKey, &str) {
    (&refusal.kind, &refusal.object, &refusal.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn refusals(objects: usize) -> BTreeSet<Refusal> {
        let refusal = |object: usize, message: &str| Refusal {
            kind: "Service".to_owned(),
            object: ObjectKey::new("default", format!("{object:04}")),
            reason: "Conflict".to_owned(),
            message: message.to_owned(),
        };
        (0..objects).flat_map(|object| ["one", "two"].map(|message| refusal(object, message))).collect()
    }

    /// In which minutes each object is announced within a day of minutes; both messages always come together.
    fn announced(objects: usize) -> Vec<Vec<u32>> {
        let begun = Instant::now();
        let mut reminder = Reminder::new(begun);
        let refusals = refusals(objects);
        let mut minutes = vec![Vec::new(); objects];
        for minute in 1..24 * 60 {
            let due = reminder.due(begun + minute * MINUTE, refusals.iter());
            assert!(due.len() <= 2 * SHARE);
            for pair in due.chunks(2) {
                assert!(pair.len() == 2 && pair[0].object == pair[1].object, "{pair:?}");
                minutes[pair[0].object.name.parse::<usize>().unwrap()].push(minute);
            }
        }
        minutes
    }

    #[test]
    fn what_stays_refused_is_announced_again_before_its_event_is_forgotten() {
        for minutes in announced(60) {
            assert!(minutes[0] <= 55, "{minutes:?}");
            assert!(minutes.windows(2).all(|pair| pair[1] - pair[0] == 45), "{minutes:?}");
            assert!(minutes.len() > 30);
        }
    }

    #[test]
    fn of_more_than_there_is_time_for_all_take_turns() {
        for minutes in announced(1000) {
            assert!(minutes.len() >= 7, "{minutes:?}");
            assert!(
                minutes.windows(2).all(|pair| pair[1] - pair[0] <= 1000_u32.div_ceil(6) + 1),
                "{minutes:?}"
            );
        }
    }

    #[test]
    fn what_goes_meanwhile_does_not_end_a_round() {
        let begun = Instant::now();
        let mut reminder = Reminder::new(begun);
        let all = refusals(10);
        assert_eq!(reminder.due(begun + 44 * MINUTE, all.iter()), Vec::<&Refusal>::new());
        assert_eq!(reminder.due(begun + 45 * MINUTE, all.iter()).len(), 2 * SHARE);
        let left: BTreeSet<_> = all.iter().skip(14).cloned().collect();
        assert_eq!(reminder.due(begun + 46 * MINUTE, left.iter()).len(), 6, "the three behind");
        assert_eq!(reminder.due(begun + 47 * MINUTE, left.iter()), Vec::<&Refusal>::new());
    }
}
