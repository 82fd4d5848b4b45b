//! What can be known beforehand to be counted one day stands at zero from the start.
//!
//! A count that is first seen at 1 has no increase in the eyes of whoever scrapes: the first missed mark of a ring, the
//! first shortfall, would be seen by nobody. So the labels a playbook can bring forth are there before anything happens.

use super::Metrics;
use super::metrics::drill;
use crate::model::{Level, NoticeKind, Ring, Role};
use crate::playbook::Playbook;

const RINGS: [Ring; 4] = [Ring::One, Ring::Three, Ring::Five, Ring::Rural];
const ROLES: [Role; 5] = [Role::First, Role::Reinforce, Role::Cordon, Role::Cover, Role::AllCall];
const LEVELS: [Level; 4] = [Level::Village, Level::Township, Level::County, Level::City];
const MARK_OUTCOMES: [&str; 4] = ["kept", "missed", "late", "warned"];

impl Metrics {
    /// Puts at zero what this playbook can bring forth: its marks by ring, shortfalls by role, levels, all-calls.
    pub fn foresee(&self, playbook: &Playbook) {
        for d in [drill(false), drill(true)] {
            for mark in playbook.plans.values().flat_map(|plan| &plan.marks) {
                for (ring, outcome) in RINGS.iter().flat_map(|ring| MARK_OUTCOMES.map(|outcome| (ring, outcome))) {
                    self.marks.with_label_values(&[mark.name.as_str(), &ring.to_string(), outcome, d]).inc_by(0);
                }
            }
            for role in ROLES {
                self.shortfalls.with_label_values(&[&*role.to_string(), d]).inc_by(0);
            }
            for level in LEVELS {
                self.escalations.with_label_values(&[&*level.to_string(), d]).inc_by(0);
            }
            for kind in NoticeKind::ALL.into_iter().filter(|kind| kind.may_be_silenced()) {
                self.notices_hidden.with_label_values(&[&*kind.to_string(), d]).inc_by(0);
            }
            self.all_calls.with_label_values(&[d]).inc_by(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_miss_rises_from_zero() {
        let (m, playbook) = (Metrics::new(), crate::playbook::minimal());
        m.foresee(&playbook);
        let text = m.text().unwrap();
        let mark = &playbook.plans.values().flat_map(|plan| &plan.marks).next().expect("it has a mark").name;
        for line in [
            format!("muster_marks_total{{drill=\"false\",mark=\"{mark}\",outcome=\"missed\",ring=\"1\"}} 0"),
            String::from("muster_shortfalls_total{drill=\"false\",role=\"first\"} 0"),
            String::from("muster_escalations_total{drill=\"false\",level=\"city\"} 0"),
            String::from("muster_all_calls_total{drill=\"true\"} 0"),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn what_was_counted_stays() {
        let m = Metrics::new();
        m.all_calls.with_label_values(&["false"]).inc();
        m.foresee(&crate::playbook::minimal());
        assert_eq!(m.all_calls.with_label_values(&["false"]).get(), 1);
    }
}
