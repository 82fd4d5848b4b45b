//! Report × Playbook → Classification: keyword scan, rules in order, modifiers, explanation.
